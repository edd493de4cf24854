"""The counting worker between a group and a log: nothing is lost where one way of reading ends and the other begins."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest

from streams.agents import pulse as module
from streams.agents import ward
from streams.agents.keeper import Keeper
from streams.agents.pulse import Ears, Page, Pulse
from streams.agents.ward import Ward
from streams.clock import Clock
from streams.heart.errors import BrokenPromise, LostBroker
from streams.heart.incident import Step, Swing
from streams.heart.tracker import AGAIN_MS, Times
from streams.metrics import Figures, Metrics, PulseCollector
from streams.replay import Chunk
from streams.serve import Health
from tests.blocks import Blocks
from tests.frames import Mentions
from tests.test_swings_edge import swing
from tests.test_ward import Telling

NOW_MS = 1_795_586_400_000
BRANDS = [f"brand-{number}" for number in range(12)]
PARTITIONS = 4


class Time:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


class Log:
    """A mentions log in memory, with a group's positions beside it."""

    def __init__(self) -> None:
        self.mentions = Mentions(BRANDS, PARTITIONS)
        self.frames: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
        self.positions: dict[int, int] = {}
        self.fails: list[Exception] = []
        self.refusals = 0
        self.reads: list[set[int]] = []
        self.meanwhile: Callable[[], None] = lambda: None  # happens in the middle of a read-back

    def say(self, count: int, times: int = 1) -> None:
        """`count` mentions, `times` over."""
        for _ in range(times):
            for partition, frame in self.mentions.frames(count, NOW_MS + 100 * len(self.frames[0])).items():
                self.frames[partition].append(frame)

    def watermark_ms(self) -> int:
        """How far time has come by what is written."""
        return NOW_MS + 100 * (len(self.frames[0]) - 1) - 2000

    async def bounds(self, partitions: Collection[int]) -> dict[int, tuple[int, int]]:
        return {partition: (0, len(self.frames[partition])) for partition in partitions}

    async def read_back(self, starts: Mapping[int, int], wanted: Callable[[], bool]) -> AsyncIterator[Chunk]:
        self.reads.append(set(starts))
        for partition, start in starts.items():
            frames = tuple(self.frames[partition][start:])
            yield Chunk(partition, frames[:1], start + len(frames[:1]), len(frames) < 2)
            if len(frames) > 1:
                if self.fails:
                    raise self.fails.pop()
                self.meanwhile()
                if not wanted():
                    return
                yield Chunk(partition, frames[1:], start + len(frames), True)

    async def commit(self, positions: Mapping[int, int]) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        self.positions.update(positions)
        return True


class Event:
    """A frame's acknowledgement."""

    def __init__(self, acked: list[tuple[int, int]], at: tuple[int, int]) -> None:
        self._acked, self._at = acked, at

    def ack(self) -> bool:
        self._acked.append(self._at)
        return True


class Worker:
    """A counting worker without Kafka, and what the group reads for it."""

    def __init__(self, log: Log, now_ms: int = NOW_MS) -> None:
        self.log, self.time = log, Time()
        clock = Clock(wall=lambda: now_ms / 1000)
        self.metrics = Metrics(BRANDS, ["demo"], clock)
        self.health = Health("recovery")
        self.figures = Figures(10.0, now=self.time)
        self.metrics.registry.register(PulseCollector(self.figures, self.metrics.listed, clock))
        page = Page(self.metrics, self.health, self.figures)
        self.cpu = Time()
        self.told: list[tuple[Swing, int]] = []
        self.blocks = Blocks(PARTITIONS)
        self.keeper = Keeper(self.blocks, PARTITIONS, self.metrics)
        self.pulse = Pulse(Ward(PARTITIONS, Times(), BRANDS), page, self.keeper, Ears(self._tell), self.time, self.cpu)
        self.acked: list[tuple[int, int]] = []

    def _tell(self, steps: Sequence[Swing], since_ms: int) -> None:
        self.told += [(step, since_ms) for step in steps]

    async def assign(self, *partitions: int) -> None:
        """An assignment, as Faust tells it: revoked, assigned, complete."""
        self.pulse.revoked()
        self.pulse.assigned(partitions)
        await self.pulse.catch_up(self.log)

    def read(self) -> None:
        """The group reads on, from its positions, what is ours."""
        for partition in self.pulse.hands.next:
            for offset in range(self.log.positions[partition], len(self.log.frames[partition])):
                event = Event(self.acked, (partition, offset))
                self.pulse.hands.take(partition, offset, self.log.frames[partition][offset], event, self.time())
                self.log.positions[partition] = offset + 1

    async def work(self) -> None:
        """Applies all that is in hand, and reads."""
        while await self.pulse.apply():
            pass
        await self.pulse.read()

    def shown(self) -> dict[str, int]:
        """Brand -> mentions of the last day."""
        readings = [one for shown in self.figures.now().values() for of in shown.readings.values() for one in of]
        return {reading.brand: reading.mentions for reading in readings if reading.window == "24h"}

    def says(self, series: str) -> float:
        """The sum of a metric's series."""
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


