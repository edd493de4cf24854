"""Keeper: the edge that keeps blocks. What a worker has sealed goes to `denyut.blocks`, and comes back after a restart.

    recall   an assignment: the topic is read, partition by partition, and the newest block that is whole is taken
    put      a block was made: its records are delivered one after the other, the manifest last, and not before the
             steps of swings that were told till then: who goes on from the block makes only later ones. Then what
             newer blocks have replaced is dropped

Neither holds up the counting: blocks are written by a task of its own, one at a time; of a partition the newest waits.
A block that is never finished is none: without its manifest nobody looks at it.
Knows nothing of what is in a block, or of assignments.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from streams.heart.block import Block, Found, Shelf
from streams.heart.errors import LostBroker
from streams.outbox import SAY_S, insist
from streams.replay import Chunk

TOLD_S = 0.2  # between two looks whether steps are told
log = logging.getLogger("denyut.blocks")


class Topic(Protocol):
    """The topic of blocks: `streams.agents.pulse.Blocks`."""

    def read(self, partitions: Collection[int], wanted: Callable[[], bool]) -> AsyncIterator[Chunk]:
        """Every record that stands in these partitions. Raises `LostBroker`."""

    async def send(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Returns once the record is delivered. Raises `LostBroker` (another try may do)."""


class Tally(Protocol):
    """What counts: `streams.metrics.Metrics`."""

    def block_written(self, partition: int, watermark_ms: int, took_s: float) -> None: ...
    def block_taken(self, partition: int, watermark_ms: int) -> None: ...
    def block_failed(self) -> None: ...
    def block_passed_over(self, reason: str) -> None: ...
    def blocks_keep(self, partitions: Collection[int]) -> None: ...


class _Waiting(NamedTuple):
    block: Block
    is_told: Callable[[], bool]
    since_s: float


class Keeper:
    """The blocks of this worker's partitions. Lives on one event loop."""

    def __init__(
        self, topic: Topic, partitions: int, tally: Tally, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._topic = topic
        self._partitions = partitions
        self._tally = tally
        self._pause = pause
        self._writer = secrets.token_hex(6)  # nobody else's, not even this worker's before its restart
        self._shelves: dict[int, Shelf] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._wake = asyncio.Event()
        self._said_s = float("-inf")

    def keep(self, mine: Collection[int]) -> None:
        """Only of these partitions are blocks written from now on."""
        for partition in self._shelves.keys() - frozenset(mine):
            del self._shelves[partition]
            self._waiting.pop(partition, None)
        self._tally.blocks_keep(mine)

    async def recall(self, partitions: Collection[int], ends: Callable[[], Awaitable[Mapping[int, int]]],
                     wanted: Callable[[], bool]) -> dict[int, Block]:
        """The newest whole block of each of these partitions, where there is one. `ends` tells where their logs end;
        it is asked after the blocks are read, or one that was just written might lie beyond.

        Gives up, with what it has, when `wanted()` turns False. Raises `LostBroker`; `BadSetting` where there are
        blocks and none can be read.
        """
        shelves = {partition: Shelf(partition, self._writer) for partition in partitions}
        async for chunk in self._topic.read(partitions, wanted):
            for key, value in zip(chunk.keys, chunk.values, strict=True):
                shelves[chunk.partition].put(key, value)
        until = await ends()
        out: dict[int, Block] = {}
        for partition, shelf in shelves.items():
            if not wanted():
                break
            found = await asyncio.to_thread(shelf.newest, self._partitions, until[partition])
            if not wanted():
                break
            self._shelves[partition] = shelf
            self._say(partition, found)
            if found.block is not None:
                out[partition] = found.block
        return out

    def _say(self, partition: int, found: Found) -> None:
        for reason in found.passed_over:
            log.warning("partition %d: a block was passed over: %s", partition, reason)
            self._tally.block_passed_over(reason)
        if found.block is not None:
            self._tally.block_taken(partition, found.block.watermark_ms)

    def put(self, blocks: Iterable[Block], is_told: Callable[[], bool] = lambda: True) -> None:
        """These are to be written; of a partition whose last one still waits, this one instead. `is_told`: whether the
        steps that were made before them are delivered.
        """
        for block in blocks:
            if block.partition in self._shelves:
                self._waiting[block.partition] = _Waiting(block, is_told, time.monotonic())
                self._wake.set()

    async def work(self) -> None:
        """Writes for ever. Raises `BrokenPromise` for a record that Kafka will never take."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                partition = next(iter(self._waiting))
                waiting, shelf = self._waiting.pop(partition), self._shelves[partition]
                if await self._write(waiting, shelf):
                    self._tally.block_written(partition, waiting.block.watermark_ms, time.monotonic() - waiting.since_s)
                else:
                    self._tally.block_failed()

    async def _write(self, waiting: _Waiting, shelf: Shelf) -> bool:
        block = waiting.block
        *parts, manifest = records = await asyncio.to_thread(shelf.records, block)
        for key, value in parts:
            if not await self._send(block.partition, shelf, key, value):
                return False
        while not waiting.is_told():
            if self._shelves.get(block.partition) is not shelf:
                return False
            await self._pause(TOLD_S)
        if not await self._send(block.partition, shelf, *manifest):
            return False
        gone = shelf.wrote(records)
        for key in gone:
            if not await self._send(block.partition, shelf, key, None):
                return True  # the block stands; who comes after drops the rest
        shelf.dropped(gone)
        return True

    async def _send(self, partition: int, shelf: Shelf, key: bytes, value: bytes | None) -> bool:
        def wanted() -> bool:
            """Once it has failed: a newer block of this partition is as good, and others wait as well."""
            return self._shelves.get(partition) is shelf and partition not in self._waiting

        if self._shelves.get(partition) is not shelf:
            return False
        return await insist(lambda: self._topic.send(partition, key, value), wanted, self._lost, self._pause)

    def _lost(self, error: LostBroker) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s > SAY_S:
            self._said_s = now_s
            log.warning("a record of a block was not delivered (%s); trying again", error)
