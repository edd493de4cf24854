"""Bluesky: the decoder by tables, the join of two connections by its rules, and all scenarios on both wires."""

import asyncio
import builtins
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.heart.errors import BadSetting, BrokenPromise, Reason
from streams.heart.post import Kind
from streams.sources.bluesky import PATH_V1, PATH_V2, POSTS, Decoder, Options, Told, Wire
from streams.sources.bluesky_reader import LOOK_BACK_MS, Bluesky, Course, Joint, Place, Unpacker
from streams.sources.contract import (
    AuthorGone,
    BadEdit,
    Denied,
    Gap,
    Gone,
    Happening,
    Heard,
    Refused,
    Said,
    Source,
    Trouble,
)
from streams.sources.reader import MAX_EVENT, lasting
from tests.sources.jetstream import NSID, Event, Jetstream, JetstreamStage, commit, dumps, record, when
from tests.sources.scenarios import SCENARIOS, Scenario, Step
from tests.sources.stage import QUICK, Known, performed

WIRES = (Wire.V1, Wire.V2)
DID = "did:plc:contohpenggemar0000000001"
OTHER_DID = "did:plc:contohpenggemar0000000002"
NATIVE = f"at://{DID}/{POSTS}/3mone"
T0_US = 1_795_000_000_123_456
T0_MS = T0_US // 1000
CREATED = "2026-11-18T11:06:39.900Z"
CREATED_MS = 1_794_999_999_900
TEXT = "Kopi Senja sekarang encer banget, kecewa"

each_wire = pytest.mark.parametrize("wire", WIRES, ids=str)


# Scenarios.

@each_wire
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, wire: Wire) -> None:
    """What must be known in the end is known, on either wire."""
    performed(JetstreamStage(wire), scenario)


def test_every_step_of_every_scenario_is_performed() -> None:
    """Nothing is left out: both wires can tell all that a scenario asks for."""
    assert frozenset(Step.__args__) == JetstreamStage.can
    assert all(scenario.needs <= JetstreamStage.can for scenario in SCENARIOS)


# The decoder.

def told(wire: Wire, body: Mapping[str, Any], kind: str = "commit", **more: Any) -> Told:
    """What the decoder makes of an event, on a wire."""
    event = Event(7, T0_US, DID, kind, body)
    message = json.loads(event.framed() if wire is Wire.V2 else event.flat())
    (message["payload"] if wire is Wire.V2 else message).update(more)
    return Decoder(wire).decode(dumps(message))


def of_post(wire: Wire, operation: str = "create", **more: Any) -> Happening | None:
    """What becomes of a post whose record reads otherwise in some fields; a field that is `...` is left out."""
    fields = record(TEXT, CREATED) | more
    fields = {name: value for name, value in fields.items() if value is not ...}
    return told(wire, commit(operation, "3mone", fields)).happening


SAID = Said(NATIVE, TEXT, CREATED_MS, 0, DID, "id", witnessed_ms=T0_MS)


@each_wire
def test_a_post_is_said(wire: Wire) -> None:
    """Its id is its address for ever, its author the DID; its address on the web stays out, for it holds the DID."""
    assert SAID == of_post(wire)


@each_wire
def test_an_event_has_its_place(wire: Wire) -> None:
    """Time on v1, a number on v2; and either way when the server saw it."""
    assert (T0_US if wire is Wire.V1 else 7, T0_US) == told(wire, commit("delete", "3mone"))[1:3]


def test_the_witness_of_v2_is_the_time_that_no_import_alters() -> None:
    """Where a server tells both, its own clock is believed."""
    at_us = T0_US - 86_400_000_000
    assert at_us == told(Wire.V2, commit("delete", "3mone"), witnessedAt=when(at_us)).witness_us


