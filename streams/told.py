"""Told: the topic `denyut.swings` read back, for whoever shows what was told.

    denyut.swings ──a thread, from the beginning──▶ Incidents ──▶ latest(), news()

One incident is many steps, told in any order and sometimes twice; the highest step stands. The terms and exemplars are
a step of their own, so an incident keeps them when later steps bear none.
Knows nothing of how a swing is found, or of how it is shown.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from streams.heart.errors import BrokenPromise, LostBroker
from streams.heart.incident import Step, Swing, decode
from streams.knock import knock
from streams.logs import OFTEN
from streams.settings import Settings
from streams.topics import EMBEDDED
from streams.wire import Wire

POLL_MS = 250
AGAIN_S = 1.0
STOP_S = 5.0
often = logging.getLogger(f"{OFTEN}.told")
_What = TypeVar("_What")


class Incidents:
    """Steps in, incidents out. The order of the steps does not matter, nor that one comes again."""

    def __init__(self) -> None:
        self._steps: dict[str, dict[int, Swing]] = {}
        self._news: list[Swing] = []

    def add(self, step: Swing) -> None:
        """Takes a step in."""
        steps = self._steps.setdefault(step.id, {})
        if step.step not in steps:
            self._news.append(step)
        steps[step.step] = step

    def latest(self) -> tuple[Swing, ...]:
        """Every incident as it stands, in the order of their beginnings."""
        return tuple(sorted(map(self._whole, self._steps.values()), key=lambda swing: (swing.onset_ms, swing.id)))

    def news(self) -> list[Swing]:
        """The steps that came since this was last asked."""
        news, self._news = self._news, []
        return news

    @staticmethod
    def _whole(steps: dict[int, Swing]) -> Swing:
        """The highest step; terms, exemplars and causes are those of the explained step unless it brings its own."""
        last = steps[max(steps)]
        explained = next((step for step in steps.values() if step.state is Step.EXPLAINED), last)
        return msgspec.structs.replace(
            last, terms=last.terms or explained.terms, exemplars=last.exemplars or explained.exemplars,
            causes=last.causes if last.terms or not explained.causes else explained.causes)


class Told:
    """The incidents of a topic, kept up to date by a thread of their own within a `with`."""

    def __init__(self, settings: Settings, *, embedded: bool = False) -> None:
        """`embedded`: the broker is the one inside this process."""
        self._settings = settings
        self._wire = Wire.of(settings)
        self._embedded = embedded
        self._incidents = Incidents()
        self._door = threading.Lock()
        self._over = threading.Event()
        self._asked = threading.Event()  # somebody wants everything that is there
        self._caught_up = threading.Event()
        self._failed: list[Exception] = []
        self._thread = threading.Thread(target=self._run, name="swings told", daemon=True)

    def latest(self) -> tuple[Swing, ...]:
        """Every incident as it stands. Raises what stopped the reading."""
        return self._hand_out(self._incidents.latest)

    def news(self) -> list[Swing]:
        """The steps that came since this was last asked. Raises what stopped the reading."""
        return self._hand_out(self._incidents.news)

    def catch_up(self, timeout_s: float) -> bool:
        """Waits until all that is in the topic now has been read, or nothing more will be. False: the time was up."""
        self._caught_up.clear()
        self._asked.set()
        # What has failed may have said so before it was cleared; `latest` says what it was.
        return bool(self._failed) or self._caught_up.wait(timeout_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(STOP_S)

    def _hand_out(self, what: Callable[[], _What]) -> _What:
        if self._failed:
            raise self._failed[0]
        with self._door:
            return what()

    def _run(self) -> None:
        from kafka.errors import AuthorizationError

        try:
            self._wait()
            with ExitStack() as stack:
                consumer = stack.enter_context(closing(self._consumer()))
                while not self._over.is_set():
                    self._again(lambda: self._read(consumer))
        except AuthorizationError as error:
            self._fail(self._wire.denied("read", self._settings.topic("swings"), error))
        except Exception as error:  # told to whoever asks next: this thread has nobody to tell
            self._fail(error)

    def _again(self, what: Callable[[], _What]) -> _What | None:
        """What it gives; None where Kafka does not answer for now. All of it can be asked again."""
        from kafka.errors import RetriableError

        try:
            return what()
        except RetriableError as error:
            often.warning("waiting for Kafka: %s", type(error).__name__)
            self._over.wait(AGAIN_S)
            return None

    def _fail(self, error: Exception) -> None:
        self._failed.append(error)
        self._caught_up.set()

    def _wait(self) -> None:
        """Waits for Kafka. Raises `BadSetting` when it refuses us."""
        while not self._over.is_set():
            try:
                knock(self._wire)
            except LostBroker as error:
                often.warning("waiting for Kafka: %s", error)
                self._over.wait(AGAIN_S)
            else:
                break

    def _consumer(self) -> Any:
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(
            group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", metrics_enabled=False,
            api_version=EMBEDDED if self._embedded else None, **self._wire.for_kafka_python())
        topic = self._settings.topic("swings")
        # Nobody has told anything of it yet.
        while not (numbers := self._again(lambda: consumer.partitions_for_topic(topic))):
            often.warning("waiting for %s: `denyut topics --create` makes it; if it is there, we lack the right to it",
                          topic)
            if self._over.wait(POLL_MS / 1000):
                break
        consumer.assign([TopicPartition(topic, number) for number in sorted(numbers or ())])
        return consumer

    def _read(self, consumer: Any) -> None:
        asked = self._asked.is_set()
        ends = consumer.end_offsets(consumer.assignment()) if asked else {}
        while True:
            for records in consumer.poll(POLL_MS).values():
                self._take(records)
            if self._over.is_set() or all((consumer.position(at) or 0) >= end for at, end in ends.items()):
                break
        if asked:
            self._asked.clear()
            self._caught_up.set()

    def _take(self, records: list[Any]) -> None:
        for record in records:
            if record.value is None:
                continue
            try:
                step = decode(record.value)
            except msgspec.MsgspecError as error:
                raise BrokenPromise(f"{record.topic}, partition {record.partition}, offset {record.offset}: "
                                    f"no step of a swing ({error})") from None
            with self._door:
                self._incidents.add(step)
