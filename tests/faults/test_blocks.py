"""Sealed state on a real Kafka: it is written, and whoever comes next goes on from it and from nothing older."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from streams.heart.block import Place, Shelf
from tests.faults.kafka import Kafka
from tests.faults.test_pulse_worker import PARTITIONS, WAIT_S, Stage, Worker, wait

MINUTE_MS = 60_000
HOURS = 9  # the first of them is beyond what is read again


class Sealed(Stage):
    """A stage whose mentions were said over the last hours; minute by minute, up to about now."""

    def past(self, minutes: int) -> None:
        """So many minutes, the last of which is the present."""
        now_ms = int(time.time() * 1000)
        for minute in range(minutes - 1, -1, -1):
            for at, frame in self.mentions.frames(12, now_ms - minute * MINUTE_MS).items():
                self.send(at, frame)

    def send(self, partition: int, value: bytes | None, key: bytes | None = None, topic: str = "mentions") -> None:
        """One record, not waited for."""
        if self._producer is None:
            self._producer = KafkaProducer(bootstrap_servers=self._address, enable_idempotence=False, linger_ms=5)
        self._producer.send(f"{self.prefix}.{topic}", value, key, partition=partition)

    def flush(self) -> None:
        """Waits until the log has all."""
        assert self._producer is not None
        self._producer.flush(WAIT_S)

    def blocks(self) -> dict[bytes, bytes]:
        """The records that stand in the topic of blocks."""
        consumer = KafkaConsumer(bootstrap_servers=self._address, group_id=None)
        tps = [TopicPartition(f"{self.prefix}.blocks", at) for at in range(PARTITIONS)]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        ends, out = consumer.end_offsets(tps), dict[bytes, bytes]()
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for records in consumer.poll(500).values():
                for one in records:
                    if one.value is None:
                        out.pop(one.key, None)
                    else:
                        out[one.key] = one.value
        consumer.close()
        return out

    def log_ends(self) -> int:
        """How many frames were written."""
        consumer = KafkaConsumer(bootstrap_servers=self._address, group_id=None)
        ends = consumer.end_offsets([TopicPartition(f"{self.prefix}.mentions", at) for at in range(PARTITIONS)])
        consumer.close()
        return sum(ends.values())

    def wait_sealed(self, worker: Worker) -> None:
        """Waits until every partition has a block of what was said."""
        wait(lambda: worker.total("denyut_block_seconds_count") >= PARTITIONS, worker.said)


@pytest.fixture
def stage(kafka: Kafka, tmp_path: Path) -> Iterator[Sealed]:
    made = Sealed(kafka, tmp_path)
    yield made
    made.close()


def outcomes(worker: Worker) -> dict[str, int]:
    """What became of blocks."""
    family = worker.families()["denyut_blocks"]
    return {one.labels["outcome"]: int(one.value) for one in family.samples
            if one.name == "denyut_blocks_total" and one.value}


def started_anew(stage: Sealed, worker: Worker, number: signal.Signals = signal.SIGKILL) -> None:
    """Ends it and starts it again; returns when it is ready."""
    worker.end(number)
    worker.start()
    stage.wait_shared()


@pytest.mark.slow
def test_a_worker_goes_on_from_its_newest_block(stage: Sealed) -> None:
    """Killed and started again, it shows the same figures, and has read two of nine hours of the log."""
    stage.past(60 * HOURS)
    stage.flush()
    worker = stage.join()
    stage.check()
    stage.say()  # a block is made when something is settled
    stage.wait_sealed(worker)
    started_anew(stage, worker)
    stage.check()
    assert outcomes(worker)["taken"] == PARTITIONS
    read = worker.total("denyut_recovered_frames_total")
    assert read < PARTITIONS * (2 * 60 + 30) < stage.log_ends() / 3
    stage.say()
    stage.check()


@pytest.mark.slow
def test_another_worker_goes_on_from_it_as_well(stage: Sealed) -> None:
    """A second owner takes what the first has sealed, and both go on writing; brands are never on two pages."""
    stage.past(60 * HOURS)
    stage.flush()
    first = stage.join()
    stage.say()
    stage.wait_sealed(first)
    second = stage.join()
    stage.check()
    assert outcomes(second)["taken"] == second.total("denyut_partitions")
    first.end(signal.SIGKILL)
    stage.workers.remove(first)
    stage.wait_shared()
    stage.check()


@pytest.mark.slow
def test_the_log_may_be_shorter_than_the_day(stage: Sealed) -> None:
    """Once a block stands, figures of the day outlive the records that they were made of."""
    stage.past(60 * HOURS)
    stage.flush()
    worker = stage.join()
    stage.say()
    stage.wait_sealed(worker)
    with KafkaAdminClient(bootstrap_servers=stage._address) as admin:
        before = {TopicPartition(f"{stage.prefix}.mentions", at): 60 * (HOURS - 3) for at in range(PARTITIONS)}
        admin.delete_records(before)
    started_anew(stage, worker)
    stage.check()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["torn", "newer"])
def test_what_cannot_be_read_is_passed_over(stage: Sealed, what: str) -> None:
    """A newest block that lacks a part, or of a release to come: the one before it is taken, and it is said."""
    stage.past(60 * HOURS)
    stage.flush()
    worker = stage.join()
    stage.say()
    stage.wait_sealed(worker)
    assert worker.end(signal.SIGTERM) == 0
    if what == "torn":
        shelf = Shelf(0, "torn")
        for key, value in stage.blocks().items():
            shelf.put(key, value)
        block = shelf.newest(PARTITIONS, 10**9).block
        assert block is not None
        records = shelf.records(block._replace(watermark_ms=block.watermark_ms + 1))
        stage.send(0, records[-1][1], records[-1][0], "blocks")
    else:
        stage.send(0, b'{"schema":99}', Place(0, "manifest", 2**42, "tomorrow", 0).key, "blocks")
    stage.flush()
    worker.start()
    stage.wait_shared()
    stage.check()
    assert outcomes(worker)[what] == 1
    assert outcomes(worker)["taken"] == PARTITIONS
    assert f"partition 0: a block was passed over: {what}" in worker.said()


@pytest.mark.slow
def test_where_no_block_can_be_read_the_start_stops(stage: Sealed) -> None:
    """It says why and what can be done, and ends with exit code 2."""
    stage.say()
    stage.send(0, b'{"schema":99}', Place(0, "manifest", 2**42, "tomorrow", 0).key, "blocks")
    stage.flush()
    worker = stage.join(ready=False)
    assert worker.process.wait(WAIT_S) == 2
    assert "of 1 blocks none can be read (1 written by a newer release)" in worker.said()


@pytest.mark.slow
def test_what_is_replaced_is_dropped(stage: Sealed) -> None:
    """Over hours of blocks a few stand, however many were written."""
    stage.past(30)
    stage.flush()
    worker = stage.join()
    now_ms = int(time.time() * 1000)
    for number in range(1, 9):  # the present may be ahead of the clock here: nothing asks it
        for at, frame in stage.mentions.frames(12, now_ms + number * 11 * MINUTE_MS).items():
            stage.send(at, frame)
        stage.flush()
        written = PARTITIONS * number
        wait(lambda written=written: worker.total("denyut_block_seconds_count") >= written, worker.said)
    places = [place for place in map(Place.of, stage.blocks()) if place]
    manifests = [place for place in places if place.kind == "manifest"]
    assert len(manifests) <= PARTITIONS * 4
    assert len({place.writer for place in places}) == 1