@each_wire
def test_an_update_bears_its_second(wire: Wire) -> None:
    """A later version has a higher `rev`; the time of writing stays that of the record."""
    assert msgspec.structs.replace(SAID, rev=T0_US // 1_000_000) == of_post(wire, "update")


PARENT = {"uri": f"at://{OTHER_DID}/{POSTS}/3mtwo", "cid": "bafyreicontoh"}


@each_wire
@pytest.mark.parametrize(("uri", "refers"), [
    (PARENT["uri"], OTHER_DID), (f"at://a.example/{POSTS}/3mtwo", None), ("https://a.example/", None), ("", None)])
def test_a_reply_tells_whom_it_answers(wire: Wire, uri: str, refers: str | None) -> None:
    """The parent is the post that is answered, not the root; a handle in its address is nobody's id."""
    answered = of_post(wire, reply={"root": {"uri": "at://did:plc:akar/x/y"}, "parent": {**PARENT, "uri": uri}})
    assert msgspec.structs.replace(SAID, kind=Kind.REPLY, reply_to=uri, refers=refers) == answered


@each_wire
@pytest.mark.parametrize(("langs", "lang"), [
    (["jv", "id"], "jv"), ([], None), (None, None), (..., None), (["no language"], "no language")])
def test_the_first_language_is_taken(wire: Wire, langs: Any, lang: str | None) -> None:
    """As the author declares it; whether it is one is the door's affair."""
    assert msgspec.structs.replace(SAID, lang=lang) == of_post(wire, langs=langs)


@each_wire
@pytest.mark.parametrize(("operation", "becomes"), [("create", None), ("update", Gone(NATIVE))])
def test_a_post_without_words(wire: Wire, operation: str, becomes: Happening | None) -> None:
    """Pictures alone say nothing; where words were edited away, they are gone."""
    assert [becomes] * 2 == [of_post(wire, operation, text=text) for text in ("", " \n")]


@each_wire
def test_a_removal(wire: Wire) -> None:
    """A delete names its post."""
    assert Gone(NATIVE) == told(wire, commit("delete", "3mone")).happening


@each_wire
@pytest.mark.parametrize(("active", "status", "is_gone"), [
    (False, "deleted", True), (False, "takendown", True), (False, "suspended", True), (False, "deactivated", True),
    (False, "desynchronized", False), (False, "throttled", False), (False, None, True), (True, None, False),
    (True, "deleted", False)])
def test_an_account(wire: Wire, active: bool, status: str | None, is_gone: bool) -> None:
    """Who left, was removed or hides is gone; what concerns servers among themselves is not our affair.

    All but the deleted may come back: what they write then is not touched.
    """
    body = {"active": active, "did": DID, "seq": 1, "time": CREATED} | ({"status": status} if status else {})
    gone = AuthorGone(DID, None if status == "deleted" else T0_MS)
    assert (gone if is_gone else None) == told(wire, body, "account").happening


@each_wire
@pytest.mark.parametrize(("kind", "body"), [
    ("identity", {"did": DID, "handle": "contoh.example", "seq": 1, "time": CREATED}),
    ("sync", {"did": DID, "rev": "3maaaaaaaaa2a", "blocks": "AA"}),
    ("something", {"new": True}),
    ("commit", commit("create", "3mone", {"subject": PARENT, "createdAt": CREATED}, "app.bsky.feed.like")),
    ("commit", commit("create", "3mone", {"text": {"not": "text"}, "createdAt": 7}, "com.example.note")),
    ("commit", commit("delete", "3mone", None, "app.bsky.graph.follow")),
    ("commit", commit("merge", "3mone")),
])
def test_what_is_no_concern_of_ours(wire: Wire, kind: str, body: Mapping[str, Any]) -> None:
    """Other kinds, other collections, and what may come to be: neither a happening nor refused."""
    assert told(wire, body, kind).happening is None


@each_wire
@pytest.mark.parametrize(("fields", "refused"), [
    ({"text": 7}, Refused(Reason.WRONG_TYPE, "text")),
    ({"text": ...}, Refused(Reason.MISSING_FIELD, "text")),
    ({"text": None}, Refused(Reason.MISSING_FIELD, "text")),
    ({"createdAt": ...}, Refused(Reason.MISSING_FIELD, "createdAt")),
    ({"createdAt": 7}, Refused(Reason.WRONG_TYPE, "createdAt")),
    ({"createdAt": "yesterday"}, Refused(Reason.BAD_TIME, "createdAt")),
    ({"createdAt": "2026-11-18T11:06:39"}, Refused(Reason.BAD_TIME, "createdAt")),
    ({"createdAt": "0000-01-01T00:00:00Z"}, Refused(Reason.BAD_TIME, "createdAt")),
    ({"createdAt": "1999-12-31T23:59:59Z"}, Refused(Reason.BAD_TIME, "createdAt")),
    ({"createdAt": "2100-01-02T00:00:00Z"}, Refused(Reason.BAD_TIME, "createdAt")),
    ({"createdAt": "20226-11-18T11:06:39.900Z"}, Refused(Reason.BAD_TIME, "createdAt")),
    ({"langs": "id"}, Refused(Reason.WRONG_TYPE, "langs")),
    ({"langs": ["id", 7]}, Refused(Reason.WRONG_TYPE, "langs")),
    ({"reply": {"root": PARENT}}, Refused(Reason.MISSING_FIELD, "parent")),
    ({"reply": {"parent": {"uri": 7}}}, Refused(Reason.WRONG_TYPE, "uri")),
])
def test_a_post_is_refused(wire: Wire, fields: dict[str, Any], refused: Refused) -> None:
    """With the reason and the name of the field, never with what stands in it; a later version with whose it is, for
    what it said before is not said any more."""
    assert refused == of_post(wire, **fields)
    assert BadEdit(refused.reason, refused.detail, NATIVE, T0_US // 1_000_000) == of_post(wire, "update", **fields)


@each_wire
@pytest.mark.parametrize(("data", "reason"), [
    (b"", Reason.NOT_JSON), (b"{", Reason.NOT_JSON), (b"[" * 100_000, Reason.NOT_JSON), (b"7", Reason.WRONG_TYPE),
    (b"[]", Reason.WRONG_TYPE), (b"{}", Reason.MISSING_FIELD), (b'{"did":"\xff"}', Reason.NOT_UTF8),
    (b'{"a":1}' + b"\xff", Reason.NOT_UTF8), (b'{"did": "\\ud800"}', Reason.BAD_TEXT),
])
def test_a_message_is_refused(wire: Wire, data: bytes, reason: Reason) -> None:
    """What is no message at all, and why."""
    refused = Decoder(wire).decode(data).happening
    assert isinstance(refused, Refused)
    assert reason == refused.reason


@each_wire
def test_an_event_is_refused(wire: Wire) -> None:
    """One that lacks what every event has. It was seen, though: what follows it is where to go on."""
    body = commit("create", "3mone", record(TEXT, CREATED))
    for field, said in (("did", told(wire, body, did="")), ("record", told(wire, commit("create", "3mone"))),
                        ("rkey", told(wire, commit("create", "", record(TEXT, CREATED)))),
                        ("account", told(wire, {}, "account", account=None)),
                        ("commit", told(Wire.V1, body, commit=None))):
        assert (Refused(Reason.MISSING_FIELD, field), T0_US) == (said.happening, said.witness_us)


@pytest.mark.parametrize(("wire", "more", "refused"), [
    (Wire.V1, {"time_us": 1}, Refused(Reason.BAD_TIME, "time_us")),
    (Wire.V1, {"time_us": "now"}, Refused(Reason.WRONG_TYPE, "time_us")),
    (Wire.V2, {"time": "1999-12-31T00:00:00Z"}, Refused(Reason.BAD_TIME, "time")),
    (Wire.V2, {"time": "now"}, Refused(Reason.BAD_TIME, "time")),
    (Wire.V2, {"time": None}, Refused(Reason.MISSING_FIELD, "time")),
    (Wire.V2, {"seq": 0}, Refused(Reason.MISSING_FIELD, "seq")),
    (Wire.V2, {"seq": "7"}, Refused(Reason.WRONG_TYPE, "seq")),
])
def test_an_event_without_a_place_is_refused(wire: Wire, more: dict[str, Any], refused: Refused) -> None:
    """Nobody can say where its server has it, so it moves nothing."""
    assert Told(refused) == told(wire, commit("create", "3mone", record(TEXT, CREATED)), **more)


def test_v2_says_something_of_the_stream() -> None:
    """An advice or an end; a name that we do not know stays outside."""
    decode = Decoder(Wire.V2).decode
    assert [Told(notice="ConsumerTooSlow", is_last=True), Told(notice="other", is_last=True)] == [
        decode(dumps({"$type": "error", "error": name, "message": "x"})) for name in ("ConsumerTooSlow", "Secret")]
    assert [Told(notice="OutdatedCursor"), Told(notice="FutureCursor"), Told(notice="other")] == [
        decode(dumps({"$type": "message", "payload": {"$type": f"{NSID}#info", "name": name}}))
        for name in ("OutdatedCursor", "FutureCursor", "Secret")]
    assert Told() == decode(dumps({"$type": "later"}))


GOOD = tuple(
    getattr(Event(7, T0_US, DID, kind, body), form)()
    for form in ("flat", "framed")
    for kind, body in (("commit", commit("create", "3mone", record(TEXT, CREATED, reply={"parent": PARENT}))),
                       ("commit", commit("delete", "3mone")), ("account", {"active": False, "status": "deleted"}),
                       ("identity", {"handle": "contoh.example"})))


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_comes_is_told(data: bytes) -> None:
    """No bytes raise: they are a happening, refused, or nothing."""
    for wire in WIRES:
        assert isinstance(Decoder(wire).decode(data), Told)


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(GOOD), st.integers(0, 600), st.integers(0, 40), st.binary(max_size=12))
def test_a_damaged_event_is_told(good: bytes, at: int, gone: int, put: bytes) -> None:
    """Neither does an event of which a piece is another."""
    damaged = good[:at] + put + good[at + gone:]
    for wire in WIRES:
        assert isinstance(Decoder(wire).decode(damaged).happening, Said | Gone | AuthorGone | Refused | None)


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(GOOD), st.data())
def test_an_event_with_anything_for_a_field_is_told(good: bytes, data: st.DataObject) -> None:
    """Any value in the place of any other."""
    message = json.loads(good)
    at = message
    while True:
        key = data.draw(st.sampled_from(sorted(at)))
        if not isinstance(at[key], dict) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(_anything)
    for wire in WIRES:
        assert isinstance(Decoder(wire).decode(dumps(message)), Told)