@pytest.fixture
def log() -> Log:
    log = Log()
    log.say(30, times=5)
    return log


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)


def test_live_reading_goes_on_where_reading_back_ended(log: Log) -> None:
    """What is written before, during and after an assignment is counted, each mention once."""

    async def work() -> None:
        worker = Worker(log)
        log.meanwhile = lambda: log.say(5)
        await worker.assign(*range(PARTITIONS))
        assert worker.health.ready
        log.say(30, times=3)
        worker.read()
        await worker.work()
        assert worker.shown() == {brand: log.mentions.said[brand] for brand in BRANDS}
        assert worker.says('denyut_mention_rows_total{outcome="duplicate"}') == 0

    run(work())


def test_the_past_is_shown_and_no_counter_counts_it(log: Log) -> None:
    """After recovery the figures are whole; counters are there at 0 and count what comes live."""

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(*range(PARTITIONS))
        assert sum(worker.shown().values()) == 150
        assert worker.says("denyut_mentions_total") == 0
        assert worker.says("denyut_recovery_seconds_count") == 1
        log.say(30)
        worker.read()
        await worker.work()
        assert worker.says("denyut_mentions_total") == 30
        assert worker.says("denyut_post_to_metric_seconds_count") == 30

    run(work())


def test_a_partition_that_stays_is_not_read_back(log: Log) -> None:
    """It goes on from where it is, in hand as applied, though another worker moved the group's position meanwhile."""

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(0, 1)
        log.say(30, times=2)
        worker.read()  # in hand, not applied
        log.say(30)
        log.positions = dict.fromkeys(range(PARTITIONS), len(log.frames[0]))
        await worker.assign(1, 2)
        worker.read()
        await worker.work()
        assert log.reads == [{0, 1}, {2}]
        assert worker.shown() == {brand: log.mentions.said[brand] for of in (1, 2) for brand in log.mentions.of(of)}

    run(work())


def test_a_lost_partition_is_gone_at_once(log: Log) -> None:
    """Its figures go with the assignment, before anything is read back."""

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(0, 1)
        worker.pulse.revoked()
        assert set(worker.shown()) == {*log.mentions.of(0), *log.mentions.of(1)}
        worker.pulse.assigned([1, 2])
        assert set(worker.shown()) == set(log.mentions.of(1))
        assert not worker.health.ready
        assert worker.says("denyut_partitions") == 2

    run(work())


def test_an_assignment_in_the_middle_of_reading_back_begins_anew(log: Log) -> None:
    """What was half read is dropped, and the next call reads what is ours then, from the beginning."""

    async def work() -> None:
        worker = Worker(log)

        def changed() -> None:
            log.meanwhile = lambda: None
            worker.pulse.revoked()
            worker.pulse.assigned([1])

        log.meanwhile = changed
        await worker.assign(0, 1)
        assert not worker.health.ready
        assert not log.positions
        await worker.pulse.catch_up(log)
        assert worker.shown() == {brand: log.mentions.said[brand] for brand in log.mentions.of(1)}
        assert log.positions == {1: 5}

    run(work())


def test_nothing_is_read_on_while_the_assignment_changes(log: Log) -> None:
    """Between the loss of the old one and the new one others may go on with what is no longer ours."""

    async def work() -> None:
        worker = Worker(log)

        def changed() -> None:
            log.meanwhile = lambda: None
            worker.pulse.revoked()

        log.meanwhile = changed
        reading = asyncio.ensure_future(worker.assign(0, 1))
        await asyncio.wait({reading}, timeout=0.2)
        assert not reading.done()
        worker.pulse.assigned([1])
        await asyncio.wait_for(reading, 5)
        assert not worker.health.ready

    run(work())


def test_a_partition_that_went_and_came_between_two_calls_is_read_back(log: Log) -> None:
    """Others have counted it in between; what we knew of it is not enough."""

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(0)
        worker.pulse.assigned([])
        log.say(30)
        worker.pulse.assigned([0])
        await worker.pulse.read()
        assert not worker.shown()
        await worker.assign(0)
        assert worker.shown() == {brand: log.mentions.said[brand] for brand in log.mentions.of(0)}

    run(work())


def test_a_lost_broker_is_tried_again(log: Log) -> None:
    """Half a partition read twice is no partition read wrong; a position that is refused is set again."""

    async def work() -> None:
        log.fails, log.refusals = [LostBroker("gone"), LostBroker("gone")], 2
        worker = Worker(log)
        await worker.assign(*range(PARTITIONS))
        assert worker.shown() == {brand: log.mentions.said[brand] for brand in BRANDS}
        assert log.positions == dict.fromkeys(range(PARTITIONS), 5)

    run(work())


