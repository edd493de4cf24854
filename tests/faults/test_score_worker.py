"""Whatever becomes of the scoring workers, each post has its rows, each reject its coordinates, and nothing is lost."""

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.heart.frame import GONE, Frame, partition_of, unpack
from streams.heart.post import Post, encode, encode_tick, from_ms, id64, tick_key
from tests.faults.kafka import Kafka
from tests.faults.test_pulse_worker import Worker, free_port, wait

PARTITIONS = 4
SESSION_S = 4.0
WORK = "import os, sys, logging; from streams.agents.score import run; from streams.settings import Settings\n"
WORK += "logging.basicConfig(); logging.getLogger('denyut').setLevel('INFO'); sys.exit(run(Settings.read(os.environ)))"
BRANDS = """
number = 1
published = 2020-01-01T00:00:00Z
[[brand]]
name = "kopi"
any = ["kopi"]
[[brand]]
name = "teh"
any = ["teh"]
"""
NEW = """
[[brand]]
name = "hujan"
any = ["hujan"]
from = 2020-01-01T01:00:00Z
"""
TEXTS = (
    "kopi enak sekali {}", "hari ini hujan {}", "kopi dan teh mahal, kecewa {}", "besok libur {}", "jalanan macet {}",
)  # fmt: skip
NAMED: tuple[tuple[str, ...], ...] = (("kopi",), (), ("kopi", "teh"), (), ())
Row = tuple[int, str, int]  # id, brand, rev


class Scorer(Worker):
    """One scoring worker in a process of its own."""

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it, again after it has ended."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", WORK], env=self._environ, stderr=log)
        return self.process