# Options.

@pytest.mark.parametrize(("url", "wire", "means"), [
    ("wss://a.example/subscribe", "", (Wire.V1, "wss://a.example/subscribe")),
    ("wss://a.example/subscribe", "v1", (Wire.V1, "wss://a.example/subscribe")),
    ("wss://a.example/subscribe", "auto", (Wire.V1, "wss://a.example/subscribe")),
    (f"ws://a.example:7777{PATH_V2}", "", (Wire.V2, f"ws://a.example:7777{PATH_V2}")),
    ("wss://a.example", "v1", (Wire.V1, f"wss://a.example{PATH_V1}")),
    ("wss://a.example/", "v2", (Wire.V2, f"wss://a.example{PATH_V2}")),
    ("wss://[::1]:1", "v2", (Wire.V2, f"wss://[::1]:1{PATH_V2}")),
])
def test_a_server_is_named(url: str, wire: str, means: tuple[Wire, str]) -> None:
    """By its address alone, by the path of a wire, or by both where they agree."""
    options = Options.read(url, wire)
    assert means == (options.wire, options.address(options.wire))


def test_a_server_by_default() -> None:
    """The public one, which speaks v1."""
    assert ("jetstream2.us-east.bsky.network", Wire.V1) == (Options.read().host, Options.read().wire)
    assert Options.read() == Options.read(url="", wire="auto", zstd_dictionary="")
    assert Wire.AUTO is Options.read("wss://a.example").wire


