"""A swing is told once for each of its steps, whatever becomes of the worker, with reasons and without a text."""

import asyncio
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from streams.agents.swings import BUDGET_S, Posts, Steps
from streams.clock import Clock
from streams.heart.brands import Brands
from streams.heart.incident import Step, Swing, decode, key
from streams.heart.incident import encode as encode_step
from streams.heart.intake import Intake, Judged, Record
from streams.settings import Settings
from streams.topics import create
from streams.wire import Wire
from tests.faults.kafka import Kafka
from tests.faults.test_pulse_worker import Worker, free_port
from tests.incidents import swing
from tests.story import (
    BRANDS_TOML,
    CALM_MIN,
    MINUTE_MS,
    MOODS,
    PARTITIONS,
    PLANTED,
    START_MS,
    SWING_MIN,
    Story,
)

WAIT_S = 300.0  # a machine with other work needs ten times as long as one without


class Scene:
    """A story told to one worker, through topics of its own."""

    def __init__(self, kafka: Kafka, folder: Path, story: Story, *, deaf: bool) -> None:
        self.settings = Settings(brokers=kafka.address, prefix=f"swings-{uuid.uuid4().hex[:8]}",
                                 partitions=PARTITIONS, sources=("demo",))  # fmt: skip
        create(self.settings, replay=True)
        self.story, self.told = story, 0
        self._deaf = deaf
        once = {"enable_idempotence": False, "max_in_flight_requests_per_connection": 1}
        self._producer = KafkaProducer(bootstrap_servers=kafka.address, linger_ms=5, **once)
        self._intake = Intake(frozenset({"demo"}), Brands.parse(BRANDS_TOML), lambda *_: Judged("en", True))
        (folder / "brands.toml").write_text(BRANDS_TOML)
        environ = {
            "DENYUT_BROKERS": kafka.address, "DENYUT_PREFIX": self.settings.prefix, "DENYUT_SOURCES": "demo",
            "DENYUT_BRANDS": str(folder / "brands.toml"), "DENYUT_SESSION_MS": "4s",
            # The fall's last minute is the present, and hardly passes: what is shown then is no replay.
            "DENYUT_CLOCK": str(Clock.public(START_MS + (CALM_MIN + SWING_MIN) * MINUTE_MS, 0.01)),
        }  # fmt: skip
        self.worker = Worker(environ, free_port(), folder / f"{self.settings.prefix}.log")

    def begin(self) -> None:
        """Tells the calm, and waits until the worker has counted it."""
        self.tell(CALM_MIN)
        self.wait(lambda: self.worker.get("/readyz") == "ready\n")
        if self._deaf:
            self._deafen()

    def _deafen(self) -> None:
        """Nothing can be told from now on. A worker that starts would wait for the topic."""
        with KafkaAdminClient(bootstrap_servers=self.settings.brokers) as admin:
            admin.delete_topics([self.settings.topic("swings")])

    def wait(self, until: Callable[[], bool]) -> None:
        """Waits for something that happens in the worker: it can only be asked for."""
        give_up = time.monotonic() + WAIT_S
        while not until():
            assert self.worker.process.poll() is None, self.worker.said()
            assert time.monotonic() < give_up, self.worker.said()
            time.sleep(0.1)

    def tell(self, until: int) -> None:
        """Writes the story up to a minute: posts, then what a score worker would make of them."""
        while self.told < until:
            minute = self.story.minutes[self.told]
            self.told += 1
            sent = [self._producer.send(self.settings.topic("posts"), value, name, partition=at, timestamp_ms=arrival)
                    for at, arrival, name, value in minute]  # fmt: skip
            records = [Record(at, future.get(30).offset, arrival, name, value)
                       for (at, arrival, name, value), future in zip(minute, sent, strict=True)]  # fmt: skip
            batch = self._intake.read(records)
            scores = [next(MOODS[word] for word in text.split() if word in MOODS) for text, _ in batch.texts]
            frames = self._intake.finish(batch, scores, "rule", PARTITIONS).frames
            sent = [self._producer.send(self.settings.topic("mentions"), frame, partition=at)
                    for at, frame in frames.items()]  # fmt: skip
            for future in sent:
                future.get(30)

    def kill(self) -> None:
        """kill -9, and a start at once."""
        assert self.worker.end(signal.SIGKILL) == -9
        self.worker.start()

    def records(self) -> list[tuple[bytes, bytes]]:
        """Everything that was told of swings so far: key and value, in order."""
        topic = TopicPartition(self.settings.topic("swings"), 0)
        near = {"bootstrap_servers": self.settings.brokers, "auto_offset_reset": "earliest",
                "enable_auto_commit": False}  # fmt: skip
        with KafkaConsumer(**near) as consumer:
            consumer.assign([topic])
            end = consumer.end_offsets([topic])[topic]
            out: list[tuple[bytes, bytes]] = []
            while consumer.position(topic) < end:
                for some in consumer.poll(1000).values():
                    out += [(record.key, record.value) for record in some if record.offset < end]
        return out

    def steps(self) -> list[Swing]:
        """The steps told so far."""
        return [decode(value) for _, value in self.records()]

    def standing(self) -> dict[bytes, Swing]:
        """The step that stands under each key: the last that was told."""
        return {name: decode(value) for name, value in self.records()}

    def explained(self) -> Swing:
        """The explanation that stands."""
        return next(step for step in self.standing().values() if step.state is Step.EXPLAINED)

    def wait_for(self, *states: Step) -> list[Swing]:
        """Waits until steps of all these states have been told."""
        self.wait(lambda: {step.state for step in self.steps()} >= set(states))
        return self.steps()

    def severity(self) -> float:
        """Of the brand that falls, as the page has it."""
        samples = [one for family in self.worker.families().values() for one in family.samples
                   if one.name == "denyut_swing_severity"]  # fmt: skip
        assert len(samples) == 4, "each brand and direction, always"
        return sum(one.value for one in samples if one.labels == {"brand": "quovira", "direction": "down"})

    def close(self) -> None:
        self._producer.close()
        self.worker.process.kill()
        self.worker.process.wait()


