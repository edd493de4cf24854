"""The demo: the whole pipeline on one machine, with nothing but Python.

    public ──▶ feed ──▶ Kafka, in this process ──▶ score worker ──▶ Kafka ──▶ pulse worker ──▶ /metrics ──▶ board
                                                                                   └──▶ denyut.swings ────────┘
Both workers are the real ones, each a process of its own; the board reads their `/metrics` pages and what is told of
swings. The public is invented and lives a day in six minutes, on its own clock, which all parts are told; a crisis and
a campaign are planned in it. At the end of a headless run everything that was sent is counted again, the slow way, and
held against what the pulse worker shows.
Knows nothing of how a post is scored or counted.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from streams import wording
from streams.air import air
from streams.board import Board, BrandLine, PipelineLine, View, summary
from streams.clock import Clock
from streams.embedded import EmbeddedBroker
from streams.feed import Feed, Rules
from streams.heart.brands import Brands
from streams.heart.errors import DenyutError, LostBroker
from streams.heart.incident import Swing
from streams.heart.intake import Judge, Judged, Limits, Record
from streams.heart.pane import MINUTE, PANE_MS, pane_of
from streams.heart.watermark import GUARD_MS
from streams.heart.window import WINDOWS, Reading
from streams.metrics import Metrics, release
from streams.notebook import Notebook
from streams.recount import Mention, Recount
from streams.scrape import Page
from streams.serve import Health, Pages
from streams.settings import Settings
from streams.sources.public import SOURCE, SPEED, START_MS, Happening, Public, planned
from streams.stop import interruptible
from streams.tell import telling
from streams.told import Told

TICK_S = 0.05  # while it waits
LOOK_S = 1.0
START_S = 120.0  # loading the model on a slow disk
DRAIN_S = 60.0
TELL_S = 5.0
FEED = "demo"  # what its ticks are called
POST_TO_METRIC = "denyut_post_to_metric_seconds"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked on the command line. `seconds` None: until Ctrl-C. `record`: write down there what is sent.
    `port`: of the score worker's page; the next ones are those of the pulse worker, the feed and what is told to the
    Alertmanagers at `alertmanager`. None: any that are free, and no page of the others.
    """

    seconds: float | None
    headless: bool
    seed: int
    rate: float
    model: str = ""
    record: Path | None = None
    port: int | None = None
    alertmanager: tuple[str, ...] = ()


def run(wish: Wish) -> int:
    """Runs the demo; returns the exit code: 1 if anything was lost or doubled."""
    with ExitStack() as stack:
        notebook = stack.enter_context(Notebook(wish.record, SOURCE)) if wish.record else None
        stop = stack.enter_context(interruptible())
        _say("starting: Kafka inside this process, the model, two workers")
        stage = stack.enter_context(Stage.set(wish))
        board = None if wish.headless else stack.enter_context(Board())
        show = Show(stage, board, notebook)
        try:
            show.play(wish, stop)
        except KeyboardInterrupt:
            _say("interrupted")
        if not wish.headless or not show.began:  # the public never was on: there is nothing to account for
            return 0
        account = show.account()
    sys.stdout.write(json.dumps(account) + "\n")
    return int(bool(account["lost"] or account["doubled"]))