def test_a_torn_frame_stops_the_worker(log: Log) -> None:
    """In the log that is read back, and live."""

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(1)
        log.frames[1].append(b"DNYT torn")
        worker.read()
        with pytest.raises(BrokenPromise):
            await worker.work()
        with pytest.raises(BrokenPromise):
            await Worker(log).assign(1)

    run(work())


def test_frames_are_acked_in_order_once_they_are_applied(log: Log) -> None:
    """Per partition by offset, and not before."""

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(0, 1)
        log.say(30, times=2)
        worker.read()
        assert not worker.acked
        assert worker.says("denyut_oldest_unacked_seconds") == 0
        worker.time.at += 3
        assert worker.says("denyut_oldest_unacked_seconds") == 3
        await worker.pulse.apply()
        assert worker.acked == [(0, 5), (0, 6), (1, 5), (1, 6)]
        assert worker.says("denyut_oldest_unacked_seconds") == 0

    run(work())


@pytest.mark.parametrize(("cost_s", "waits_s"), [(0.01, 1.0), (0.5, 5.0)])
def test_readings_are_made_once_a_second_and_in_a_tenth_of_the_time(log: Log, cost_s: float, waits_s: float) -> None:
    """The next one is made no sooner than a second after the last, nor than ten times its cost."""

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(0)
        shown = worker.pulse.ward.shown

        def slow() -> Any:
            worker.cpu.at += cost_s
            return shown()

        worker.pulse.ward.shown = slow  # type: ignore[method-assign]
        began = worker.time.at
        await worker.pulse.read()
        assert worker.pulse.read_at_s == pytest.approx(began + waits_s)

    run(work())


def test_a_brand_that_the_file_does_not_have_makes_the_worker_unready() -> None:
    """It is counted without a name, and shown as soon as the newer file is there."""

    async def work() -> None:
        log = Log()
        worker = Worker(log)
        worker.pulse = Pulse(
            Ward(PARTITIONS, Times(), BRANDS[:-1]),
            Page(Metrics(BRANDS[:-1], ["demo"], Clock()), worker.health, worker.figures),
            worker.keeper,
            now=worker.time,
        )
        await worker.assign(*range(PARTITIONS))
        log.say(60)
        worker.read()
        await worker.work()
        assert list(worker.health.missing()) == ["brands"]
        await worker.pulse.renew(BRANDS)
        assert worker.health.ready
        assert worker.shown() == {brand: log.mentions.said[brand] for brand in BRANDS}

    run(work())


class Story:
    """What every tracker of a partition will tell as it settles: the past in one step, then a step at each settling."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: Swing) -> None:
        left = list(steps)

        class Next(Telling):
            def settle(self) -> Any:
                if left:
                    self.tell(left.pop(0))
                return super().settle()

        monkeypatch.setattr(ward, "Tracker", Next)


def test_a_swing_is_told_and_counted_when_it_opens(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """In live reading; its severity is on the page from then on, and not that of a replay."""
    brand = log.mentions.of(0)[0]
    opened, risen = swing(brand), swing(brand, 2, Step.RISEN, severity=3)
    other = swing(log.mentions.of(0)[1], state=Step.CLOSED)
    Story(monkeypatch, other, opened, risen)

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(0)
        severity = f'denyut_swing_severity{{brand="{brand}",direction="down"}}'
        for steps, shown in (([opened], 2), ([opened, risen], 3)):
            log.say(30)
            worker.read()
            await worker.work()
            assert [step for step, _ in worker.told[1:]] == steps
            assert worker.says(severity) == shown
        assert {since_ms for _, since_ms in worker.told[1:]} == {0}
        assert worker.says("denyut_swings_total") == 1
        assert worker.pulse.is_mine(brand)
        assert await worker.pulse.evidence(opened) == ((), (), 0)
        worker.pulse.assigned([])
        assert not worker.pulse.is_mine(brand)

    run(work())


def test_the_past_s_swings_are_told_again_and_alert_nobody(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """No counter moves; what opened more than an hour before the log's time is not explained anew."""
    brand = log.mentions.of(0)[0]
    opened = swing(brand)
    Story(monkeypatch, opened)

    async def work() -> None:
        worker = Worker(log)
        await worker.assign(0)
        hour_ago_ms = log.watermark_ms() - AGAIN_MS
        assert worker.told == [(opened, hour_ago_ms)]
        assert worker.says("denyut_swings_total") == 0
        assert worker.says("denyut_swing_severity") == 2

    run(work())


def test_a_swing_of_yesterday_is_not_on_the_page(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the log's time is far behind the clock a severity is what it was; after an assignment it is none."""
    Story(monkeypatch, swing(log.mentions.of(0)[0]))

    async def work() -> None:
        worker = Worker(log, now_ms=NOW_MS + 600_000)
        await worker.assign(0)
        assert worker.says("denyut_replaying") > 0
        assert worker.says("denyut_swing_severity") == 0

    run(work())
