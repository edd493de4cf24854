"""What was told of swings is read back: one incident, however its steps come."""

import random
import re
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError, NodeNotReadyError

from streams import told as edge
from streams.embedded import EmbeddedBroker
from streams.heart.errors import BrokenPromise
from streams.heart.incident import Cause, Step, Swing, Term, encode, key
from streams.settings import Settings
from streams.told import Incidents, Told
from streams.topics import EMBEDDED
from tests.incidents import swing

PATIENCE_S = 20.0
OPENED = swing()
EXPLAINED = swing(step=1, state=Step.EXPLAINED, terms=(Term("susu", 5.0, 9),), exemplars=("demo:1",),
                  causes=(Cause("term", "susu", 0.6),))
RISEN = swing(step=2, state=Step.RISEN, severity=3)
CLOSED = swing(step=3, state=Step.CLOSED, severity=3, ended="over")
OTHER = swing(id="teh:up:5", brand="teh", onset_ms=OPENED.onset_ms + 1)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    """One broker for all; every test has a prefix of its own."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def settings(broker: EmbeddedBroker, request: pytest.FixtureRequest) -> Settings:
    prefix = re.sub(r"[^a-z0-9_]+", "-", request.node.name)
    broker.make(prefix)
    return Settings(brokers=broker.address, prefix=prefix)


def write(settings: Settings, *records: tuple[bytes, bytes | None]) -> None:
    """Puts records on the topic of swings."""
    producer = KafkaProducer(bootstrap_servers=settings.brokers, api_version=EMBEDDED)
    for name, value in records:
        producer.send(settings.topic("swings"), value, name)
    producer.close(PATIENCE_S)


@given(st.permutations([OPENED, EXPLAINED, RISEN, CLOSED, OTHER]), st.integers(0, 5))
def test_the_order_of_steps_does_not_matter(steps: list[Swing], again: int) -> None:
    """In any order, some of them twice: the highest step stands, with the terms that only one step knew."""
    incidents = Incidents()
    for step in (*steps, *steps[:again]):
        incidents.add(step)
    whole = msgspec.structs.replace(
        CLOSED, terms=EXPLAINED.terms, exemplars=EXPLAINED.exemplars, causes=EXPLAINED.causes)
    assert (whole, OTHER) == incidents.latest()
    assert steps == incidents.news()
    assert [] == incidents.news()


def test_an_incident_that_is_not_explained_stands_as_it_is() -> None:
    """Without the explaining step nothing is added."""
    incidents = Incidents()
    for step in (CLOSED, OPENED):
        incidents.add(step)
    assert (CLOSED,) == incidents.latest()


def test_what_was_told_before_and_after_is_read(settings: Settings) -> None:
    """A reader begins with the beginning of the topic and goes on; steps of one incident lie in any partition."""
    write(settings, *((key(step), encode(step)) for step in (OPENED, EXPLAINED)))
    with Told(settings, embedded=True) as told:
        assert told.catch_up(PATIENCE_S)
        assert [EXPLAINED] == list(told.latest())
        steps = [RISEN, CLOSED, OTHER]
        random.Random(1).shuffle(steps)
        write(settings, *((key(step), encode(step)) for step in steps), (key(OTHER), None))
        assert told.catch_up(PATIENCE_S)
        assert [CLOSED.id, OTHER.id] == [one.id for one in told.latest()]
        assert {Step.OPENED, Step.EXPLAINED, Step.RISEN, Step.CLOSED} == {step.state for step in told.news()}


@pytest.mark.parametrize("value", [b'{"secret": 1}', b'{"id": "secret\xff"}'], ids=["fields", "bytes"])
def test_what_is_no_step_is_our_own_fault(settings: Settings, value: bytes) -> None:
    """Only workers write there, so a record that is no step is told to whoever asks, by its place alone."""
    write(settings, (b"swing:0000", value))
    with Told(settings, embedded=True) as told:
        told.catch_up(PATIENCE_S)
        with pytest.raises(BrokenPromise, match="offset 0") as caught:
            told.latest()
    assert "secret" not in str(caught.value)


class Consumer:
    """A consumer of one empty partition, whose broker is away the first times that it is asked for its end."""

    away: Sequence[Exception] = (KafkaTimeoutError("no answer"), NodeNotReadyError())
    assigned: tuple[TopicPartition, ...] = ()

    def __init__(self, **_: object) -> None:
        self.left = list(self.away)

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0}

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self.assigned = tuple(partitions)

    def assignment(self) -> tuple[TopicPartition, ...]:
        return self.assigned

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if self.left:
            raise self.left.pop(0)
        return dict.fromkeys(partitions, 0)

    def poll(self, _: int) -> dict[TopicPartition, list[object]]:
        return {}

    def position(self, _: TopicPartition) -> int:
        return 0

    def close(self) -> None: ...


def test_a_broker_that_is_away_for_a_while_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again, and that we wait is said."""
    monkeypatch.setattr("kafka.KafkaConsumer", Consumer)
    monkeypatch.setattr(edge, "knock", lambda _: None)
    monkeypatch.setattr(edge, "AGAIN_S", 0.01)
    with Told(Settings()) as told:
        assert told.catch_up(PATIENCE_S)
        assert told.latest() == ()
    assert "waiting for Kafka: KafkaTimeoutError" in caplog.text


def test_a_reader_that_has_failed_lets_nobody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each who asks hears of it at once, also whoever asks after it was told."""
    monkeypatch.setattr("kafka.KafkaConsumer", Consumer)
    monkeypatch.setattr(Consumer, "away", [ValueError("out of order")])
    monkeypatch.setattr(edge, "knock", lambda _: None)
    with Told(Settings()) as told:
        for _ in range(3):
            assert told.catch_up(PATIENCE_S)
            with pytest.raises(ValueError, match="out of order"):
                told.latest()
