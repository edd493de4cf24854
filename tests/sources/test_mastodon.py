"""Mastodon and GoToSocial: the decoder by tables, what a stream missed, who is let in, and all scenarios."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from streams.heart.errors import BadSetting, Reason
from streams.heart.post import MAX_CHARS, Kind
from streams.sources.contract import BadEdit, Denied, Gap, Gone, Happening, Heard, Limited, Refused, Said, Trouble
from streams.sources.mastodon import KNOWN, Complaint, Decoder, listed, local_id, order, unwrapped
from streams.sources.mastodon_hearing import (
    FRESH,
    GONE,
    OVERLAP,
    RECENT,
    RECENT_MS,
    Filled,
    Hearing,
    Looked,
    Memory,
    Page,
)
from streams.sources.mastodon_reader import Mastodon
from streams.sources.mastodon_server import Options, asked_s
from streams.sources.reader import lasting
from streams.sources.sse import Event
from tests.sources.fediverse import DOMAIN, TOKEN, FediverseStage, content, snowflake, status, ulid
from tests.sources.scenarios import SCENARIOS, Say, Scenario, Step
from tests.sources.stage import PATIENCE_S, QUICK, Known, performed

STAGES = {"mastodon sse": ("sse", False), "mastodon websocket": ("websocket", False),
          "gotosocial websocket": ("auto", True)}
HOST = "kota.example"
TEXT = "Kopi Senja sekarang encer banget, kecewa"
CREATED = "2026-11-18T11:06:39.900Z"
CREATED_MS = 1_794_999_999_900
NOW_MS = CREATED_MS + 5000

each_stage = pytest.mark.parametrize("kind", STAGES)


@each_stage
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, kind: str) -> None:
    """What must be known in the end is known, on either wire, of either server."""
    performed(FediverseStage(*STAGES[kind]), scenario)


def test_every_step_of_every_scenario_is_performed() -> None:
    """Nothing is left out: these wires can tell all that a scenario asks for; an author who leaves, post by post."""
    assert frozenset(Step.__args__) == FediverseStage.can
    assert all(scenario.needs <= FediverseStage.can for scenario in SCENARIOS)


# The decoder.

def post(**more: Any) -> dict[str, Any]:
    """A post as the API shows it."""
    return status("115", "ana", TEXT, created_at=CREATED) | more


def account(**more: Any) -> dict[str, Any]:
    """A post of an account of which more is known."""
    whole = post()
    return whole | {"account": whole["account"] | more}


def decoded(whole: Mapping[str, Any], decoder: Decoder | None = None) -> Said | Gone | Refused | None:
    """What the decoder makes of a status."""
    return (decoder or Decoder(HOST, DOMAIN)).status(json.dumps(whole).encode())


def said(whole: Mapping[str, Any], decoder: Decoder | None = None) -> Said:
    """The same, where it is a post."""
    one = decoded(whole, decoder)
    assert isinstance(one, Said), one
    return one


def test_a_status_is_a_post() -> None:
    """Its uri is its id, and the server's own id another; its author has a full name, and no address is kept."""
    assert said(post()) == Said(
        native="https://kota.example/users/ana/statuses/115", text=TEXT, created_ms=CREATED_MS,
        author="ana@kota.example", lang="id", reach=37, alias="kota.example/115")


def test_an_edit_has_the_rev_of_its_second() -> None:
    """Its time stays that of the first version."""
    edited = said(post(edited_at="2026-11-18T12:00:00.500Z"))
    assert (CREATED_MS, 1_795_003_200) == (edited.created_ms, edited.rev)


@pytest.mark.parametrize(("acct", "author"), [
    ("ana", "ana@kota.example"), ("Ana", "ana@kota.example"), ("Bayu@Desa.Example", "bayu@desa.example")])
def test_an_author_has_a_full_name(acct: str, author: str) -> None:
    """The same on every server that tells of it."""
    assert author == said(account(acct=acct)).author


@pytest.mark.parametrize(("more", "text"), [
    ({"content": "<p>satu<br />dua</p><p>tiga &amp; empat</p>"}, "satu\ndua\n\ntiga & empat"),
    ({"content": "<p>enak</p>", "spoiler_text": "Kopi Senja & roti"}, "Kopi Senja & roti\n\nenak"),
    ({"content": "", "spoiler_text": "Kopi Senja <3"}, "Kopi Senja <3"),
    ({"spoiler_text": None}, TEXT),
])
def test_a_text_is_what_is_shown(more: dict[str, Any], text: str) -> None:
    """A warning is part of it; its own text is no HTML."""
    assert text == said(post(**more)).text


@pytest.mark.parametrize("whole", [
    post(visibility="private"), post(visibility="direct"), post(visibility="mutuals_only"),
    account(noindex=True), account(suspended=True),
    post(content="<p> </p>"), post(content="<script>kopi</script>"),
    post(reblog=post(visibility="private")), post(reblog=account(noindex=True)),
    account(noindex=True) | {"reblog": post()},
])
def test_what_is_not_for_everyone_is_nothing(whole: dict[str, Any]) -> None:
    """Of what is private, or by who asked to be left out, nothing is told; nor of what has no words."""
    assert decoded(whole) is None


