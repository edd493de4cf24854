"""Whatever becomes of the counting workers, the figures on their pages are the sums of what was written."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.kafka import Kafka
from tests.frames import Mentions

BRANDS = [f"brand-{number}" for number in range(40)]
PARTITIONS = 4
SESSION_S = 4.0
WAIT_S = 60.0  # the most that anything here may take on a busy machine
WORK = "import sys; from streams.cli import main; sys.argv[1:] = [\"work\", \"pulse\"]; main()"


class Worker:
    """One counting worker in a process of its own, seen through its pages."""

    def __init__(self, environ: dict[str, str], port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._environ = {**os.environ, **environ, "DENYUT_HTTP": f"127.0.0.1:{port}"}
        self._log = log
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it, again after it has ended."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", WORK], env=self._environ, stderr=log)
        return self.process

    def end(self, number: signal.Signals) -> int:
        """Sends a signal and waits for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def get(self, page: str) -> str:
        """A page, whatever its status."""
        try:
            with urllib.request.urlopen(self.url + page, timeout=10) as got:  # noqa: S310 - a page of our own
                return str(got.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return ""

    def families(self) -> dict[str, Metric]:
        """The metrics, parsed."""
        return {family.name: family for family in text_string_to_metric_families(self.get("/metrics"))}

    def day(self, name: str = "denyut_window_mentions") -> dict[str, int]:
        """Brand -> a figure of its last day; empty while nothing is shown."""
        family = self.families().get(name)
        samples = family.samples if family else []
        return {one.labels["brand"]: int(one.value) for one in samples if one.labels["window"] == "24h"}

    def total(self, sample: str) -> float:
        """The sum of a sample over its labels."""
        return sum(one.value for family in self.families().values() for one in family.samples if one.name == sample)

    def wait_ready(self) -> None:
        """Waits until it says that it is ready."""
        wait(lambda: self.get("/readyz") == "ready\n", lambda: f"{self.get('/readyz')!r}\n{self.said()}")

    def said(self) -> str:
        """The last of its log."""
        return self._log.read_text()[-3000:]


def wait(until: object, why: object) -> None:
    """Waits for something that happens in another process: it can only be asked for."""
    assert callable(until)
    assert callable(why)
    give_up = time.monotonic() + WAIT_S
    while not until():
        assert time.monotonic() < give_up, why()
        time.sleep(0.1)


class Stage:
    """Workers of one group, and somebody who writes mentions without a pause."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.prefix = f"pulse-{uuid.uuid4().hex[:8]}"
        kafka.create_topics(PARTITIONS, self.prefix)
        self.mentions = Mentions(BRANDS, PARTITIONS)
        self.workers: list[Worker] = []
        self._folder = folder
        self._address = kafka.address
        self._producer: KafkaProducer | None = None
        brands = folder / "brands.toml"
        lines = (f'[[brand]]\nname = "{brand}"\nany = ["{brand}"]\n' for brand in BRANDS)
        brands.write_text("number = 1\npublished = 2020-01-01T00:00:00Z\n" + "".join(lines))
        self.environ = {
            "DENYUT_BROKERS": kafka.address, "DENYUT_PREFIX": self.prefix, "DENYUT_BRANDS": str(brands),
            "DENYUT_SOURCES": "demo", "DENYUT_SESSION_MS": f"{SESSION_S:.0f}s",
        }  # fmt: skip

    def say(self, count: int = 40) -> None:
        """Writes so many mentions, and waits until the log has them."""
        frames = self.mentions.frames(count, int(time.time() * 1000))
        self.write(frames)

    def write(self, frames: dict[int, bytes]) -> None:
        """Writes records into the mentions topic, partition -> value, and waits until the log has them."""
        if self._producer is None:
            self._producer = KafkaProducer(bootstrap_servers=self._address, enable_idempotence=False, linger_ms=0)
        sent = [self._producer.send(f"{self.prefix}.mentions", frame, partition=at) for at, frame in frames.items()]
        for one in sent:
            one.get(30)

    def hush(self) -> None:
        """Nothing more is written for now: a producer whose broker is away leaves sockets behind."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def join(self, ready: bool = True) -> Worker:
        """One more worker."""
        worker = Worker(self.environ, free_port(), self._folder / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        if ready:
            self.wait_shared()
        return worker

    def wait_shared(self) -> None:
        """Waits until all workers are ready and each has partitions of its own."""
        alive = [worker for worker in self.workers if worker.process.poll() is None]
        for worker in alive:
            worker.wait_ready()

        def shared() -> bool:
            owned = [worker.total("denyut_partitions") for worker in alive]
            return sum(owned) == PARTITIONS and all(owned)

        wait(shared, lambda: [worker.said() for worker in alive])

    def shown(self, name: str = "denyut_window_mentions") -> dict[str, int]:
        """What all workers show together; a brand on two pages is a failure."""
        out: dict[str, int] = {}
        for worker in self.workers:
            mine = worker.day(name)
            assert not out.keys() & mine.keys(), "a brand is shown by two workers"
            out |= mine
        return out

    def check(self) -> None:
        """Waits until the pages say what was written, to the last mention, and then says that they do."""
        want = {brand: self.mentions.said[brand] for brand in BRANDS}
        wait(lambda: self.shown() == want, lambda: (sum(self.shown().values()), sum(want.values())))
        assert self.shown("denyut_window_negative") == {brand: self.mentions.negative[brand] for brand in BRANDS}

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()
        self.hush()


class Talk:
    """Within, mentions are written without a pause."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._over = stage, threading.Event()
        self._thread = threading.Thread(target=self._talk)

    def _talk(self) -> None:
        while not self._over.wait(0.05):
            self._stage.say(20)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def stage(kafka: Kafka, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(kafka, tmp_path)
    yield made
    made.close()


def test_a_worker_shows_the_past_and_the_present(stage: Stage) -> None:
    """What the log held before its start is shown and counted by no counter; what comes is shown and counted."""
    for _ in range(10):
        stage.say()
    worker = stage.join()
    stage.check()
    assert worker.total("denyut_mentions_total") == 0
    for _ in range(5):
        stage.say()
    stage.check()
    assert worker.total("denyut_mentions_total") == 200
    assert worker.total("denyut_post_to_metric_seconds_count") == 200
    assert worker.total("denyut_mention_rows_total") == 200
    assert worker.end(signal.SIGTERM) == 0


@pytest.mark.slow
def test_nothing_is_lost_by_restarts(stage: Stage) -> None:
    """SIGTERM or kill -9 in the middle of writing, several times: the same sums, as often as one looks."""
    worker = stage.join()
    for number, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -9), (signal.SIGTERM, 0)):
        with Talk(stage):
            time.sleep(1.5)
            assert worker.end(number) == code
            worker.start()
            stage.wait_shared()
        stage.check()


@pytest.mark.slow
def test_a_brand_moves_when_a_worker_joins(stage: Stage) -> None:
    """A partition that moved away is gone from the first worker's page, and no brand is ever on two pages."""
    first = stage.join()
    with Talk(stage):
        time.sleep(1.0)
        assert set(first.day()) == set(BRANDS)
        second = stage.join()
        assert first.day().keys() | second.day().keys() == set(BRANDS)
        assert not first.day().keys() & second.day().keys()
    stage.check()
    with Talk(stage):
        time.sleep(0.5)
        assert second.end(signal.SIGKILL) == -9
        stage.workers.remove(second)
        wait(lambda: set(first.day()) == set(BRANDS), first.said)
    stage.check()


@pytest.mark.slow
def test_a_worker_that_was_expelled_without_knowing_shows_nothing(stage: Stage) -> None:
    """Frozen for longer than its session, its first page after the thaw has no figure; then it joins again."""
    first, second = stage.join(ready=False), stage.join()
    with Talk(stage):
        time.sleep(0.5)
        second.process.send_signal(signal.SIGSTOP)
        wait(lambda: set(first.day()) == set(BRANDS), first.said)
        time.sleep(SESSION_S / 2)
        second.process.send_signal(signal.SIGCONT)
        # Its page is answered before it has heard anything; or it has joined again, and the first has handed over.
        figures = second.day()
        assert not figures.keys() & first.day().keys()
        stage.wait_shared()
    stage.check()


@pytest.mark.slow
def test_a_broker_that_dies_and_comes_back_costs_nothing(stage: Stage, kafka: Kafka) -> None:
    """Without a heartbeat for a session time-out the worker is not ready, but alive; then it goes on by itself."""
    worker = stage.join()
    for _ in range(5):
        stage.say()
    stage.hush()
    kafka.kill()
    wait(lambda: "group" in worker.get("/readyz"), worker.said)
    assert not worker.day()
    assert "last beat" in worker.get("/livez")
    kafka.start()
    worker.wait_ready()
    stage.say()
    stage.check()
    assert worker.process.poll() is None


@pytest.mark.slow
def test_a_record_that_is_no_frame_stops_the_worker(stage: Stage) -> None:
    """Loudly, with exit code 1, rather than with figures that may be wrong."""
    worker = stage.join()
    stage.write({2: b"something else"})
    assert worker.process.wait(WAIT_S) == 1
    assert "not a frame of Denyut" in worker.said()
