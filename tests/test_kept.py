"""Kept: what stands in the log is known, for as long as it stands there."""

from typing import Any

import pytest

from streams.heart.post import Post, encode, from_ms
from streams.kept import EARLY_MS, VERSIONS, WEEK_MS, Kept, number

NOW = 1_795_586_400_000
ID = "bluesky:" + "0a" * 16


def post(name: str = ID, rev: int = 0, *, created_ms: int = NOW, author: str | None = "ana", alias: str | None = "a1",
         text: str = "kopi") -> Post:
    return Post(id=name, source="bluesky", text=text, created_at=from_ms(created_ms), rev=rev, author=author,
                alias=alias)


def kept(*posts: Post) -> Kept:
    one = Kept("bluesky")
    for each in posts:
        one.add(each, NOW)
    return one


@pytest.mark.parametrize("name", [ID, "bluesky:0A0A", "bluesky:0a0", "bluesky:kopi", "bluesky:12"])
def test_an_id_comes_back_as_it_was(name: str) -> None:
    """Whether a hash of ours or what another producer calls its posts."""
    assert [name] == kept(post(name)).by_author("ana")
    assert name == kept(post(name)).by_alias("a1")


def test_an_edit_that_says_less_takes_nothing_back() -> None:
    """Whose a post is, and by which other id it is called, stands in its first version; an older version is none."""
    less: dict[str, Any] = {"author": None, "alias": None}
    one = kept(post(rev=3, text="kopi"), post(rev=4, text="teh", **less), post(rev=2, text="susu", **less))
    assert ([ID], ID) == (one.by_author("ana"), one.by_alias("a1"))
    known = one.get(ID)
    assert known is not None
    assert (4, kept(post(text="teh")).get(ID).words) == (known.rev, known.words)  # type: ignore[union-attr]


def test_the_last_versions_are_known_in_whatever_order_they_stand() -> None:
    """By number and words; of those that came before them, nothing but that they did."""
    said = [post(rev=rev, text=f"kopi {rev}") for rev in range(3, VERSIONS + 6)]
    for order in (said, [*said, *said], [*said[:-3], *said[-2:], said[-3]]):
        known = kept(*order).get(ID)
        assert known is not None
        assert [(one.rev, number(one.text)) for one in said[-VERSIONS:]] == [*known.before, (known.rev, known.words)]
        assert all(known.has(one.rev, number(one.text)) for one in said)
        assert not known.has(VERSIONS + 5, number("teh"))


def test_the_log_is_read_back_whatever_stands_in_it() -> None:
    """Ticks, other sources', and what is no post are passed by; a removal takes its post out for good."""
    one = Kept("bluesky")
    for key, value in ((None, b"{}"), (b"\xff", b"{}"), (b"mastodon:x", encode(post())), (b"bluesky:1", b"\xff"),
                       (b"bluesky:2", b"{"), (b"bluesky:3", b"[" * 100_000), (b"bluesky:4", b'"\xff"'),
                       (b"bluesky:5", b'{"text": "x\xff", "created_at": "2026-11-25T06:00:00Z"}'),
                       (b"bluesky:6", b'{"text": "x", "created_at": "2026-11-25T06:00:00"}')):
        one.take(key, value, NOW)
    assert 0 == len(one)
    one.take(ID.encode(), encode(post()), NOW)
    assert 1 == len(one)
    one.take(ID.encode(), None, NOW)
    assert (0, True) == (len(one), one.is_gone(ID))


def test_what_the_log_holds_no_more_is_forgotten_and_nothing_sooner() -> None:
    """Counted from its last version's arrival, whenever it was written."""
    one = Kept("bluesky")
    one.add(post(created_ms=NOW - 2 * WEEK_MS), NOW - 1000)
    one.add(post(rev=1, created_ms=NOW - 2 * WEEK_MS), NOW)
    one.forget(NOW + WEEK_MS)
    assert 1 == len(one)
    one.forget(NOW + WEEK_MS + 1)
    assert 0 == len(one)


def test_what_was_removed_is_remembered_as_long_as_the_log_and_what_never_stood_there_for_an_hour() -> None:
    """Most of what a network takes back was never ours."""
    one = kept(post())
    one.drop(ID, NOW)
    one.drop(ID, NOW)  # told again: it does not shorten the memory
    one.drop("bluesky:never", NOW)
    one.forget(NOW + EARLY_MS)
    assert (True, True) == (one.is_gone(ID), one.is_gone("bluesky:never"))
    one.forget(NOW + EARLY_MS + 1)
    assert (True, False) == (one.is_gone(ID), one.is_gone("bluesky:never"))
    one.forget(NOW + WEEK_MS + 1)
    assert not one.is_gone(ID)


def test_what_was_removed_before_a_restart_is_remembered_as_long() -> None:
    """The log has cleaned the post away, and only its removal stands there."""
    one = Kept("bluesky")
    one.take(ID.encode(), None, NOW)
    one.forget(NOW + EARLY_MS + 1)
    assert one.is_gone(ID)


def test_what_an_author_wrote_before_a_time_is_found_by_either_time() -> None:
    """Written before it, or come before it: a date may be wrong, and a post may come late."""
    one = Kept("bluesky")
    times = [(NOW - 1, NOW + 9), (NOW + 9, NOW - 1), (NOW, NOW), (NOW - 1, NOW - 1)]
    for place, (created_ms, at_ms) in enumerate(times):
        one.add(post(f"bluesky:p{place}", created_ms=created_ms, alias=None), at_ms)
    assert ["bluesky:p0", "bluesky:p1", "bluesky:p3"] == one.by_author("ana", NOW)
    assert 4 == len(one.by_author("ana"))
