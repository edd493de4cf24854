"""Models: the embedded one, others in folders, and what is said when there is none."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
from models.batch import plan
from models.registry import EMBEDDED, card_of
from models.score import LABELS, Card, NoModel, Score, Scorer
from models.transformer import padded, scored

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def embedded() -> Scorer:
    return models.load()


PLAIN = [
    ("Pelayanannya ramah dan cepat, saya suka sekali!", "positive"),
    ("Barang sampai cepat, kualitas bagus, puas banget", "positive"),
    ("Kecewa berat, aplikasinya lemot dan sering error", "negative"),
    ("Makanannya tidak enak, pelayanannya buruk, tidak akan kembali lagi", "negative"),
    ("I love this phone, best purchase I have made in years", "positive"),
    ("Great service, thank you so much!", "positive"),
    ("This is the worst customer service I have ever had", "negative"),
    ("I hate this update, it is terrible and it keeps crashing", "negative"),
]


@pytest.mark.parametrize(("text", "label"), PLAIN)
def test_plain_sentences_are_understood(embedded: Scorer, text: str, label: str) -> None:
    """A model that fails here is broken, whatever its figures say."""
    (score,) = embedded.score([text])
    assert score.label == label
    assert abs(score.score) > 0.4


def test_the_embedded_model_is_described_and_proven(embedded: Scorer) -> None:
    """Its card names languages, licence, data and figures, and its digest is that of the file."""
    card = embedded.card
    assert {"id", "en"} <= set(card.languages)
    assert card.licence
    assert card.data
    assert card.figures
    assert card.batch_move
    assert card.digest == card_of(EMBEDDED, "").digest
    assert len(card.digest) == len(card.tokenizer_digest) == 64
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 45_000_000


def test_a_score_does_not_depend_on_its_neighbours(embedded: Scorer) -> None:
    """The scales of activations are fixed, so that a replay in other batches gives the same figures."""
    texts = [text for text, _ in PLAIN] + ["x " * n for n in range(1, 60)] + ["\U0001f60d", ""]
    alone = [embedded.score([text])[0] for text in texts]
    together = embedded.score(texts)
    assert max(abs(one.score - other.score) for one, other in zip(alone, together, strict=True)) < 1e-5


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "a" * 100_000, "\U0001f60d" * 500, "\u202e\u0000\ufffd"])
def test_odd_texts_are_scored_like_any_other(embedded: Scorer, text: str) -> None:
    """Three probabilities, whatever comes."""
    (score,) = embedded.score([text])
    assert score.negative + score.neutral + score.positive == pytest.approx(1)


def test_no_texts_no_scores(embedded: Scorer) -> None:
    """An empty call is no error."""
    assert embedded.score([]) == []


def test_padding_marks_what_is_no_token() -> None:
    """The plan, the ids and the mask fit each other."""
    ids = [[5], [6, 7, 8], [9, 10]]
    (batch,) = plan([len(one) for one in ids], 100, 100)
    filled, mask = padded([ids[at] for at in batch], pad=1)
    assert filled.tolist() == [[5, 1, 1], [9, 10, 1], [6, 7, 8]]
    assert mask.sum(axis=1).tolist() == [1, 2, 3]


def test_logits_are_read_in_the_order_of_the_card() -> None:
    """Models on the hub order their classes as they like, and some know no neutral."""
    logits = np.array([[0.0, 9.0]], np.float32)
    (score,) = scored(logits, Card(name="x", labels=("positive", "negative")))
    assert score.label == "negative"
    assert score.neutral == 0
    turned = Card(name="x", labels=("neutral", "positive", "negative"))
    (score,) = scored(np.array([[9.0, 0.0, 0.0]], np.float32), turned)
    assert score.label == "neutral"


@pytest.mark.parametrize("logits", [[[0.0, 1.0]], [[0.0, float("nan"), 0.0]]])
def test_what_is_no_number_is_no_score(logits: list[list[float]]) -> None:
    """Rather poison than a mood of NaN."""
    with pytest.raises(ValueError, match="finite"):
        scored(np.array(logits, np.float32), Card(name="x"))


def test_of_equal_classes_the_first_is_the_label() -> None:
    """Whatever the platform."""
    assert Score(0.4, 0.2, 0.4).label == LABELS[0]


def test_a_damaged_file_is_no_model(tmp_path: Path) -> None:
    """The digest is checked before anything is loaded."""
    folder = shutil.copytree(EMBEDDED, tmp_path / "copy")
    with (folder / "model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff")
    with pytest.raises(NoModel, match=r"SHA-256 .* damaged"):
        models.load(str(folder))


def test_an_onnx_file_that_is_none_is_no_model(tmp_path: Path) -> None:
    """Even if no digest was promised."""
    shutil.copy(EMBEDDED / "tokenizer.json", tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no")
    (tmp_path / "card.json").write_text('{"name": "no"}')
    with pytest.raises(NoModel, match="cannot load"):
        models.load(str(tmp_path))


def test_a_folder_of_your_own_is_a_model(tmp_path: Path) -> None:
    """An exported graph, a tokenizer and a card of two lines."""
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).symlink_to(EMBEDDED / name)
    (tmp_path / "card.json").write_text('{"name": "mine", "labels": ["positive", "neutral", "negative"]}')
    mine = models.load(str(tmp_path))
    assert mine.card.name == "mine"
    assert mine.score(["I love it, it is great"])[0].label == "negative"


@pytest.mark.parametrize(("files", "says"), [
    ({}, "found none"),
    ({"model.onnx": ""}, "card.json"),
    ({"model.onnx": "", "config.json": json.dumps({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}})}, "Say what each"),
    ({"model.onnx": "", "config.json": json.dumps({"id2label": {"0": "1 star", "1": "2 stars"}})}, "Say what each"),
    ({"model.onnx": "", "card.json": '{"name": "x", "labels": ["good", "bad"]}'}, "Say what each"),
    ({"model.onnx": "", "card.json": '{"nam": "x"}'}, "name"),
])
def test_what_cannot_be_understood_is_refused_with_a_way_out(tmp_path: Path, files: dict[str, str], says: str) -> None:
    """Labels are never guessed."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(NoModel, match=says):
        models.load(str(tmp_path))


