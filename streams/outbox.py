"""Outbox: frames and rejects on their way to Kafka, each awaited until it is delivered.

To one mentions partition a frame goes out only when the one before it is confirmed: a mark says that everything before
it has arrived. Partitions go in parallel. What fails is sent again for as long as the work is still ours; a frame that
arrives twice is free, since rows are joined by identity.
A reject holds coordinates and a reason, never what the record said.
Knows nothing of posts, batches, assignments or Faust's streams.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from streams.heart.errors import BrokenPromise, LostBroker
from streams.heart.frame import Frame, pack, unpack, used
from streams.heart.intake import Reject
from streams.heart.pane import Rows

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
SAY_S = 10.0
AT_ONCE = 256  # rejects that wait for delivery together
log = logging.getLogger("denyut.outbox")


class Sender(Protocol):
    """The door to Kafka. Its fake is in tests/test_outbox.py."""

    async def send(self, topic: str, value: bytes, partition: int | None) -> None:
        """Returns once the record is delivered.

        Raises `LostBroker` (another try may do) or `BrokenPromise` (none will).
        """


class Outbox:
    """Delivers batches. `most_bytes`: a frame above it goes out in pieces; `pause` waits between two tries, seconds."""

    def __init__(
        self, sender: Sender, prefix: str, most_bytes: int, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._sender = sender
        self._mentions, self._rejects = f"{prefix}.mentions", f"{prefix}.rejects"
        self._most_bytes = most_bytes
        self._pause = pause
        self._said_s = float("-inf")

    async def deliver(self, frames: Mapping[int, bytes], rejects: Sequence[Reject], wanted: Callable[[], bool]) -> bool:
        """Sends all of a batch. True: all is delivered. False: it was not, and `wanted()` said that it need not be.

        Raises `BrokenPromise` for a record that Kafka will never take.
        """
        chains = [self._chain(partition, frame, wanted) for partition, frame in frames.items()]
        return all(await asyncio.gather(*chains, self._send_rejects(rejects, wanted)))

    async def _chain(self, partition: int, frame: bytes, wanted: Callable[[], bool]) -> bool:
        for piece in pieces(frame, self._most_bytes):
            if not await self._send(self._mentions, piece, partition, wanted):
                return False
        return True

    async def _send_rejects(self, rejects: Sequence[Reject], wanted: Callable[[], bool]) -> bool:
        for start in range(0, len(rejects), AT_ONCE):
            some = [self._send(self._rejects, coordinates(r), None, wanted) for r in rejects[start:start + AT_ONCE]]
            if not all(await asyncio.gather(*some)):
                return False
        return True

    async def _send(self, topic: str, value: bytes, partition: int | None, wanted: Callable[[], bool]) -> bool:
        def lost(error: LostBroker) -> None:
            self._say(topic, error)

        return await insist(lambda: self._sender.send(topic, value, partition), wanted, lost, self._pause)

    def _say(self, topic: str, error: LostBroker) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s > SAY_S:
            self._said_s = now_s
            log.warning("a record for %s was not delivered (%s); trying again", topic, error)


async def insist(
    send: Callable[[], Awaitable[None]], wanted: Callable[[], bool], lost: Callable[[LostBroker], None],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> bool:
    """Sends until it is delivered: True; or until it has failed (`lost` hears of it) and need not be: False."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await send()
        except LostBroker as error:
            lost(error)
        else:
            return True
        if not wanted():
            return False
        await pause(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def coordinates(reject: Reject) -> bytes:
    """A reject on the wire.

    >>> from streams.heart.errors import Reason
    >>> coordinates(Reject(3, 17, 1795586400000, Reason.NOT_JSON, ""))
    b'{"reason":"not_json","partition":3,"offset":17,"arrival":1795586400000}'
    """
    where = {"partition": reject.partition, "offset": reject.offset, "arrival": reject.arrival_ms}
    return msgspec.json.encode({"reason": str(reject.reason), **where})


def pieces(data: bytes, most_bytes: int) -> list[bytes]:
    """A frame as frames of at most about `most_bytes`, to be sent in this order: only the last one bears the marks."""
    if len(data) <= most_bytes:
        return [data]
    frame = unpack(data)
    if max(len(frame.rows), len(frame.floors)) < 2:
        return [data]
    row, floor = len(frame.rows) // 2, len(frame.floors) // 2
    first = _part(frame, frame.rows[:row], frame.floors[:floor])
    last = msgspec.structs.replace(
        _part(frame, frame.rows[row:], frame.floors[floor:]), marks=frame.marks, health=frame.health)
    return pieces(pack(first), most_bytes) + pieces(pack(last), most_bytes)


def _part(frame: Frame, rows: Rows, floors: Rows) -> Frame:
    """Some rows and floors of a frame with the names they use; no marks."""
    rows = rows.copy()
    names = {}
    for kind in frame.names.__struct_fields__:
        rows[kind], names[kind] = used(rows[kind], getattr(frame.names, kind))
    return Frame(msgspec.structs.replace(frame.names, **names), rows, floors)


class FaustSender:
    """Sends through the producer of a Faust app, past its own futures: they only log what fails."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def send(self, topic: str, value: bytes | None, partition: int | None, key: bytes | None = None) -> None:
        """See `Sender`; with a key, Kafka's own hash of it chooses the partition where none is given."""
        from aiokafka.errors import KafkaError, MessageSizeTooLargeError
        from faust.exceptions import FaustError

        try:
            await (await self._app.producer.send(topic, key, value, partition, None, None))
        except (KafkaError, FaustError, OSError, TimeoutError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, MessageSizeTooLargeError):
                raise BrokenPromise(f"a record of {len(value or b'')} bytes is more than {topic} takes: "
                                    f"is its max.message.bytes below what `denyut topics --create` sets?") from error
            raise LostBroker(type(cause).__name__) from error
