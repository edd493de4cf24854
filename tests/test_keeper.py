"""The keeper delivers blocks whole or not at all, and gives back the newest."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from streams.agents.keeper import Keeper
from streams.heart.block import Block
from tests.blocks import Blocks
from tests.test_block import block


class Tally:
    """What was counted."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def block_written(self, partition: int, watermark_ms: int, took_s: float) -> None:
        assert took_s >= 0
        self.said.append(("written", partition, watermark_ms))

    def block_taken(self, partition: int, watermark_ms: int) -> None:
        self.said.append(("taken", partition, watermark_ms))

    def block_failed(self) -> None:
        self.said.append(("failed",))

    def block_passed_over(self, reason: str) -> None:
        self.said.append((reason,))

    def blocks_keep(self, partitions: Any) -> None:
        self.said.append(("keep", *sorted(partitions)))


async def ends() -> dict[int, int]:
    """Where the log ends."""
    return {2: 10**9}


class Stage:
    """A topic, and keepers that come and go."""

    def __init__(self) -> None:
        self.topic, self.tally = Blocks(4), Tally()

    async def keeper(self) -> tuple[Keeper, dict[int, Block]]:
        """A new one that owns partition 2, and what it finds."""
        keeper = Keeper(self.topic, 4, self.tally, lambda _: asyncio.sleep(0))
        return keeper, await keeper.recall([2], ends, lambda: True)

    async def written(self, keeper: Keeper, *blocks: Block) -> None:
        """Has these written, one after the other, as far as it goes."""
        working = asyncio.create_task(keeper.work())
        for one in blocks:
            keeper.put([one])
            for _ in range(200):
                await asyncio.sleep(0.001)
                if ("written", 2, one.watermark_ms) in self.tally.said or ("failed",) in self.tally.said:
                    break
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_what_is_put_is_recalled() -> None:
    """By whoever comes next; and it is counted."""
    async def work() -> None:
        stage = Stage()
        keeper, none = await stage.keeper()
        assert none == {}
        await stage.written(keeper, block(1, minutes=10), block(2, minutes=20))
        _, found = await stage.keeper()
        assert found[2].position == 200
        assert stage.tally.said == [("written", 2, block(1).watermark_ms), ("written", 2, block(2).watermark_ms),
                                    ("taken", 2, block(2).watermark_ms)]

    run(work())


def test_the_manifest_comes_last_and_then_what_is_replaced_goes() -> None:
    """In this order, whatever fails on the way: each record is tried until it is delivered."""
    async def work() -> None:
        stage = Stage()
        keeper, _ = await stage.keeper()
        stage.topic.fails = 5
        await stage.written(keeper, *(block(number, minutes=10) for number in range(1, 6)))
        kinds = ["gone" if value is None else key.split(b"/")[1].decode() for _, key, value in stage.topic.sent]
        first = ["sums", "state", "manifest"]
        assert kinds == [*first, *first[1:] * 3, "gone", "gone", *first[1:], "gone", "gone"]

    run(work())


def test_who_dies_in_the_middle_leaves_the_block_before() -> None:
    """A part of a block is none."""
    async def work() -> None:
        for dies_after in range(3):
            stage = Stage()
            keeper, _ = await stage.keeper()
            await stage.written(keeper, block(1, minutes=10))
            stage.topic.dies_after = dies_after
            await stage.written(keeper, block(2, minutes=20))
            stage.topic.dies_after = None
            _, found = await stage.keeper()
            assert found[2].position == 100

    run(work())


def test_a_partition_that_goes_takes_its_block_along() -> None:
    """What is not finished then is given up, and what is put later is not written."""
    async def work() -> None:
        stage = Stage()
        keeper, _ = await stage.keeper()
        stage.topic.dies_after = 1
        working = asyncio.create_task(keeper.work())
        keeper.put([block(1, minutes=10)])
        while not stage.topic.sent:
            await asyncio.sleep(0.001)
        keeper.keep([])
        while ("failed",) not in stage.tally.said:
            await asyncio.sleep(0.001)
        stage.topic.dies_after = None
        keeper.put([block(2)])
        await asyncio.sleep(0.01)
        working.cancel()
        assert "manifest" not in stage.topic.kinds(2)

    run(work())


