"""A feed in a process of its own, for tests that kill it; and what stands in the topics in the end.

Processes are forked from one that has imported everything: a start costs what listening costs, not what Python does.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401  # imported here, so that a fork need not
import aiokafka  # noqa: F401
import kafka as kafka_python
import msgspec

from streams import listen, logs
from streams.heart.post import TICK
from streams.settings import Settings
from streams.sources.contract import Source
from streams.sources.reader import Patience

PATIENCE_S = 60.0
BRANDS = str(files("streams") / "demo" / "brands.toml")
QUICK = Patience(connect_s=5.0, quiet_s=2.0, first_s=0.05, longest_s=0.2, denied_s=0.2, beat_s=0.1)


def context() -> ForkServerContext:
    """Where feeds are forked from."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["tests.faults.feeding"])
    return made


def _listen(settings: Settings, make: Callable[[], Source], said: str) -> None:
    """What the process does. Its log goes into a file, for whoever looks for what must not be there."""
    out = os.open(said, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    logs.setup("debug")
    tally = listen.run(settings, make, listen.Wish(patience=QUICK))
    raise SystemExit(int(bool(tally.not_sent)))


class Listening:
    """A feed that can be started, killed and started again. `make` must be picklable."""

    def __init__(self, settings: Settings, make: Callable[[], Source], folder: Path) -> None:
        self.settings = settings
        self.log = folder / "feed.log"
        self._make = make
        self._context = context()
        self._process: Any = None

    def start(self) -> None:
        """Starts it; does not wait."""
        self._process = self._context.Process(
            target=_listen, args=(self.settings, self._make, str(self.log)), daemon=True)
        self._process.start()

    @property
    def is_alive(self) -> bool:
        return bool(self._process.is_alive())

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.join()

    def end(self) -> int:
        """SIGTERM; the exit code."""
        os.kill(self._process.pid, signal.SIGTERM)
        self._process.join(PATIENCE_S)
        return -1 if self._process.exitcode is None else int(self._process.exitcode)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs within a `with`, and ends well."""
        self.start()
        try:
            yield
            code = self.end()
            assert code == 0, self.log.read_text()[-3000:]
        finally:
            if self.is_alive:
                self.kill()


Records = list[tuple[bytes, bytes | None]]


def read(settings: Settings, topic: str, *, ticks: bool = False, partition: int | None = None) -> Records:
    """Every record of a topic now, or of a partition: key and value, partition after partition, in their order."""
    name, found = settings.topic(topic), Records()
    consumer = kafka_python.KafkaConsumer(bootstrap_servers=settings.brokers.split(","), enable_auto_commit=False,
                                          auto_offset_reset="earliest")
    try:
        numbers = consumer.partitions_for_topic(name) or () if partition is None else (partition,)
        parts = [kafka_python.TopicPartition(name, number) for number in numbers]
        for part in parts:
            consumer.assign([part])
            consumer.seek_to_beginning(part)
            end = consumer.end_offsets([part])[part]
            while consumer.position(part) < end:
                for record in consumer.poll(timeout_ms=500).get(part, ()):
                    if ticks or not (record.key or b"").startswith(TICK):
                        found.append((record.key, record.value))
    finally:
        consumer.close()
    return found


Set = set[tuple[str, int | None]]


def versions(records: Records) -> Set:
    """What was ever written: (id, rev), and (id, None) for a removal."""
    return {(key.decode(), None if value is None else msgspec.json.decode(value).get("rev", 0))
            for key, value in records}


def last(records: Records) -> dict[bytes, bytes | None]:
    """The last record of each key: what compaction leaves."""
    return dict(records)


def until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Waits until something holds."""
    until_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < until_s, f"not within {patience_s:.0f} s: {what}"
        time.sleep(0.05)
