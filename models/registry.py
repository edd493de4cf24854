"""Registry: from a name to a model at work, with its card, and its weights proven by their digest.

A name is "" (the embedded model), a folder, or a repository of the Hugging Face hub (`owner/name`,
`owner/name@revision`), which is brought here once and then is a folder. In a folder an ONNX file is preferred to
weights of PyTorch. What the logits mean comes from its card.json, or from `id2label` of its config.json where that
speaks plainly; it is never guessed.
Knows nothing of texts.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from models.score import EFFORTS, LABELS, Card, Effort, NoModel, Scorer

EMBEDDED = Path(__file__).parent / "pretrained"
ONNX_FILES = ("model.onnx", "onnx/model.onnx")
LATE_FILES = ("late.onnx", "onnx/late.onnx")  # the upper half of a model of ours
TORCH_FILES = ("*.safetensors", "pytorch_model*.bin")
MAX_TOKENS = 128  # of a model without a card: posts are short
# What cards on the hub call the three classes, in lower case.
MEANINGS = {"negative": "negative", "neg": "negative", "negatif": "negative", "neutral": "neutral", "neu": "neutral",
            "netral": "neutral", "positive": "positive", "pos": "positive", "positif": "positive"}


def find(name: str, threads: int, effort: Effort = "balanced") -> Scorer:
    """The model of that name. Raises `NoModel`, saying what to do."""
    # Tokenizing is 3 % of the work and not worth threads of its own.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it misses torch, aloud; we do not
    return loaded(folder_of(name), name, threads, effort)


def folder_of(name: str) -> Path:
    """Where the model of that name is; brought here first if need be. Raises `NoModel`."""
    return EMBEDDED if not name else Path(name) if Path(name).is_dir() else brought(name)


def loaded(folder: Path, name: str, threads: int, effort: Effort = "balanced") -> Scorer:
    """The model of a folder. Raises `NoModel`."""
    if effort not in EFFORTS:
        raise NoModel(f"effort {effort!r}: expected one of {', '.join(EFFORTS)}")
    onnx = next((folder / file for file in ONNX_FILES if (folder / file).is_file()), None)
    weights = [onnx] if onnx else sorted(path for pattern in TORCH_FILES for path in folder.glob(pattern))
    if not weights:
        raise NoModel(f"{folder}: expected {' or '.join(ONNX_FILES + TORCH_FILES)}, found none")
    card = card_of(folder, name or folder.name)
    if onnx and card.late:
        weights.append(onnx.with_name(card.late.file))
        if not weights[1].is_file():
            raise NoModel(f"{weights[1]}: the card names it as the upper half, and it is not there")
    card = msgspec.structs.replace(proven(card, folder, weights), effort=effort)
    tokenizer = tokenizer_of(folder)
    if tokenizer.pad_token_id is not None:
        card = msgspec.structs.replace(card, pad=tokenizer.pad_token_id)
    if onnx:
        from models.onnx_backend import EarlyOnnxScorer, OnnxScorer

        if card.late:
            return EarlyOnnxScorer(card, card.late, weights, tokenizer, threads)
        return OnnxScorer(card, onnx, tokenizer, threads)
    from models.torch_backend import TorchScorer

    return TorchScorer(card, folder, tokenizer, threads)


class _Config(msgspec.Struct, frozen=True):
    """What is read of a config.json of transformers."""

    id2label: dict[int, str] = {}
    max_position_embeddings: int | None = None
    commit: str | None = msgspec.field(name="_commit_hash", default=None)
    origin: str | None = msgspec.field(name="_name_or_path", default=None)


def card_of(folder: Path, name: str) -> Card:
    """The card.json of a folder; without one, a card made from its config.json. Raises `NoModel`."""
    path = folder / "card.json"
    if not path.is_file():
        return _card_from_config(folder, name)
    try:
        card = msgspec.json.decode(path.read_bytes(), type=Card)
    except msgspec.MsgspecError as error:
        raise NoModel(f"{path}: {error}") from error
    _check_labels(card.labels, f"{path}: labels")
    return card


def _card_from_config(folder: Path, name: str) -> Card:
    path = folder / "config.json"
    try:
        config = msgspec.json.decode(path.read_bytes(), type=_Config)
    except (OSError, msgspec.MsgspecError) as error:
        raise NoModel(f"{folder}: expected a card.json, or a config.json that can be read ({error})") from error
    raw = [config.id2label[at] for at in sorted(config.id2label)]
    labels = tuple(MEANINGS.get(label.strip().lower(), label) for label in raw)
    _check_labels(labels, f"{path}: id2label")
    positions = config.max_position_embeddings or MAX_TOKENS
    return Card(name=name, revision=config.commit or "", base=config.origin or "",
                labels=labels, max_tokens=max(1, min(MAX_TOKENS, positions - 2)))


def _check_labels(labels: Sequence[str], where: str) -> None:
    """Positive and negative must be there, neutral may; each once, and nothing else."""
    if sorted(labels) not in (sorted(LABELS), ["negative", "positive"]):
        raise NoModel(f"{where} is {list(labels)}: expected negative, positive and perhaps neutral, each once. Say "
                      'what each logit means: put the model into a folder with a card.json such as {"name": "mine", '
                      '"labels": ["negative", "neutral", "positive"]}, in the order of the logits, and name that.')


def proven(card: Card, folder: Path, weights: Sequence[Path]) -> Card:
    """The card, with the digest of the files that are there. Raises `NoModel` if the card names another one."""
    found = digest(weights)
    tokenizer = folder / "tokenizer.json"
    for said, seen, what in ((card.digest, found, " and ".join(map(str, weights))),
                             (card.tokenizer_digest, digest([tokenizer]) if tokenizer.is_file() else "", tokenizer)):
        if said and said != seen:
            raise NoModel(f"{what}: SHA-256 is {seen[:12]}..., its card says {said[:12]}...; damaged, or another one. "
                          "Install it again, or correct the card.")
    return msgspec.structs.replace(card, digest=found)


def digest(paths: Sequence[Path]) -> str:
    """SHA-256 of some files, one after the other, hexadecimal."""
    summed = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                summed.update(piece)
    return summed.hexdigest()


def tokenizer_of(folder: Path) -> Any:
    """A fast tokenizer of transformers, or of a bare tokenizer.json its engine alone. Raises `NoModel`."""
    if (folder / "tokenizer.json").is_file() and not (folder / "tokenizer_config.json").is_file():
        from models.pieces import Pieces

        return Pieces(folder / "tokenizer.json")
    try:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise NoModel(f"{folder}: transformers cannot make a tokenizer of it ({error})") from error


def brought(name: str) -> Path:
    """The folder of a hub repository, downloaded unless it is here already. Raises `NoModel`."""
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    folder = Path()
    try:
        for weights in (ONNX_FILES + LATE_FILES, TORCH_FILES):
            wanted = ["*.json", "*.txt", "*.model", *weights]
            folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=wanted))
            if any((folder / file).is_file() for file in ONNX_FILES):
                break
    except Exception as error:  # the hub's client raises a dozen kinds: no such name, no network, no right, no disk
        raise NoModel(f"{name!r} is no folder here, and the Hugging Face hub did not give it ({type(error).__name__}: "
                      f"{error}). Check the name and the network, or download it and give its folder.") from error
    return folder