@pytest.mark.parametrize("said", [
    {"url": "https://a.example"}, {"url": "a.example"}, {"url": "wss://"}, {"url": "wss://me:secret@a.example"},
    {"url": "wss://a.example/subscribe?cursor=1"}, {"url": "wss://a.example/elsewhere"}, {"url": "wss://a.example:x"},
    {"url": "wss://[a"}, {"wire": "v3"}, {"url": "wss://a.example/subscribe", "wire": "v2"},
    {"zstd_dictionary": "/no/such/file"}])
def test_what_cannot_be_is_refused(said: dict[str, str]) -> None:
    """And the option is named; never a password that stands in an address."""
    with pytest.raises(BadSetting, match=r"^--(url|wire|zstd-dictionary)") as error:
        Options.read(**said)
    assert "secret" not in str(error.value)


# Positions.

def place(wire: Wire = Wire.V1, host: str = "a.example", at: int | None = None, us: int = T0_US) -> Place:
    return Place(host, wire, (us if wire is Wire.V1 else 7) if at is None else at, us)


@pytest.mark.parametrize(("since", "host", "wire", "cursor"), [
    (place(), "a.example", Wire.V1, T0_US - 5_000_000),
    (place(), "b.example", Wire.V1, T0_US - 65_000_000),
    (place(), "a.example", Wire.V2, T0_US - 5_000_000),
    (place(), "b.example", Wire.V2, T0_US - 65_000_000),
    (place(Wire.V2), "a.example", Wire.V2, 7),
    (place(Wire.V2), "b.example", Wire.V2, T0_US - 65_000_000),
    (place(Wire.V2), "a.example", Wire.V1, T0_US - 5_000_000),
    (place(Wire.V2, at=0), "a.example", Wire.V2, T0_US - 5_000_000),
    (place(at=0), "a.example", Wire.V1, T0_US - 5_000_000),
])
def test_where_to_go_on(since: Place, host: str, wire: Wire, cursor: int) -> None:
    """A number means something to the server that gave it; everybody understands a time."""
    assert cursor == since.cursor(host, wire)


def test_a_position_is_read_back() -> None:
    """As it was written; none is none, and one that nobody here wrote stops us."""
    assert place(Wire.V2) == Place.read(place(Wire.V2).write())
    assert Place.read(None) is None
    for broken in ("x", "{}", '{"host":"a","wire":"v9","at":1,"us":1}'):
        with pytest.raises(BrokenPromise):
            Place.read(broken)


# The joint: `since` is an event at second 100, the connection is made at second 200.

Q_MS = 1000
S = 1_000_000


