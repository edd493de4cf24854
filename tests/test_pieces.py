"""Pieces: the ids that transformers would give, without transformers."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pieces import Pieces
from models.registry import EMBEDDED
from models.score import NoModel

FILE = EMBEDDED / "tokenizer.json"
TEXTS = ["Pelayanannya ramah, pesanan cepat sampai 😍", "I waited two hours", "", " ", "kopi\u00a0\tenak\x00", "字" * 9,
         "panjang " * 200]


@pytest.fixture(scope="module")
def pieces() -> Pieces:
    return Pieces(FILE)


@pytest.mark.parametrize("most", [4, 96, None])
def test_the_ids_are_those_of_transformers(pieces: Pieces, most: int | None) -> None:
    """Cut alike, specials included."""
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast(tokenizer_file=str(FILE))
    want = theirs(TEXTS, truncation=most is not None, max_length=most, padding=False)["input_ids"]
    assert pieces(TEXTS, max_length=most)["input_ids"] == want


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=6))
def test_no_text_is_too_odd(texts: list[str]) -> None:
    """Every text has its two specials at least, and one text's ids do not depend on the others'."""
    pieces = Pieces(FILE)
    ids = pieces(texts, max_length=32)["input_ids"]
    assert [pieces([text], max_length=32)["input_ids"][0] for text in texts] == ids
    assert all(2 <= len(one) <= 32 and (one[0], one[-1]) == (0, 2) for one in ids)


def test_what_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    """The file, and that it is none."""
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(NoModel, match=r"tokenizer\.json: no tokenizer"):
        Pieces(tmp_path / "tokenizer.json")


def test_the_embedded_model_is_loaded_without_transformers() -> None:
    """Nor torch: a worker and `denyut score` start in a second."""
    code = ("import sys, models; models.load().score(['bagus']); "
            "print([name for name in ('transformers', 'torch') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