@pytest.mark.parametrize("whole", [
    account(noindex=True) | {"edited_at": CREATED}, post(visibility="private", edited_at=CREATED),
    post(content="<p> </p>", edited_at=CREATED)])
def test_an_edit_that_is_not_for_everyone_takes_the_post_back(whole: dict[str, Any]) -> None:
    """What was said before is not kept where what is said now may not be."""
    assert Gone(whole["uri"], f"{HOST}/115") == decoded(whole)


async def _first(positions: Mapping[str, str]) -> Heard:
    source = Mastodon("mastodon", Options.read("http://127.0.0.1:9"), QUICK, lambda: NOW_MS)
    hearing = source.hear(positions)
    try:
        return await anext(hearing)
    finally:
        await hearing.aclose()  # type: ignore[attr-defined]  # a generator


def test_positions_of_another_server_mean_nothing() -> None:
    """Its ids are none here: a gap is told, and listening begins anew."""
    heard = asyncio.run(_first({"": "100", "heard": str(CREATED_MS), "server": "desa.example"}))
    assert Gap(CREATED_MS, NOW_MS) == heard.gap
    assert ("", "127.0.0.1:9") == (heard.positions[""], heard.positions["server"])


@pytest.mark.parametrize("whole", [
    post(visibility="unlisted"), account(bot=True), account(noindex=None), account(discoverable=False),
    account(followers_count=None), post(language=None), post(edited_at=None)])
def test_what_is_for_everyone_is_a_post(whole: dict[str, Any]) -> None:
    """Bots too: whether they count is not a question of the wire."""
    assert said(whole).text == TEXT


def test_a_boost_is_a_repost() -> None:
    """By who boosts, of what was said; with an id of its own, since it is removed by one."""
    boosted = post(id="99", uri="https://desa.example/1", content=content("Kopi Senja enak"), language="en",
                   edited_at="2026-11-18T12:00:00Z", account={"acct": "citra@desa.example"})
    boost = said(post(content="", uri="https://kota.example/boost/115", reblog=boosted))
    assert boost == Said(
        native="https://kota.example/boost/115", text="Kopi Senja enak", created_ms=CREATED_MS, rev=1_795_003_200,
        author="ana@kota.example", lang="en", kind=Kind.REPOST, reply_to="https://desa.example/1",
        refers="citra@desa.example", reach=37, alias="kota.example/115")


@pytest.mark.parametrize(("whom", "refers"), [
    ("7", "citra@desa.example"), ("8", "toko@kota.example"), ("93", "ana@kota.example"), ("10", None), (None, None)])
def test_an_answer_refers_to_whom_it_answers(whom: str | None, refers: str | None) -> None:
    """Found among those whom it mentions; who answers oneself is oneself."""
    mentions = [{"id": "7", "acct": "Citra@desa.example"}, {"id": "8", "acct": "toko"}]
    answer = said(post(in_reply_to_id="99", in_reply_to_account_id=whom, mentions=mentions))
    assert (Kind.REPLY, None, refers) == (answer.kind, answer.reply_to, answer.refers)


def test_an_answer_names_the_post_that_it_answers_where_that_came() -> None:
    """The server names it by its own id alone; of the last posts their ids are kept, and of no more."""
    decoder = Decoder(HOST, DOMAIN)
    first = said(post(id="1", uri="https://kota.example/1"), decoder)
    assert first.native == said(post(in_reply_to_id="1"), decoder).reply_to
    for number in range(2, KNOWN + 3):
        decoder.status(json.dumps(post(id=str(number))).encode())
    assert said(post(in_reply_to_id="1"), decoder).reply_to is None


@pytest.mark.parametrize(("data", "reason"), [
    (b"", Reason.NOT_JSON), (b"{", Reason.NOT_JSON), (b"[]", Reason.WRONG_TYPE), (b"null", Reason.WRONG_TYPE),
    (b'{"id": "115", "content": "\xff"}', Reason.NOT_UTF8), (b"{}", Reason.MISSING_FIELD),
    (b"[" * 100_000, Reason.WRONG_TYPE), (b'{"card": ' + b"[" * 100_000, Reason.NOT_JSON),
    (json.dumps(post(content=3)).encode(), Reason.WRONG_TYPE), (json.dumps(post(id=115)).encode(), Reason.WRONG_TYPE),
    (json.dumps(post(id="../..")).encode(), Reason.WRONG_TYPE), (json.dumps(post(uri="")).encode(), Reason.WRONG_TYPE),
    (json.dumps(post(uri="x" * 3000)).encode(), Reason.WRONG_TYPE),
    (json.dumps(account(acct="")).encode(), Reason.WRONG_TYPE),
    (json.dumps(post(created_at="kemarin")).encode(), Reason.BAD_TIME),
    (json.dumps(post(created_at="1826-11-18T11:06:39Z")).encode(), Reason.BAD_TIME),
    (json.dumps(post(created_at="2026-11-18T11:06:39")).encode(), Reason.BAD_TIME),
    (json.dumps(post(edited_at="kemarin")).encode(), Reason.BAD_TIME),
    (json.dumps(post(content="x" * (MAX_CHARS + 1))).encode(), Reason.TOO_LONG),
])
def test_what_is_no_status_is_refused(data: bytes, reason: Reason) -> None:
    """With a reason, and without a word of it."""
    refused = Decoder(HOST, DOMAIN).status(data)
    assert isinstance(refused, Refused)
    assert reason is refused.reason
    assert "kemarin" not in refused.detail


