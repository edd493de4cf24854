"""Recipes: what can be shown of them in seconds. The whole of it in small is tests/test_make.py."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.torch

from models.onnx_backend import EarlyOnnxScorer, OnnxScorer  # noqa: E402  # torch may be missing
from models.recipes import train  # noqa: E402  # torch may be missing
from models.recipes.base import built as base  # noqa: E402
from models.recipes.data import UNLABELLED, Row  # noqa: E402
from models.recipes.export import built, parts, ranges  # noqa: E402
from models.recipes.merge import merge  # noqa: E402
from models.recipes.narrow import narrowed  # noqa: E402
from models.recipes.network import Network  # noqa: E402
from models.recipes.train import Knobs, Lesson, batches, pace, padded, weights  # noqa: E402
from models.recipes.whole import write_whole  # noqa: E402
from models.score import Card, Late  # noqa: E402
from tests.smoke import made  # noqa: E402

MUST = ["--base", "b", "--data", "d", "--out", "o", "--stage", "all"]
IDS = [[0, *range(5, 5 + n), 2] for n in (1, 9, 30)]


def row(label: int, source: str = "s", two_class: bool = False) -> Row:
    return Row(source, "id", "teks", label, two_class)


def network(*exits: int, seed: int = 1) -> Network:
    torch.manual_seed(seed)
    net = Network(pieces=60, exits=exits)
    net.eval()
    return net


def test_knobs_are_strict() -> None:
    """A misspelt knob must not train for an hour with its default."""
    assert Knobs.read([*MUST, "--lr", "3e-4", "--exits", "2,4"]).lr == 3e-4
    for wrong in (["--lrr", "1"], ["--batch", "4.5"], ["--stage", "none"], ["--seed"], ["--targets", "t.npy"],
                  ["--stage", "student"]):
        with pytest.raises(SystemExit):
            Knobs.read([*MUST, *wrong])
    with pytest.raises(SystemExit, match="out --stage missing"):
        Knobs.read(MUST[:4])


def test_every_row_is_trained_on_once_an_epoch() -> None:
    """Batches are a partition of the rows, of neighbours in length."""
    knobs = Knobs("b", "d", "o", "all", batch=4)
    lengths = [at % 37 for at in range(203)]
    plan = batches(lengths, knobs)
    assert sorted(at for batch in plan for at in batch) == list(range(203))
    assert max(max(lengths[at] for at in batch) - min(lengths[at] for at in batch) for batch in plan) < 10


def test_rare_classes_weigh_more_and_each_source_as_much_as_its_rows() -> None:
    """The weights of a source's rows are 1 on average; a row without a label weighs nothing."""
    rows = [row(0)] + [row(1)] * 4 + [row(2)] * 16 + [row(0, "two", True)] * 3 + [row(2, "two", True)] * 3
    found = weights([*rows, row(UNLABELLED)], 0.5)
    assert found[:21].mean() == pytest.approx(1)
    assert found[0] / found[1] == pytest.approx(2)  # four times rarer
    assert found[1] / found[5] == pytest.approx(2)
    assert found[21:27].tolist() == [1.0] * 6
    assert found[27] == 0


def test_a_source_without_neutral_says_nothing_of_neutral() -> None:
    """However sure the network is of neutral, such a row's loss does not see it."""
    lesson = Lesson.of([row(0, two_class=True)], None, 0.5)
    knobs = Knobs("b", "d", "o", "all")
    said = [lesson.loss(torch.tensor([[[1.0, neutral, 0.0]]]), [0], knobs) for neutral in (-3.0, 7.0)]
    assert said[0] == said[1]
    assert said[0] == pytest.approx(float(np.log1p(np.exp(-1.0))))


def test_an_early_exit_learns_from_the_last_and_the_last_from_labels_alone() -> None:
    """Without a teacher, the gradient of the early exits stops at the last one's answer."""
    lesson = Lesson.of([row(0), row(2)], None, 0.0)
    logits = torch.zeros(2, 2, 3, requires_grad=True)
    shift = torch.tensor([[[0.0, 0, 0]], [[2.0, 0, 0]]])
    full = lesson.loss(logits + shift, [0, 1], Knobs("b", "d", "o", "all"))
    (both,) = torch.autograd.grad(full, logits)
    only = lesson.loss((logits + shift)[1:], [0, 1], Knobs("b", "d", "o", "all"))
    (last,) = torch.autograd.grad(only, logits)
    assert torch.allclose(both[1], last[1])
    # The early exit is pulled towards what the last one says of both rows: negative.
    assert both[0].sum(0)[0] < 0


def test_a_teacher_is_followed_where_there_is_no_label() -> None:
    """An unlabelled row has the teacher's loss alone, which is none where the student agrees."""
    targets = torch.tensor([[2.0, 0.0, -1.0]])
    lesson = Lesson.of([row(UNLABELLED)], targets, 0.5)
    knobs = Knobs("b", "d", "o", "student", targets="t")
    assert lesson.loss(targets[None] + 3.0, [0], knobs) == pytest.approx(0, abs=1e-6)
    assert lesson.loss(-targets[None], [0], knobs) > 0.5


def test_the_pace_rises_and_falls() -> None:
    """Warm-up to the whole rate, then down to nothing."""
    steps = [pace(at, 100, 0.1) for at in range(100)]
    assert steps[9] == 1.0
    assert steps[:10] == sorted(steps[:10])
    assert steps[9:] == sorted(steps[9:], reverse=True)
    assert steps[-1] < 0.02


