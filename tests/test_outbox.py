"""What is sent, in which order, and when it counts as delivered."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.heart.errors import BrokenPromise, LostBroker, Reason
from streams.heart.frame import FLOOR, ROW, Frame, Health, Mark, Names, pack, unpack
from streams.heart.intake import Reject
from streams.outbox import FaustSender, Outbox, pieces

REJECTS = tuple(Reject(1, offset, 1_000 + offset, Reason.NOT_JSON, "hidden") for offset in range(600))


class Kafka:
    """A sender that keeps what it was given, lets others go first, and fails as often as it is told to."""

    def __init__(self, fails: int = 0, error: type[Exception] = LostBroker) -> None:
        self.log: list[tuple[str, int | None, bytes]] = []
        self.under_way: list[int | None] = []
        self.most_rejects = 0
        self._fails = fails
        self._error = error

    async def send(self, topic: str, value: bytes, partition: int | None) -> None:
        assert partition is None or partition not in self.under_way, "a frame before the last one was confirmed"
        self.under_way.append(partition)
        self.most_rejects = max(self.most_rejects, self.under_way.count(None))
        await asyncio.sleep(0)
        self.under_way.remove(partition)
        if self._fails:
            self._fails -= 1
            raise self._error("away")
        self.log.append((topic, partition, value))


class Pauses(list[float]):
    """Waits without waiting, and remembers how long."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def deliver(kafka: Kafka, frames: dict[int, bytes], rejects: tuple[Reject, ...] = (), most: int = 10**6,
            wanted: Callable[[], bool] = lambda: True) -> tuple[bool, Pauses]:
    """One delivery, and the pauses it made."""
    pauses = Pauses()
    done = asyncio.run(Outbox(kafka, "t", most, pauses).deliver(frames, rejects, wanted))
    return done, pauses


def test_every_frame_goes_to_its_own_partition() -> None:
    """The partition is ours to choose: a brand is counted where its hash says."""
    kafka = Kafka()
    done, _ = deliver(kafka, {0: b"a", 2: b"c"})
    assert done
    assert sorted(kafka.log) == [("t.mentions", 0, b"a"), ("t.mentions", 2, b"c")]


def test_a_reject_is_coordinates_and_a_reason() -> None:
    """Nothing that came from the record is in it."""
    kafka = Kafka()
    deliver(kafka, {}, REJECTS[:1])
    assert kafka.log == [("t.rejects", None, b'{"reason":"not_json","partition":1,"offset":0,"arrival":1000}')]


def test_many_rejects_go_out_in_bounded_numbers() -> None:
    """A source that sends nothing but nonsense does not fill the memory."""
    kafka = Kafka()
    assert deliver(kafka, {}, REJECTS)[0]
    assert len(kafka.log) == len(REJECTS)
    assert kafka.most_rejects <= 256


def test_what_fails_is_sent_again_with_longer_pauses() -> None:
    """An outage of any length ends in a delivery, not in a loss; the pauses stop growing at 5 s."""
    kafka = Kafka(fails=7)
    done, pauses = deliver(kafka, {0: b"a"})
    assert done
    assert kafka.log == [("t.mentions", 0, b"a")]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_what_is_no_longer_ours_is_given_up() -> None:
    """Without a word of success, so that nobody acks it."""
    kafka = Kafka(fails=10**6)
    left = iter([True, True, False])
    done, pauses = deliver(kafka, {0: b"a"}, wanted=lambda: next(left))
    assert not done
    assert len(pauses) == 2


def test_one_undelivered_frame_makes_the_whole_batch_undelivered() -> None:
    """An ack covers all partitions at once."""
    assert not deliver(Kafka(fails=1), {0: b"a", 1: b"b"}, wanted=lambda: False)[0]
    assert not deliver(Kafka(fails=1), {}, REJECTS[:2], wanted=lambda: False)[0]