def test_an_edit_that_is_too_long_says_of_which_post_it_is() -> None:
    """What was said before it is not said any more."""
    refused = Decoder(HOST, DOMAIN).status(json.dumps(post(
        content="x" * (MAX_CHARS + 1), edited_at="2026-11-18T12:00:00.500Z")).encode())
    assert BadEdit(Reason.TOO_LONG, f"{MAX_CHARS + 1} characters", post()["uri"], 1_795_003_200) == refused


@pytest.mark.parametrize(("event", "happenings"), [
    (Event("delete", b"115"), [Gone(alias="kota.example/115")]),
    (Event("delete", b" 01KB3V6E5K0000000000000000\n"), [Gone(alias="kota.example/01KB3V6E5K0000000000000000")]),
    (Event("delete", b""), [Refused(Reason.WRONG_TYPE, "id")]),
    (Event("delete", b"\xff"), [Refused(Reason.WRONG_TYPE, "id")]),
    (Event("delete", b"a b"), [Refused(Reason.WRONG_TYPE, "id")]),
    (Event("notification", b"{}"), []), (Event("filters_changed", b"undefined"), []),
    (Event("announcement.delete", b"1"), []), (Event("message", b"{"), []),
])
def test_event(event: Event, happenings: list[Happening]) -> None:
    """A removal calls its post by the server's id; of what is no post, nothing is told."""
    assert happenings == Decoder(HOST, DOMAIN).event(event)


@pytest.mark.parametrize(("data", "event"), [
    (b'{"stream":["public"],"event":"update","payload":"{\\"id\\":\\"1\\"}"}', Event("update", b'{"id":"1"}')),
    (b'{"event":"filters_changed"}', Event("filters_changed", b"")),
    (b'{"error":"Invalid access token","status":401}', Complaint(401)),
    (b'{"event":"update","payload":{"id":"1"}}', Refused(Reason.WRONG_TYPE, "payload")),
    (b"[]", Refused(Reason.WRONG_TYPE)), (b"\xff", Refused(Reason.NOT_UTF8)), (b"{", Refused(Reason.NOT_JSON)),
])
def test_a_message_of_a_socket_is_an_event(data: bytes, event: Event | Complaint | Refused) -> None:
    """Its payload is a text within the JSON."""
    assert event == unwrapped(data)


@pytest.mark.parametrize("made", [snowflake, ulid])
def test_ids_rise(made: Callable[[int], str]) -> None:
    """Numbers by their value, whatever their length, and ULIDs by their letters."""
    ids = [made(number) for number in range(1, 200)]
    assert ids == sorted(set(ids), key=order)


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded(data: bytes) -> None:
    """Nothing raises, whatever comes."""
    decoder = Decoder(HOST, DOMAIN)
    for name in ("update", "delete", "", "status.update"):
        assert all(isinstance(one, Said | Gone | Refused) for one in decoder.event(Event(name, data)))
    unwrapped(data)
    listed(data)
    local_id(data)


ODD = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                   lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
                   max_leaves=4)


@given(st.dictionaries(st.sampled_from([*post(), "text"]), ODD, max_size=3),
       st.dictionaries(st.sampled_from(["acct", "id", "noindex", "followers_count"]), ODD, max_size=2))
def test_a_spoilt_status_is_decoded(fields: dict[str, Any], of_account: dict[str, Any]) -> None:
    """Nothing raises, and what is told has an id, an author and a text."""
    whole = {**account(**of_account), **fields}
    one = decoded(whole)
    assert one is None or isinstance(one, Refused | Gone) or (one.native and one.author and one.text and one.rev >= 0)
    framed = unwrapped(json.dumps({"event": "update", "payload": json.dumps(whole)}).encode())
    assert framed == Event("update", json.dumps(whole).encode())


# What one connection tells.

def raw(whole: Mapping[str, Any]) -> msgspec.Raw:
    """A status within a page."""
    return msgspec.Raw(json.dumps(whole).encode())


def update(local: str, **more: Any) -> Event:
    """An event of a new post."""
    return Event("update", json.dumps(post(id=local, uri=f"https://kota.example/{local}", **more)).encode())


def hearing(positions: Mapping[str, str] | None = None, memory: Memory | None = None) -> Hearing:
    """A connection that has just begun."""
    return Hearing(Decoder(HOST, DOMAIN), memory or Memory(), positions or {}, NOW_MS)


