"""The push source: reads what it should, refuses the rest, lets in whom it should, and loses nothing."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.heart.errors import BadSetting, Reason
from streams.heart.post import Kind
from streams.sources.contract import AuthorGone, BadEdit, Gone, Heard, Refused, Said, Source
from streams.sources.push import MAX_BODY, Decoder, Shape
from streams.sources.push_keys import KEY, SIGNATURE, TIMESTAMP, Keys, Stranger, signature
from streams.sources.push_reader import Options, Push
from streams.sources.reader import Patience
from tests.sources.push_fake import BASE_S, KEYS, ONE, SECRET, Sender, created, event, line, signed, stamp
from tests.sources.scenarios import (
    SCENARIOS,
    Again,
    Drop,
    Edit,
    Fail,
    Freeze,
    Garbage,
    Lose,
    Remove,
    RemoveAuthor,
    Restart,
    Rewind,
    Say,
    Scenario,
    Step,
    Swap,
)
from tests.sources.stage import QUICK, performed

# Conformance.


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PushStage:
    """The sender is the stage; the source is the server."""

    can = frozenset({Say, Edit, Remove, RemoveAuthor, Garbage, Drop, Freeze, Again, Swap, Restart, Rewind})

    def __init__(self, folder: Path) -> None:
        self._keys = folder / "keys.toml"
        self._keys.write_text(KEYS)
        self._port = free_port()
        self._sender = Sender(self._port)
        self._task: asyncio.Task[None] | None = None
        self._authors: dict[str, str] = {}
        self._created: dict[str, str] = {}

    async def start(self) -> None:
        self._task = asyncio.create_task(self._sender.run())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def source(self, patience: Patience) -> Source:
        return Push("push", Options(self._keys, f"127.0.0.1:{self._port}"), patience)

    def native(self, post: str) -> str:
        return f"shop/p-{post}"

    def author(self, author: str) -> str:
        return f"shop/a-{author}"

    def connections(self) -> int:
        return self._sender.connections

    async def perform(self, step: Step) -> None:
        match step:
            case Garbage(kind):
                body, content_type = GARBAGE[kind]
                assert await self._sender.post(body, content_type) in (202, 400, 413)
            case Drop():
                self._sender.drop()
            case Freeze():
                await self._sender.freeze()
            case Again(events):
                self._sender.send(*self._sender.sent[-events:])
            case Swap(first, second):
                self._sender.send(*(line(self._event(one)) for one in (second, first)))
            case _:
                self._sender.send(line(self._event(step)))

    def _event(self, step: Step) -> dict[str, Any]:
        number = self._sender.number()
        match step:
            case Say(post, author, text):
                self._authors[post], self._created[post] = f"a-{author}", stamp(BASE_S + number)
                return event("post.created", self._post(post, text), number)
            case Edit(post, text):
                return event("post.updated", self._post(post, text), number)
            case Remove(post):
                return event("post.deleted", {"id": f"p-{post}"}, number)
            case RemoveAuthor(author):
                return event("author.deleted", {"author": f"a-{author}"}, number)
            case _:
                raise AssertionError(step)

    def _post(self, post: str, text: str) -> dict[str, Any]:
        return {"id": f"p-{post}", "author": self._authors[post], "text": text, "created_at": self._created[post]}


def among(bad: bytes) -> tuple[bytes, str]:
    """A bad event in a batch."""
    return b"[" + bad + b"]", "application/cloudevents-batch+json"


GARBAGE = {
    "not_json": (b'[{"specversion": ', "application/json"),
    "wrong_type": among(b"[1, 2]"),
    "bad_time": among(line(created(created_at="0001-01-01T00:00:00Z"))),
    "not_utf8": among(line(created(text="?")).replace(b"?", b"\xff\xfe")),
    "deep": (b"[" * 100_000, "application/json"),
    "huge": (line([created(text="a" * 10_000_000)]), "application/json"),
}

ALL_BUT_FAIL = next(one for one in SCENARIOS if one.name == "all at once")
ALL_BUT_FAIL = ALL_BUT_FAIL._replace(
    name="all at once, but for statuses", steps=tuple(one for one in ALL_BUT_FAIL.steps if not isinstance(one, Fail)))
EXPRESSIBLE = [one for one in (*SCENARIOS, ALL_BUT_FAIL) if one.needs <= PushStage.can]


@pytest.mark.parametrize("scenario", EXPRESSIBLE, ids=lambda one: one.name)
def test_keeps_every_promise_of_a_source(scenario: Scenario, tmp_path: Path) -> None:
    """Whatever happens between us and a sender that is patient."""
    known = performed(PushStage(tmp_path), scenario)
    assert {} == known.positions


def test_leaves_out_what_a_server_cannot_meet() -> None:
    """We make no requests, so none of ours fails; and what a sender forgets, no one can know to be missing."""
    left_out = {one.name for one in SCENARIOS if not one.needs <= PushStage.can}
    assert {"asked to wait", "the server is ill", "a cursor that is too old", "all at once"} == left_out
    assert all(one.needs & {Fail, Lose} for one in SCENARIOS if one.name in left_out)


# Reading events.


def decoded(*events: Any) -> Any:
    """A batch, read."""
    return Decoder("shop").decode(json.dumps(events).encode())


def test_a_post_has_all_that_its_sender_says() -> None:
    """Ids become the sender's, times become milliseconds, and the event's time is when it was first seen."""
    more: dict[str, Any] = {
        "lang": "id", "kind": "review", "url": "https://shop.example/7", "reply_to": 6, "reply_author": "a2",
        "reach": 12, "rev": 3, "stars": 5}
    assert decoded(created(**more)) == [Said(
        native="shop/7", text="Kopi Senja enak", created_ms=BASE_S * 1000 + 500, rev=3, author="shop/a3", lang="id",
        kind=Kind.REVIEW, url="https://shop.example/7", reply_to="shop/6", refers="shop/a2", reach=12,
        witnessed_ms=BASE_S * 1000 + 500)]


def test_an_update_without_a_revision_has_the_seconds_of_its_event() -> None:
    """They rise with each edit."""
    data = created()["data"]
    assert [BASE_S + 9, 4] == [one.rev for one in decoded(
        event("post.updated", data, 9), event("post.updated", data | {"rev": 4}, 9))]


def test_removals_name_a_post_or_an_author() -> None:
    """Of the same sender."""
    assert [Gone("shop/7"), AuthorGone("shop/a3")] == decoded(
        event("post.deleted", {"id": 7}), event("author.deleted", {"author": "a3"}))


def without(name: str) -> dict[str, Any]:
    """An event that lacks something."""
    return {key: value for key, value in created().items() if key != name}


def bare(name: str) -> dict[str, Any]:
    """A post that lacks something."""
    return event("post.created", {key: value for key, value in created()["data"].items() if key != name})


@pytest.mark.parametrize(("bad", "reason", "detail"), [
    (7, Reason.WRONG_TYPE, ""),
    (without("id"), Reason.MISSING_FIELD, "id"),
    (without("source"), Reason.MISSING_FIELD, "source"),
    (without("type"), Reason.MISSING_FIELD, "type"),
    (without("specversion"), Reason.MISSING_FIELD, "specversion"),
    (without("data"), Reason.MISSING_FIELD, "data"),
    (created() | {"id": ""}, Reason.MISSING_FIELD, "id"),
    (created() | {"specversion": "0.3"}, Reason.WRONG_TYPE, "specversion"),
    (created() | {"type": "post.liked"}, Reason.WRONG_TYPE, "type"),
    (created() | {"time": "yesterday"}, Reason.BAD_TIME, "time"),
    (created() | {"time": "2026-11-25T06:00:00"}, Reason.BAD_TIME, "time"),
    (event("post.updated", created()["data"]) | {"time": None}, Reason.MISSING_FIELD, "time"),
    (event("post.created", None), Reason.WRONG_TYPE, "data"),
    (bare("id"), Reason.MISSING_FIELD, "data.id"),
    (bare("text"), Reason.MISSING_FIELD, "data.text"),
    (bare("created_at"), Reason.MISSING_FIELD, "data.created_at"),
    (created(post=""), Reason.MISSING_FIELD, "data.id"),
    (created(post="7" * 513), Reason.TOO_LONG, "data.id"),
    (created(author=["a3"]), Reason.WRONG_TYPE, "data.author"),
    (created(text=5), Reason.WRONG_TYPE, "data.text"),
    (created(text=" \u200b"), Reason.BAD_TEXT, "data.text"),
    (created(text="a\x00b"), Reason.BAD_TEXT, "data.text"),
    (created(text="a" * 10_001), Reason.TOO_LONG, "data.text"),
    (created(text="a" * 1_000_001), Reason.TOO_LARGE, f"{len(line(created(text='a' * 1_000_001)))} bytes"),
    (created(rev=-1), Reason.WRONG_TYPE, "data.rev"),
    (created(reach=2**63), Reason.WRONG_TYPE, "data.reach"),
    (created(url="h" * 2049), Reason.TOO_LONG, "data.url"),
    (created(created_at="9999-12-31T23:59:59Z"), Reason.BAD_TIME, "data.created_at"),
    (event("post.deleted", {}), Reason.MISSING_FIELD, "data.id"),
    (event("author.deleted", {"author": 1.5}), Reason.WRONG_TYPE, "data.author"),
])
def test_a_bad_event_is_refused_alone(bad: Any, reason: Reason, detail: str) -> None:
    """In its place, with the name of a field and never its value; those around it are taken."""
    before, refused, after = decoded(created("1"), bad, created("2"))
    assert Refused(reason, detail) == refused
    assert ["shop/1", "shop/2"] == [before.native, after.native]


def test_an_update_whose_text_is_refused_says_of_which_post_it_is() -> None:
    """What was said before it is not said any more."""
    told, = decoded(event("post.updated", created(text=" \u200b", rev=9)["data"]))
    assert BadEdit(Reason.BAD_TEXT, "data.text", "shop/7", 9) == told


def test_half_a_character_spoils_only_its_own_post() -> None:
    """A sender that cuts a text in the middle of an emoji is still heard: whole ones stay, and what looks like half."""
    half, whole, written = (line(created(text=text)).replace(b"~", b"\\ud83d").replace(b"^", b"\\ude0a")
                            for text in ("enak ~", "enak ~^", "enak \\ud83d"))
    told: Any = Decoder("shop").decode(b"[" + b",".join((half, whole, written)) + b"]")
    assert Refused(Reason.BAD_TEXT, "data.text") == told[0]
    assert ["enak 😊", "enak \\ud83d"] == [one.text for one in told[1:]]


@pytest.mark.parametrize(("body", "shape", "reason"), [
    (b"", Shape.EITHER, Reason.NOT_JSON),
    (b"hello", Shape.EITHER, Reason.NOT_JSON),
    (b"[1,", Shape.BATCH, Reason.NOT_JSON),
    (b"[1] 2", Shape.BATCH, Reason.NOT_JSON),
    (b"\xff\xfe[]", Shape.EITHER, Reason.NOT_UTF8),
    (b"[" * 100_000, Shape.BATCH, Reason.NOT_JSON),
    (b'{"a":' * 100_000, Shape.EITHER, Reason.NOT_JSON),
    (b"7", Shape.EITHER, Reason.WRONG_TYPE),
    (b"null", Shape.ONE, Reason.WRONG_TYPE),
    (b"{}", Shape.BATCH, Reason.WRONG_TYPE),
    (b"[]", Shape.ONE, Reason.WRONG_TYPE),
    (b"{}", Shape.ONE, Reason.MISSING_FIELD),
    (b"[" + b"1," * 10_000 + b"1]", Shape.BATCH, Reason.TOO_LARGE),
])
def test_a_body_that_holds_no_events_is_refused_whole(body: bytes, shape: Shape, reason: Reason) -> None:
    """With one reason."""
    refused = Decoder("shop").decode(body, shape)
    assert isinstance(refused, Refused)
    assert reason is refused.reason


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Never anything else."""
    told = Decoder("shop").decode(body)
    assert isinstance(told, Refused) or all(isinstance(one, Said | Gone | AuthorGone | Refused) for one in told)