def test_twins_are_merged_to_their_mean(tmp_path: Path) -> None:
    """Every weight is the mean of the twins'."""
    one, two = network(1, 2), network(1, 2, seed=2)
    for name, some in (("one", one), ("two", two)):
        torch.save(some.state_dict(), tmp_path / f"{name}.pt")
    merge([tmp_path / "one.pt", tmp_path / "two.pt"], tmp_path / "out" / "model.pt")
    merged = torch.load(tmp_path / "out" / "model.pt")
    for name, value in one.state_dict().items():
        assert torch.allclose(merged[name], (value + two.state_dict()[name]) / 2, atol=1e-6)


def test_a_shallower_network_takes_its_part_of_a_deeper_one() -> None:
    """The same layers and exits give the same answers."""
    deep = network(1, 2, 3)
    part = network(1, 2, seed=5)
    part.load_part(deep.state_dict())
    with torch.no_grad():
        assert torch.equal(part(*padded(IDS)), deep(*padded(IDS))[:2])


def test_padding_changes_no_answer() -> None:
    """A text alone is answered as in a batch with longer ones."""
    net = network(1, 2)
    with torch.no_grad():
        together = net(*padded(IDS))
        for at, one in enumerate(IDS):
            assert torch.allclose(net(*padded([one]))[:, 0], together[:, at], atol=1e-5)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_the_exported_graphs_say_what_the_network_says(tmp_path: Path, precision: str) -> None:
    """Two halves, or one whole: eight bits cost little, padding nothing, and company nothing at all."""
    net = network(1, 3)
    reach = ranges(net, IDS) if precision == "int8" else None
    for name, part in (parts([1, 3]) | {"whole.onnx": parts([3])["model.onnx"]}).items():
        onnx.save(built(net, part, reach), tmp_path / name)
    late = Late(file="late.onnx", threshold=0.9)
    halves = EarlyOnnxScorer(Card(name="x", late=late), late, [tmp_path / "model.onnx", tmp_path / "late.onnx"], None)
    whole = OnnxScorer(Card(name="x"), tmp_path / "whole.onnx", tokenizer=None)
    tokens, mask = padded(IDS)
    with torch.no_grad():
        want = net(tokens, mask).numpy()
    off = 0.05 if precision == "int8" else 1e-4
    ids, keep = tokens.numpy(), mask.numpy()
    early, hidden = halves.lower(ids, keep)
    assert np.abs(early - want[0]).max() < off
    assert np.abs(halves.upper(hidden, keep) - want[1]).max() < off
    assert np.abs(whole.logits(ids, keep) - halves.logits(ids, keep)).max() < 1e-5
    alone = np.concatenate([halves.logits(*(one.numpy() for one in padded([text]))) for text in IDS])
    assert np.abs(halves.logits(ids, keep) - alone).max() < 1e-5


class Killed(Exception):
    """As if the process had gone."""


def test_a_run_that_was_killed_ends_as_if_it_had_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, moments, pace and the dice of dropout come back from the checkpoint."""
    source, data = made(tmp_path)
    base(str(source), data, tmp_path / "base")
    knobs = Knobs(base=str(tmp_path / "base"), data=str(data), out=str(tmp_path / "whole"), stage="small", exits="1,2",
                  limit=160, bf16="no", save_s=-1)
    train.train(knobs)
    broken = replace(knobs, out=str(tmp_path / "broken"))
    tell = train.Progress.tell

    def die(self: train.Progress, step: int, loss: float, tokens: int) -> None:
        if step == 2:
            raise Killed
        tell(self, step, loss, tokens)

    monkeypatch.setattr(train.Progress, "tell", die)
    with pytest.raises(Killed):
        train.train(broken)
    monkeypatch.setattr(train.Progress, "tell", tell)
    with pytest.raises(SystemExit, match="begun with another --lr"):
        train.train(replace(broken, lr=1.0))
    train.train(broken)
    one, two = (torch.load(tmp_path / name / "model.pt") for name in ("whole", "broken"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not (tmp_path / "broken" / "checkpoint.pt").exists()


def test_what_was_killed_while_writing_is_not_there(tmp_path: Path) -> None:
    """A file is there whole or not at all."""
    def torn(part: Path) -> None:
        part.write_text("half")
        raise Killed

    with pytest.raises(Killed):
        write_whole(tmp_path / "model.pt", torn)
    assert not (tmp_path / "model.pt").exists()
    write_whole(tmp_path / "model.pt", lambda part: part.write_text("all"))
    assert (tmp_path / "model.pt").read_text() == "all"


def test_a_network_is_narrowed_without_loss_where_neurons_say_nothing_new() -> None:
    """A neuron that always answers the same is dropped, and what it wrote stays, in the bias."""
    net = network(1, 2)
    with torch.no_grad():
        for layer in net.layers:
            layer.fi.weight[::2] = 0  # every second neuron answers gelu(bias), whatever it is asked
            layer.fi.bias[::2] = 0.8
    half = Network(60, [1, 2], inner=768).eval()
    half.load_part(narrowed(net, IDS, 768))
    with torch.no_grad():
        assert torch.allclose(half(*padded(IDS)), net(*padded(IDS)), atol=1e-4)


def test_a_network_that_keeps_all_neurons_is_the_same() -> None:
    """Nothing to drop, nothing changed."""
    net = network(1)
    state = narrowed(net, IDS, 1536)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