def entered(one: Hearing, events: list[Event | Refused], now_ms: int, stands: Sequence[bool] = ()) -> dict[str, str]:
    """The positions after these events, of which each entered, or those that did."""
    heard = one.take(events, now_ms)
    assert heard.taken is not None
    heard.taken(stands or [True] * len(events))
    return dict(heard.positions)


def test_the_place_moves_only_where_nothing_is_missing() -> None:
    """What the stream tells while the timeline is read does not move it; then it is the highest of all."""
    one = hearing({"": "100", "heard": str(CREATED_MS - 9000)})
    assert {} == one.take([update("120")], NOW_MS).positions
    assert "110" == one.take(Page([raw(post(id="110"))], "110"), NOW_MS).positions[""]
    assert "120" == one.take(Filled(), NOW_MS).positions[""]
    assert "121" == one.take([update("121"), update("119")], NOW_MS).positions[""]


def test_a_page_from_before_the_place_does_not_move_it_back() -> None:
    """The timeline is read from a little earlier on."""
    one = hearing({"": "100"})
    assert "100" == one.take(Page([raw(post(id="90"))], "90"), NOW_MS).positions[""]


def test_nothing_is_claimed_while_the_timeline_is_read() -> None:
    """Then up to the post that was read, and in the end up to now."""
    one = hearing({"": "100", "heard": str(CREATED_MS - 9000)})
    assert one.quiet(NOW_MS, NOW_MS).until_ms is None
    assert one.take([update("120")], NOW_MS).until_ms is None
    assert CREATED_MS == one.take(Page([raw(post())], "115"), NOW_MS).until_ms
    assert NOW_MS == one.take(Filled(), NOW_MS).until_ms
    assert NOW_MS + 3000 == one.quiet(NOW_MS + 3000, NOW_MS + 9000).until_ms
    assert NOW_MS + 3000 == one.quiet(NOW_MS + 1000, NOW_MS + 9000).until_ms


def test_a_gap_reaches_from_what_was_heard_last() -> None:
    """To the moment from which on the stream tells all."""
    one = hearing({"": "100", "heard": str(CREATED_MS - 9000)})
    assert Gap(CREATED_MS - 9000, NOW_MS + 1) == one.take(Filled(is_missing=True), NOW_MS + 1).gap


def test_who_has_never_listened_has_missed_nothing() -> None:
    """Where the timeline cannot be read at the very first time, there is no gap."""
    assert hearing().take(Filled(is_missing=True), NOW_MS).gap is None
    assert hearing({"heard": str(CREATED_MS)}).take(Filled(is_missing=True), NOW_MS).gap is not None


def test_a_page_does_not_bring_back_what_was_removed() -> None:
    """It was asked for before the removal, and came after it: what is told of the post is that it is gone."""
    one = hearing({"": "100"})
    one.take([Event("delete", b"110")], NOW_MS)
    page = one.take(Page([raw(post(id="110", uri="https://kota.example/110"))], "110"), NOW_MS)
    assert (Gone("https://kota.example/110", "kota.example/110"),) == page.happenings


def test_positions_hold_ids_of_posts_and_a_time() -> None:
    """No author, no text, no uri, which holds an author's name."""
    one = hearing()
    one.take(Filled(), NOW_MS)
    at = entered(one, [update("100"), update("101")], NOW_MS + 10_000)
    assert {"": "101", "heard": str(NOW_MS + 10_000), "last": "100 101", "fresh": "100 101"} == at
    later = entered(one, [update("102")], NOW_MS + 11_000)
    assert {"": "102", "heard": str(NOW_MS + 11_000), "last": "100 101 102", "fresh": "100 101 102"} == later
    again = Memory()
    two = hearing({"recent": "7", **at, **later}, again)
    assert ["102", "101", "100", "7"] == again.recent(NOW_MS), "what came since is looked at again as well"
    assert "100" == again.before("102")
    assert "100 101 102" == two.take(Page([], "102"), NOW_MS).positions["fresh"], "until it is in the list"
    assert "7 100 101 102" == two.take(Filled(), NOW_MS).positions["recent"]


def test_only_what_stands_in_the_log_is_looked_at_again() -> None:
    """A stream tells thousands of posts, and few name a brand: these are known for long, whatever else comes."""
    memory = Memory()
    one = hearing({}, memory)
    one.take(Filled(), NOW_MS)
    entered(one, [update("1000"), update("1001")], NOW_MS, stands=[True, False])
    for number in range(2 * RECENT):
        at = entered(one, [update(str(2000 + number))], NOW_MS + number, stands=[False])
    assert ["1000"] == memory.recent(NOW_MS + RECENT_MS)
    assert f"1000 {1999 + 2 * RECENT}" == at["fresh"], "of what was told last nobody knows yet"
    entered(one, [Event("status.update", update("1000").data)], NOW_MS, stands=[False])
    assert [] == memory.recent(NOW_MS)