class Stage:
    """A topic of posts, what should become of them, and the workers."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.kafka, self._folder = kafka, folder
        self.prefix = f"score-{uuid.uuid4().hex[:8]}"
        kafka.create_topics(PARTITIONS, self.prefix)
        self.workers: list[Scorer] = []
        self.rows: set[Row] = set()
        self.floors: set[tuple[int, int]] = set()
        self.rejects: set[tuple[int, int]] = set()  # partition, offset
        self.sent = 0
        self.outcome = Outcome(kafka.address, self.prefix)
        self._producer = KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False)
        (folder / "brands.toml").write_text(BRANDS)
        self.environ = {
            "DENYUT_BROKERS": kafka.address, "DENYUT_PREFIX": self.prefix, "DENYUT_SOURCES": "demo",
            "DENYUT_BRANDS": str(folder / "brands.toml"), "DENYUT_SESSION_MS": f"{SESSION_S:.0f}s",
            "DENYUT_STOP_MS": "3s",
        }  # fmt: skip

    def join(self) -> Scorer:
        """One more worker."""
        number = len(self.workers)
        self.workers.append(Scorer(self.environ, free_port(), self._folder / f"worker-{number}.log"))
        return self.workers[-1]

    def say(self, first: int, count: int) -> None:
        """Sends posts; every 50th is edited, every 70th removed, every 40th is nonsense."""
        futures = {}
        for number in range(first, first + count):
            bad = number % 40 == 7
            for at, (key, value) in enumerate(self._records(number, bad)):
                futures[number, at] = bad, self._producer.send(f"{self.prefix}.posts", key=key, value=value)
        for bad, future in futures.values():
            where = future.get(30)
            if bad:
                self.rejects.add((where.partition, where.offset))
        self.sent += len(futures)

    def _records(self, number: int, bad: bool) -> Iterator[tuple[bytes, bytes | None]]:
        post = Post(id=f"demo:{number:032x}", source="demo", text=TEXTS[number % 5].format(number), lang="id",
                    created_at=from_ms(int(time.time() * 1000)), author=f"{number % 97:032x}")
        if bad:
            yield post.key, (b'{"a secret": ', encode(post).replace(b'"demo"', b'"other"'), b"\xff\xfe")[number % 3]
            return
        yield post.key, encode(post)
        self.rows |= {(id64(post.id), brand, 0) for brand in NAMED[number % 5]}
        if number % 50 == 2:
            again = msgspec.structs.replace(post, text=f"teh saja {number}", rev=3)
            yield again.key, encode(again)
            self.rows.add((id64(post.id), "teh", 3))
            self.floors.add((id64(post.id), 3))
        if number % 70 == 4:
            yield post.key, None
            self.floors.add((id64(post.id), GONE))

    def tick(self) -> dict[int, int]:
        """A tick for every partition, and when each arrived."""
        key, value = tick_key("tests"), encode_tick({"demo": 1})
        topic = f"{self.prefix}.posts"
        sent = [self._producer.send(topic, key=key, value=value, partition=at) for at in range(PARTITIONS)]
        self.sent += PARTITIONS
        return {at: int(one.get(30).timestamp) for at, one in enumerate(sent)}

    def wait_read(self) -> None:
        """Waits until a tick sent now is behind the marks of every mentions partition."""
        arrivals = self.tick()
        wait(lambda: self.outcome.read().has(arrivals), lambda: [
            (worker.process.poll(), worker.get("/readyz"), worker.total("denyut_posts_total"), self.sent, worker.said())
            for worker in self.workers])

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()
        self._producer.close()
        self.outcome.close()


class Outcome:
    """The mentions and the rejects, read as they come."""

    def __init__(self, address: str, prefix: str) -> None:
        self.rows: list[tuple[int, Row]] = []  # mentions partition, row
        self.floors: list[set[tuple[int, int]]] = [set() for _ in range(PARTITIONS)]
        self.rejects: list[dict[str, object]] = []
        self._marks = dict.fromkeys(((at, of) for at in range(PARTITIONS) for of in range(PARTITIONS)), 0)
        self._consumer = KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, fetch_max_wait_ms=50)
        of = [TopicPartition(f"{prefix}.{name}", at) for name in ("mentions", "rejects") for at in range(PARTITIONS)]
        self._consumer.assign(of)
        self._consumer.seek_to_beginning(*of)

    def read(self) -> "Outcome":
        """Takes in what is there."""
        while got := self._consumer.poll(200):
            for tp, some in got.items():
                for one in some:
                    if tp.topic.endswith("rejects"):
                        self.rejects.append(json.loads(one.value))
                    else:
                        self._take(tp.partition, unpack(one.value))
        return self

    def _take(self, at: int, frame: Frame) -> None:
        self.rows += [(at, (int(r["id"]), frame.names.brand[r["brand"]], int(r["rev"]))) for r in frame.rows]
        self.floors[at] |= {(int(floor["id"]), int(floor["rev"])) for floor in frame.floors}
        for mark in frame.marks:
            self._marks[at, mark.partition] = max(mark.mark_ms, self._marks[at, mark.partition])

    def has(self, arrivals: dict[int, int]) -> bool:
        """Whether every mentions partition knows that all is there which arrived before (posts partition -> when)."""
        return all(mark >= arrivals[of] for (_, of), mark in self._marks.items())

    def close(self) -> None:
        self._consumer.close()


def check(stage: Stage) -> None:
    """Everything sent has become what it should have, in the right partition, and nothing else has."""
    stage.wait_read()
    outcome = stage.outcome
    assert {row for _, row in outcome.rows} == stage.rows
    assert all(at == partition_of(brand, PARTITIONS) for at, (_, brand, _) in outcome.rows)
    assert outcome.floors == [stage.floors] * PARTITIONS
    assert {(one["partition"], one["offset"]) for one in outcome.rejects} == stage.rejects
    for one in outcome.rejects:
        assert one.keys() == {"reason", "partition", "offset", "arrival"}
        assert one["reason"] in {"not_json", "not_utf8", "unknown_source"}


@pytest.fixture
def stage(kafka: Kafka, tmp_path: Path) -> Iterator[Stage]:
    """A stage of its own for each test."""
    made = Stage(kafka, tmp_path)
    yield made
    made.close()


def test_every_post_has_its_rows_and_every_reject_its_coordinates(stage: Stage) -> None:
    """2,000 posts with edits, removals and nonsense; one worker: each row once, and the counts on the page add up."""
    worker = stage.join()
    worker.wait_ready()
    stage.say(0, 2000)
    check(stage)
    assert len(stage.outcome.rows) == len(stage.rows)
    wait(lambda: worker.total("denyut_posts_total") == stage.sent, worker.said)
    assert worker.total("denyut_rejects_total") == len(stage.rejects)
    assert worker.end(signal.SIGTERM) == 0


def test_a_killed_worker_loses_nothing(stage: Stage) -> None:
    """kill -9 in the middle, and a restart: the union of the rows is what was sent."""
    worker = stage.join()
    worker.wait_ready()
    stage.say(0, 1000)
    wait(lambda: worker.total("denyut_posts_total") > 100, worker.said)
    worker.end(signal.SIGKILL)
    stage.say(1000, 200)
    worker.start()
    check(stage)


def test_a_worker_that_comes_and_one_that_goes_lose_nothing(stage: Stage) -> None:
    """A second worker joins under load, and the first one leaves in order."""
    first = stage.join()
    first.wait_ready()
    stage.say(0, 600)
    second = stage.join()
    stage.say(600, 600)
    second.wait_ready()
    assert first.end(signal.SIGTERM) == 0
    stage.say(1200, 300)
    check(stage)


def test_a_stop_without_a_broker_has_an_end_and_a_start_without_one_waits(stage: Stage) -> None:
    """The stop is cut off at its deadline; the start says what is missing, and goes on when the broker is back."""
    worker = stage.join()
    worker.wait_ready()
    stage.say(0, 200)
    wait(lambda: worker.total("denyut_posts_total") > 0, worker.said)
    stage.kafka.kill()
    began = time.monotonic()
    assert worker.end(signal.SIGTERM) in {0, 70}  # 0: everything was committed already
    assert time.monotonic() - began < 6
    worker.start()
    wait(lambda: "broker: " in worker.get("/readyz"), worker.said)
    wait(lambda: "no Kafka broker answers" in worker.said(), worker.said)
    assert "last beat" in worker.get("/livez")
    stage.kafka.start()
    worker.wait_ready()
    check(stage)


def test_a_brand_file_is_taken_only_where_it_follows_the_running_one(stage: Stage) -> None:
    """A rule changed in the past is refused, with one line and a reason on the page; a new brand is matched at once."""
    path = Path(stage.environ["DENYUT_BRANDS"])
    worker = stage.join()
    worker.wait_ready()
    path.write_text(BRANDS.replace("number = 1", "number = 2").replace('"teh"]', '"teh", "cha"]'))
    wait(lambda: "brands: " in worker.get("/readyz"), worker.said)
    assert worker.said().count("number 1 stays in force") == 1
    path.write_text(BRANDS)
    worker.wait_ready()
    path.write_text(BRANDS.replace("number = 1", "number = 2") + NEW)
    wait(lambda: "brand file 2 is in force" in worker.said(), worker.said)
    stage.say(0, 50)
    stage.rows |= {(id64(f"demo:{n:032x}"), "hujan", 0) for n in range(50) if n % 5 == 1 and n % 40 != 7}
    check(stage)
