"""The smallest source that keeps every promise: JSON lines over HTTP, from a position on. How to begin one of your own.

    GET /stream?after=7    {"seq": 8, "at": 1795586400000, "post": {"id", "text", "by", "rev"}}
                           {"seq": 9, "at": 1795586400500, "gone": "id"}   or "left": "author", or an empty line
                           410: of what followed 7 something is no longer kept
"""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import msgspec

from streams.heart.errors import Reason
from streams.heart.post import EARLIEST_MS, LATEST_MS
from streams.sources.contract import AuthorGone, Gap, Gone, Happening, Heard, Refused, Said, Trouble, unread
from streams.sources.reader import MAX_EVENT, Patience, check, session


class _Post(msgspec.Struct):
    id: str
    text: str
    by: str
    rev: int = 0


class _Line(msgspec.Struct):
    seq: int
    at: int
    post: _Post | None = None
    gone: str | None = None
    left: str | None = None


class Told(NamedTuple):
    """What a line says, and where it stands."""

    happening: Happening | None
    seq: int = 0
    at_ms: int = 0


_decode = msgspec.json.Decoder(_Line).decode


def decoded(data: bytes) -> Told:
    """Bytes in, a happening out: no I/O, and nothing is raised, whatever comes."""
    if len(data) > MAX_EVENT:
        return Told(Refused(Reason.TOO_LARGE, f"{len(data)} bytes"))
    try:
        line = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Told(unread(data, error))
    if not EARLIEST_MS <= line.at <= LATEST_MS:
        return Told(Refused(Reason.BAD_TIME, "at"), line.seq)
    happening: Happening | None = None
    if line.post is not None:
        happening = Said(line.post.id, line.post.text, line.at, line.post.rev, line.post.by, witnessed_ms=line.at)
    elif line.gone is not None:
        happening = Gone(line.gone)
    elif line.left is not None:
        happening = AuthorGone(line.left)
    return Told(happening, line.seq, line.at)


class Lines:
    """The reader: a connection, and what it adds to the lines."""

    is_pushed = False

    def __init__(self, name: str, url: str, patience: Patience | None = None) -> None:
        self.name = name
        self._url = url
        self._patience = patience or Patience()

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:
        """One connection, until it ends. A position is the last number and its time."""
        after, _, since_ms = positions.get("", "").partition(" ")
        async with session(self._patience) as client:
            query = {"after": after} if after else {}
            async with client.get(f"{self._url}/stream", params=query, timeout=self._silence()) as answer:
                if answer.status == 410 and after:
                    now_ms = int(time.time() * 1000)
                    yield Heard(positions={"": ""}, gap=Gap(int(since_ms), now_ms))
                    raise Trouble("the server no longer has all that followed our position")
                check(answer.status, answer.headers, "--url")
                yield Heard()
                async for line in _lines(answer.content):
                    yield self._heard(line)

    def _silence(self) -> Any:
        import aiohttp

        patience = self._patience
        return aiohttp.ClientTimeout(total=None, sock_connect=patience.connect_s, sock_read=patience.quiet_s)

    def _heard(self, line: bytes | Refused) -> Heard:
        if isinstance(line, Refused):
            return Heard((line,))
        if not line.strip():  # a heartbeat: all is told
            return Heard(until_ms=int(time.time() * 1000) - 1000)
        told = decoded(line)
        position = {"": f"{told.seq} {told.at_ms}"} if told.at_ms else {}
        return Heard((told.happening,) if told.happening else (), position, told.at_ms or None)


async def _lines(content: Any) -> AsyncIterator[bytes | Refused]:
    """The lines of a stream; of one that is too long only that it was."""
    kept, size = bytearray(), 0
    async for chunk in content.iter_any():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            size += len(end)
            yield bytes(kept + end) if size <= MAX_EVENT else Refused(Reason.TOO_LARGE, f"{size} bytes")
            kept, size = bytearray(), 0
        size += len(rest)
        kept += rest if size <= MAX_EVENT else b""