@dataclass
class Stage:
    """Everything that runs: the broker, the two workers, the feed, and who listens for swings."""

    settings: Settings
    clock: Clock
    feed: Feed
    score: str  # the workers' pages
    pulse: str
    workers: list[subprocess.Popen[bytes]]
    log: Path
    brands: Brands
    told: Told

    @classmethod
    @contextmanager
    def set(cls, wish: Wish) -> Iterator["Stage"]:
        """Starts everything, ends everything."""
        folder = Path(tempfile.mkdtemp(prefix="denyut-demo-"))  # the workers' logs; kept if something goes wrong
        with EmbeddedBroker() as broker:
            ports = {name: _free_port() if wish.port is None else wish.port + at
                     for at, name in enumerate(("score", "pulse"))}
            clock = Clock.public(START_MS, SPEED)
            workers: list[subprocess.Popen[bytes]] = []
            settings = Settings(brokers=broker.address, sources=(SOURCE,), model=wish.model, clock=str(clock),
                                alertmanager=wish.alertmanager)
            metrics = Metrics((), (SOURCE,), clock)
            try:
                for name, port in ports.items():
                    workers.append(_start(name, folder, {
                        "DENYUT_BROKERS": broker.address, "DENYUT_SOURCES": SOURCE, "DENYUT_CLOCK": str(clock),
                        "DENYUT_HTTP": f"127.0.0.1:{port}", "DENYUT_MODEL": wish.model}))
                pages = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
                rules = Rules(create_time=True, embedded=True)
                with (Feed(settings, FEED, (SOURCE,), observer=metrics, rules=rules) as feed,
                      Told(settings, embedded=True) as told, _pages(settings, wish.port, metrics, told)):
                    yield cls(settings, clock, feed, pages["score"], pages["pulse"], workers, folder,
                              settings.read_brands(), told)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                _end(workers)

    def check(self) -> None:
        """Raises `LostBroker` if a worker has ended."""
        for worker, name in zip(self.workers, ("score", "pulse"), strict=True):
            if worker.poll() is not None:
                raise LostBroker(f"the {name} worker ended with code {worker.returncode}; see {self.log}/{name}.log")

    def is_ready(self) -> bool:
        """Whether both workers say so."""
        self.check()
        return all(_answers(f"{page}/readyz") for page in (self.score, self.pulse))