# Keys and signatures.


def claimed(headers: dict[str, str], body: bytes = b"[]", now_s: float = BASE_S, text: str = KEYS) -> str:
    """Who is let in; raises for whom is not."""
    key, _ = Keys.read(text, "keys.toml").claim(headers, int(now_s * 1000)).proven(body)
    return key.sender


def test_who_signs_with_a_key_is_let_in() -> None:
    """Each with the own key, and with either during a rotation, whichever of the two we know."""
    assert "shop" == claimed(signed(b"[]", BASE_S))
    assert "cafe" == claimed(signed(b"[]", BASE_S, b"of another sender", "cafe"))
    ours, unknown = signed(b"[]", BASE_S), signed(b"[]", BASE_S, b"one that we do not know yet")
    both = ours | {KEY: f"2027-01, {ours[KEY]}", SIGNATURE: f"{unknown[SIGNATURE]}, {ours[SIGNATURE]}"}
    assert "shop" == claimed(both)


@pytest.mark.parametrize(("change", "why"), [
    ({KEY: ""}, "expected the headers"),
    ({TIMESTAMP: ""}, "expected the headers"),
    ({SIGNATURE: ""}, "expected the headers"),
    ({TIMESTAMP: "yesterday"}, "expected seconds"),
    ({TIMESTAMP: "１７９５５８６４００"}, "expected seconds"),
    ({TIMESTAMP: str(BASE_S - 301)}, "off our clock"),
    ({TIMESTAMP: str(BASE_S + 301)}, "off our clock"),
    ({TIMESTAMP: str(BASE_S + 1)}, "X-Denyut-Signature: wrong"),
    ({KEY: "nobody"}, "unknown or expired"),
    ({KEY: "old"}, "unknown or expired"),
    ({KEY: "cafe"}, "X-Denyut-Signature: wrong"),
    ({SIGNATURE: "v1=" + "0" * 64}, "X-Denyut-Signature: wrong"),
    ({SIGNATURE: "v1=" + "0" * 63}, "expected v1="),
    ({SIGNATURE: "v2=" + "0" * 64}, "expected v1="),
    ({SIGNATURE: ", ".join(["v1=" + "0" * 64] * 1000)}, "X-Denyut-Signature: wrong"),
])
def test_nobody_else_is_let_in(change: dict[str, str], why: str) -> None:
    """And is told what to look at."""
    with pytest.raises(Stranger, match=why):
        claimed(signed(b"[]", BASE_S) | change)


