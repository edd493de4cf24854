"""A sender that pushes: signs its events, and sends them again until they are answered 202.

It looks after its connection (a GET /healthz now and then), so it knows when the other side was away.
"""

import asyncio
import io
import itertools
import json
import time
from contextlib import suppress
from typing import Any

import aiohttp

from streams.sources.push_keys import KEY, SIGNATURE, TIMESTAMP, signature

KEYS = """
[[key]]
id = "2026-11"
sender = "shop"
secret = "an invented secret"

[[key]]
id = "2026-12"
sender = "shop"
secret = "another invented secret"

[[key]]
id = "old"
sender = "shop"
secret = "one that was good once"
until = 2026-01-01T00:00:00Z

[[key]]
id = "cafe"
sender = "cafe"
secret = "of another sender"
"""
SECRET = b"an invented secret"
BATCH = "application/cloudevents-batch+json"
ONE = "application/cloudevents+json"
BASE_S = 1_795_586_400  # 2026-11-25T06:00:00Z


def stamp(seconds: float) -> str:
    """RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".500Z"


def event(kind: str, data: Any, number: int = 0, **more: Any) -> dict[str, Any]:
    """A CloudEvent."""
    return {"specversion": "1.0", "id": f"e{number}", "source": "/shop", "type": kind,
            "time": stamp(BASE_S + number), "data": data, **more}


def created(post: str = "7", number: int = 0, **more: Any) -> dict[str, Any]:
    """A post is new."""
    data = {"id": post, "author": "a3", "text": "Kopi Senja enak", "created_at": stamp(BASE_S)} | more
    return event("post.created", data, number)


def signed(body: bytes, now_s: float | None = None, secret: bytes = SECRET, key: str = "2026-11",
           content_type: str = BATCH) -> dict[str, str]:
    """The headers of a request."""
    at = str(int(time.time() if now_s is None else now_s))
    return {"Content-Type": content_type, KEY: key, TIMESTAMP: at,
            SIGNATURE: f"v1={signature(secret, at, body).hex()}"}


class Sender:
    """Sends what is in its queue, in order and in small batches, for as long as it takes."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._queue: list[bytes] = []  # events that are not acknowledged yet
        self._numbers = itertools.count(1)
        self._renew = False
        self._is_fresh = False
        self._frozen: list[asyncio.StreamWriter] = []
        self.sent: list[bytes] = []
        self.connections = 0

    def send(self, *events: bytes) -> None:
        """Put in the queue; sent as soon as it goes."""
        self._queue += events
        self.sent += events

    def number(self) -> int:
        """Of the next event."""
        return next(self._numbers)

    def drop(self) -> None:
        """The connection is closed, and with it the last answer was lost: what it was for is sent again."""
        self._queue[:0] = self.sent[-1:]
        self._renew = True

    async def freeze(self) -> None:
        """A connection stays open in the middle of a request; another one is made."""
        _, writer = await asyncio.open_connection("127.0.0.1", int(self._url.rpartition(":")[2]))
        body = b"[" + b" " * 1000
        lines = [f"{name}: {value}" for name, value in signed(body).items()]
        head = "\r\n".join(["POST /v1/posts HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *lines, "", ""])
        writer.write(head.encode() + body[:100])
        await writer.drain()
        self._frozen.append(writer)
        self._renew = True

    async def post(self, body: bytes, content_type: str = BATCH) -> int:
        """One request of its own; the status of the answer. Tried until there is one."""
        while True:
            with suppress(aiohttp.ClientError, OSError):
                async with aiohttp.ClientSession() as client, client.post(
                        f"{self._url}/v1/posts", data=io.BytesIO(body),
                        headers=signed(body, content_type=content_type)) as answer:
                    return answer.status
            await asyncio.sleep(0.02)

    async def run(self) -> None:
        """Until it is cancelled."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        try:
            while True:
                self._renew = False
                with suppress(aiohttp.ClientError, OSError):
                    async with aiohttp.ClientSession(trace_configs=[trace]) as client:
                        await self._talk(client)
                await asyncio.sleep(0.02)
        finally:
            for writer in self._frozen:
                writer.close()

    async def _connected(self, *_: Any) -> None:
        self._is_fresh = True

    async def _talk(self, client: aiohttp.ClientSession) -> None:
        while not self._renew:
            if self._queue:
                events = self._queue[:100]
                body = b"[" + b",".join(events) + b"]"
                async with client.post(f"{self._url}/v1/posts", data=body, headers=signed(body)) as answer:
                    accepted = answer.status == 202
                if accepted:
                    del self._queue[:len(events)]
            else:
                async with client.get(f"{self._url}/healthz") as answer:
                    accepted = answer.status == 200
            if accepted and self._is_fresh:
                self._is_fresh = False
                self.connections += 1
            await asyncio.sleep(0.01)


def line(one: Any) -> bytes:
    """An event as bytes."""
    return json.dumps(one).encode()
