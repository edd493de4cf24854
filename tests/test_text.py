"""Text: what the model reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text import normalise

noisy = st.text(st.sampled_from("aA @#&;:!?.\n\t\u200d\ufe0f\U0001f44d\U0001f3fd") | st.characters(), max_size=60)


@pytest.mark.parametrize(("text", "read"), [
    ("lihat https://t.co/abc123 dan www.toko.example/x", "lihat http dan http"),
    ("@Budi_01 makasih", "@user makasih"),
    ("PARAH BANGET tapi OK", "parah banget tapi OK"),
    ("bagusssssss", "bagusss"),
    ("murah &amp; cepat &lt;3", "murah & cepat <3"),
    ("mantap \U0001f44d\U0001f3fd", "mantap\U0001f44d"),
    ("  dua\n\nbaris  ", "dua baris"),
    ("hah ?!", "hah?!"),
    ("a\ud800b", "ab"),
    ("", ""),
])
def test_what_says_nothing_of_mood_is_levelled(text: str, read: str) -> None:
    """Links, handles, shouting, stretching, entities, skin tones, spaces."""
    assert normalise(text) == read


@given(st.text(st.characters(), max_size=200))
def test_any_text_can_be_tokenized(text: str) -> None:
    """What comes out is UTF-8, one line, and not longer than what came in, but for names put in place of handles."""
    read = normalise(text)
    read.encode()
    assert "\n" not in read
    assert len(read) <= len(text) + 4 * text.count("@") + 2 * text.count("&")


@given(noisy)
def test_the_ends_are_bare(text: str) -> None:
    """No space is left to cost a token."""
    assert normalise(text) == normalise(text).strip()