def test_the_list_of_what_stands_is_written_seldom() -> None:
    """It may be long. Between, only what has been added to it is."""
    one = hearing()
    one.take(Filled(), NOW_MS)
    all_at = [entered(one, [update(str(1000 + number))], NOW_MS + 20_000 * number) for number in range(3 * FRESH)]
    assert 2 == sum("recent" in at for at in all_at)
    memory = Memory()
    hearing({key: said for at in all_at for key, said in at.items()}, memory)
    assert {str(1000 + number) for number in range(3 * FRESH)} == set(memory.recent(NOW_MS))


@pytest.mark.parametrize("positions", [
    {"": "../1", "heard": "x", "recent": "a/b ~ 7"}, {"": "\n", "heard": "9" * 99, "recent": ""}, {"heard": "²"}])
def test_a_place_that_is_none_is_none(positions: dict[str, str]) -> None:
    """It is as if we had never listened."""
    memory = Memory()
    one = hearing(positions, memory)
    assert ("", False) == (one.since, one.had_begun)
    assert set(memory.recent(NOW_MS)) <= {"7"}


def test_looked_at_again_only_a_change_is_told() -> None:
    """An edit, or that it is gone; what reads as it did is told by nobody."""
    one = hearing()
    assert () == one.take(Looked("115", raw(post())), NOW_MS).happenings
    edited = one.take(Looked("115", raw(post(edited_at=CREATED))), NOW_MS).happenings
    assert [1_794_999_999] == [found.rev for found in edited if isinstance(found, Said)]
    assert (Gone(alias="kota.example/115"),) == one.take(Looked("115", None), NOW_MS).happenings
    assert (Gone(post()["uri"], "kota.example/115"),) == one.take(Looked("115", raw(post())), NOW_MS).happenings


def test_memory_is_bounded() -> None:
    """By number and by time; and what went is not looked at again."""
    memory = Memory()
    for number in range(RECENT + 10):
        memory.came(str(number))
        memory.stands(str(number), NOW_MS + number)
    memory.went("2000")
    assert [str(number) for number in reversed(range(10, RECENT + 10)) if number != 2000] == memory.recent(NOW_MS)
    assert str(RECENT + 10 - OVERLAP) == memory.before("9999")
    assert ["2009"] == memory.recent(NOW_MS + RECENT + 9 + RECENT_MS)
    for number in range(GONE):
        memory.went(f"x{number}")
    assert not memory.has_gone("2000")
    assert memory.has_gone("x0")


# What a stream missed.

