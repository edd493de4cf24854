"""What rows stand on: a real Kafka, topics filled before a worker starts, and workers in processes of their own."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from streams.heart.frame import Frame, unpack
from streams.heart.post import Post, encode, from_ms
from streams.scrape import Page
from streams.settings import Settings
from streams.sources.public import SOURCE
from tests.bench.posts import distinct
from tests.faults.kafka import ROOT, Kafka

PARTITIONS = 12
PATIENCE_S = 600.0
TICKS_S = os.sysconf("SC_CLK_TCK")
LAG = "denyut_loop_lag_seconds"

Message = tuple[bytes | None, bytes, int | None]  # key, value, partition (None: by its key)


class Stall(NamedTuple):
    """What a worker's event loop was like: the longest callback, and of its 4 beats a second those 50 ms late."""

    worker: str
    longest_ms: float
    what: str
    late: int
    beats: int


class Bench:
    """What rows share. `scale`: how much of the full size is run."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.stalls: list[Stall] = []
        self.capacity: float | None = None  # posts/s of the score worker, once it is known
        self._open = ExitStack()
        self.folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="denyut-bench-")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def size(self, full: int) -> int:
        """A number of things at this scale."""
        return max(int(full * self.scale), 1)

    @cached_property
    def kafka(self) -> Kafka:
        """The broker, started when it is first asked for."""
        return self._open.enter_context(Kafka(self.folder / "kafka"))

    @cached_property
    def posts(self) -> list[Post]:
        """Posts that cost a text each."""
        return distinct(self.size(12_000), Settings().read_brands())

    def topics(self, **changed: Any) -> Settings:
        """Settings with topics of their own, which are made at once."""
        settings = Settings(brokers=self.kafka.address, prefix=f"bench-{uuid.uuid4().hex[:8]}", sources=(SOURCE,),
                            **changed)
        self.kafka.create_topics(PARTITIONS, settings.prefix)
        return settings

    @contextmanager
    def worker(self, kind: str, settings: Settings, *, instant: bool = False) -> Iterator["Worker"]:
        """A worker, from when it is ready to its end; its stalls since it joined its group are noted."""
        worker = Worker(kind, settings, self.folder, instant)
        try:
            worker.wait_ready()
            yield worker
            self.stalls.append(worker.end())
        finally:
            worker.process.kill()
            worker.process.wait()


class Worker:
    """A worker in a process of its own, seen from outside."""

    def __init__(self, kind: str, settings: Settings, folder: Path, instant: bool = False) -> None:
        self.kind = kind
        self._notes = folder / f"{uuid.uuid4().hex}.json"
        self._log = self._notes.with_suffix(".log")
        self.url = f"http://127.0.0.1:{_free_port()}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.worker", kind, str(self._notes), *(["instant"] if instant else [])],
                cwd=ROOT, env=environ(settings, DENYUT_HTTP=self.url.removeprefix("http://")),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.owned_s = float("inf")  # when it joined its group, epoch
        self._page = Page("")

    def page(self) -> Page:
        """Its metrics; the last ones while nobody answers."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the {self.kind} worker ended:\n{self._log.read_text('utf-8', 'replace')[-3000:]}")
        try:
            self._page = Page.fetch(f"{self.url}/metrics")
        except OSError:
            return self._page
        return self._page

    def wait_ready(self) -> None:
        """Waits until it is a member of its group and has nothing left to read back. Costs it next to nothing."""
        give_up = time.monotonic() + PATIENCE_S
        while (missing := self._missing()) and time.monotonic() < give_up:
            if "group:" not in missing:
                self.owned_s = min(self.owned_s, time.time())
            time.sleep(0.25)
        self.owned_s = min(self.owned_s, time.time())

    def _missing(self) -> str:
        """What /readyz lacks; everything, while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5.0):  # noqa: S310  # our own worker
                return ""
        except urllib.error.HTTPError as error:
            return str(error.read(), "utf-8")
        except OSError:
            return "group: it does not answer"

    def wait(self, until: Callable[[Page], bool], every_s: float = 0.5) -> Page:
        """Looks until a page says so. Each look costs the worker some ms, on a thread of its own."""
        give_up = time.monotonic() + PATIENCE_S
        while not until(page := self.page()):
            if time.monotonic() > give_up:
                raise RuntimeError(f"waited too long:\n{self._log.read_text('utf-8', 'replace')[-3000:]}")
            time.sleep(every_s)
        return page

    @property
    def cpu_s(self) -> float:
        """CPU that all its threads have used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_S

    def end(self) -> Stall:
        """Stops it, and reads what held up its event loop since it owned partitions."""
        page = self.page()
        self.process.terminate()
        self.process.wait(30)
        stalls = [(took_s, what) for at_s, took_s, what in json.loads(self._notes.read_text())
                  if at_s - took_s > self.owned_s]
        took_s, what = max(stalls, default=(0.0, ""))
        beats = page.count(f"{LAG}_count")
        return Stall(self.kind, 1000 * took_s, what, beats - page.count(f"{LAG}_bucket", le="0.05"), beats)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environ(settings: Settings, **more: str) -> Mapping[str, str]:
    """An environment that says these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DENYUT_")}
    said = {row.name: row.value for row in settings.rows() if row.value != row.default}
    return {**kept, **said, **more}


# The topics.


def fill(brokers: str, topic: str, messages: Iterable[Message]) -> None:
    """Writes messages as fast as it can, and waits until all are there."""
    from kafka import KafkaProducer

    with KafkaProducer(bootstrap_servers=brokers, acks=1, linger_ms=50, batch_size=262_144, compression_type="lz4",
                       enable_idempotence=False, metrics_enabled=False) as producer:
        for key, value, partition in messages:
            producer.send(topic, value, key, partition=partition)
        producer.flush(120)


def written(posts: Iterable[Post]) -> Iterator[Message]:
    """Posts as messages, dated now: so they are on time."""
    import msgspec

    now = from_ms(int(time.time() * 1000))
    for post in posts:
        yield post.key, encode(msgspec.structs.replace(post, created_at=now)), None


def frames_in(settings: Settings) -> Iterator[tuple[int, Frame]]:
    """Every frame of the mentions, and when the broker wrote it (ms)."""
    return ((record.timestamp, unpack(record.value)) for record in _records(settings, "mentions"))


def records_in(settings: Settings, topic: str) -> Iterator[bytes | None]:
    """The value of every record of a topic of many partitions."""
    return (record.value for record in _records(settings, topic))


def _records(settings: Settings, topic: str) -> Iterator[Any]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=settings.brokers, group_id=None)
    try:
        tps = [TopicPartition(settings.topic(topic), number) for number in range(PARTITIONS)]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        ends = consumer.end_offsets(tps)
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for records in consumer.poll(1000).values():
                yield from records
    finally:
        consumer.close()