@given(st.text(max_size=80), st.text(max_size=20), st.text(max_size=80), st.booleans())
def test_whatever_the_headers_say_a_stranger_stays_out(key: str, at: str, said: str, is_close: bool) -> None:
    """Nothing but a right signature opens the door, and nothing breaks it."""
    headers = {KEY: "2026-11" if is_close else key, TIMESTAMP: str(BASE_S) if is_close else at, SIGNATURE: said}
    with pytest.raises(Stranger):
        claimed(headers)


def test_a_signature_is_for_one_body() -> None:
    """Not a byte of it may change."""
    with pytest.raises(Stranger, match="wrong"):
        claimed(signed(b"[]", BASE_S), b"[ ]")


ONE_KEY = '[[key]]\nid = "a"\nsender = "shop"\nsecret = "sixteen bytes at least"\n'


@pytest.mark.parametrize(("text", "why"), [
    ("", "expected one"),
    ("key = 3", "expected one"),
    ("key = [3]", "key 1: expected a table"),
    ("[[key]", "no TOML"),
    (ONE_KEY.replace("shop", "sh/op"), "key 1: sender: expected letters"),
    (ONE_KEY.replace('"a"', "5"), "key 1: id: expected letters"),
    (ONE_KEY.replace("sixteen bytes at least", "short"), r"key 1 \(a\): secret: expected a text of at least 16"),
    (ONE_KEY + 'until = "soon"', r"key 1 \(a\): until: expected a time"),
    (ONE_KEY + "until = 2026-12-01T00:00:00", r"key 1 \(a\): until: expected a time"),
    (ONE_KEY + "untill = 2026-12-01T00:00:00Z", r"key 1 \(a\): unknown untill"),
    (ONE_KEY + ONE_KEY, "two keys are called 'a'"),
])
def test_a_keys_file_that_cannot_be_says_where(text: str, why: str) -> None:
    """The file and the key, and nothing of a secret."""
    with pytest.raises(BadSetting, match=why) as caught:
        Keys.read(text, "keys.toml")
    assert "--keys keys.toml" in str(caught.value)
    assert "sixteen" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_key_does_not_show_its_secret() -> None:
    """Wherever it may be printed."""
    assert "invented" not in repr(dict(Keys.read(KEYS, "keys.toml")))