@asynccontextmanager
async def listening(stage: FediverseStage, known: Known) -> AsyncIterator[Mastodon]:
    """A source that listens, from what is known on, as a new process would."""
    source = Mastodon("mastodon", stage.options(), QUICK)
    at = dict(known.positions)

    async def hear() -> None:
        hearing: AsyncIterator[Heard] = lasting(source, at, known, QUICK)
        async with aclosing(hearing):  # type: ignore[type-var]  # a generator
            async for heard in hearing:
                known.take(heard)

    task = asyncio.create_task(hear())
    try:
        yield source
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], bool]) -> None:
    """Waits for it, for as long as a busy machine may take."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(stage: FediverseStage) -> AsyncIterator[FediverseStage]:
    """A server that listens."""
    await stage.start()
    try:
        yield stage
    finally:
        await stage.stop()


ONE, TWO, THREE = (Say(name, "ana", f"Kopi Senja {name}") for name in ("one", "two", "three"))


async def told_of_two(stage: FediverseStage, known: Known) -> None:
    """The stream has begun, and told of two posts, which are part of the place."""
    await until(lambda: "" in known.positions)
    await stage.perform(ONE)
    await stage.perform(TWO)
    await until(lambda: stage.local("one") in known.positions.get("fresh", "") and len(known.texts) == 2
                and stage.local("two") in known.positions["fresh"])


def missed(stage: FediverseStage) -> None:
    """What happens while nobody listens."""
    stage.server.edit(stage.local("one"), "Kopi Senja berubah")
    stage.removed("two")
    stage.added(THREE)


async def knows_all(stage: FediverseStage, known: Known) -> None:
    """What was missed is known, and that nothing else was."""
    want = {stage.native("one"): "Kopi Senja berubah", stage.native("two"): None, stage.native("three"): THREE.text}
    await until(lambda: known.texts == want)
    assert [] == known.gaps


@each_stage
def test_what_changed_while_nobody_listened_is_found(kind: str) -> None:
    """A new post by the timeline; an edit and a removal, of which no timeline tells, by a look at what came before."""
    async def play() -> None:
        known = Known()
        async with serving(FediverseStage(*STAGES[kind])) as stage, listening(stage, known):
            await told_of_two(stage, known)
            stage.server.hang_up()
            missed(stage)
            await knows_all(stage, known)
    asyncio.run(play())


@each_stage
def test_what_changed_while_we_were_down_is_found(kind: str) -> None:
    """The same with a new process, which knows of the posts by the place alone."""
    async def play() -> None:
        known = Known()
        async with serving(FediverseStage(*STAGES[kind])) as stage:
            async with listening(stage, known):
                await told_of_two(stage, known)
            missed(stage)
            async with listening(stage, known):
                await knows_all(stage, known)
    asyncio.run(play())


def test_what_the_stream_tells_meanwhile_is_no_gap() -> None:
    """More than the pages hold was said since the stream began, but by the stream: nothing is missing."""
    async def play() -> None:
        known = Known()
        async with serving(FediverseStage(pages=1)) as stage, listening(stage, known):
            await told_of_two(stage, known)
            stage.server.gate = asyncio.Event()
            stage.server.hang_up()
            await until(lambda: stage.connections() > 1)
            for number in range(100):
                stage.server.tell("update", stage.server.add("bayu", f"Kopi Senja {number}"))
            await until(lambda: len(known.texts) == 102)
            assert stage.local("two") == known.positions[""]
            stage.server.gate.set()
            await until(lambda: max(stage.server.posts, key=order) == known.positions[""])
        assert [] == known.gaps
    asyncio.run(play())


def test_a_post_that_came_late_from_elsewhere_is_found() -> None:
    """Its id is of when it was written, before the last one that we heard; it came while nobody listened."""
    async def play() -> None:
        known = Known()
        async with serving(FediverseStage()) as stage, listening(stage, known):
            await told_of_two(stage, known)
            stage.server.hang_up()
            local = str(int(stage.local("two")) - 5)
            stage.server.posts[local] = status(local, "dewi@desa.example", "Kopi Senja dari jauh")
            await until(lambda: "Kopi Senja dari jauh" in known.texts.values())
        assert [] == known.gaps
    asyncio.run(play())


def test_a_page_that_says_that_all_is_gone_removes_nothing() -> None:
    """A proxy answers 404 as well, to everything: only the API's own word counts."""
    async def play() -> None:
        known = Known()
        async with serving(FediverseStage(small=True)) as stage:
            async with listening(stage, known):
                await told_of_two(stage, known)
            stage.server.ill["/statuses/"] = [web.Response(status=404, text="<h1>404</h1>") for _ in range(2)]
            stage.server.edit(stage.local("one"), "Kopi Senja berubah")
            async with listening(stage, known):
                await until(lambda: not stage.server.ill["/statuses/"])
                await stage.perform(THREE)
                await until(lambda: len(known.texts) == 3)
        assert {TWO.text, ONE.text, THREE.text} == set(known.texts.values())
    asyncio.run(play())


def away(pages: int, posts: int, ill: Mapping[str, list[web.Response]]) -> Known:
    """What is known after so many posts while nobody listened, and a server that is ill when asked."""
    known = Known()

    async def play() -> None:
        async with serving(FediverseStage(pages=pages)) as stage:
            async with listening(stage, known):
                await until(lambda: "" in known.positions)
                await stage.perform(ONE)
                await until(lambda: len(known.texts) == 1)
            for number in range(posts):
                stage.server.add("bayu", f"Kopi Senja {number}")
            stage.server.ill.update(ill)
            async with listening(stage, known):
                await until(lambda: len(known.texts) == posts + 1 or bool(known.gaps))
                stage.server.tell("update", stage.server.add("citra", "Kopi Senja terakhir"))
                await until(lambda: "Kopi Senja terakhir" in known.texts.values())
    asyncio.run(play())
    return known


def test_pages_fill_a_gap() -> None:
    """As many as it takes, in order, and nothing is missing."""
    known = away(5, 90, {})
    assert [] == known.gaps
    assert [f"Kopi Senja {number}" for number in range(90)] == list(known.texts.values())[1:91]


def test_too_many_pages_are_a_gap() -> None:
    """What the pages hold is told, and that the rest is missing."""
    known = away(1, 90, {})
    assert 1 == len(known.gaps)
    assert 1 + 40 + 1 == len(known.texts)


def test_a_server_that_asks_to_wait_is_waited_for() -> None:
    """The page comes after that, and so nothing is missing."""
    waits = [web.Response(status=429, headers={"Retry-After": "0"}), web.Response(status=500)]
    known = away(5, 5, {"/timelines": waits})
    assert [] == known.gaps


@pytest.mark.parametrize("answers", [[404], [422], [500] * 6])
def test_a_timeline_that_cannot_be_read_is_a_gap(answers: list[int]) -> None:
    """The stream goes on all the same."""
    known = away(3, 5, {"/timelines": [web.Response(status=status) for status in answers]})
    assert 1 == len(known.gaps)


@each_stage
def test_an_outage_before_the_first_post_is_filled_too(kind: str) -> None:
    """Where a timeline is empty, the place is below all that will come."""
    async def play() -> None:
        known = Known()
        async with serving(FediverseStage(*STAGES[kind])) as stage:
            async with listening(stage, known):
                await until(lambda: "" in known.positions)
            stage.added(ONE)
            async with listening(stage, known):
                await until(lambda: ONE.text in known.texts.values())
        assert [] == known.gaps
    asyncio.run(play())


