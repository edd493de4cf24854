"""Hacker News: conformance, its decoder, and what only it does."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.heart.errors import BadSetting, Reason
from streams.heart.post import Kind
from streams.sources.contract import Gone, Happening, Heard, Refused, Said
from streams.sources.hackernews import SLACK_MS, Decoder, HackerNews, Options
from streams.sources.reader import lasting
from tests.sources.hackernews_fake import HackerNewsStage, Server
from tests.sources.scenarios import SCENARIOS, Scenario
from tests.sources.stage import PATIENCE_S, QUICK, Known, performed


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_is_known_in_the_end_is_what_was_said(scenario: Scenario) -> None:
    """Every scenario can be told in this API, and ends as it must."""
    assert scenario.needs <= HackerNewsStage.can
    performed(HackerNewsStage(), scenario)


# The decoder.

COMMENT = {"id": 7, "type": "comment", "by": "ana", "time": 1_795_586_400, "parent": 5, "kids": [8, 9],
           "text": "Kopi &amp; <i>teh</i><p>&quot;enak&quot;"}


def _decoded(**item: Any) -> Happening | None:
    return Decoder().decode(json.dumps({name: said for name, said in item.items() if said is not None}).encode())


def test_a_comment_is_a_reply() -> None:
    """To its parent; by whoever wrote it, in plain text; its page names nobody."""
    assert _decoded(**COMMENT) == Said(
        "7", 'Kopi & teh\n\n"enak"', 1_795_586_400_000, author="ana", kind=Kind.REPLY, reply_to="5",
        url="https://news.ycombinator.com/item?id=7")


@pytest.mark.parametrize("kind", ["story", "job", "poll"])
def test_titles_are_sayings(kind: str) -> None:
    """Of a story, a job and a poll the title is told, and the text after it."""
    item: dict[str, Any] = {"id": 7, "type": kind, "by": "ana", "time": 1_795_586_400, "title": "Kopi", "score": 3}
    told = [_decoded(**item), _decoded(**item, text="enak")]
    assert [(one.text, one.kind, one.reply_to) for one in told if isinstance(one, Said)] == [
        ("Kopi", Kind.POST, None), ("Kopi\nenak", Kind.POST, None)]


@pytest.mark.parametrize("item", [
    {**COMMENT, "type": "pollopt"}, {**COMMENT, "type": "something new"}, {**COMMENT, "text": "<p> "}])
def test_what_says_nothing_is_nothing(item: dict[str, Any]) -> None:
    """The option of a poll is a vote, and a comment without a text no comment; neither is an error."""
    assert _decoded(**item) is None


@pytest.mark.parametrize("why", ["deleted", "dead"])
def test_what_is_not_public_is_gone(why: str) -> None:
    """Deleted by its author, or flagged by readers."""
    assert _decoded(id=7, type="comment", time=1, **{why: True}) == Gone("7")


@pytest.mark.parametrize(("data", "reason"), [
    (b"", Reason.NOT_JSON),
    (b"<html>", Reason.NOT_JSON),
    (b'{"id": 7, "kids": ' + b"[" * 100_000, Reason.NOT_JSON),
    (b'{"id": 7, "text": "\xff"}', Reason.NOT_UTF8),
    (b"7", Reason.WRONG_TYPE),
    (b'{"id": "7"}', Reason.WRONG_TYPE),
    (b'{"type": "story", "time": 1795586400}', Reason.MISSING_FIELD),
    (b'{"id": 7, "type": "story", "title": "kopi"}', Reason.MISSING_FIELD),
    (b'{"id": 7, "type": "story", "title": "kopi", "time": -1}', Reason.BAD_TIME),
])
def test_what_is_no_item_is_refused(data: bytes, reason: Reason) -> None:
    """With a reason from the list."""
    told = Decoder().decode(data)
    assert isinstance(told, Refused)
    assert told.reason == reason


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_happening_or_nothing(data: bytes) -> None:
    """Whatever comes, the decoder does not raise."""
    assert isinstance(Decoder().decode(data), Happening | None)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_mutated_item_is_a_happening_or_nothing(data: st.DataObject) -> None:
    """A good item with some bytes replaced by others does not make the decoder raise."""
    item = json.dumps(COMMENT).encode()
    at = data.draw(st.integers(0, len(item)))
    other = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from(
        [b"\\ud800", b"[[[[", b"null", b"1e999", b"-1", b"true", b"99999999999999999999", b'"'])))
    told = Decoder().decode(item[:at] + other + item[at + data.draw(st.integers(0, 20)):])
    assert isinstance(told, Happening | None)
    if isinstance(told, Said):
        told.text.encode()


# The reader.


def _listen(server: Server, act: Callable[[list[Heard]], bool], positions: Mapping[str, str] | None = None,
            **options: int) -> list[Heard]:
    """Listens until `act`, which may change the server, says that it is enough."""
    all_heard: list[Heard] = []

    async def listen() -> None:
        await server.start()
        source = HackerNews("hackernews", Options(**{
            "url": server.address, "every_ms": 10, "changes_ms": 10, **options}), QUICK)  # type: ignore[arg-type]  # numbers
        hearing = lasting(source, positions or {}, Known(), QUICK)
        try:
            async with asyncio.timeout(PATIENCE_S), aclosing(hearing):  # type: ignore[type-var]  # a generator
                async for heard in hearing:
                    all_heard.append(heard)
                    if act(all_heard):
                        return
        finally:
            await server.stop()

    asyncio.run(listen())
    return all_heard


def _item(number: int, text: str, ago_s: int = 0, **more: Any) -> bytes:
    return json.dumps({"id": number, "type": "comment", "by": "ana", "parent": 5, "time": int(time.time()) - ago_s,
                       "text": text, **more}).encode()


def _told(all_heard: list[Heard]) -> list[Happening]:
    return [one for heard in all_heard for one in heard.happenings]


def _texts(all_heard: list[Heard]) -> list[str]:
    return [one.text for one in _told(all_heard) if isinstance(one, Said)]


def test_without_a_position_it_begins_now() -> None:
    """What was there before is not told."""
    server = Server()
    server.items[1000] = _item(1000, "kopi")

    def act(heard: list[Heard]) -> bool:
        server.items[1001], server.top = _item(1001, "teh"), 1001
        return bool(_texts(heard))

    assert _texts(_listen(server, act)) == ["teh"]


@pytest.mark.parametrize("position", ["", "kopi", "1 2 3", "-5", "٣"])
def test_a_position_that_cannot_be_read_is_none(position: str) -> None:
    """Then it begins now too."""
    server = Server()
    (heard,) = _listen(server, lambda _: True, {"": position})
    assert heard.positions[""].startswith("1000 ")


def test_another_score_is_no_edit() -> None:
    """An item is listed as changed for its score, again and again; what it says is told once."""
    server = Server()

    def act(heard: list[Heard]) -> bool:
        server.items[1001], server.top = _item(1001, "kopi", score=len(heard)), 1001
        server.changed = [1001]
        return server.asked.count("item/1001") > 5

    assert [(one.text, one.rev) for one in _told(_listen(server, act)) if isinstance(one, Said)] == [("kopi", 0)]


def test_edits_rise_even_within_a_second() -> None:
    """Every other text is a version of its own, with a higher rev."""
    server = Server()
    server.changed = [1001]
    words = ["jahe", "susu", "teh", "kopi"]
    shown: list[str] = []

    def act(heard: list[Heard]) -> bool:
        if _texts(heard) == shown:
            if not words:
                return True
            shown.append(words.pop())
            server.items[1001], server.top = _item(1001, shown[-1]), 1001
        return False

    said = [one for one in _told(_listen(server, act)) if isinstance(one, Said)]
    assert [one.text for one in said] == ["kopi", "teh", "susu", "jahe"]
    assert said[0].rev == 0
    assert all(one.rev < two.rev for one, two in itertools.pairwise(said))


def test_an_old_item_is_not_edited() -> None:
    """After two hours a text stands; that an old item has changed says nothing, but that it is gone does."""
    server = Server()
    server.items |= {1: _item(1, "kopi", ago_s=10_000), 2: _item(2, "teh", ago_s=10_000, deleted=True)}
    server.changed = [1, 2]
    assert set(map(str, _told(_listen(server, lambda _: server.asked.count("item/2") > 1)))) == {str(Gone("2"))}


def test_an_item_that_comes_late_is_waited_for() -> None:
    """While it is null, the position stays before it, and what is claimed stands still; those after it are told."""
    server = Server()

    def act(heard: list[Heard]) -> bool:
        server.top = 1002
        server.items[1002] = _item(1002, "teh")
        if server.asked.count("item/1001") > 2:
            server.items[1001] = _item(1001, "kopi")
        return "kopi" in _texts(heard)

    heard = _listen(server, act, every_ms=300)
    assert _texts(heard) == ["teh", "kopi"]
    places = [one.positions[""].split()[0] for one in heard if one.positions]
    assert places[0] == places[-2] == "1000"
    assert places[-1] == "1002"


def test_an_item_that_does_not_come_is_passed_by_and_told_when_it_does() -> None:
    """A comment whose author delays it is null for minutes; later it is listed as changed, and is no edit."""
    server = Server()

    def act(heard: list[Heard]) -> bool:
        server.top = 1001
        if any(one.positions.get("", "").startswith("1001 ") for one in heard):
            server.items[1001], server.changed = _item(1001, "kopi"), [1001]
        return bool(_texts(heard))

    (said,) = _told(_listen(server, act))
    assert isinstance(said, Said)
    assert (said.text, said.rev) == ("kopi", 0)


def test_what_is_claimed_is_what_was_walked() -> None:
    """While it is behind: up to the last item done. When it has caught up: up to a moment before it asked."""
    server = Server()
    now_s = int(time.time())
    server.items |= {number: _item(number, f"kopi {number}", ago_s=2000 - number) for number in range(901, 1001)}
    heard = _listen(server, lambda heard: len(heard) > 5, {"": "900"}, at_once=8)
    claims = [one.until_ms or 0 for one in heard if one.positions]
    first = [(now_s - 2000 + number) * 1000 - SLACK_MS for number in (932, 964, 996)]
    assert all(0 <= claimed - known <= 60_000 for claimed, known in zip(claims, first, strict=False))
    assert claims == sorted(claims)
    assert now_s * 1000 - SLACK_MS <= claims[3] <= time.time_ns() // 1_000_000 - SLACK_MS
    assert len(_texts(heard)) == 100


def test_a_mirror_that_is_behind_takes_nothing_back() -> None:
    """A lower highest id than before is no news, and nothing is claimed by it."""
    server = Server()

    def act(_: list[Heard]) -> bool:
        server.top = 990
        return server.polls > 3

    heard = _listen(server, act)
    assert {one.until_ms for one in heard if one.positions} == {heard[0].until_ms}
    assert {one.positions[""].split()[0] for one in heard if one.positions} == {"1000"}


def test_what_changed_in_our_absence_is_looked_for() -> None:
    """/updates.json forgets in minutes. After a longer absence all items that could have changed are read again."""
    server = Server()
    server.items |= {number: _item(number, f"kopi {number}", ago_s=1000 + 10 * (1000 - number))
                     for number in range(1, 1001)}
    server.items[999] = _item(999, "teh", ago_s=1010, deleted=True)
    until_ms = (int(time.time()) - 900) * 1000
    told = _told(_listen(server, lambda _: server.polls > 1, {"": f"1000 {until_ms}"}, changes_ms=3_600_000))
    said = [one for one in told if isinstance(one, Said)]
    assert [one for one in told if isinstance(one, Gone)] == [Gone("999")]
    assert {one.native for one in said} >= {str(number) for number in range(300, 999)}
    assert all(one.rev > 0 for one in said)
    assert "item/1" not in server.asked


def test_an_item_under_the_wrong_id_is_refused() -> None:
    """What answers for one item cannot remove another."""
    server = Server()

    def act(heard: list[Heard]) -> bool:
        server.items[1001], server.top = b'{"id": 7, "deleted": true}', 1001
        return bool(_told(heard))

    assert _told(_listen(server, act)) == [Refused(Reason.WRONG_TYPE, "id")]


def test_unreadable_changes_are_refused_and_the_walk_goes_on() -> None:
    """The list of changes is no list: new items are told all the same."""
    server = Server()
    server.changed = ["kopi"]  # type: ignore[list-item]  # on purpose

    def act(heard: list[Heard]) -> bool:
        server.items[1001], server.top = _item(1001, "teh"), 1001
        return bool(_texts(heard)) and any(isinstance(one, Refused) for one in _told(heard))

    assert Refused(Reason.WRONG_TYPE) in _told(_listen(server, act))


def test_requests_are_so_many_at_once() -> None:
    """No more of them than was said."""
    server = Server()
    server.items |= {number: _item(number, "kopi") for number in range(901, 1001)}
    _listen(server, lambda heard: len(_texts(heard)) == 100, {"": "900"}, at_once=3)
    assert 1 < server.most_at_once <= 3


@pytest.mark.parametrize(("options", "why"), [
    ({"url": "ftp://hn.example"}, "--url"), ({"every_ms": 0}, "--every"), ({"changes_ms": 0}, "--changes"),
    ({"most": 0}, "--most"), ({"at_once": 65}, "--at-once")])
def test_options_that_cannot_be_are_named(options: dict[str, Any], why: str) -> None:
    """As they stand on the command line."""
    with pytest.raises(BadSetting, match=why):
        Options(**options)