class Undisturbed(NamedTuple):
    """The story as it is told when nothing happens to the worker."""

    story: Story
    records: list[tuple[bytes, bytes]]
    opened: Swing
    explained: Swing


_undisturbed: list[Undisturbed] = []


@pytest.fixture
def scenes(kafka: Kafka, tmp_path: Path) -> Iterator["Scenes"]:
    made = Scenes(kafka, tmp_path)
    yield made
    for scene in made.all:
        scene.close()


class Scenes:
    """Makes scenes, and the undisturbed one once for all tests."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self._kafka, self._folder = kafka, folder
        self.all: list[Scene] = []

    def new(self, story: Story, *, deaf: bool = False) -> Scene:
        self.all.append(Scene(self._kafka, self._folder, story, deaf=deaf))
        self.all[-1].begin()
        return self.all[-1]

    def undisturbed(self) -> Undisturbed:
        if not _undisturbed:
            scene = self.new(Story())
            assert scene.severity() == 0
            scene.tell(CALM_MIN + SWING_MIN)
            opened, explained = scene.wait_for(Step.OPENED, Step.EXPLAINED)[:2]
            scene.wait(lambda: scene.severity() >= opened.severity)
            assert scene.worker.total("denyut_swings_total") == 1
            scene.tell(len(scene.story.minutes))
            scene.wait_for(Step.CLOSED)
            scene.wait(lambda: scene.severity() == 0)
            assert scene.worker.total("denyut_swing_steps_total") == len(scene.records())
            _undisturbed.append(Undisturbed(scene.story, scene.records(), opened, explained))
        return _undisturbed[0]


def test_posts_are_read_back_by_their_places(kafka: Kafka) -> None:
    """From a real broker: near each other and far apart, in any order; what is beyond the end is not waited for."""
    settings = Settings(brokers=kafka.address, prefix=f"posts-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS)
    create(settings)
    topic, count = settings.topic("posts"), 5_000
    with KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False, linger_ms=5) as producer:
        for number in range(PARTITIONS * count):
            producer.send(topic, b"x" * 300, str(number).encode(), partition=number % PARTITIONS)
        producer.flush()
    rng = random.Random(3)
    wanted = {(at, offset) for at in range(PARTITIONS) for offset in (*rng.sample(range(count), 380), 1, 2, 3)}
    got: dict[tuple[int, int], bytes | None] = {}
    reading = Posts(Wire(kafka.address), topic).read(
        {*wanted, (0, count), (1, 10 * count)}, lambda place, name, _: got.update({place: name}))  # fmt: skip
    asyncio.run(asyncio.wait_for(reading, BUDGET_S))
    assert got == {(at, offset): str(PARTITIONS * offset + at).encode() for at, offset in wanted}


def test_steps_are_followed_from_a_week_ago_on(kafka: Kafka) -> None:
    """From a real broker: what was told before the start, then what is told since; while there is no topic, it waits.

    What was told longer ago than posts live is nobody's to forget any more.
    """
    settings = Settings(brokers=kafka.address, prefix=f"steps-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS)
    topic, now_ms = settings.topic("swings"), int(time.time() * 1000)
    got: list[str] = []

    async def told(name: str, at_ms: int) -> None:
        await asyncio.to_thread(_tell, kafka, topic, swing(id=name), at_ms)

    async def pause(_: float) -> None:
        if not got:
            await asyncio.to_thread(_make, kafka, topic)
            await told("old", now_ms - 8 * 86_400_000)
            await told("lately", now_ms - 86_400_000)

    async def follow() -> None:
        caught_up = asyncio.Event()
        following = asyncio.ensure_future(
            Steps(Wire(kafka.address), topic, pause).follow(lambda step: got.append(step.id), caught_up.set))
        await asyncio.wait_for(caught_up.wait(), WAIT_S)
        assert got == ["lately"]
        await told("now", now_ms)
        while len(got) < 2:
            await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(asyncio.wait_for(follow(), WAIT_S))
    assert got == ["lately", "now"]


def _make(kafka: Kafka, topic: str) -> None:
    """A topic whose records bear the times that they are given."""
    asked = {"num_partitions": 1, "replication_factor": 1, "configs": {"message.timestamp.type": "CreateTime"}}
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        admin.create_topics({topic: asked}, wait_for_metadata=True)


def _tell(kafka: Kafka, topic: str, step: Swing, at_ms: int) -> None:
    with KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False) as producer:
        producer.send(topic, encode_step(step), key(step), timestamp_ms=at_ms).get(30)


@pytest.mark.slow
def test_each_step_is_told_once(scenes: Scenes) -> None:
    """The brand that falls opens one incident, at once; the other none. A step stands under its own key."""
    told = scenes.undisturbed()
    steps = [decode(value) for _, value in told.records]
    assert [name for name, _ in told.records] == [key(step) for step in steps]
    assert len({name for name, _ in told.records}) == len(told.records)
    assert {(step.brand, step.direction, step.series, step.id) for step in steps} == {
        ("quovira", "down", "mood", told.opened.id)}  # fmt: skip
    assert (steps[0].state, steps[0].step) == (Step.OPENED, 0)
    assert (told.explained.state, told.explained.step) == (Step.EXPLAINED, 1)
    fell_ms = START_MS + CALM_MIN * MINUTE_MS
    assert fell_ms < told.opened.at_ms <= fell_ms + 15 * MINUTE_MS
    assert not steps[-1].is_open


@pytest.mark.slow
def test_a_swing_is_explained_by_what_many_say_and_holds_no_text(scenes: Scenes) -> None:
    """The planted word, by five authors or more; and of no post more than its key."""
    told = scenes.undisturbed()
    terms = {term.term: term.authors for term in told.explained.terms}
    assert terms[PLANTED] >= 5
    assert len(told.explained.exemplars) == 3
    for _, value in told.records:
        assert not [text for text in told.story.texts if text.encode() in value]
        assert b"thing" not in value  # the word of a single author


@pytest.mark.slow
def test_a_removed_post_is_quoted_by_nobody(scenes: Scenes) -> None:
    """The very posts that would have been chosen are removed, and others stand in their place."""
    told = scenes.undisturbed()
    scene = scenes.new(told.story.without(told.explained.exemplars, CALM_MIN + 1))
    scene.tell(CALM_MIN + SWING_MIN)
    explained = next(step for step in scene.wait_for(Step.EXPLAINED) if step.state is Step.EXPLAINED)
    assert explained.exemplars
    assert not set(explained.exemplars) & set(told.explained.exemplars)


@pytest.mark.slow
def test_a_post_that_is_removed_later_is_quoted_no_more(scenes: Scenes) -> None:
    """The step is told again under its key, with other exemplars, from the posts that are left."""
    told = scenes.undisturbed()
    opens = (told.opened.at_ms - START_MS) // MINUTE_MS
    scene = scenes.new(told.story.without(told.explained.exemplars, opens + 2))
    scene.tell(opens + 1)
    scene.wait_for(Step.OPENED, Step.EXPLAINED)
    first = scene.explained()
    scene.tell(opens + 3)
    scene.wait(lambda: not set(scene.explained().exemplars) & set(told.explained.exemplars))
    again = scene.explained()
    assert (again.id, again.step, len(again.exemplars)) == (first.id, first.step, 3)
    assert PLANTED in {term.term for term in again.terms}


@pytest.mark.slow
def test_a_swing_whose_posts_are_removed_is_withdrawn(scenes: Scenes) -> None:
    """When those who fell take it back: its severity falls on the page, and nothing is quoted."""
    story, now = Story(), CALM_MIN + SWING_MIN  # before it the page says nothing of severity: it is a replay
    fell = [name.decode() for some in story.minutes[CALM_MIN:now] for _, _, name, value in some
            if b'"quovira ' in (value or b"")]  # fmt: skip
    scene = scenes.new(story.without(fell, now))
    scene.tell(now)
    opened = scene.wait_for(Step.OPENED, Step.EXPLAINED)[0]
    scene.wait(lambda: scene.severity() >= opened.severity)
    assert scene.explained().exemplars
    scene.tell(now + 4)
    steps = scene.wait_for(Step.WITHDRAWN)
    assert (steps[-1].ended, steps[-1].id) == ("withdrawn", opened.id)
    scene.wait(lambda: scene.severity() == 0)
    scene.wait(lambda: not any(step.exemplars or step.terms for step in scene.standing().values()))


@pytest.mark.slow
def test_what_was_made_and_not_delivered_is_told_after_a_restart(scenes: Scenes) -> None:
    """The frames that led to it are acked by then; the log is read back, and the same step is made again."""
    told = scenes.undisturbed()
    scene = scenes.new(told.story, deaf=True)
    scene.tell((told.opened.at_ms - START_MS) // MINUTE_MS + 2)
    scene.wait(lambda: scene.worker.total("denyut_swings_total") == 1)
    assert scene.worker.total("denyut_swing_steps_total") == 0
    create(scene.settings, replay=True)
    scene.kill()
    scene.wait_for(Step.OPENED)
    assert scene.records()[0] == told.records[0]
    assert scene.worker.total("denyut_swings_total") == 0


@pytest.mark.slow
def test_a_worker_that_is_killed_tells_the_same(scenes: Scenes) -> None:
    """kill -9 before the opening, as it is told, and while the swing goes on: the same steps by key and value."""
    told = scenes.undisturbed()
    opens = (told.opened.at_ms - START_MS) // MINUTE_MS
    scene = scenes.new(told.story)
    scene.tell(opens - 1)
    scene.kill()
    scene.tell(opens + 1)
    scene.wait_for(Step.OPENED)
    scene.kill()  # it may be explaining
    scene.tell(CALM_MIN + SWING_MIN)
    scene.wait_for(Step.EXPLAINED)
    scene.kill()
    scene.tell(len(scene.story.minutes))
    scene.wait(lambda: {name for name, _ in scene.records()} == {name for name, _ in told.records})
    # What is explained is a reading of the posts that exist when it is read.
    same = {pair for pair in told.records if decode(pair[1]).state is not Step.EXPLAINED}
    assert {pair for pair in scene.records() if decode(pair[1]).state is not Step.EXPLAINED} == same