# The server.

Deliver = Callable[[Heard], bool | None]


class Server:
    """A push source that is listened to, and what it heard. `deliver`: which receipt it gives; None: none yet."""

    def __init__(self, folder: Path, deliver: Deliver, connect_s: float = 0.3, **options: Any) -> None:
        self._connect_s = connect_s
        self.port = free_port()
        self.keys = folder / "keys.toml"
        self.keys.write_text(KEYS)
        self.options = Options(self.keys, f"127.0.0.1:{self.port}", **options)
        self.heard: list[Heard] = []
        self._deliver = deliver
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it listens."""
        push = Push("push", self.options, QUICK._replace(connect_s=self._connect_s))
        up = asyncio.Event()

        async def hear() -> None:
            async with aclosing(push.hear({})) as hearing:  # type: ignore[type-var]  # a generator
                async for heard in hearing:
                    self.heard.append(heard)
                    receipt = self._deliver(heard)
                    if receipt is not None and heard.receipt is not None:
                        heard.receipt(receipt)
                    up.set()

        self._task = asyncio.create_task(hear())
        waiting = asyncio.create_task(up.wait())
        await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Ends it as a worker would be ended."""
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    @property
    def happenings(self) -> list[Any]:
        """All that was heard."""
        return [one for heard in self.heard for one in heard.happenings]

    async def ask(self, body: bytes = b"[]", headers: dict[str, str] | None = None, path: str = "/v1/posts",
                  method: str = "POST") -> tuple[int, Any, Any]:
        """Status, body and headers of an answer."""
        async with aiohttp.ClientSession() as client, client.request(
                method, f"http://127.0.0.1:{self.port}{path}", data=body,
                headers=signed(body) if headers is None else headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None, answer.headers

    async def wait_for(self, count: int) -> None:
        """Until so many happenings were heard."""
        async with asyncio.timeout(20):
            while len(self.happenings) < count:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(folder: Path, deliver: Deliver = lambda _: True, **options: Any) -> AsyncIterator[Server]:
    """A server within a `with`."""
    server = Server(folder, deliver, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def test_good_events_are_taken_and_bad_ones_named(tmp_path: Path) -> None:
    """By index and reason, in the answer to the whole batch."""
    async def story() -> None:
        async with serving(tmp_path) as server:
            status, said, headers = await server.ask(line([created("1"), 7, created("2", created_at="soon")]))
            assert (202, {"accepted": 1, "refused": [
                {"index": 1, "reason": "wrong_type", "detail": ""},
                {"index": 2, "reason": "bad_time", "detail": "data.created_at"}]}) == (status, said)
            assert "denyut" == headers["Server"]
            assert ["Said", "Refused", "Refused"] == [type(one).__name__ for one in server.happenings]
            assert (202, {"accepted": 0, "refused": []}) == (await server.ask(b"[]"))[:2]
            assert 202 == (await server.ask(line(created()), signed(line(created()), content_type=ONE)))[0]

    asyncio.run(story())


def test_is_answered_only_when_delivered(tmp_path: Path) -> None:
    """A sender that is answered 202 may forget what it sent: until then it waits."""
    async def story() -> None:
        async with serving(tmp_path, lambda _: None) as server:
            asking = asyncio.create_task(server.ask(line([created()])))
            await server.wait_for(1)
            await asyncio.sleep(0.05)
            assert not asking.done()
            [receipt] = [one.receipt for one in server.heard if one.receipt]
            await asyncio.to_thread(receipt, True)
            assert 202 == (await asking)[0]

    asyncio.run(story())


def test_what_is_not_delivered_is_to_be_sent_again(tmp_path: Path) -> None:
    """Told so, or not told in time; and then it is handed on again."""
    async def story() -> None:
        async with serving(tmp_path, lambda _: False) as server:
            for _ in range(2):
                status, said, headers = await server.ask(line([created()]), signed(line([created()])))
                assert (503, {"error": "not delivered"}, "5") == (status, said, headers["Retry-After"])
            assert 2 == len(server.happenings)
        async with serving(tmp_path, lambda _: None, answer_s=0.05) as server:
            assert 503 == (await server.ask(line([created()])))[0]

    asyncio.run(story())


def test_the_same_request_is_handed_on_once(tmp_path: Path) -> None:
    """Sent again while the first is in hand, it waits for the same outcome; later, it gets the same answer."""
    async def story() -> None:
        async with serving(tmp_path, lambda _: None) as server:
            body = line([created(), 7])
            headers = signed(body)
            asking = [asyncio.create_task(server.ask(body, headers)) for _ in range(3)]
            await server.wait_for(2)
            await asyncio.sleep(0.05)
            [receipt] = [one.receipt for one in server.heard if one.receipt]
            receipt(True)
            answers = [(await one)[:2] for one in asking] + [(await server.ask(body, headers))[:2]]
            assert [(202, {"accepted": 1, "refused": [{"index": 1, "reason": "wrong_type", "detail": ""}]})
                    ] * 4 == answers
            assert 2 == len(server.happenings)

    asyncio.run(story())


def test_takes_no_more_than_it_can_hold(tmp_path: Path) -> None:
    """What is above is sent away at once, and let in when there is room again."""
    async def story() -> None:
        async with serving(tmp_path, lambda _: None, in_hand=2) as server:
            asking = [asyncio.create_task(server.ask(line([created(str(at))]))) for at in range(2)]
            await server.wait_for(2)
            status, _, headers = await server.ask(line([created("3")]))
            assert (503, "5") == (status, headers["Retry-After"])
            for heard in server.heard:
                if heard.receipt:
                    heard.receipt(True)
            assert [202, 202] == [(await one)[0] for one in asking]
            again = asyncio.create_task(server.ask(line([created("3")])))
            await server.wait_for(3)
            again.cancel()

    asyncio.run(story())


def test_an_end_answers_who_waits(tmp_path: Path) -> None:
    """Requests in hand, and such as are not read to their end, are to be sent again; receipts that were given count."""
    async def story() -> None:
        async with serving(tmp_path, lambda _: None, connect_s=20.0) as server:
            waiting, safe = (asyncio.create_task(server.ask(line([created(post)]))) for post in "12")
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(started("Content-Length: 99\r\nExpect: 100-continue"))
            assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readuntil(b"\r\n\r\n")
            await server.wait_for(2)
            for heard in server.heard:
                if heard.receipt and isinstance(heard.happenings[0], Said) and heard.happenings[0].native == "shop/2":
                    heard.receipt(True)
            await server.stop()
            assert (503, 202) == ((await waiting)[0], (await safe)[0])
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
            writer.close()

    asyncio.run(story())


def test_a_receipt_counts_even_if_it_is_the_last_thing(tmp_path: Path) -> None:
    """Given, and nothing is listened to any more: the sender hears of it."""
    async def story() -> None:
        server = Server(tmp_path, lambda _: True)
        async with aclosing(Push("push", server.options, QUICK).hear({})) as hearing:  # type: ignore[type-var]
            await anext(hearing)
            asking = asyncio.create_task(server.ask(line([created()])))
            async for heard in hearing:
                if heard.receipt is not None:
                    heard.receipt(True)
                    break
        assert 202 == (await asking)[0]

    asyncio.run(story())


def started(more: str, body: bytes = b"[") -> bytes:
    """The beginning of a request."""
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
    return f"POST /v1/posts HTTP/1.1\r\nHost: here\r\n{more}\r\n{head}\r\n".encode() + body


async def raw(port: int, said: bytes) -> bytes:
    """What a server says to these bytes, until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


def test_half_a_request_is_given_up(tmp_path: Path) -> None:
    """In the middle of its head or of its body: the connection is closed, and its place is free."""
    async def story() -> None:
        async with serving(tmp_path, in_hand=1) as server:
            assert (await raw(server.port, started("Content-Length: 99"))).startswith(b"HTTP/1.1 408 ")
            assert b"" == await raw(server.port, b"POST /v1/posts HT")
            assert b"" == await raw(server.port, b"")
            assert 202 == (await server.ask(line([created()])))[0]

    asyncio.run(story())


def test_large_requests_may_ask_first(tmp_path: Path) -> None:
    """As curl does."""
    async def story() -> None:
        async with serving(tmp_path) as server:
            more = "Content-Length: 2\r\nConnection: close\r\nExpect: 100-continue"
            answer = await raw(server.port, started(more, b"[]"))
            assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")

    asyncio.run(story())


def test_what_is_no_http_is_told_nothing_of_us(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No version, and no line of what it said in a log."""
    async def story() -> None:
        async with serving(tmp_path) as server:
            answer = await raw(server.port, b"Kopi Senja enak\r\n\r\n")
            assert b"400" in answer
            assert b"aiohttp" not in answer
            assert b"Python" not in answer

    asyncio.run(story())
    assert "Kopi" not in caplog.text


def test_every_other_request_is_told_why(tmp_path: Path) -> None:
    """With the status that says whose move it is."""
    async def story() -> None:
        async with serving(tmp_path) as server:
            body = line([created()])
            good = signed(body)
            assert [200, 405, 405, 404, 415, 415, 415, 401, 401] == [(await one)[0] for one in (
                server.ask(method="GET", path="/healthz"),
                server.ask(method="POST", path="/healthz"),
                server.ask(method="GET"),
                server.ask(path="/v1/post"),
                server.ask(body, good | {"Content-Type": "text/plain"}),
                server.ask(body, good | {"Content-Type": "application/json; charset=latin-1"}),
                server.ask(body, good | {"Content-Encoding": "gzip"}),
                server.ask(body, good | {KEY: "nobody"}),
                server.ask(body, signed(body, time.time() - 400)),
            )]
            assert [] == server.happenings
            assert (400, {"error": "not_json", "detail": "expected an array of events"}
                    ) == (await server.ask(b"hello"))[:2]
            assert 413 == (await server.ask(b" " * 10 + b"[" + b"1," * 10_000 + b"1]"))[0]
            assert 413 == (await server.ask(b" " * MAX_BODY + b"1"))[0]
            await server.wait_for(3)
            assert ["not_json", "too_large", "too_large"] == [one.reason for one in server.happenings]

    with pytest.warns(ResourceWarning, match="large body"):  # the client's, of its own body
        asyncio.run(story())


def test_keys_change_without_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A new file counts at once; one that cannot be read leaves the old keys, and a line in the log."""
    async def story() -> None:
        async with serving(tmp_path) as server:
            body = line([created()])
            new = signed(body, secret=b"a secret of next month", key="2027-01")
            assert 401 == (await server.ask(body, new))[0]
            server.keys.write_text(KEYS + '[[key]]\nid = "2027-01"\nsender = "shop"\nsecret = "a secret of next month"')
            assert 202 == (await server.ask(body, new))[0]
            server.keys.write_text("[[key]")
            assert [202, 202] == [(await server.ask(body))[0] for _ in range(2)]
            server.keys.unlink()
            assert 202 == (await server.ask(body))[0]

    asyncio.run(story())
    assert 1 == caplog.text.count("no TOML; the keys stay as they were")
    assert 1 == caplog.text.count("cannot be read")
    assert "a secret" not in caplog.text


def test_a_quiet_server_says_that_it_listens(tmp_path: Path) -> None:
    """A sign of life, with the time up to which nothing is missing, and no positions."""
    async def story() -> list[Heard]:
        async with serving(tmp_path) as server:
            async with asyncio.timeout(20):
                while len(server.heard) < 4:
                    await asyncio.sleep(0.01)
            return server.heard

    began_ms = int(time.time() * 1000)
    untils = [one.until_ms or 0 for one in asyncio.run(story())]
    assert sorted(untils) == untils
    assert untils[0] >= began_ms


@pytest.mark.parametrize("listen", ["8181", "localhost:", "localhost:http", ":99999", ""])
def test_an_address_that_cannot_be_is_a_bad_setting(listen: str, tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(BadSetting, match="--listen"):
        Options(tmp_path / "keys.toml", listen)


def test_an_address_that_is_taken_is_a_bad_setting(tmp_path: Path) -> None:
    """Waiting would not help."""
    async def story() -> None:
        async with serving(tmp_path) as server:
            other = Push("push", server.options, QUICK)
            with pytest.raises(BadSetting, match="--listen"):
                await anext(other.hear({}))

    asyncio.run(story())


def test_missing_keys_are_a_bad_setting(tmp_path: Path) -> None:
    """At the start; a server that lets nobody in is of no use."""
    with pytest.raises(BadSetting, match=r"--keys .*absent\.toml: cannot be read"):
        Push("push", Options(tmp_path / "absent.toml"))


def test_a_mistake_of_ours_ends_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loudly: it is not answered as if it were the sender's."""
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    async def story() -> int:
        async with serving(tmp_path) as server:
            monkeypatch.setattr(Decoder, "decode", broken)
            return (await server.ask(line([created()])))[0]

    with pytest.raises(ZeroDivisionError):
        asyncio.run(story())


def test_a_full_batch_is_read(record_property: Any) -> None:
    """All of it; and how long the server does nothing else meanwhile."""
    body = line([created(str(at)) for at in range(10_000)])
    began = time.perf_counter()
    told = Decoder("shop").decode(body)
    took = time.perf_counter() - began
    assert isinstance(told, list)
    assert 10_000 == len(told)
    digest = time.perf_counter()
    signature(SECRET, "1", body)
    record_property("measured", f"push: 10,000 events ({len(body)} bytes) read in {1000 * took:.0f} ms, signature "
                                f"checked in {1000 * (time.perf_counter() - digest):.1f} ms")
