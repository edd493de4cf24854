"""A server of Mastodon's kind, as its API shows it: what it is, its timelines, single posts, and what it asks of us.

    GET /api/v2/instance                          where it streams, whether it lets anyone listen, its accounts' domain
    GET /api/v1/timelines/public?min_id=&limit=   the posts that came next after an id
    GET /api/v1/statuses?id[]=                    up to 20 posts by id (Mastodon from 4.3 on); /api/v1/statuses/:id  one

The token goes in a header, never in an address. A server that asks to wait is waited for.
Knows nothing of what a post says.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

import msgspec

from streams.heart.errors import BadSetting, nearest
from streams.heart.post import epoch_ms
from streams.sources.contract import Denied, Limited, Trouble
from streams.sources.reader import MAX_FRAME, Backoff, Patience, body, check

STREAMS = ("public", "public:local", "public:remote", "hashtag")
WIRES = ("auto", "sse", "websocket")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PAGE = 40  # posts: the most that a server gives at once
MANY = 20  # the same, of posts by id
MAX_ANSWER = 16_000_000  # bytes
MAX_WAIT_S = 900.0  # a server's window is 5 minutes
TRIES = 6
_PLAIN = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}  # what compresses may hold events back
TOKEN = "--token-file (a user's token that may read:statuses)"  # noqa: S105  # what to look at, no token


@dataclass(frozen=True, slots=True)
class Options:
    """Which server, and which of its streams. `pages`: of 40 posts each, to fill a gap with, at most."""

    server: str
    token_file: str = ""
    stream: str = "public"
    tag: str = ""
    wire: str = "auto"
    pages: int = 50

    @classmethod
    def read(cls, server: str, token_file: str = "", stream: str = "public", tag: str = "", wire: str = "auto",
             pages: str = "50") -> Self:
        """The options as they stand on a command line. Raises `BadSetting`.

        >>> Options.read("kota.example", stream="hashtag", tag="#kopi")
        Options(server='https://kota.example', token_file='', stream='hashtag', tag='kopi', wire='auto', pages=50)
        """
        if stream not in STREAMS:
            raise BadSetting(f"--stream {stream}: expected {', '.join(STREAMS)}{nearest(stream, STREAMS)}")
        if wire not in WIRES:
            raise BadSetting(f"--wire {wire}: expected {', '.join(WIRES)}{nearest(wire, WIRES)}")
        tag = tag.removeprefix("#")
        if bool(tag) != (stream == "hashtag"):
            raise BadSetting("--tag: expected with --stream hashtag, and only there")
        if not (pages.isascii() and pages.isdecimal() and int(pages) <= 1000):
            raise BadSetting(f"--pages {pages}: expected a number up to 1000")
        return cls(_address(server), token_file, stream, tag, wire, int(pages))

    @property
    def host(self) -> str:
        """Of the server, with its port where that is no usual one."""
        return urlsplit(self.server).netloc


def _address(said: str) -> str:
    url = urlsplit(said if "://" in said else f"https://{said}")
    try:
        host, _ = url.hostname or "", url.port
    except ValueError:
        host = ""
    if not host or url.path.strip("/") or url.query or url.fragment or "@" in url.netloc:
        raise BadSetting("--server: expected an address such as https://kota.example, without a path")
    if url.scheme != "https" and not (url.scheme == "http" and host in LOOPBACK):
        raise BadSetting(f"--server {url.scheme}://{host}: expected https (the token would be read on the way)")
    return f"{url.scheme}://{url.netloc.lower()}"


class Instance(NamedTuple):
    """What a server says of itself. `lowest`: an id below all of its posts."""

    streaming: str  # where it streams, as http or https
    domain: str  # of its accounts
    wire: str  # sse or websocket
    many: bool  # whether it gives several posts by id at once
    lowest: str


class Answer(NamedTuple):
    """What came back. Of statuses from 500 on, and of 429, there is no answer: they raise."""

    status: int
    body: bytes


class Server:
    """One server, during one connection. The token is read anew for each."""

    def __init__(self, client: Any, options: Options, patience: Patience) -> None:
        self._client = client
        self._options = options
        self._patience = patience
        self._headers = _authorized(options.token_file)

    async def look(self, now_ms: int) -> Instance:
        """What it says of itself. Raises `Denied` where it lets nobody listen."""
        for path in ("/api/v2/instance", "/api/v1/instance"):
            status, headers, body = await self._get(path, ())
            if status in (429, 503):
                raise Limited(f"{status}: the server asks to wait", asked_s(status, headers, now_ms))
            if status >= 500:
                raise Trouble(f"{status} from the server")
            if status == 200:
                return self._instance(_object(body))
        return self._instance({})  # it does not say: then as most are

    async def get(self, path: str, query: Sequence[tuple[str, str]], now_ms: int) -> Answer:
        """An answer of the API, waited for where the server asks for that, or is ill. Raises `Trouble` in the end."""
        import aiohttp

        backoff = Backoff(self._patience)
        trouble = Trouble("no answer")
        for _ in range(TRIES):
            try:
                status, headers, body = await self._get(path, query)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                trouble = Trouble(type(error).__name__)
            else:
                if status in (401, 403):
                    check(status, headers, TOKEN)
                if status < 500 and status != 429:
                    return Answer(status, body)
                trouble = Limited(f"{status} from the server", asked_s(status, headers, now_ms))
            await asyncio.sleep(backoff.next_s(trouble))
        raise trouble

    async def after(self, local: str, now_ms: int) -> Answer:
        """The page of the timeline that begins just after an id; without one, its newest post alone."""
        options = self._options
        path = f"/api/v1/timelines/tag/{quote(options.tag, safe='')}" if options.tag else "/api/v1/timelines/public"
        _, _, side = options.stream.partition(":")
        query = [(side, "true")] if side else []
        return await self.get(path, [*query, *([("min_id", local)] if local else []),
                                     ("limit", str(PAGE if local else 1))], now_ms)

    async def one(self, local: str, now_ms: int) -> Answer:
        """A single post."""
        return await self.get(f"/api/v1/statuses/{local}", (), now_ms)

    async def many(self, locals_: Sequence[str], now_ms: int) -> Answer:
        """Up to `MANY` posts; those that are not there are left out."""
        return await self.get("/api/v1/statuses", [("id[]", local) for local in locals_], now_ms)

    def listen(self, instance: Instance) -> Any:
        """The request that opens the stream: a context manager of the response, or of the socket."""
        import aiohttp

        options = self._options
        tag = f"tag={quote(options.tag, safe='')}" if options.tag else ""
        if instance.wire == "sse":
            path = options.stream.replace(":", "/")
            patience = self._patience  # who listens notices silence sooner than this, once there is an answer
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience.connect_s,
                                            sock_read=patience.connect_s + 4.5 * patience.quiet_s)
            return self._client.get(f"{instance.streaming}/api/v1/streaming/{path}{'?' if tag else ''}{tag}",
                                    headers={**self._headers, **_PLAIN}, timeout=timeout)
        query = f"stream={quote(options.stream)}{'&' if tag else ''}{tag}"
        return self._client.ws_connect(f"{instance.streaming}/api/v1/streaming?{query}", headers=self._headers,
                                       autoping=False, decode_text=False, max_msg_size=MAX_FRAME)

    async def _get(self, path: str, query: Sequence[tuple[str, str]]) -> tuple[int, Mapping[str, str], bytes]:
        async with self._client.get(f"{self._options.server}{path}", params=query, headers=self._headers) as response:
            said = await body(response, MAX_ANSWER)
            if said is None:
                raise Trouble(f"an answer of more than {MAX_ANSWER} bytes")
            return response.status, response.headers, said

    def _instance(self, said: dict[str, Any]) -> Instance:
        options = self._options
        configuration = _dict(said, "configuration")
        _admit(options, _dict(configuration, "timelines_access"), "Authorization" in self._headers)
        is_small = "gotosocial" in str(said.get("source_url", "")).lower()
        urls = _dict(configuration, "urls") or _dict(said, "urls")
        streaming = str(urls.get("streaming") or urls.get("streaming_api") or options.server).rstrip("/")
        streaming = f"http{streaming.removeprefix('ws')}" if streaming.startswith("ws") else streaming
        if options.server.startswith("https:") and not streaming.startswith("https:"):
            raise Denied("the server names a streaming address without encryption: look at --server")
        domain = said.get("account_domain") or said.get("domain") or urlsplit(options.server).hostname
        return Instance(
            streaming, str(domain),
            options.wire if options.wire != "auto" else ("websocket" if is_small else "sse"),
            "mastodon" in _dict(said, "api_versions"),  # told since 4.3, as several posts at once are given
            "0" * 26 if is_small else "0")


def _authorized(token_file: str) -> dict[str, str]:
    if not token_file:
        return {}
    try:
        token = Path(token_file).read_text("ascii").strip()
    except UnicodeDecodeError:
        raise Denied("the token is no ASCII; look at --token-file") from None
    except OSError as error:
        raise Denied(f"{type(error).__name__}: cannot read the token; look at --token-file") from None
    if not token or not token.isprintable() or " " in token:
        raise Denied("there is no token in the file: look at --token-file")
    return {"Authorization": f"Bearer {token}"}


def _admit(options: Options, access: dict[str, Any], has_token: bool) -> None:
    """Raises `Denied` where the server says that what we want to hear is told to nobody, or to users only."""
    feeds = _dict(access, "hashtag_feeds" if options.tag else "live_feeds")
    _, _, side = options.stream.partition(":")
    words = [feeds.get(one) for one in ((side,) if side else ("local", "remote"))]
    said = {word if isinstance(word, str) else "" for word in words}  # whatever else it is, it forbids nothing
    if said == {"disabled"}:
        raise Denied(f"the server has switched off this stream for everyone: look at --stream {options.stream}")
    if said == {"authenticated"} and not has_token:
        raise Denied(f"the server lets only its users listen: look at {TOKEN}")


def asked_s(status: int, headers: Mapping[str, str], now_ms: int) -> float | None:
    """For how long a server asks to wait: seconds from now, or the time (RFC 3339, or since 1970) at which it is over.

    >>> resets = {"X-RateLimit-Reset": "2026-11-25T06:00:30.000Z"}
    >>> [asked_s(status, resets, 1795586400000) for status in (429, 503)], asked_s(503, {"Retry-After": "7"}, 0)
    ([30.0, None], 7.0)
    """
    after = headers.get("Retry-After", "")
    # Every answer says when a window of requests ends: a reason to wait only where they were too many.
    until = headers.get("X-RateLimit-Reset", "") if status == 429 else ""
    if after.isascii() and after.isdecimal() and len(after) < 9:
        return min(float(after), MAX_WAIT_S)
    try:
        end_ms = int(until) if until.isdecimal() else epoch_ms(msgspec.convert(until, datetime))
    except (ValueError, TypeError, msgspec.ValidationError):
        return None
    end_ms = end_ms * 1000 if end_ms < 100_000_000_000 else end_ms
    return min(max(0.0, (end_ms - now_ms) / 1000), MAX_WAIT_S)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _dict(within: dict[str, Any], name: str) -> dict[str, Any]:
    found = within.get(name)
    return found if isinstance(found, dict) else {}


def is_absent(answer: Answer) -> bool:
    """Whether the API itself says that a post is not there. A proxy's page that says so proves nothing."""
    return answer.status in (404, 410) and "error" in _object(answer.body)