def test_a_record_that_kafka_will_never_take_stops_the_worker() -> None:
    """Trying for ever would look like an outage."""
    with pytest.raises(BrokenPromise):
        deliver(Kafka(fails=1, error=BrokenPromise), {0: b"a"})


def frame(rows: int, floors: int) -> Frame:
    """A frame with so many rows and floors, all different, of 50 brands."""
    filled = np.zeros(rows, ROW)
    filled["id"], filled["brand"] = np.arange(rows), np.arange(rows) % 50
    hurdles = np.zeros(floors, FLOOR)
    hurdles["id"] = np.arange(floors)
    names = Names(tuple(f"brand-{n}" for n in range(min(rows, 50))), ("demo",), ("id",), ("m",), ("always",))
    return Frame(names, filled, hurdles, (Mark(3, 99),), (Health("demo", 98, 97),))


def facts(frames: list[Frame]) -> tuple[list[tuple[int, str]], list[int]]:
    """Rows by brand name, and floors, in the order in which the frames bring them."""
    rows = [(int(row["id"]), one.names.brand[row["brand"]]) for one in frames for row in one.rows]
    return rows, [int(floor["id"]) for one in frames for floor in one.floors]


@given(st.integers(0, 300), st.integers(0, 300), st.integers(500, 30_000))
def test_the_pieces_of_a_frame_are_the_frame(rows: int, floors: int, most: int) -> None:
    """In order, none above the limit, no fact lost or doubled, and only the last one says that all has arrived."""
    whole = frame(rows, floors)
    parts = [unpack(piece) for piece in pieces(pack(whole), most)]
    assert facts(parts) == facts([whole])
    assert all(len(pack(part)) <= most for part in parts)
    assert [bool(part.marks or part.health) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1].marks, parts[-1].health) == (whole.marks, whole.health)


def test_the_pieces_of_a_frame_go_out_one_after_the_other() -> None:
    """The mark in the last piece is true only when the others have arrived."""
    kafka = Kafka(fails=2)
    assert deliver(kafka, {0: pack(frame(500, 0))}, most=5_000)[0]
    sent = [unpack(value) for _, _, value in kafka.log]
    assert len(sent) > 5
    assert [int(one.rows["id"][0]) for one in sent] == sorted(int(one.rows["id"][0]) for one in sent)
    assert [bool(one.marks) for one in sent] == [False] * (len(sent) - 1) + [True]


class Producer:
    """Faust's producer: fails at once, or later, in the future that it gives."""

    def __init__(self, at_once: Exception | None, later: Exception | None) -> None:
        self.producer = self
        self._at_once, self._later = at_once, later

    async def send(self, *_: object) -> "asyncio.Future[None]":
        if self._at_once is not None:
            raise self._at_once
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._later is not None:
            future.set_exception(self._later)
        else:
            future.set_result(None)
        return future


def wrapped(error: Exception) -> Exception:
    """As Faust wraps what aiokafka raises."""
    from faust.exceptions import ProducerSendError

    outer: Exception = ProducerSendError(repr(error))
    outer.__cause__ = error
    return outer


def test_whatever_the_producer_raises_is_a_lost_broker_or_a_broken_promise() -> None:
    """Nothing else comes through the door; a record that is too large is no outage."""
    from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

    def send(at_once: Exception | None, later: Exception | None) -> None:
        asyncio.run(FaustSender(Producer(at_once, later)).send("t", b"v", 0))

    send(None, None)
    for lost in (KafkaTimeoutError(), wrapped(KafkaTimeoutError())):
        with pytest.raises(LostBroker, match="KafkaTimeoutError"):
            send(lost, None)
        with pytest.raises(LostBroker, match="KafkaTimeoutError"):
            send(None, lost)
    for large in (MessageSizeTooLargeError(), wrapped(MessageSizeTooLargeError())):
        with pytest.raises(BrokenPromise):
            send(large, None)
