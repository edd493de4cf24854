"""The wire form of a post: what is read, and what is refused with which reason."""

import json
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.heart.brands import words
from streams.heart.errors import BadPost, Reason
from streams.heart.post import (
    MAX_MARKS,
    Kind,
    Post,
    Removal,
    Tick,
    check_text,
    decode,
    encode,
    encode_tick,
    from_ms,
    is_heaped,
    near_duplicate,
    post_key,
    pseudonym,
    tick_key,
    visible,
)

SOURCES = frozenset({"demo"})
KEY = post_key("demo", "1", b"secret").encode()
GOOD: dict[str, Any] = {"schema": 1, "id": KEY.decode(), "source": "demo", "text": "Kopi enak \U0001f600",
                        "created_at": "2026-11-25T06:00:00.123Z"}


def wire(**other: Any) -> bytes:
    return json.dumps({k: v for k, v in (GOOD | other).items() if v is not ...}).encode()


BAD = {
    "no key": (None, wire(), Reason.NO_KEY),
    "an empty key": (b"", wire(), Reason.NO_KEY),
    "a key without a source": (b"12345678901234567890", wire(), Reason.BAD_KEY),
    "a key that is not UTF-8": (b"demo:\xff\xfe567890", wire(), Reason.BAD_KEY),
    "a key of 10 kB": (b"demo:" + b"a" * 10_000, None, Reason.BAD_KEY),
    "a key that is not the id": (post_key("demo", "2", b"secret").encode(), wire(), Reason.KEY_IS_NOT_ID),
    "not JSON": (KEY, b"hello", Reason.NOT_JSON),
    "nothing": (KEY, b"", Reason.NOT_JSON),
    "nested without end": (KEY, b'{"text":' * 5000, Reason.NOT_JSON),
    "a list": (KEY, b"[1, 2]", Reason.WRONG_TYPE),
    "invalid UTF-8": (KEY, wire().replace(b"Kopi", b"\xff\xfe\xfd\xfc"), Reason.NOT_UTF8),
    "no text": (KEY, wire(text=...), Reason.MISSING_FIELD),
    "no time": (KEY, wire(created_at=...), Reason.MISSING_FIELD),
    "text that is a number": (KEY, wire(text=7), Reason.WRONG_TYPE),
    "rev that is a text": (KEY, wire(rev="new"), Reason.WRONG_TYPE),
    "rev below 0": (KEY, wire(rev=-1), Reason.WRONG_TYPE),
    "rev of a removal": (KEY, wire(rev=2**32 - 1), Reason.WRONG_TYPE),
    "an unknown source": (KEY, wire(source="elsewhere"), Reason.UNKNOWN_SOURCE),
    "another source than the id's": (b"x:0123456789abcdef", wire(id="x:0123456789abcdef"), Reason.UNKNOWN_SOURCE),
    "a time that is none": (KEY, wire(created_at="yesterday"), Reason.BAD_TIME),
    "a time without a zone": (KEY, wire(created_at="2026-11-25T06:00:00"), Reason.BAD_TIME),
    "the year 1": (KEY, wire(created_at="0001-01-01T00:00:00Z"), Reason.BAD_TIME),
    "the year 9999": (KEY, wire(created_at="9999-12-31T23:59:59Z"), Reason.BAD_TIME),
    "10 MB": (KEY, wire(text="a" * 10_000_000), Reason.TOO_LARGE),
    "100,000 emoji": (KEY, wire(text="\U0001f600" * 100_000), Reason.TOO_LARGE),
    "a text of 20,000 characters": (KEY, wire(text="kopi " * 4000), Reason.TOO_LONG),
    "a lone surrogate": (KEY, wire(text="kopi \ud800 enak"), Reason.BAD_TEXT),
    "NUL": (KEY, wire(text="kopi\0"), Reason.BAD_TEXT),
    "a direction override": (KEY, wire(text="kopi \u202eipok"), Reason.BAD_TEXT),
    "spaces alone": (KEY, wire(text=" \t\n"), Reason.BAD_TEXT),
    "zero width alone": (KEY, wire(text="\u200b\u200b"), Reason.BAD_TEXT),
    "mostly zero width": (KEY, wire(text="ko\u200b\u200b\u200b\u200b\u200b\u200bpi"), Reason.BAD_TEXT),
    "marks without end": (KEY, wire(text="kopi" + "\u0344" * 31), Reason.BAD_TEXT),
    "marks of two kinds": (KEY, wire(text="kopi" + "\u0344" * 5000 + "\u0323" * 4900), Reason.BAD_TEXT),
    "marks that a joiner parts": (KEY, wire(text="kopi" + ("\u0323" * 20 + "\u200d") * 3), Reason.BAD_TEXT),
    "marks beyond U+FFFF": (KEY, wire(text="kopi" + "\U0001e944\U0001e94a" * 16), Reason.BAD_TEXT),
    "a newer schema": (KEY, wire(schema=2, text={"parts": []}), Reason.NEWER_SCHEMA),
    "a tick that is none": (tick_key("feed"), b"soon", Reason.BAD_TICK),
    "a removed tick": (tick_key("feed"), None, Reason.BAD_TICK),
    "a tick until the end of days": (tick_key("feed"), b'{"demo": 1000000000000000000000000000000}', Reason.BAD_TICK),
    "a tick before all days": (tick_key("feed"), b'{"demo": -1}', Reason.BAD_TICK),
    "a tick of 10 MB": (tick_key("feed"), b'{"demo": 1}' + b" " * 10_000_000, Reason.TOO_LARGE),
    "a removal for an unknown source": (b"elsewhere:0123456789abcdef", None, Reason.UNKNOWN_SOURCE),
    "zero width and spaces": (KEY, wire(text="\u200b \u200b"), Reason.BAD_TEXT),
}