@pytest.mark.parametrize("kind", ["mastodon websocket", "gotosocial websocket"])
def test_a_ping_is_answered(kind: str) -> None:
    """Else the server hangs up; and it is nothing that was said."""
    async def play() -> None:
        known = Known()
        async with serving(FediverseStage(*STAGES[kind])) as stage, listening(stage, known):
            await until(lambda: stage.server.ponged > 0)
            await stage.perform(ONE)
            await until(lambda: len(known.texts) == 1)
        assert not known.refused
    asyncio.run(play())


def test_a_busy_stream_that_only_beats_is_left() -> None:
    """Its heartbeats go on, but what was said all the time is said no more: something behind it has stopped."""
    async def play() -> None:
        known = Known()
        async with serving(FediverseStage()) as stage, listening(stage, known):
            await until(lambda: "" in known.positions)
            for number in range(150):
                stage.server.tell("update", stage.server.add("ana", f"Kopi Senja {number}"))
                await asyncio.sleep(0.001)
            await until(lambda: stage.connections() > 1)
        assert known.troubles[0].endswith("silent for too long")
    asyncio.run(play())


# Who is let in.

async def trouble(options: Options) -> Trouble:
    """With what the first connection ends."""
    hearing = Mastodon("mastodon", options, QUICK).hear({})
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for _ in hearing:
                pass
    except Trouble as error:
        return error
    finally:
        await hearing.aclose()  # type: ignore[attr-defined]  # a generator
    raise AssertionError("no trouble")


def refusal(prepare: Callable[[FediverseStage], None], wire: str = "sse", **more: Any) -> Trouble:
    """With what a connection to a server ends that was so prepared."""
    async def play() -> Trouble:
        async with serving(FediverseStage(wire)) as stage:
            prepare(stage)
            options = Options.read(f"http://127.0.0.1:{stage.server.port}", wire=wire, **more)
            return await trouble(options)
    return asyncio.run(play())


@pytest.mark.parametrize("wire", ["sse", "websocket"])
@pytest.mark.parametrize(("status", "blame"), [
    (401, "--token-file"), (403, "--token-file"), (404, "--server"), (410, "--server"), (400, "--stream"),
    (422, "--stream")])
def test_a_refusal_names_the_option_to_look_at(status: int, blame: str, wire: str) -> None:
    """It is the user's move."""
    error = refusal(lambda stage: stage.server.failing.append(status), wire)
    assert isinstance(error, Denied)
    assert blame in str(error)


@pytest.mark.parametrize("wire", ["sse", "websocket"])
def test_a_stream_that_is_asked_to_wait_for_says_for_how_long(wire: str) -> None:
    """Then nobody tries before."""
    error = refusal(lambda stage: stage.server.failing.append(429), wire)
    assert isinstance(error, Limited)
    assert 0.0 == error.after_s


@pytest.mark.parametrize("feeds", [
    {"local": ["public"], "remote": {"a": 1}}, {"local": None, "remote": 7}, {"local": [], "remote": "disabled"}])
def test_a_server_that_says_it_in_another_way_is_listened_to(feeds: dict[str, Any]) -> None:
    """What nobody understands forbids nothing; and whatever it is, it ends nothing."""
    def prepare(stage: FediverseStage) -> None:
        stage.server.access.update(live_feeds=feeds)
        stage.server.failing.append(429)

    assert isinstance(refusal(prepare), Limited)  # it was asked for its stream


@pytest.mark.parametrize(("feeds", "said"), [
    ({"local": "disabled", "remote": "disabled"}, "switched off"),
    ({"local": "authenticated", "remote": "authenticated"}, "--token-file")])
def test_a_server_that_lets_nobody_listen_is_believed(feeds: dict[str, str], said: str) -> None:
    """It says so beforehand, and no stream is asked for."""
    error = refusal(lambda stage: stage.server.access.update(live_feeds=feeds))
    assert isinstance(error, Denied)
    assert said in str(error)


def test_a_complaint_within_the_socket_is_a_refusal() -> None:
    """The socket was opened, and then it says that it will not stream."""
    async def play() -> Trouble:
        async with serving(FediverseStage("websocket")) as stage:
            waiting = asyncio.create_task(trouble(stage.options()))
            await until(lambda: stage.connections() > 0)
            stage.server.complain(401)
            return await waiting
    error = asyncio.run(play())
    assert isinstance(error, Denied)
    assert "--token-file" in str(error)


@pytest.mark.parametrize("kind", STAGES)
def test_the_token_is_shown_in_a_header_and_nowhere_else(kind: str, tmp_path: Path) -> None:
    """With every request, read anew from its file; no address holds it."""
    async def play() -> FediverseStage:
        known = Known()
        async with serving(FediverseStage(*STAGES[kind])) as stage:
            stage.token_file = str(tmp_path / "token")
            Path(stage.token_file).write_text(f"{TOKEN}\n")
            async with listening(stage, known):
                await told_of_two(stage, known)
                stage.server.hang_up()
                await until(lambda: stage.connections() > 1)
        return stage
    server = asyncio.run(play()).server
    assert {f"Bearer {TOKEN}"} == server.tokens
    assert not any(TOKEN in path for path in server.asked)