def _start(name: str, folder: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """One worker, as a process of its own, with these settings and no others."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DENYUT_")}
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-P", "-m", "streams.cli", "work", name], env={**kept, **settings},
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


@contextmanager
def _pages(settings: Settings, port: int | None, metrics: Metrics, told: Told) -> Iterator[None]:
    """The page of the feed, and what gives Alertmanager its reasons with its own, where somebody asked for them."""
    with ExitStack() as stack:
        if port is not None:
            metrics.build(release(), "", "feed")
            metrics.feeds()
            stack.enter_context(Pages(f"127.0.0.1:{port + 2}", metrics.registry, Health(stale_s=float("inf"))))
        if port is not None and settings.alertmanager:
            stack.enter_context(telling(settings, f"127.0.0.1:{port + 3}", told))
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # our own worker
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Asks, waits, insists: nothing outlives the demo."""
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + 3.0
    for worker in workers:
        try:
            worker.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


@dataclass
class Show:
    """One performance: what was sent, what the pages say, what the board shows."""

    stage: Stage
    board: Board | None
    notebook: Notebook | None = None
    sent: list[Record] = field(default_factory=list)  # kept in a headless run, to be counted again
    began: float = 0.0
    ended: float = 0.0
    last_ms: int = 0  # the last tick
    curves: dict[str, deque[float | None]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=240)))
    rates: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=10))
    told: float = 0.0
    failed: list[Exception] = field(default_factory=list)

    def play(self, wish: Wish, stop: Sequence[int]) -> None:
        """Sends the public's posts in their time, until the time is up or somebody stops it."""
        self._wait_for_workers(stop)
        clock = self.stage.clock
        self.began = self.told = time.monotonic()
        start_ms = clock.now_ms()
        public = Public(seed=wish.seed, rate_per_s=wish.rate, start_ms=start_ms, events=planned(start_ms))

        def is_over() -> bool:
            self.ended = time.monotonic()
            return bool(stop or self.failed or (wish.seconds is not None and self.ended - self.began >= wish.seconds))

        with self._looking():
            air(public, clock, partial(self._send, keep=wish.headless), self._tick, is_over)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Reads the pages and draws, on a thread of its own: ticks and posts do not wait for it."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_S):
                try:
                    self._look(time.monotonic())
                except (DenyutError, OSError) as error:
                    self.failed.append(error)
                    return

        thread = threading.Thread(target=look, name="look", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(LOOK_S)
        if self.failed:
            raise LostBroker(f"a worker does not answer: {self.failed[0]}")

    def _wait_for_workers(self, stop: Sequence[int]) -> None:
        until = time.monotonic() + START_S
        while not self.stage.is_ready():
            if stop:
                raise KeyboardInterrupt
            if time.monotonic() > until:
                raise LostBroker(f"the workers are not ready; see {self.stage.log}")
            self._tick(self.stage.clock.now_ms())  # no partition is silent: a worker is ready once it has heard all
            time.sleep(TICK_S)

    def _send(self, happening: Happening, *, keep: bool) -> None:
        if not self.stage.feed.send(happening):
            return
        if self.notebook is not None:
            self.notebook.send(happening)
        if keep:
            self.sent.append(Record(0, len(self.sent), happening.at_ms, happening.key, happening.value))

    def _tick(self, now_ms: int) -> None:
        self.last_ms = now_ms
        self.stage.feed.tick(now_ms)
        if self.notebook is not None:
            self.notebook.tick(FEED, now_ms)

    # Showing.

    def _look(self, now: float) -> None:
        self.stage.check()
        score, pulse = Page.fetch(f"{self.stage.score}/metrics"), Page.fetch(f"{self.stage.pulse}/metrics")
        view = self._view(now, score, pulse)
        if self.board is not None:
            self.board.update(view)
            return
        whole = {(swing.id, swing.step): swing for swing in self.stage.told.latest()}  # with the terms of earlier steps
        for step in self.stage.told.news():
            _say(wording.sentence(whole.get((step.id, step.step), step), self.stage.brands.title(step.brand)))
        if now - self.told >= TELL_S:
            self.told = now
            _say(summary(view))

    def _view(self, now: float, score: Page, pulse: Page) -> View:
        brands = self.stage.brands
        readings, standings = pulse.readings(brands.names), pulse.standings(brands.names)
        lines = []
        for name in brands.names:
            if name in readings:
                self.curves[name].append(readings[name]["1h"].mood)
                lines.append(BrandLine.of(brands.title(name), readings[name], curve=tuple(self.curves[name]),
                                          replaying=bool(pulse.get("denyut_replaying", brand=name)),
                                          standing=standings.get(name)))
            else:
                lines.append(BrandLine(name, brands.title(name), standing=standings.get(name)))
        return View(brands=tuple(lines), pipeline=self._pipeline(now, score, pulse), now_ms=self.stage.clock.now_ms(),
                    uptime_s=now - self.began, swings=self.stage.told.latest(),
                    note=f"invented public, a day in six minutes; metrics: {self.stage.pulse}/metrics")

    def _pipeline(self, now: float, score: Page, pulse: Page) -> PipelineLine:
        outcomes = score.counts("denyut_posts_total", "outcome")
        read = sum(outcomes.values()) - outcomes.get("tick", 0)
        self.rates.append((now, read, score.count("denyut_texts_total")))
        (before, posts, texts), (_, posts_now, texts_now) = self.rates[0], self.rates[-1]
        span = max(now - before, LOOK_S)
        tally = self.stage.feed.tally
        sent = sum(count for kind, count in tally.sent.items() if kind != "tick")
        p50, p95 = (pulse.quantile(POST_TO_METRIC, share) for share in (0.5, 0.95))
        delay = max(pulse.values("denyut_watermark_delay_seconds"), default=None)
        return PipelineLine(
            posts_per_s=(posts_now - posts) / span, scored_per_s=(texts_now - texts) / span,
            freshness_p50_ms=_ms(p50), freshness_p95_ms=_ms(p95), lag=max(sent - read, 0),
            rejects=outcomes.get("rejected", 0), late=outcomes.get("late", 0), early=outcomes.get("early", 0),
            removals=outcomes.get("removal", 0), watermark_age_ms=_ms(delay),
            model=score.label("denyut_build_info", "model"))

    # Counting again.

    def account(self) -> dict[str, Any]:
        """Lets the workers come to rest, counts everything that was sent the slow way, and compares."""
        self._rest()
        score, pulse = Page.fetch(f"{self.stage.score}/metrics"), Page.fetch(f"{self.stage.pulse}/metrics")
        outcomes = score.counts("denyut_posts_total", "outcome")
        shown = pulse.readings(self.stage.brands.names)
        day = [of["24h"] for of in shown.values()]
        lost, doubled = compare(self._recounted(), shown, self.last_ms, self.stage.settings.grace_ms)
        return {
            "sent": len(self.sent), "read": sum(outcomes.values()) - outcomes.get("tick", 0),
            "matched": outcomes.get("matched", 0), "scored": sum(r.scored for r in day),
            "abstained": sum(r.abstained for r in day), "rejected": outcomes.get("rejected", 0),
            "late": outcomes.get("late", 0), "early": outcomes.get("early", 0), "removed": outcomes.get("removal", 0),
            "mentions": sum(r.mentions for r in day), "lost": lost, "doubled": doubled,
            "p50_ms": _ms(pulse.quantile(POST_TO_METRIC, 0.5)), "p95_ms": _ms(pulse.quantile(POST_TO_METRIC, 0.95)),
            "posts_per_s": round(len(self.sent) / max(self.ended - self.began, 1e-9), 1),
            "model": score.label("denyut_build_info", "model"),
            "brands": {name: {"mood": of["24h"].mood, "lower": of["24h"].lower, "upper": of["24h"].upper,
                              "votes": of["24h"].votes, "mentions": of["24h"].mentions} for name, of in shown.items()},
            "swings": [in_account(swing) for swing in self._told_at_last()],
        }

    def _told_at_last(self) -> tuple[Swing, ...]:
        """Every incident as it stands at the end, when no step of one is on its way any more."""
        until = time.monotonic() + DRAIN_S
        while Page.fetch(f"{self.stage.pulse}/metrics").count("denyut_swing_steps_waiting"):
            if time.monotonic() > until:
                _say("not all that is known of swings was told in time")
                break
            time.sleep(LOOK_S / 4)
        self.stage.told.catch_up(DRAIN_S)
        return self.stage.told.latest()

    def _rest(self) -> None:
        """Until the figures show the last tick: then every record before it has been counted."""
        if not self.sent:
            return  # the public had not said anything yet, and no figure will ever be shown
        feed = self.stage.feed
        self._tick(self.stage.clock.now_ms())
        feed.flush(DRAIN_S)
        until = time.monotonic() + DRAIN_S
        while time.monotonic() < until:
            self.stage.check()
            seen = Page.fetch(f"{self.stage.pulse}/metrics").values("denyut_watermark_timestamp_seconds")
            if seen and round(min(seen) * 1000) >= self.last_ms - GUARD_MS:
                return
            time.sleep(LOOK_S / 4)
        _say("the workers did not come to rest in time; the count below is of what they had shown")

    def _recounted(self) -> list[Mention]:
        settings = self.stage.settings
        judge = _judge(settings.model)
        limits = Limits(settings.grace_ms, settings.early_ms)
        return Recount(frozenset(settings.sources), self.stage.brands, judge, limits, _Unscored()).mentions(self.sent)


class _Unscored(dict[tuple[str, int, int], tuple[int, int]]):
    """Scores do not matter to what is lost or doubled."""

    def __missing__(self, key: tuple[str, int, int]) -> tuple[int, int]:
        return 0, 1


def _judge(model: str) -> Judge:
    """The score worker's own verdict on languages."""
    import models
    from models.lang import Languages

    languages = Languages(models.load(model).card)

    def judge(text: str, declared: str | None) -> Judged:
        verdict = languages.judge(text, declared)
        return Judged(verdict.lang, verdict.known)

    return judge


Shown = Mapping[str, Mapping[str, Reading]]  # brand -> window -> reading


def compare(mentions: Sequence[Mention], shown: Shown, last_ms: int, grace_ms: int) -> tuple[int, int]:
    """How many mentions the figures lack, and how many they have too many, by brand and span of time.

    The spans are those between the windows' beginnings: the last minute, the four before it, and so on.
    """
    present = pane_of(last_ms) + 1
    sealed = (last_ms - GUARD_MS - grace_ms) // PANE_MS
    lost = doubled = 0
    for brand in {m.brand for m in mentions} | set(shown):
        inner = 0  # want - got of the windows inside
        for window, panes in WINDOWS.items():
            first = present - panes
            whole = -(-first // MINUTE) * MINUTE  # of what is sealed, only whole minutes are known
            want = sum(m.brand == brand and (whole if m.pane < sealed else first) <= m.pane < present for m in mentions)
            got = shown[brand][window].mentions if brand in shown else 0
            missing = want - got - inner
            inner = want - got
            lost, doubled = lost + max(missing, 0), doubled + max(-missing, 0)
    return lost, doubled


def in_account(swing: Swing) -> dict[str, Any]:
    """An incident in the account: numbers, names of the brand file and terms."""
    cause = swing.causes[0] if swing.causes else None
    return {
        "brand": swing.brand, "series": swing.series, "direction": swing.direction, "state": str(swing.state),
        "authenticity": swing.authenticity, "severity": swing.severity, "onset_ms": swing.onset_ms,
        "at_ms": swing.at_ms, "ended": swing.ended, "usual": swing.usual, "peak": swing.peak,
        "cause": None if cause is None else {"kind": cause.kind, "name": cause.name, "share": cause.share},
        "terms": [term.term for term in swing.terms],
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