def test_of_blocks_that_wait_the_newest_is_written() -> None:
    """While Kafka is slow, one of each partition waits at most."""
    async def work() -> None:
        stage = Stage()
        keeper, _ = await stage.keeper()
        for number in (1, 2, 3):
            keeper.put([block(number)])
        await stage.written(keeper, block(4))
        assert [said for said in stage.tally.said if said[0] == "written"] == [("written", 2, block(4).watermark_ms)]

    run(work())


def test_a_block_stands_when_the_steps_before_it_are_told() -> None:
    """Who goes on from it makes later ones alone: without its manifest nobody does."""
    async def work() -> None:
        stage = Stage()
        keeper, _ = await stage.keeper()
        told = False
        working = asyncio.create_task(keeper.work())
        keeper.put([block(1)], lambda: told)
        while stage.topic.kinds(2) != ["state"]:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert stage.topic.kinds(2) == ["state"]
        told = True
        while "manifest" not in stage.topic.kinds(2):
            await asyncio.sleep(0.001)
        keeper.put([block(2)], lambda: False)
        await asyncio.sleep(0.01)
        keeper.keep([])
        while ("failed",) not in stage.tally.said:
            await asyncio.sleep(0.001)
        working.cancel()

    run(work())


def test_who_is_not_wanted_any_more_recalls_nothing() -> None:
    """The assignment changed while it read."""
    async def work() -> None:
        stage = Stage()
        keeper, _ = await stage.keeper()
        await stage.written(keeper, block(1))
        assert await Keeper(stage.topic, 4, stage.tally).recall([2], ends, lambda: False) == {}

    run(work())


def test_a_newer_block_that_cannot_be_read_is_said_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Which partition, and why."""
    async def work() -> None:
        stage = Stage()
        keeper, _ = await stage.keeper()
        await stage.written(keeper, block(1), block(2))
        del stage.topic.of[2][max(key for key in stage.topic.of[2] if b"/state/" in key)]
        _, found = await stage.keeper()
        assert found[2].position == 100
        assert ("torn",) in stage.tally.said

    run(work())
    assert "partition 2: a block was passed over: torn" in caplog.text


def test_where_the_log_ends_is_asked_after_the_blocks_are_read() -> None:
    """A zombie may write one while we look: it would seem to lie beyond the end, and be of another log."""
    async def work() -> None:
        stage = Stage()
        keeper, _ = await stage.keeper()
        await stage.written(keeper, block(2))
        log = 100

        def grow() -> bool:
            nonlocal log
            log = 250  # while the topic of blocks is read
            return True

        async def end() -> dict[int, int]:
            return {2: log}

        assert (await Keeper(stage.topic, 4, stage.tally).recall([2], end, grow))[2].position == 200

    run(work())


def test_a_block_that_cannot_be_delivered_gives_way_to_a_newer_one() -> None:
    """And to those of other partitions: one without a leader holds up nobody."""
    async def work() -> None:
        stage = Stage()
        keeper = Keeper(stage.topic, 4, stage.tally, lambda _: asyncio.sleep(0))

        async def both() -> dict[int, int]:
            return {1: 10**9, 2: 10**9}

        await keeper.recall([1, 2], both, lambda: True)
        stage.topic.dies_after = 0
        working = asyncio.create_task(keeper.work())
        keeper.put([block(1)])
        await asyncio.sleep(0.01)
        keeper.put([block(1, partition=1), block(2)])
        while ("failed",) not in stage.tally.said:
            await asyncio.sleep(0.001)
        stage.topic.dies_after = None
        while len([one for one in stage.tally.said if one[0] == "written"]) < 2:
            await asyncio.sleep(0.001)
        working.cancel()

    run(work())