@pytest.mark.parametrize(("key", "value", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_record_is_refused_with_its_reason(key: bytes | None, value: bytes | None, reason: Reason) -> None:
    """Each kind of bad record has one reason from the fixed list, and the error holds nothing of the text."""
    with pytest.raises(BadPost) as caught:
        decode(key, value, SOURCES)
    assert reason == caught.value.reason
    assert "opi" not in str(caught.value)


def test_a_post_comes_back_as_it_was_sent() -> None:
    """Encoding and decoding are each other's inverse."""
    post = Post(id=KEY.decode(), source="demo", text="Kopi enak", created_at=from_ms(1_795_586_400_123), rev=3,
                author="a1", lang="id", kind=Kind.REPLY, url="https://example.org/1", reply_to="demo:abcdefgh", reach=9)
    assert post == decode(post.key, encode(post), SOURCES)


def test_unknown_fields_and_kinds_are_let_be() -> None:
    """A producer of a later minor version is understood: what we do not know, we do not need."""
    post = decode(KEY, wire(mood_of_day="fine", kind="story", lang="not a language"), SOURCES)
    assert isinstance(post, Post)
    assert (Kind.POST, None) == (post.kind, post.lang)


def test_honest_writing_in_any_script_is_no_trick() -> None:
    """Joiners and marks that a script needs are let through."""
    for text in ("می\u200cخواهم قهوه", "\U0001f468\u200d\U0001f469\u200d\U0001f467 kopi", "שלום קופי", "❤\ufe0f",
                 "กาแฟนี้ดีมากๆ ค่ะ", "قَهْوَةٌ طَيِّبَةٌ", "cà phê này ngon quá, tuyệt vời", "यह कॉफ़ी बहुत अच्छी है",
                 "בְּרֵאשִׁית", "ཧཱུྃ", "コーヒーﾞﾞﾞ", "kopi" + "\u0301" * 30, "\U0001f600" * 200, "\U0001e900\U0001e944 " * 50):
        assert isinstance(decode(KEY, wire(text=text), SOURCES), Post)
        assert isinstance(decode(KEY, wire(text=unicodedata.normalize("NFD", text)), SOURCES), Post)


def test_marks_are_all_that_normalising_sorts() -> None:
    """The slow obvious answer, over all of Unicode: what is nothing but marks once it is decomposed."""
    every = (chr(code) for code in range(sys.maxunicode + 1))
    marks = [sign for sign in every if all(map(unicodedata.combining, unicodedata.normalize("NFKD", sign)))]
    assert len(marks) > 900
    assert [] == [hex(ord(mark)) for mark in marks if visible(mark) and not is_heaped(mark * (MAX_MARKS + 1))]
    assert not any(is_heaped(f"{mark * MAX_MARKS}a" * 2) for mark in marks)


def _seconds(text: str) -> float:
    """CPU seconds of the cheapest of some readings: the check, and what a text that passes it is put through."""
    def once() -> float:
        before = time.process_time()
        for _ in range(20):
            with suppress(BadPost):
                check_text(text)
                words(text)
                near_duplicate(text)
        return time.process_time() - before

    return min(once() for _ in range(5))


HEAPS: dict[str, Callable[[int], str]] = {
    "the high before the low": lambda n: "a" + "\u0344" * (n // 2) + "\u0323" * (n // 2),
    "joiners between": lambda n: "a" + "\u0344\u0344\u0344\u200d" * (n // 8) + "\u0323\u0323\u0323\u200d" * (n // 8),
    "half width": lambda n: "a" + "\uff9e" * (n // 2) + "\u0334" * (n // 2),
    "beyond U+FFFF": lambda n: "a" + "\U0001e944" * (n // 2) + "\U0001e94a" * (n // 2),
    "as many as may be": lambda n: ("a" + "\u0344" * 15 + "\u0323" * 15) * (n // 31),
}


@pytest.mark.parametrize("heap", HEAPS.values(), ids=HEAPS)
def test_no_heap_of_marks_costs_more_than_its_length(heap: Callable[[int], str]) -> None:
    """A text of eight times the length takes about eight times as long, refused or not; sorting marks takes 64."""
    assert _seconds(heap(9_600)) < 24 * max(_seconds(heap(1_200)), 0.001)


def test_a_time_without_a_zone_is_told_what_to_write() -> None:
    """The zones of Indonesia by name, and never what the source wrote: it may be anything."""
    with pytest.raises(BadPost) as told:
        decode(KEY, wire(created_at="2026-11-25T06:00:00"), SOURCES)
    assert "bad_time: no time zone: write +07:00 (WIB), +08:00 (WITA), +09:00 (WIT) or Z behind it" == str(told.value)


def test_null_is_a_removal_and_a_tick_is_a_tick() -> None:
    """The two other kinds of record."""
    assert Removal(KEY.decode()) == decode(KEY, None, SOURCES)
    assert Tick("feed", {"demo": 7}) == decode(tick_key("feed"), encode_tick({"demo": 7}), SOURCES)


@given(st.one_of(st.none(), st.binary(max_size=300), st.just(KEY)), st.one_of(st.none(), st.binary(max_size=500)))
def test_any_bytes_are_read_or_refused(key: bytes | None, value: bytes | None) -> None:
    """Whatever comes, the decoder answers or raises BadPost: no other error can reach a worker."""
    try:
        decode(key, value, SOURCES)
    except BadPost as bad:
        assert bad.reason in Reason


_json = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)


@given(st.dictionaries(st.sampled_from(sorted(Post.__struct_fields__)), _json))
def test_any_values_in_the_fields_are_read_or_refused(fields: dict[str, Any]) -> None:
    """The same for well-formed JSON with absurd values."""
    value = json.dumps(GOOD | fields).encode("utf-8", "surrogatepass")
    try:
        decode(KEY, value, SOURCES)
    except BadPost as bad:
        assert bad.reason in Reason


def test_a_pseudonym_needs_the_key() -> None:
    """The same author, another key: another pseudonym; and never the handle itself."""
    one, other = (pseudonym("demo", "@budi", secret) for secret in (b"a", b"b"))
    assert one != other
    assert "budi" not in one
    assert one != post_key("demo", "@budi", b"a").split(":")[1]


@given(st.text(max_size=60))
def test_a_near_duplicate_is_one_after_case_and_punctuation(text: str) -> None:
    """Shouting, links and full stops do not make a text new."""
    if any(c.isalnum() for c in text) and "@" not in text and "http" not in text and "www" not in text:
        assert near_duplicate(text) == near_duplicate(f"{text} !!! https://x.id/9")
