"""The score worker's loop, without Kafka and without a model: what is acked, what is dropped, what is rejected."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from models.score import NoModel
from streams.agents.batcher import SLICE, Batcher, Caps
from streams.agents.score import Page, Scorer
from streams.heart.errors import LostBroker
from streams.heart.frame import unpack
from streams.heart.intake import Asked, Scored
from streams.heart.notice import HandedBack, Notice, PostRejected, PostsRead
from streams.outbox import Outbox
from streams.serve import Health
from tests.test_batcher import INTAKE, said
from tests.test_outbox import Kafka

PARTITIONS = 4
MANY = 6 * SLICE  # records that make more than one batch


@dataclass(eq=False)
class Message:
    """A record as Faust brings it."""

    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    generation: int = 1


class Queue:
    """A stream's queue."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.left = list(messages)

    def empty(self) -> bool:
        return not self.left

    def get_nowait(self) -> Any:
        self.message = self.left.pop(0)
        return self

    def maybe_endorse_pressure_drop(self) -> None:
        """No partition waits."""


@dataclass
class Group:
    """A consumer group that remembers what was acked."""

    unsettled: bool = False
    held: list[Message] = field(default_factory=list)
    acked: list[Message] = field(default_factory=list)
    dropped: list[Message] = field(default_factory=list)

    def is_current(self, message: Message) -> bool:
        return message.generation == 1

    def hold(self, messages: Sequence[Message]) -> None:
        self.held.extend(messages)

    def ack(self, messages: Sequence[Message]) -> None:
        self.acked.extend(messages)

    def drop(self, messages: Sequence[Message]) -> None:
        self.dropped.extend(messages)


@dataclass
class Model:
    """Finds everything good, breaks on `poison`, and is away as often as it is told to be."""

    away: int = 0
    name: str = "fake"
    asked: int = 0

    async def ask(self, texts: Sequence[Asked]) -> list[Scored | None]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise NoModel("away")
        return [None if "poison" in asked.text else Scored(0.5, 2) for asked in texts]


class Notices(Counter[str]):
    """An observer that adds up."""

    def observe(self, notice: Notice) -> None:
        if isinstance(notice, PostsRead):
            self["read"] += notice.read
            self["rejected"] += notice.rejected
        elif isinstance(notice, HandedBack):
            self["handed back"] += notice.count
        elif isinstance(notice, PostRejected):
            self[notice.reason] += 1


class Stage:
    """A scorer and all that is around it, run until something is true."""

    def __init__(
        self, texts: Sequence[str], kafka: Kafka | None = None, model: Model | None = None, most: int = 2
    ) -> None:
        records = [said(number, text) for number, text in enumerate(texts)]
        self.messages = [Message(r.partition, r.offset, r.arrival_ms / 1000, r.key, r.value) for r in records]
        self.queue, self.group, self.notices = Queue(self.messages), Group(), Notices()
        self.kafka, self.model, self.health = kafka or Kafka(), model or Model(), Health("model")
        outbox = Outbox(self.kafka, "t", 10**6, self._pause)
        page = Page(self.notices, self.health)
        self.scorer = Scorer(INTAKE, Batcher(Caps(wait_s=0, texts=most)), self.model, self.group, outbox, page)

    async def _pause(self, _: float) -> None:
        await asyncio.sleep(0.001)

    def run(
        self, until: Callable[[], bool], then: Callable[[], bool] | None = None, do: Callable[[], None] | None = None
    ) -> None:
        """Runs until a condition holds; then does something, and runs until another does."""
        steps = [(until, do or (lambda: None)), (then or until, lambda: None)]
        asyncio.run(asyncio.wait_for(self._run(steps), 60))

    async def _run(self, steps: list[tuple[Callable[[], bool], Callable[[], None]]]) -> None:
        jobs = [self.scorer.collect(self.queue), self.scorer.answer(PARTITIONS), self.scorer.deliver()]
        tasks = [asyncio.create_task(job) for job in jobs]
        for until, do in steps:
            while not until():
                for task in tasks:
                    assert not task.done(), task.exception()
                await asyncio.sleep(0.001)
            do()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def rows(self) -> list[int]:
        """Offsets of the rows delivered, in order."""
        frames = [unpack(value) for _, at, value in self.kafka.log if at is not None]
        return sorted(int(row["offset"]) for frame in frames for row in frame.rows)


def test_everything_is_acked_in_the_order_in_which_it_was_read() -> None:
    """And only after it was delivered, as one row each."""
    stage = Stage(["kopi enak"] * MANY)
    stage.run(lambda: len(stage.group.acked) == MANY)
    assert stage.model.asked > 4
    assert stage.group.acked == stage.messages
    assert stage.group.held == stage.messages
    assert stage.rows == list(range(MANY))
    assert stage.notices == {"read": MANY, "rejected": 0}


def test_nothing_is_acked_while_it_is_not_delivered() -> None:
    """Kafka is away: the batches wait, and none goes out before the one in front."""
    stage = Stage(["kopi enak"] * MANY, Kafka(fails=10**9))
    stage.run(lambda: len(stage.group.held) > 2 * SLICE)
    assert (stage.group.acked, stage.kafka.log) == ([], [])


