"""The whole way, from the feed to the pages, with everything real: broker, model, processes, and the deaths of some."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from itertools import dropwhile, islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition

from streams.feed import Feed, Rules, Ticking
from streams.heart.errors import BadPost
from streams.heart.intake import Judge, Judged, Limits, Record
from streams.heart.pane import UNIT, pane_of
from streams.heart.post import decode
from streams.heart.watermark import GUARD_MS
from streams.heart.window import WINDOWS
from streams.recount import Mention, Recount, authors, figures
from streams.scrape import Page
from streams.settings import Settings
from streams.sources.public import SOURCE, Happening, Public, daylight
from tests.driver import scores_in
from tests.faults.kafka import Kafka
from tests.faults.test_pulse_worker import free_port

PARTITIONS = 6
SESSION = "6s"
POSTS = 20_000
LAST_WORDS = 1_000  # of these, dated within the last minutes: the short windows have something to show
FEW = 600
POSTS_PER_S = 300
HOUR_MS = 3_600_000
SHORT_MS = 240_000
# The public's hour is told in about a minute: what it said at first is late on arrival, or seals while we look.
SPAN_MS = HOUR_MS + 120_000
WAIT_S = 600.0  # a machine with other work needs ten times as long as one without
REST_S = 30.0  # from the last mark to the page that shows it
POLL_S = 0.25

Figures = dict[tuple[str, str], dict[str, float | None]]  # of a brand and a window


class Worker:
    """One worker in a process of its own, seen through its pages."""

    def __init__(self, name: str, environ: Mapping[str, str], folder: Path) -> None:
        port = free_port()
        self.name, self._log = name, folder / f"{name}-{port}.log"
        self.url = f"http://127.0.0.1:{port}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DENYUT_")}
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "streams.cli", "work", name], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, env={**kept, **environ, "DENYUT_HTTP": f"127.0.0.1:{port}"}, start_new_session=True)

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.process.poll() is None

    def page(self) -> Page:
        """Its metrics; an empty page while nobody answers."""
        assert self.is_alive, f"the {self.name} worker ended with {self.process.returncode}:\n{self.said()}"
        try:
            return Page.fetch(f"{self.url}/metrics")
        except OSError:
            return Page("")

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        """The last of its log."""
        return self._log.read_text("utf-8", "replace")[-3000:]


class Stage:
    """Topics of its own, workers, and a feed that ticks until it is told to rest."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.settings = Settings(brokers=kafka.address, prefix=f"way-{uuid.uuid4().hex[:8]}", sources=(SOURCE,))
        kafka.create_topics(PARTITIONS, self.settings.prefix)
        self.brands = self.settings.read_brands()
        self.workers: list[Worker] = []
        self.feed = Feed(self.settings, "public", (SOURCE,), rules=Rules(room=2000))
        self.ticking = Ticking(self.feed, _now_ms)
        self._folder = folder

    def start(self, name: str) -> Worker:
        """One more worker of that kind."""
        environ = {"DENYUT_BROKERS": self.settings.brokers, "DENYUT_PREFIX": self.settings.prefix,
                   "DENYUT_SOURCES": SOURCE, "DENYUT_SESSION_MS": SESSION}
        worker = Worker(name, environ, self._folder)
        self.workers.append(worker)
        return worker

    def living(self, name: str) -> list[Worker]:
        """The workers of that kind that nobody has killed."""
        return [worker for worker in self.workers if worker.name == name]

    def kill(self, worker: Worker) -> None:
        """Kills a worker, with whatever it has in hand."""
        worker.kill()
        self.workers.remove(worker)

    def wait_shared(self) -> None:
        """Waits until every worker owns partitions, and no partition is left over."""
        def shared() -> bool:
            for name in ("score", "pulse"):
                owned = [worker.page().count("denyut_partitions") for worker in self.living(name)]
                if sum(owned) != PARTITIONS or not all(owned):
                    return False
            return True

        _wait(shared, self.said)

    def wait_counted(self) -> None:
        """Waits until the time of all figures is past everything sent so far; the feed must be ticking."""
        assert self.feed.flush(WAIT_S)
        assert not self.feed.tally.not_sent
        sent_ms = _now_ms()
        _wait(lambda: all(mark >= sent_ms for mark in self.watermarks()), self.said)

    def watermarks(self) -> list[int]:
        """One for each brand, ms; 0 where none is shown."""
        shown: dict[str, int] = dict.fromkeys(self.brands.names, 0)
        for worker in self.living("pulse"):
            page = worker.page()
            for brand in self.brands.names:
                shown[brand] = round(1000 * (page.get("denyut_watermark_timestamp_seconds", brand=brand) or 0)) \
                    or shown[brand]
        return list(shown.values())

    def shown(self) -> Figures:
        """What the pages of the counting workers say, all together; a brand on two of them is a failure."""
        out: Figures = {}
        for worker in self.living("pulse"):
            for brand, windows in worker.page().readings(self.brands.names).items():
                for window, one in windows.items():
                    assert (brand, window) not in out, f"{brand} is shown by two workers"
                    out[brand, window] = {
                        "mentions": one.mentions, "scored": one.scored, "abstained": one.abstained,
                        "negative": one.negative, "positive": one.positive, "score_sum": one.score_sum,
                        "votes": one.votes, "authors": one.authors, "mood": one.mood}
        return out

    def said(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {worker.name}, {worker.url}\n{worker.said()}" for worker in self.workers)

    def close(self) -> None:
        """Ends everything."""
        self.feed.close(5.0)
        for worker in self.workers:
            worker.kill()


class Truth(NamedTuple):
    """What stands in the topics, counted the slow way."""

    records: list[Record]  # of posts, ticks among them
    mentions: list[Mention]
    outcomes: Mapping[str, int]
    rejected: set[tuple[int, int]]  # partition and offset

    @classmethod
    def of(cls, stage: Stage) -> "Truth":
        """Reads all of posts and, once it is all scored, what the model said; nobody may be ticking any more."""
        assert stage.feed.flush(WAIT_S)
        records = _read(stage.settings, "posts")
        low_ms = min(_latest_ms(records).values()) - GUARD_MS
        _wait(lambda: set(stage.watermarks()) == {low_ms}, stage.said)
        frames: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
        for one in _read(stage.settings, "mentions"):
            frames[one.partition].append(one.value or b"")
        limits = Limits(stage.settings.grace_ms, stage.settings.early_ms)
        scores = scores_in(list(frames.values()), stage.settings.grace_ms)
        recount = Recount(frozenset({SOURCE}), stage.brands, _judge(), limits, scores)
        return cls(records, recount.mentions(records), recount.outcomes,
                   {(one.partition, one.offset) for one in records if not _is_good(one)})

    def figures(self, brands: Sequence[str]) -> Figures:
        """What the pages should say."""
        after = pane_of(max(_latest_ms(self.records).values())) + 1
        out: Figures = {}
        for window, panes in WINDOWS.items():
            sums, people = figures(self.mentions, after - panes, after), authors(self.mentions, after - panes, after)
            for brand in brands:
                out[brand, window] = _figures(sums.get(brand, {}))
                out[brand, window]["authors"] = None if window == "24h" else people.get(brand, 0)
        return out


def _figures(sums: Mapping[str, int]) -> dict[str, float | None]:
    scored = sum(sums.get(label, 0) for label in ("negative", "neutral", "positive"))
    votes = sum(sums.get(f"{label}_votes", 0) for label in ("negative", "neutral", "positive"))
    return {
        "mentions": scored + sums.get("abstained", 0), "scored": scored, "abstained": sums.get("abstained", 0),
        "negative": sums.get("negative", 0), "positive": sums.get("positive", 0),
        "score_sum": sums.get("score", 0) / UNIT, "votes": votes,
        "mood": sums.get("vote", 0) / votes / UNIT if votes else None}


def _verdicts(page: Page) -> dict[str, int]:
    """What became of the records that a score worker read, in the recount's words."""
    said = page.counts("denyut_posts_total", "outcome")
    return {{"removal": "removals", "tick": "ticks"}.get(outcome, outcome): count
            for outcome, count in said.items() if count}


def _differences(want: Figures, got: Figures) -> list[str]:
    wrong = [f"{brand} is not shown" for brand, window in want if (brand, window) not in got and window == "24h"]
    for (brand, window), figures_of in got.items():
        for name, value in figures_of.items():
            expected = want[brand, window][name]
            same = expected == (pytest.approx(value, abs=1e-9) if name == "mood" and value is not None else value)
            if not same:
                wrong.append(f"{brand} {window} {name}: want {expected}, got {value}")
    return wrong


def _wait_equal(stage: Stage, truth: Truth) -> None:
    """Waits until the pages say the truth, to the last digit."""
    want = truth.figures(stage.brands.names)
    _wait(lambda: not _differences(want, stage.shown()), lambda: _differences(want, stage.shown()), REST_S)


@cache
def _judge() -> Judge:
    import models
    from models.lang import Languages

    languages = Languages(models.load().card)

    def judge(text: str, declared: str | None) -> Judged:
        verdict = languages.judge(text, declared)
        return Judged(verdict.lang, verdict.known)

    return judge


def _now_ms() -> int:
    return int(time.time() * 1000)


def _wait(until: Callable[[], bool], why: Callable[[], object], most_s: float = WAIT_S) -> None:
    """Waits for something that happens in other processes: it can only be asked for."""
    give_up = time.monotonic() + most_s
    while not until():
        assert time.monotonic() < give_up, why()
        time.sleep(POLL_S)


def _read(settings: Settings, topic: str) -> list[Record]:
    """Every record of a topic up to now."""
    with closing(KafkaConsumer(bootstrap_servers=settings.brokers, group_id=None)) as consumer:
        tps = [TopicPartition(settings.topic(topic), number) for number in range(PARTITIONS)]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        ends, out = consumer.end_offsets(tps), []
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for records in consumer.poll(1000).values():
                out += [Record(one.partition, one.offset, one.timestamp, one.key, one.value) for one in records]
        return out


def _rejected(settings: Settings) -> set[tuple[int, int]]:
    """Partition and offset of everything that was rejected."""
    said = [msgspec.json.decode(one.value or b"", type=dict[str, int | str]) for one in _read(settings, "rejects")]
    return {(int(one["partition"]), int(one["offset"])) for one in said}


def _is_good(record: Record) -> bool:
    try:
        decode(record.key, record.value, frozenset({SOURCE}))
    except BadPost:
        return False
    return True


def _latest_ms(records: Sequence[Record]) -> dict[int, int]:
    """Partition -> the latest arrival."""
    latest: dict[int, int] = dict.fromkeys(range(PARTITIONS), 0)
    for one in records:
        latest[one.partition] = max(one.arrival_ms, latest[one.partition])
    return latest


def _told(seed: int, count: int, span_ms: int) -> list[Happening]:
    """What the public sends within `span_ms` until now, with what follows from the hour before: edits, latecomers."""
    since_ms = _now_ms() - span_ms
    rate_per_s = 1000 * count / span_ms / daylight(since_ms + span_ms // 2)
    public = Public(seed=seed, rate_per_s=rate_per_s, start_ms=since_ms - HOUR_MS, speed=1.0)
    return list(islice(dropwhile(lambda one: one.at_ms < since_ms, public), count))


def _send(stage: Stage, happenings: Sequence[Happening], deaths: Mapping[int, str]) -> None:
    """Sends everything at its pace. At the numbers given, a worker of that kind dies and another one starts."""
    begun_s = time.monotonic()
    for number, happening in enumerate(happenings):
        if number in deaths:
            victim = stage.living(deaths[number])[0]
            assert victim.page().count("denyut_partitions"), "it should have been at work"
            stage.kill(victim)
            stage.start(deaths[number])
        time.sleep(max(begun_s + number / POSTS_PER_S - time.monotonic(), 0.0))
        assert stage.feed.send(happening)


@pytest.fixture
def stage(kafka: Kafka, tmp_path: Path) -> Iterator[Stage]:
    """A stage with nobody on it."""
    made = Stage(kafka, tmp_path)
    yield made
    made.close()


@pytest.mark.slow
def test_the_pages_say_what_was_sent_whoever_is_killed(stage: Stage) -> None:
    """Of two workers of each kind one dies while posts flow, and is replaced: all figures are the slow recount's."""
    for name in ("score", "pulse", "score", "pulse"):
        stage.start(name)
    with stage.ticking:
        stage.wait_shared()
        first = _told(1, POSTS - LAST_WORDS, SPAN_MS)
        _send(stage, first, {len(first) // 3: "score", len(first) // 2: "pulse"})
        stage.wait_shared()
        stage.wait_counted()
        _send(stage, _told(2, LAST_WORDS, SHORT_MS), {})
        stage.wait_counted()
    truth = Truth.of(stage)
    assert len(truth.records) - truth.outcomes["ticks"] == POSTS
    assert sum(truth.outcomes.values()) == len(truth.records)
    assert all(truth.outcomes[one] for one in ("matched", "unmatched", "rejected", "late", "removals"))
    _wait_equal(stage, truth)
    assert _rejected(stage.settings) == truth.rejected


@pytest.mark.slow
def test_a_brand_outlives_its_worker(stage: Stage) -> None:
    """The brands of a counting worker that is killed appear on the other one's page, with the very same figures."""
    for name in ("score", "pulse", "pulse"):
        stage.start(name)
    with stage.ticking:
        stage.wait_shared()
        _send(stage, _told(3, FEW, SHORT_MS), {})
        stage.wait_counted()
    truth = Truth.of(stage)
    _wait_equal(stage, truth)
    before = stage.shown()
    victim = next(worker for worker in stage.living("pulse") if worker.page().readings(stage.brands.names))
    stage.kill(victim)
    _wait(lambda: stage.shown().keys() == before.keys(), stage.said)
    assert stage.shown() == before
    (score,) = stage.living("score")
    assert _verdicts(score.page()) == truth.outcomes
