"""Storm: one run. Broker, crew and speaker begin; faults come by the schedule; all comes to rest; the truth is told.

One thread, the caller's, does everything that faults do: what is due stands in a heap. It is also the thread that the
broker lives with. The speaker has a thread of its own, and so has whoever watches the pages.
"""

import heapq
import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from kafka import KafkaProducer

from streams.clock import Clock
from streams.demo import compare
from streams.heart.incident import Swing
from streams.heart.intake import Limits
from streams.heart.pane import PANE_MS
from streams.heart.tracker import Times
from streams.heart.watermark import GUARD_MS
from streams.heart.window import Reading
from streams.settings import Settings
from streams.sources.public import SOURCE, START_MS
from streams.topics import create
from tests import slow_minute
from tests.faults.kafka import Kafka
from tests.faults.storm import mischief, truth
from tests.faults.storm.crew import Crew, State, Worker
from tests.faults.storm.flawed import FLAG
from tests.faults.storm.mischief import Moment, Sent
from tests.faults.storm.schedule import AT_FIRST, BROKERS, SCALE, SESSION_S, USUAL, Fault, Kind, schedule
from tests.faults.storm.soak import Memory, leaks, summary
from tests.faults.storm.speaker import MIN_MS, Pace, Speaker

PARTITIONS = 6
BEGIN_MIN = 8.0
END = 0.97  # no fault in the last share of a run
LOOK_S = 0.4
AGAIN_S = 0.5
STEP_S = 0.1
STOP_S = 45.0  # a worker that is told to stop has 10 s; a machine with other work needs longer
REST_S = 120.0  # without a step forward
SHOW_S = 90.0
KEPT_MS = 30 * 3_600_000  # of the posts: a day, the hours of its first votes, and what those rest on
STEADY_S = 600.0  # a soak's memory is looked at from here on: a day of the public has filled every window
ZOMBIES = 40  # frames that are written again


class Plan(NamedTuple):
    """One run: the seed of everything, and the faults."""

    seed: str
    faults: tuple[Fault, ...]
    pace: Pace = Pace()
    named: bool = False  # counting workers have names of their own in their group
    purge: bool = False  # most of what was said in the crisis is removed

    @classmethod
    def of(cls, seed: str, faults: int, pace: Pace | None = None, kinds: Iterable[Kind] = USUAL) -> "Plan":
        """The run of a seed."""
        pace = pace or Pace()
        span, rng = (BEGIN_MIN, max(END * pace.minutes, pace.minutes - 20.0)), Random(f"plan {seed}")
        return cls(seed, tuple(schedule(seed, faults, span, tuple(kinds))), pace, rng.random() < 0.5,
                   rng.random() < 0.5)


@dataclass
class Wait:
    """A fault whose traces are waited for: until time goes on again in every brand's figures, by a second of ours; and
    until they have reached what had been said when it came, whatever had piled up by then."""

    kind: str
    begun_s: float
    moved_ms: int
    said_ms: int
    took_s: float | None = None
    reached_s: float | None = None

    def see(self, low_ms: int) -> None:
        """The lowest watermark now."""
        since_s = round(time.monotonic() - self.begun_s, 1)
        if self.took_s is None and low_ms >= min(self.moved_ms, self.said_ms):
            self.took_s = since_s
        if self.reached_s is None and low_ms >= self.said_ms:
            self.reached_s = since_s