class Back(Kafka):
    """Away until a condition holds, and from then on it takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.is_back: Callable[[], bool] = lambda: False

    async def send(self, topic: str, value: bytes, partition: int | None) -> None:
        if not self.is_back():
            raise LostBroker("away")
        await super().send(topic, value, partition)


def test_a_batch_that_is_given_up_takes_all_later_ones_along() -> None:
    """Their marks would say that it has been delivered."""
    #  batch   1              2             3
    #          given up       scored        in the model
    #          Kafka is back: 2 and 3 could be delivered, and must not be
    kafka = Back()
    stage = Stage(["kopi enak"] * MANY, kafka)
    kafka.is_back = lambda: bool(stage.group.dropped)

    def leave() -> None:
        stage.group.unsettled = True

    def all_back() -> bool:
        return stage.notices["handed back"] + stage.notices["read"] + len(stage.queue.left) == MANY

    stage.run(lambda: len(stage.group.held) > 2 * SLICE, all_back, leave)
    assert (stage.group.acked, kafka.log) == ([], [])


def test_what_is_read_after_a_change_of_assignment_is_worked_on() -> None:
    """The old batches are dropped, the new ones go their way."""
    stage = Stage(["kopi enak"] * 6, Kafka(fails=10**9))

    def change() -> None:
        stage.scorer.revoked()
        stage.kafka._fails = 0
        stage.queue.left[:] = stage.messages[3:]

    stage.run(lambda: len(stage.group.held) >= 4, lambda: len(stage.group.acked) == 3, change)
    assert stage.group.acked == stage.messages[3:]
    assert stage.notices["read"] == 3


def test_what_waits_to_become_a_batch_is_handed_back_at_a_revocation() -> None:
    """Else it would be scored under the next assignment, and counted by two workers' acks."""
    stage = Stage(["hujan"])
    stage.scorer._batcher.add(stage.messages, INTAKE.read([]), 0.0)
    stage.scorer.revoked()
    assert (stage.group.dropped, len(stage.scorer._batcher), stage.notices["handed back"]) == (stage.messages, 0, 1)


def test_what_is_lost_while_it_is_delivered_is_not_acked() -> None:
    """It is delivered, and whoever has its partition now delivers it again: the place in the log is his to move."""
    class Revokes(Kafka):
        async def send(self, topic: str, value: bytes, partition: int | None) -> None:
            await super().send(topic, value, partition)
            stage.scorer.revoked()

    stage = Stage(["kopi enak"] * 3, Revokes())
    stage.run(lambda: len(stage.group.dropped) == 3)
    assert (stage.group.acked, stage.notices["handed back"]) == ([], 3)


def test_nothing_is_taken_while_an_assignment_changes() -> None:
    """What lies in the queue then is either about to be cleared or belongs to the next assignment."""
    stage = Stage(["hujan"] * 20)
    stage.group.unsettled = True
    stage.scorer._batcher.add(stage.messages[:1], INTAKE.read([]), 0.0)
    stage.run(lambda: bool(stage.group.dropped))
    assert (len(stage.queue.left), stage.group.held, stage.notices["handed back"]) == (20, [], 1)


def test_a_record_of_an_older_assignment_is_handed_back() -> None:
    """It may slip through a rebalance; whoever owns the partition reads it too."""
    stage = Stage(["hujan"] * 4)
    stage.messages[1].generation = 0
    stage.run(lambda: len(stage.group.acked) == 3)
    assert stage.messages[1] not in stage.group.acked
    assert stage.notices == {"read": 3, "rejected": 0, "handed back": 1}


@pytest.mark.parametrize("away", [1, 2])
def test_a_failing_model_rejects_nothing(away: int) -> None:
    """It is asked again until it answers; meanwhile the worker is not ready."""
    stage = Stage(["kopi enak"] * 3, model=Model(away))
    stage.run(lambda: "model" in stage.health.missing() and stage.model.asked > 0, lambda: len(stage.group.acked) == 3)
    assert stage.rows == [0, 1, 2]
    assert stage.notices["rejected"] == 0
    assert stage.health.ready


def test_a_failing_model_does_not_hold_up_a_change_of_assignment() -> None:
    """The batch is dropped, and scored elsewhere."""
    stage = Stage(["kopi enak"] * 3, model=Model(10**9))

    def leave() -> None:
        stage.group.unsettled = True

    stage.run(lambda: stage.model.asked > 0, lambda: len(stage.group.dropped) == 3, leave)
    assert stage.group.acked == []


def test_poison_is_rejected_alone() -> None:
    """The other texts of its batch have their rows."""
    stage = Stage(["kopi enak", "kopi poison", "kopi pahit"], most=100)
    stage.run(lambda: len(stage.group.acked) == 3)
    assert stage.rows == [0, 2]
    assert stage.notices == {"read": 3, "rejected": 1, "poison": 1}
    assert [value[:18] for _, at, value in stage.kafka.log if at is None] == [b'{"reason":"poison"']


def test_posts_that_name_no_brand_never_meet_the_model() -> None:
    """They are read, counted and acked; marks go out for them."""
    stage = Stage(["hujan"] * 300)
    stage.run(lambda: len(stage.group.acked) == 300)
    assert (stage.model.asked, stage.rows) == (0, [])
    assert {at for _, at, _ in stage.kafka.log} == set(range(PARTITIONS))


def test_the_oldest_record_in_hand_has_an_age() -> None:
    """0 when nothing is in hand: an idle worker is not stuck."""
    stage = Stage(["kopi enak"], Kafka(fails=10**9))
    assert stage.scorer.oldest_s == 0
    stage.run(lambda: bool(stage.group.held))
    assert stage.scorer.oldest_s > 0