@pytest.mark.parametrize(("given", "labels"), [
    ({"0": "Negative", "1": "NEUTRAL", "2": "pos"}, ("negative", "neutral", "positive")),
    ({"2": "negatif", "1": "netral", "0": "positif"}, ("positive", "neutral", "negative")),
    ({"0": "NEG", "1": "POS"}, ("negative", "positive")),
])
def test_labels_that_speak_plainly_are_mapped(tmp_path: Path, given: dict[str, str], labels: tuple[str, ...]) -> None:
    """As the hub's models name them, in English or Indonesian."""
    (tmp_path / "config.json").write_text(json.dumps({"id2label": given}))
    assert card_of(tmp_path, "x").labels == labels


def test_a_name_that_nobody_knows_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names it and says what to do."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NoModel, match=r"(?s)nobody/nothing.*Check the name"):
        models.load("nobody/nothing")


SILENT = """
import os, sys
import models
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
assert not {"onnxruntime", "transformers", "torch", "numpy"} & set(sys.modules), "heavy at import"
import onnxruntime
models.load().score(["bagus"])
"""


def test_nothing_is_heavy_and_nothing_is_reported(tmp_path: Path) -> None:
    """Importing models loads no runtime, and onnxruntime, which would report home, leaves no trace of doing so."""
    before = set(Path("/tmp").iterdir())
    env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-P", "-c", SILENT], check=True, env=env, cwd=tmp_path)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    left += [path for path in set(Path("/tmp").iterdir()) - before if "onnx" in path.name.lower()]
    assert left == []


@pytest.mark.torch
def test_a_model_of_the_hub_is_scored_with_torch(tmp_path: Path) -> None:
    """Weights of PyTorch in a folder, as a hub repository would be."""
    pytest.importorskip("torch")
    folder = tiny(tmp_path, {0: "negative", 1: "neutral", 2: "positive"})
    mine = models.load(str(folder))
    scores = mine.score(["bagus sekali", "buruk", "bagus sekali"])
    assert scores[0] == scores[2] != scores[1]
    assert mine.card.digest


@pytest.mark.torch
def test_a_model_of_the_hub_must_say_what_its_labels_mean(tmp_path: Path) -> None:
    """LABEL_0 may be anything."""
    pytest.importorskip("torch")
    with pytest.raises(NoModel, match="Say what each"):
        models.load(str(tiny(tmp_path, {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})))


def tiny(folder: Path, labels: dict[int, str]) -> Path:
    """A BERT of a few hundred random weights."""
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    config: Any = BertConfig(
        vocab_size=46_315, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=64, id2label=labels, label2id={name: at for at, name in labels.items()})
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=str(EMBEDDED / "tokenizer.json"), pad_token="<pad>")
    tokenizer.save_pretrained(folder)
    return folder