def second(at: float, base_us: int = T0_US) -> int:
    return base_us + int(at * S)


def joint(since: Place | None, host: str = "a.example", wire: Wire = Wire.V1) -> Joint:
    return Joint(since, host, wire, second(200) // 1000, Q_MS)


def at_ms(at: float) -> int:
    return second(at) // 1000


def event(at: float, number: int | None = None) -> Told:
    return Told(None, second(at) if number is None else number, second(at))


SINCE = place(us=second(100))


def test_the_last_event_comes_again() -> None:
    """Then the server has all that followed, and nothing is missing."""
    #  95        100       200
    #   o  o  o   o   o     [connected
    one = joint(SINCE)
    one.take(event(96))
    assert (True, None) == (one.is_settled, one.gap(at_ms(300)))


def test_a_clamped_cursor_is_a_gap() -> None:
    """The server begins later than it was asked to, without a word: after a while that is certain."""
    #  95        100       150     200
    #                       o   o   [connected
    one = joint(SINCE)
    one.take(event(150))
    one.take(event(151))
    assert (False, None) == (one.is_settled, one.gap(at_ms(202)))
    assert Gap(at_ms(100), at_ms(150)) == one.gap(at_ms(203))
    assert (True, None) == (one.is_settled, one.gap(at_ms(204)))


def test_a_live_event_may_overtake_the_replay() -> None:
    """v1 does not keep its order there: the proof may come after it."""
    #  95        100            200
    #   o(2)      o(3)           [ o(1)
    one = joint(SINCE)
    one.take(event(200))
    assert not one.is_settled
    one.take(event(95))
    assert (True, None) == (one.is_settled, one.gap(at_ms(300)))


def test_silence_is_a_gap_where_an_event_must_come_again() -> None:
    """The server has forgotten all, and nobody speaks: what was said until now may be missing."""
    assert Gap(at_ms(100), at_ms(203)) == joint(SINCE).gap(at_ms(203))


@pytest.mark.parametrize(("host", "wire"), [("b.example", Wire.V1), ("b.example", Wire.V2), ("a.example", Wire.V2)])
def test_elsewhere_something_from_before_is_the_proof(host: str, wire: Wire) -> None:
    """It is asked for a minute more, for it has a clock of its own. One that does not look back begins at the present,
    which proves nothing, however short the outage was: what was said meanwhile is missing."""
    #  35         100   101  159
    #   o(one)     [away o    o(two)
    one, two = (joint(SINCE, host, wire) for _ in range(2))
    one.take(event(100))
    two.take(event(101))
    two.take(event(159))
    assert (True, False) == (one.is_settled, two.is_settled)
    assert Gap(at_ms(100), at_ms(101)) == two.gap(at_ms(203))


def test_a_number_is_the_proof_on_v2() -> None:
    """The number that was heard last comes again, whatever its time."""
    one, two = (joint(place(Wire.V2, us=second(100)), wire=Wire.V2) for _ in range(2))
    one.take(event(100, 7))
    two.take(event(100, 8))
    assert (True, False) == (one.is_settled, two.is_settled)


def test_what_the_server_says_needs_no_waiting() -> None:
    """It does not have all: the gap ends with its first event."""
    one = joint(SINCE, wire=Wire.V2)
    one.lose()
    assert one.gap(at_ms(200)) is None
    one.take(event(150, 900))
    assert Gap(at_ms(100), at_ms(150)) == one.gap(at_ms(200))
    one.lose()  # too late: it had begun
    assert (True, None) == (one.is_settled, one.gap(at_ms(300)))


def test_a_gap_never_ends_before_it_begins() -> None:
    """Whatever the clocks of servers say."""
    one = joint(SINCE)
    one.lose()
    one.take(event(90))
    assert Gap(at_ms(100), at_ms(100)) == one.gap(at_ms(200))


def test_nothing_heard_needs_no_proof() -> None:
    """A first connection, and one that listened in vain; unless it listened longer ago than servers look back."""
    old = place(at=0, us=second(200) - LOOK_BACK_MS * 1000 - S)
    assert (True, True, False) == tuple(
        joint(since).is_settled for since in (None, place(at=0, us=second(100)), old))
    assert Gap(old.us // 1000, at_ms(203)) == joint(old).gap(at_ms(203))


# The course.

def course(since: Place | None, wire: Wire = Wire.V1) -> Course:
    return Course(since, "a.example", wire, at_ms(200), Q_MS)


def flat(at: float) -> bytes:
    return Event(int(at * 10), second(at), DID, "identity", {}).flat()


def until(heard: Heard) -> float | None:
    """The claim, in seconds."""
    return None if heard.until_ms is None else (heard.until_ms - T0_MS) / 1000


def test_a_busy_connection_claims_its_last_event() -> None:
    """Nothing before it is missing."""
    one = course(None)
    assert [200.5, 201.5] == [until(one.take([flat(at - 1), flat(at - 0.5)], at_ms(at))) for at in (201, 202)]


def test_nothing_is_claimed_of_the_future() -> None:
    """Where the server's clock is ahead of ours."""
    assert 201 == until(course(None).take([flat(207)], at_ms(201)))


def test_a_replay_claims_no_more_than_its_order_allows() -> None:
    """While it catches up, v1 may owe us 5 s; for 5 s after it has, too."""
    one = course(SINCE)
    assert [95, 115] == [until(one.take([flat(at)], at_ms(200))) for at in (100, 120)]
    assert 115 == until(one.take([], at_ms(200)))  # a pause in a replay is no quiet
    assert [194.5, 199, 205.5] == [until(one.take([flat(at - 0.5)], at_ms(at))) for at in (200, 204.5, 206)]


def test_a_replay_of_v2_is_in_order() -> None:
    """So its last event is claimed."""
    one = course(place(Wire.V2, at=1000, us=second(100)), Wire.V2)
    said = [Event(int(at * 10), second(at), DID, "identity", {}).framed() for at in (100, 120)]
    assert [100, 120] == [until(one.take([data], at_ms(200))) for data in said]


def test_a_quiet_connection_claims_a_little_ago() -> None:
    """It has caught up, and answers pings: what was said a moment ago would have come. It never claims backwards."""
    one = course(None)
    assert [199.2, 199.2, 199.7, 200] == [until(one.take(batch, at_ms(at))) for batch, at in (
        ([flat(199.2)], 200), ([], 200.1), ([], 200.7), ([], 201))]


def test_a_silent_replay_claims_nothing() -> None:
    """Before the proof nothing is claimed and no position given away: who dies now, asks again."""
    one = course(SINCE)
    assert [Heard(), Heard()] == [one.take([], at_ms(at)) for at in (200.5, 202)]
    assert Heard() == one.take([flat(200)], at_ms(202.5))
    proved = one.take([flat(100)], at_ms(202.6))
    assert (place(us=second(100)), 95) == (Place.read(proved.positions[""]), until(proved))


def test_after_a_gap_of_silence_the_present_is_the_position() -> None:
    """It is told once: the next connection does not ask for the same again."""
    one = course(SINCE)
    heard = one.take([], at_ms(203))
    assert Gap(at_ms(100), at_ms(203)) == heard.gap
    assert Place("a.example", Wire.V1, 0, at_ms(203) * 1000) == Place.read(heard.positions[""])
    assert (None, {}) == (one.take([], at_ms(204)).gap, one.take([], at_ms(204)).positions)


def test_a_listener_in_vain_has_a_position() -> None:
    """From the first moment on: who dies before the first event, asks for what came since."""
    since = place(at=0, us=second(200) // 1000 * 1000)
    assert since == Place.read(course(None).take([], at_ms(201)).positions[""])
    assert {} == course(place(at=0, us=second(100))).take([], at_ms(201)).positions


def test_a_refused_event_moves_nothing() -> None:
    """The last event that was understood is where we are."""
    one = course(None)
    heard = one.take([flat(200), b"{", Refused(Reason.TOO_LARGE)], at_ms(200))
    assert (Refused(Reason.NOT_JSON), Refused(Reason.TOO_LARGE)) == heard.happenings
    assert place(us=second(200)) == Place.read(heard.positions[""])


def test_much_is_said_by_the_clock_of_the_server() -> None:
    """A replay comes fast, however slow people spoke."""
    slow, fast, short = course(None), course(None), course(None)
    slow.take([flat(at) for at in range(100)], at_ms(200))
    fast.take([flat(at / 10) for at in range(100)], at_ms(200))
    short.take([flat(at / 10) for at in range(99)], at_ms(200))
    assert (False, True, None) == (slow.is_busy, fast.is_busy, short.is_busy)


# Connections.

def source(server: Jetstream, wire: str = "", **more: str) -> Bluesky:
    return Bluesky("bluesky", Options.read(f"ws://127.0.0.1:{server.port}", wire, **more), QUICK)


async def listen(to: Source, known: Known, holds: Callable[[Known], bool]) -> Known:
    """Listens until something is known."""
    endless: AsyncIterator[Heard] = lasting(to, dict(known.positions), known, QUICK)
    async with asyncio.timeout(20), aclosing(endless) as hearing:  # type: ignore[type-var]  # a generator
        async for heard in hearing:
            known.take(heard)
            if holds(known):
                return known
    raise AssertionError("it ended")


async def drain(hearing: AsyncIterator[Heard], known: Known) -> None:
    """Listens until the end."""
    async for heard in hearing:
        known.take(heard)


def with_servers(scene: Callable[..., Awaitable[None]], *servers: Jetstream) -> None:
    """Plays a scene with servers that run."""
    async def play() -> None:
        for server in servers:
            await server.start()
        try:
            await scene(*servers)
        finally:
            for server in servers:
                await server.stop()
    asyncio.run(play())


def say(server: Jetstream, post: str) -> Event:
    return server.add(DID, "commit", commit("create", post, record(TEXT, CREATED)))


def has(*posts: str) -> Callable[[Known], bool]:
    return lambda known: {f"at://{DID}/{POSTS}/{post}" for post in posts} <= known.texts.keys()


async def first(server: Jetstream, wire: str) -> Known:
    """One post is heard, and its position known."""
    known = Known()
    await listen(source(server, wire), known, lambda known: bool(known.positions))
    say(server, "one")
    return await listen(source(server, wire), known, has("one"))


def test_what_a_server_is_asked_for() -> None:
    """Posts; on v2 by no kinds, which would hide accounts that leave; with no limit to size, which hides removals."""
    async def scene(server: Jetstream) -> None:
        known = Known()
        for wire in WIRES:
            await listen(source(server, wire), known, lambda known: known.heard > 0)
    server = Jetstream()
    with_servers(scene, server)
    assert {"path": PATH_V1, "wantedCollections": POSTS} == server.asked[0]
    assert {"path", "collections", "cursor"} == server.asked[1].keys()


@pytest.mark.parametrize(("wires", "path"), [(frozenset(Wire), PATH_V2), (frozenset({Wire.V1}), PATH_V1)])
def test_auto_finds_the_wire(wires: frozenset[Wire], path: str) -> None:
    """v2 where the server knows it, else v1."""
    async def scene(server: Jetstream) -> None:
        await first(server, "auto")
    server = Jetstream(wires)
    with_servers(scene, server)
    assert path == server.asked[-1]["path"]


def test_cursor_too_old() -> None:
    """v2 says so: the gap ends with the first event from the present, with no waiting for what cannot come."""
    async def scene(server: Jetstream) -> None:
        known = await first(server, "v2")
        was_ms, served = server.log[-1].us // 1000, server.served
        server.forget()
        say(server, "two")
        server.forget()

        def goes_on(known: Known) -> bool:
            if server.served > served and not server.log:
                say(server, "three")
            return has("three")(known)

        slow = Bluesky("bluesky", source(server, "v2")._options, QUICK._replace(quiet_s=60.0))
        await listen(slow, known, goes_on)
        assert [Gap(was_ms, server.log[-1].us // 1000)] == known.gaps
        assert not has("two")(known)
    with_servers(scene, Jetstream())


@pytest.mark.parametrize("wires", [(Wire.V1, Wire.V1), (Wire.V1, Wire.V2), (Wire.V2, Wire.V1), (Wire.V2, Wire.V2)])
def test_another_server_goes_on_by_time(wires: tuple[Wire, Wire]) -> None:
    """A minute and more before the last event, by that server's own clock: nothing is missing."""
    async def scene(one: Jetstream, two: Jetstream) -> None:
        say(two, "one")
        known = await first(one, wires[0])
        say(two, "two")
        await listen(source(two, wires[1]), known, has("one", "two"))
        assert one.log[-1].us - 65_000_000 == int(two.asked[-1]["cursor"])
        assert [] == known.gaps
    with_servers(scene, Jetstream(), Jetstream())


def test_a_clamped_time_is_told_on_v2() -> None:
    """Another server does not reach back so far: it says so, and so do we."""
    async def scene(one: Jetstream, two: Jetstream) -> None:
        known = await first(one, "v2")
        say(two, "lost")
        two.forget()
        two_us = say(two, "two").us
        await listen(source(two, "v2"), known, lambda known: bool(known.gaps))
        assert [Gap(one.log[-1].us // 1000, two_us // 1000)] == known.gaps
    with_servers(scene, Jetstream(), Jetstream())


def test_a_number_from_the_future_is_a_gap() -> None:
    """The server began anew, and counts from 1 again."""
    async def scene(server: Jetstream) -> None:
        for number in range(5):
            say(server, f"before{number}")
        known = await first(server, "v2")
        server.log.clear()
        server._seq = 0
        await listen(source(server, "v2"), known, lambda known: bool(known.gaps))
    with_servers(scene, Jetstream())


@pytest.mark.parametrize(("fails", "trouble", "says"), [
    ("InvalidRequest", Denied, "InvalidRequest"), ("UnknownZstdDictionary", Denied, "--zstd-dictionary"),
    ("Something", Denied, "400"), (401, Denied, "--url and --wire"),
    (404, Denied, "--url and --wire"), (400, Denied, "400"), (500, Trouble, "500"), (200, Trouble, "WebSocket")])
def test_a_server_that_does_not_let_us_in(fails: str | int, trouble: type[Trouble], says: str) -> None:
    """Whose move it is; what a server writes stays out of it."""
    async def scene(server: Jetstream) -> None:
        if isinstance(fails, int):
            server.failing = [fails] * 2
        else:
            server.refusal = fails
        with pytest.raises(trouble, match=says):
            await anext(source(server, "v2").hear({}))
    with_servers(scene, Jetstream())


def test_an_end_is_trouble() -> None:
    """What came before it is heard."""
    async def scene(server: Jetstream) -> None:
        async with aclosing(source(server, "v2").hear({})) as hearing:  # type: ignore[type-var]  # a generator
            await anext(hearing)
            say(server, "one")
            server.say(dumps({"$type": "error", "error": "ConsumerTooSlow"}))
            known = Known()
            with pytest.raises(Trouble, match="too slow"):
                await drain(hearing, known)
        assert has("one")(known)
    with_servers(scene, Jetstream())


def test_a_deaf_connection_is_given_up() -> None:
    """The server answers pings and says nothing, of a network that had much to say: that is no gap but trouble."""
    async def scene(server: Jetstream) -> None:
        known, one = Known(), source(server, "v1")
        await listen(one, known, lambda known: bool(known.positions))
        for number in range(200):
            say(server, f"post{number}")
        await listen(one, known, has("post199"))
        server.is_deaf = True
        await listen(one, known, lambda known: any("says nothing" in why for why in known.troubles))
        assert [] == known.gaps
    with_servers(scene, Jetstream())


def test_no_position_holds_a_person() -> None:
    """Host, wire, number and time."""
    async def scene(server: Jetstream) -> None:
        known = await first(server, "v1")
        assert {"host", "wire", "at", "us"} == json.loads(known.positions[""]).keys()
        assert DID not in known.positions[""]
    with_servers(scene, Jetstream())


# Compression.

@pytest.fixture(scope="module")
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dictionary trained on events like ours."""
    posts = [commit("create", f"3m{n * 7919}", record(f"{TEXT} {n * 104_729}", CREATED)) for n in range(2000)]
    samples: list[bytes | bytearray | memoryview] = [
        Event(n, T0_US + n, f"{DID}{n % 17}", "commit", body).flat() for n, body in enumerate(posts)]
    path: Path = tmp_path_factory.mktemp("zstd") / "dictionary"
    path.write_bytes(zstandard.train_dictionary(4096, samples).as_bytes())
    return path


def packer(dictionary: Path) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(dictionary.read_bytes()))


@each_wire
def test_compressed_messages_are_read(wire: Wire, dictionary: Path) -> None:
    """Either wire has its own way to ask for them."""
    async def scene(server: Jetstream) -> None:
        known = Known()
        one = source(server, wire, zstd_dictionary=str(dictionary))
        await listen(one, known, lambda known: known.heard > 0)
        say(server, "one")
        await listen(one, known, has("one"))
    server = Jetstream(pack=packer(dictionary).compress)
    with_servers(scene, server)
    number = str(zstandard.ZstdCompressionDict(dictionary.read_bytes()).dict_id())
    assert ({"compress": "true"} if wire is Wire.V1 else {"zstdDictionary": number}).items() <= server.asked[-1].items()


def test_a_bomb_is_refused(dictionary: Path) -> None:
    """A small message that would unpack to a large one does not; neither does what is not compressed."""
    unpack = Unpacker(dictionary).unpack
    assert b"x" * MAX_EVENT == unpack(packer(dictionary).compress(b"x" * MAX_EVENT))
    assert Refused(Reason.TOO_LARGE, "unpacked") == unpack(packer(dictionary).compress(b"x" * 50 * MAX_EVENT))
    assert Refused(Reason.NOT_JSON, "not compressed as agreed") == unpack(b"{}")


def test_a_dictionary_needs_its_library(dictionary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed, the extra is named; a file that cannot be read is the user's move, too."""
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "zstandard":
            raise ImportError(name)
        return real(name, *more)

    with pytest.raises(BadSetting, match="--zstd-dictionary"):
        Unpacker(dictionary.parent)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadSetting, match=r"denyut\[zstd\]"):
        Bluesky("bluesky", Options.read(zstd_dictionary=str(dictionary)))