@pytest.mark.parametrize("held", [None, b"", b"rahasia sekali", b"rahasia\n\nsekali", b"\xff"])
def test_a_token_that_is_none_is_not_shown(held: bytes | None, tmp_path: Path) -> None:
    """Neither to the server nor in the error."""
    file = tmp_path / "token"
    if held is not None:
        file.write_bytes(held)
    error = refusal(lambda _: None, token_file=str(file))
    assert isinstance(error, Denied)
    assert "--token-file" in str(error)
    assert "rahasia" not in str(error)


@pytest.mark.parametrize(("kind", "stream", "tag", "asked"), [
    ("mastodon sse", "public", "", "/api/v1/streaming/public"),
    ("mastodon sse", "public:local", "", "/api/v1/streaming/public/local"),
    ("mastodon sse", "public:remote", "", "/api/v1/timelines/public?remote=true&limit=1"),
    ("mastodon sse", "hashtag", "#kopi&x", "/api/v1/streaming/hashtag?tag=kopi%26x"),
    ("mastodon sse", "hashtag", "kopi/x", "/api/v1/timelines/tag/kopi%2Fx?limit=1"),
    ("gotosocial websocket", "public:local", "", "/api/v1/streaming?stream=public:local"),
    ("mastodon websocket", "hashtag", "kopi", "/api/v1/streaming?stream=hashtag&tag=kopi"),
])
def test_what_is_asked_for(kind: str, stream: str, tag: str, asked: str) -> None:
    """The stream and the timeline are those of the options."""
    async def play() -> list[str]:
        wire, small = STAGES[kind]
        async with serving(FediverseStage(wire, small)) as stage:
            options = Options.read(f"http://127.0.0.1:{stage.server.port}", stream=stream, tag=tag, wire=wire)
            hearing = Mastodon("mastodon", options, QUICK).hear({})
            while "heard" not in (await anext(hearing)).positions:
                pass
            await hearing.aclose()  # type: ignore[attr-defined]  # a generator
            return stage.server.asked
    assert asked in [path.replace("%3A", ":") for path in asyncio.run(play())]


@pytest.mark.parametrize(("given_", "said"), [
    ({"server": "http://kota.example"}, "https"), ({"server": "https://kota.example/api"}, "--server"),
    ({"server": "https://ana:rahasia@kota.example"}, "--server"), ({"server": ""}, "--server"),
    ({"server": "ftp://kota.example"}, "https"), ({"server": "https://kota.example:x"}, "--server"),
    ({"server": "https://kota.example?x=1"}, "--server"),
    ({"server": "kota.example", "stream": "publik"}, "did you mean public"),
    ({"server": "kota.example", "wire": "socket"}, "--wire"), ({"server": "kota.example", "pages": "-1"}, "--pages"),
    ({"server": "kota.example", "pages": "9999"}, "--pages"), ({"server": "kota.example", "tag": "kopi"}, "--tag"),
    ({"server": "kota.example", "stream": "hashtag"}, "--tag"),
])
def test_options_that_cannot_be_are_refused(given_: dict[str, str], said: str) -> None:
    """The option is named, a password in an address is not."""
    with pytest.raises(BadSetting) as error:
        Options.read(**given_)
    assert said in str(error.value)
    assert "rahasia" not in str(error.value)


@pytest.mark.parametrize(("headers", "seconds"), [
    ({}, None), ({"Retry-After": "7"}, 7.0), ({"Retry-After": "99999"}, 900.0), ({"Retry-After": "soon"}, None),
    ({"X-RateLimit-Reset": "2026-11-18T11:06:54.900Z"}, 10.0), ({"X-RateLimit-Reset": "1795000014"}, 9.1),
    ({"X-RateLimit-Reset": "1795000014000"}, 9.1), ({"X-RateLimit-Reset": "2020-01-01T00:00:00Z"}, 0.0),
    ({"X-RateLimit-Reset": "2026-11-18T11:06:54"}, None), ({"X-RateLimit-Reset": "²"}, None)])
def test_for_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    """In seconds, or by the time at which it is over, however that is written."""
    assert seconds == asked_s(429, headers, NOW_MS)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_that_is_ill_is_asked_again_soon(status: int) -> None:
    """Each of its answers says when its window of requests ends, up to five minutes later: nobody asks for a pause."""
    resets = {"X-RateLimit-Reset": "2026-11-18T11:06:54.900Z"}
    assert (None, 7.0) == (asked_s(status, resets, NOW_MS), asked_s(status, resets | {"Retry-After": "7"}, NOW_MS))
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    assert [] == away(5, 5, {"/timelines": [web.Response(status=status, headers={"X-RateLimit-Reset": soon})]}).gaps
