"""Halves: a model of two graphs in a folder, and what is said of one that is not what its card says."""

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.torch

import models  # noqa: E402  # torch may be missing
from models.recipes.export import built, parts, ranges  # noqa: E402
from models.recipes.network import Network  # noqa: E402
from models.registry import EMBEDDED, digest  # noqa: E402
from models.score import EFFORTS, NoModel  # noqa: E402

IDS = [[0, *range(5, 5 + n), 2] for n in (1, 9, 30)]
TEXTS = ["bagus sekali", "kecewa berat, barangnya rusak", "kopi"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two exits, exported as the recipe does."""
    folder = tmp_path_factory.mktemp("halves")
    torch.manual_seed(1)
    net = Network(pieces=50_000, exits=[1, 2]).eval()
    for name, part in parts([1, 2]).items():
        onnx.save(built(net, part, ranges(net, IDS)), folder / name)
    shutil.copyfile(EMBEDDED / "tokenizer.json", folder / "tokenizer.json")
    write(folder, {"digest": digest([folder / name for name in parts([1, 2])])})
    return folder


def write(folder: Path, more: dict[str, object]) -> None:
    card = {"name": "halves", "normalised": True, "late": {"file": "late.onnx", "threshold": 0.5}}
    (folder / "card.json").write_text(json.dumps(card | more))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_each_effort_is_a_model_of_its_own(whole: Path) -> None:
    """The scores differ, and so do the rulers' names."""
    scorers = {effort: models.load(str(whole), effort=effort) for effort in EFFORTS}
    assert len({scorer.card.ruler for scorer in scorers.values()}) == 3
    fast, exact = (scorers[effort].score(TEXTS) for effort in ("fast", "exact"))
    assert all(one.score != two.score for one, two in zip(fast, exact, strict=True))
    for text, one, two in zip(TEXTS, fast, exact, strict=True):
        (balanced,) = scorers["balanced"].score([text])
        assert balanced.score in (pytest.approx(one.score), pytest.approx(two.score))


def test_both_halves_are_proven(copy: Path) -> None:
    """A changed byte in the upper half is found by the card's one digest."""
    late = copy / "late.onnx"
    data = bytearray(late.read_bytes())
    data[len(data) // 2] ^= 1
    late.write_bytes(bytes(data))
    with pytest.raises(NoModel, match=r"late\.onnx: SHA-256"):
        models.load(str(copy))


def test_a_missing_half_is_named(copy: Path) -> None:
    """Half a model is not loaded as a whole one."""
    (copy / "late.onnx").unlink()
    with pytest.raises(NoModel, match=r"late\.onnx: the card names it"):
        models.load(str(copy))


def test_a_half_of_another_shape_is_named(copy: Path) -> None:
    """The lower half twice: it wants ids where hidden states are given."""
    shutil.copyfile(copy / "model.onnx", copy / "late.onnx")
    write(copy, {})
    with pytest.raises(NoModel, match=r"late\.onnx: expected a half that turns hidden and attention_mask into logits"):
        models.load(str(copy))


def test_an_unknown_operator_is_named(copy: Path) -> None:
    """A graph that this runtime cannot run names its file."""
    graph = onnx.load(copy / "late.onnx")
    graph.graph.node[0].op_type = "Sorcery"
    onnx.save(graph, copy / "late.onnx")
    write(copy, {})
    with pytest.raises(NoModel, match=r"late\.onnx: onnxruntime cannot load it"):
        models.load(str(copy))