@dataclass
class Outcome:
    """What a run did, and what was wrong."""

    seed: str
    faults: Counter[str] = field(default_factory=Counter)
    posts: int = 0  # acknowledged records of the feed, ticks left out
    records: int = 0
    lost: int = 0  # acknowledged and not in the log, or in the log and not counted
    doubled: int = 0
    swings: int = 0  # steps that an undisturbed tracker makes
    steps: list[str] = field(default_factory=list)  # these
    false: int = 0
    missing: int = 0
    wrong: list[str] = field(default_factory=list)
    counted_again_s: dict[str, float] = field(default_factory=dict)  # the longest of each kind
    caught_up_s: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    memory: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of each role
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One line."""
        said = {name: value for name, value in vars(self).items() if name not in ("faults", "wrong")}
        return {**said, "faults": sum(self.faults.values()), "kinds": dict(sorted(self.faults.items())),
                "differences": len(self.wrong), "wrong": self.wrong[:20], "ok": not self.wrong}


class Storm:
    """A run. `play` it once, from a thread that stays.

    The broker must not compact: the truth is counted of every record, and a replay's records are old enough at once.
    """

    def __init__(self, kafka: Kafka, folder: Path, plan: Plan) -> None:
        self.kafka, self.plan = kafka, plan
        self.outcome = Outcome(plan.seed)
        self.settings = Settings(brokers=kafka.address, prefix=f"storm-{plan.seed.replace('/', '-')}",
                                 partitions=PARTITIONS, sources=(SOURCE,))
        self.brands = self.settings.read_brands()
        self._flag = folder / "the-model-fails"
        clock = Clock.public(START_MS, plan.pace.speed)
        environ = {"DENYUT_BROKERS": kafka.address, "DENYUT_PREFIX": self.settings.prefix, "DENYUT_SOURCES": SOURCE,
                   "DENYUT_CLOCK": str(clock), "DENYUT_SESSION_MS": f"{SESSION_S:.0f}s", "DENYUT_EFFORT": "fast",
                   FLAG: str(self._flag)}
        self.crew = Crew(environ, folder, named=plan.named)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._waits: list[Wait] = []
        self._low_ms = 0  # the highest that the lowest watermark was
        self._watching = threading.Event()
        self._broker_away = ExitStack()
        self._is_broker_away = False
        self._failing = 0  # model-down faults that go on
        self._zombies: list[threading.Thread] = []
        self.speaker: Speaker | None = None

    # The run.

    def play(self) -> Outcome:
        """Everything, from the topics to the verdict."""
        begun_s = time.monotonic()
        create(self.settings, replay=True)
        try:
            for role, number in AT_FIRST.items():
                for _ in range(number):
                    self.crew.add(role)
            self.speaker = Speaker(self.settings, int(Random(f"public {self.plan.seed}").random() * 10**6),
                                   self.plan.pace, purge=self.plan.purge)
            watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
            watcher.start()
            self.speaker.start()
            with Memory(self.crew) as memory:
                self._weather(self.speaker)
            self.outcome.memory = summary(memory.samples, STEADY_S)
            self.outcome.wrong += leaks(self.outcome.memory)
            self._rest(self.speaker)
            self._judge(self.speaker)
            self._watching.set()
            watcher.join(10.0)
            self._stop()
        finally:
            self._watching.set()
            self.crew.close()
            if self.speaker is not None:
                self.speaker.close()
        self._sum_up(begun_s)
        return self.outcome

    def _weather(self, speaker: Speaker) -> None:
        """Until all faults have come and gone, and all has been said."""
        left = list(self.plan.faults)
        while left or self._due or speaker.is_speaking:
            while left and (left[0].minute <= speaker.minute or not speaker.is_speaking):
                self._begin(left.pop(0))
            self._step()
        assert speaker.error is None, speaker.error
        for one in self._zombies:
            one.join(60.0)
            assert not one.is_alive(), "the frames that come again never came"

    def _step(self) -> None:
        """Does what is due."""
        self.crew.look()
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()
        time.sleep(STEP_S)

    def _in(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), what))

    def _rest(self, speaker: Speaker) -> None:
        """Until everything is delivered, scored and counted; however long it takes, if only it goes on."""
        assert speaker.feed.flush(REST_S), "the feed could not deliver"
        want = dict.fromkeys(self.brands.names, truth.Posts.of(self.settings, {}, 0).low_ms)
        marks, moved_s = self.crew.marks(), time.monotonic()
        while marks != want:
            self._until(lambda: False, LOOK_S)
            before, marks = marks, self.crew.marks()
            if marks != before:
                moved_s = time.monotonic()
            elif time.monotonic() - moved_s > REST_S:
                self.outcome.wrong.append(f"not all was counted, and nothing moved for {REST_S:.0f} s: {marks}, {want}")
                return

    def _until(self, holds: Callable[[], bool], most_s: float) -> bool:
        give_up_s = time.monotonic() + most_s
        while not holds():
            if time.monotonic() > give_up_s:
                return False
            self._step()
        return True

    # Faults.

    def _begin(self, fault: Fault) -> None:
        if (fault.kind in BROKERS or fault.beside in BROKERS) and self._is_broker_away:
            self._in(AGAIN_S, partial(self._begin, fault))  # it can go once
            return
        for number, kind in enumerate(filter(None, (fault.kind, fault.beside))):
            self._do(fault._replace(kind=kind, number=fault.number + number, beside=None))
        name = fault.kind.value if fault.beside is None else f"{fault.kind}+{fault.beside}"
        self.outcome.faults[fault.kind.value if fault.beside is None else Kind.PAIR.value] += 1
        assert self.speaker is not None
        self._waits.append(Wait(name, time.monotonic(), self._low_ms + int(1000 * self.plan.pace.speed),
                                self.speaker.now_ms - GUARD_MS))

    def _do(self, fault: Fault) -> None:
        kind = fault.kind
        role = kind.value.partition("-")[0]
        if kind in mischief.SENT:
            self._ask(kind, fault.number)
        elif kind is Kind.FRAMES_AGAIN:
            self._zombies.append(threading.Thread(target=self._haunt, args=(fault.number,), daemon=True))
            self._zombies[-1].start()
        elif kind is Kind.MODEL_DOWN:
            self._model(fails=True)
            self._in(fault.span_s, partial(self._model, fails=False))
        elif kind in BROKERS:
            self._broker(kind, fault.span_s)
        elif kind is Kind.PULSE_KILL_ALL:
            for worker in self.crew.of("pulse", State.RUNNING, State.FROZEN):
                self._kill(worker, fault.span_s)
        elif kind in SCALE and SCALE[kind][1] > 0:
            self.crew.add(role)
        else:
            self._strike(fault, role)

    def _strike(self, fault: Fault, role: str) -> None:
        """One running worker of the role is the victim; where none runs now, the next that does."""
        running = self.crew.of(role, State.RUNNING)
        if not running:
            self._in(AGAIN_S, partial(self._strike, fault, role))
            return
        victim, kind = running[fault.number % len(running)], fault.kind.value
        if kind.endswith("-freeze"):
            victim.tell(signal.SIGSTOP)
            self._in(fault.span_s, partial(self._thaw, victim))
        elif "-kill" in kind:
            self._kill(victim, fault.span_s)
        elif kind.endswith("-down"):
            victim.tell(signal.SIGTERM)
            self._ended(victim, time.monotonic(), lambda: self.crew.workers.remove(victim))
        else:
            victim.tell(signal.SIGTERM)
            self._ended(victim, time.monotonic(), partial(self._in, fault.span_s, partial(self._back, victim)))

    def _kill(self, victim: Worker, pause_s: float) -> None:
        victim.kill()
        self._in(pause_s, partial(self._back, victim))

    def _back(self, worker: Worker) -> None:
        if worker.state is State.DOWN and worker in self.crew.workers:
            worker.start()

    def _thaw(self, worker: Worker) -> None:
        if worker.state is State.FROZEN:
            worker.tell(signal.SIGCONT)

    def _ended(self, worker: Worker, told_s: float, then: Callable[[], None]) -> None:
        """Waits, without waiting, until a worker that was told to stop has ended."""
        if worker.state is State.ENDING and not self.crew.rest(worker):
            if time.monotonic() - told_s < STOP_S:
                self._in(AGAIN_S / 2, partial(self._ended, worker, told_s, then))
                return
            self.outcome.wrong.append(f"{worker.name} did not end within {STOP_S:.0f} s")
            worker.kill()
        then()

    def _model(self, *, fails: bool) -> None:
        self._failing += 1 if fails else -1
        if self._failing:
            self._flag.touch()
        else:
            self._flag.unlink(missing_ok=True)

    def _broker(self, kind: Kind, span_s: float) -> None:
        self._is_broker_away = True
        if kind is Kind.BROKER_FREEZE:
            self._broker_away.enter_context(self.kafka.frozen())
        elif kind in (Kind.BROKER_KILL, Kind.BROKER_AWAY):
            self.kafka.kill()
        else:
            self.kafka.stop()
        self._in(span_s, self._broker_back)

    def _broker_back(self) -> None:
        self._broker_away.close()
        if not self.kafka.running:
            self.kafka.start()
        self._is_broker_away = False

    def _ask(self, kind: Kind, number: int) -> None:
        name = f"{self.plan.seed}/{kind}/{number}/{len(self._waits)}"

        def ask(now_ms: int, recent: list[Sent]) -> list[Sent]:
            return mischief.made(kind, Moment(now_ms, recent, Random(name), name))

        assert self.speaker is not None
        self.speaker.ask(ask)

    def _haunt(self, number: int) -> None:
        """Writes frames into the log again, some of them old, as a worker would that was away and does not know it."""
        rng = Random(f"{self.plan.seed}/zombie/{number}")
        for _ in range(60):
            with suppress(Exception):  # the broker may be away: then later
                logs = truth.read(self.settings, "mentions", PARTITIONS)
                with KafkaProducer(bootstrap_servers=self.kafka.address, enable_idempotence=False,
                                   max_block_ms=5000, max_request_size=4_000_000) as producer:
                    for partition, log in enumerate(logs):
                        begin = rng.randrange(max(len(log) - ZOMBIES, 1))
                        for one in log[begin:begin + ZOMBIES] + log[-3:]:
                            producer.send(self.settings.topic("mentions"), one.value, partition=partition).get(10)
                return
            time.sleep(1.0)
        self.outcome.wrong.append("frames never came again")

    # Watching.

    def _watch(self) -> None:
        names = self.brands.names
        while not self._watching.wait(LOOK_S):
            marks = self.crew.marks()
            low_ms = min(marks.get(name, 0) for name in names)
            self._low_ms = max(self._low_ms, low_ms)
            for one in list(self._waits):
                one.see(low_ms)

    # The verdict.

    def _judge(self, speaker: Speaker) -> None:
        out, settings = self.outcome, self.settings
        limits = Limits(settings.grace_ms, settings.early_ms)
        posts = truth.Posts.of(settings, speaker.acked, KEPT_MS)
        out.posts, out.records, out.lost = sum(speaker.acked.values()), posts.whole, posts.lost
        if out.lost:
            out.wrong.append(f"{out.lost} records were acknowledged and are not in the log")
        if left := speaker.feed.tally.not_sent:
            out.notes.append(f"the feed gave up {dict(left)}")
        frames = [[one.value or b"" for one in log] for log in truth.read(settings, "mentions", PARTITIONS)]
        refused = truth.rejected(posts.records, self.brands, limits)
        recount = truth.slow(frames, self.brands, limits)
        counts = truth.Counts.of(recount, refused.healed, posts.latest_ms)
        out.wrong += self._figures(counts, limits.grace_ms)
        self._rejects(refused.places, is_whole=len(posts.records) == posts.whole)
        want = truth.undisturbed(frames, Times(settings.delay_ms, settings.grace_ms, settings.early_ms))
        if len(posts.records) == posts.whole:
            minutes = slow_minute.minutes(recount, refused.healed, settings.delay_ms)
            out.wrong += truth.Slow.wrong(minutes, (posts.low_ms - settings.delay_ms) // MIN_MS, want.values())
        self._swings(want)

    def _rejects(self, want: set[tuple[int, int]], *, is_whole: bool) -> None:
        got = truth.rejects(itertools.chain(*truth.read(self.settings, "rejects", PARTITIONS)))
        false = got - want if is_whole else set[tuple[int, int]]()
        if want - got or false:
            self.outcome.wrong.append(f"rejects: {len(want - got)} missing, {len(false)} too many, such as "
                                      f"{sorted((want - got) | false)[:5]}")

    def _figures(self, counts: truth.Counts, grace_ms: int) -> list[str]:
        wrong: list[str] = []

        def equal() -> bool:
            shown, twice = self._shown()
            wrong[:] = [*counts.wrong(shown, self.brands.names), *(f"{brand} is on two pages" for brand in twice)]
            return not wrong

        self._until(equal, SHOW_S)
        last_ms = counts.present * PANE_MS - 1
        lost, doubled = compare(counts.mentions, self._shown()[0], last_ms, grace_ms) if wrong else (0, 0)
        self.outcome.lost, self.outcome.doubled = self.outcome.lost + lost, doubled
        return wrong

    def _shown(self) -> tuple[Mapping[str, Mapping[str, Reading]], list[str]]:
        """Brand -> window -> reading, of all pages together; and the brands that stand on two."""
        shown: dict[str, Mapping[str, Reading]] = {}
        twice: list[str] = []
        for worker in self.crew.of("pulse", State.RUNNING):
            mine = worker.page().readings(self.brands.names)
            twice += sorted(shown.keys() & mine.keys())
            shown |= mine
        return shown, twice

    def _swings(self, want: Mapping[bytes, Swing]) -> None:
        out, last = self.outcome, list[truth.Told]()
        out.steps = [f"{(step.at_ms - START_MS) // MIN_MS} {step.brand} {step.series} {step.direction} {step.state} "
                     f"{step.ended or step.authenticity}" for step in sorted(want.values(), key=lambda one: one.at_ms)]

        def right() -> bool:
            last[:] = [truth.told(truth.read(self.settings, "swings", 1)[0], want)]
            return last[0].is_right and not any(
                worker.page().count("denyut_swing_steps_waiting") for worker in self.crew.of("pulse", State.RUNNING))

        self._until(right, SHOW_S)
        told = last[0]
        out.swings, out.false, out.missing = told.steps, len(told.false) + len(told.changed), len(told.missing)
        for name in ("missing", "false", "changed"):
            out.wrong += [f"swing step {name}: {one}" for one in getattr(told, name)]
        if not told.steps:
            out.notes.append("no swing happened: nothing is proven about them")

    def _stop(self) -> None:
        """Everybody is told to stop, and does."""
        for worker in self.crew.workers:
            if worker.state is State.RUNNING:
                worker.tell(signal.SIGTERM)
        if not self._until(lambda: not [one for one in self.crew.workers if not self.crew.rest(one)], STOP_S):
            self.outcome.wrong.append(f"did not stop within {STOP_S:.0f} s: "
                                      f"{[w for w in self.crew.workers if w.state is not State.DOWN]}")

    def _sum_up(self, begun_s: float) -> None:
        out = self.outcome
        out.wrong += self.crew.unexpected
        out.wrong += [f"log: {one}" for one in self.crew.outcries()]
        for one in sorted(self._waits, key=lambda one: one.kind):
            for longest, took_s in ((out.counted_again_s, one.took_s), (out.caught_up_s, one.reached_s)):
                if took_s is not None:
                    longest[one.kind] = max(took_s, longest.get(one.kind, 0.0))
        out.seconds = round(time.monotonic() - begun_s, 1)
