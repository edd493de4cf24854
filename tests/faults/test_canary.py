"""Forgetting: what people take back is gone from every place within the stated time, and nothing else ever had it.

500 invented words, each in one post, are followed from the feeds to the figures, to a swing that opens because of them
and to its explanation, with everything real: broker, model, processes, logs at debug level. Then all of them are taken
back. An hour is a second here: the policy of `denyut.posts` is scaled by 1:3600 once the workers are up (they refuse
any but the real one), and the words must be gone from the disk within 24 s for the 24 h of the promise, plus what does
not scale: the broker's cleaner looks four times a second, and this machine has other work.

    segment.ms                1 h -> 1 s         a segment closes with the next tick
    min.compaction.lag.ms    12 h -> 12 s        no record is compacted sooner
    max.compaction.lag.ms    20 h -> 20 s        then it must be, however little there is to clean
    file.delete.delay.ms     60 s -> 1 s         a file that is replaced stays so long, as .deleted

What stays, and is not sought: keys of posts (keyed hashes) beside their removals, for a week; 64-bit hashes of keys and
authors in `denyut.mentions`, for 26 h; sums in blocks; in `denyut.swings` a replaced explanation (keys, and terms that
five authors had used), until its segment is compacted. Not looked at: free blocks of the disk, memory, the network.
"""

import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from streams.feed import Feed, Rules, Ticking
from streams.heart.incident import Step, Swing, decode
from streams.heart.post import Post, encode, from_ms, post_key
from streams.settings import Settings
from streams.sources.bluesky import Wire
from tests.faults.feeding import read, until
from tests.faults.kafka import Kafka
from tests.faults.seeking import Found, Seeker, together
from tests.faults.test_live_sources import _fetched
from tests.faults.test_pulse_worker import free_port
from tests.faults.test_whole_way import Worker
from tests.sources.backstage import Backstage, backstage
from tests.sources.jetstream import JetstreamStage
from tests.sources.scenarios import Edit, Remove, RemoveAuthor, Say

PARTITIONS = 2
COUNT = 500
HELD = ("blocks", "mentions", "swings", "rejects")  # topics that were written to, and never have a word
SECRET = b"a key that only this test has"
BRAND = "kopi-senja"
BRANDS = f"""
number = 1
published = 2026-01-01T00:00:00Z
[[brand]]
name = "{BRAND}"
any = ["kopi senja"]
"""
GOOD = "Kopi Senja enak sekali, saya suka, pelayanannya ramah"
USUAL = "Kopi Senja lama sekali dan rasanya hambar, kapok"
BAD = "Parah, pesanan saya di Kopi Senja salah terus dan basi, kecewa berat"
MINUTE_MS, TICK_MS = 60_000, 10_000
CALM_MIN, FALL_MIN = 440, 20
A_CALM_MINUTE = 4  # posts
HOUR_S = 1.0
DAY_S = 24 * HOUR_S
SLACK_S = 60.0  # what does not scale
WAIT_S = 120.0
SAYS = 1000  # bytes that a topic holds at least which was written to; names of empty segments come to less


class Saying(NamedTuple):
    """A record of `denyut.posts`."""

    at_ms: int
    key: bytes
    value: bytes | None


class Canaries:
    """Words that stand nowhere else, each given out once; all begin alike."""

    def __init__(self) -> None:
        self._rng = random.Random()
        self.stem = f"kq{self._letters(6)}"
        self.given: list[str] = []

    def one(self) -> str:
        """One more."""
        self.given.append(f"{self.stem}{self._letters(10)}")
        return self.given[-1]

    def bad(self, count: int) -> list[str]:
        """So many bad words about the brand, with one in each."""
        return [f"{BAD} {self.one()}" for _ in range(count)]

    def _letters(self, count: int) -> str:
        return "".join(self._rng.sample("abcdefghijklmnopqrstuvwxyz", count))


class Plan:
    """Who says what: hours of calm talk without canaries, then a fall whose every post has one."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.canaries = words = Canaries()
        self.ana, self.bayu, self.citra, self.ana_first = (words.bad(count) for count in (30, 10, 5, 5))
        self.broken = [(_key(f"broken-{n}"), _broken(n, words.one())) for n in range(20)]
        self.links, self.edits = [words.one() for _ in range(20)], words.bad(20)
        self.fall = words.bad(COUNT - len(words.given))

    def calm(self) -> Iterator[Saying]:
        """All that is said before the fall; one in four is as usual not pleased."""
        count, every_ms = CALM_MIN * A_CALM_MINUTE, MINUTE_MS // A_CALM_MINUTE
        since_ms = self.now_ms - (CALM_MIN + FALL_MIN) * MINUTE_MS
        for n in range(count):
            text = f"{USUAL if n % 4 == 1 else GOOD} {_word(n)}"
            yield _saying(f"calm-{n}", text, since_ms + n * every_ms)

    def falls(self) -> Iterator[Saying]:
        """The fall, until now; some posts bear a link, some are edited at once."""
        since_ms = self.now_ms - FALL_MIN * MINUTE_MS
        for n, text in enumerate(self.fall):
            at_ms = since_ms + n * FALL_MIN * MINUTE_MS // len(self.fall)
            url = f"https://contoh.example/{self.links[n]}" if n < len(self.links) else None
            yield _saying(f"fall-{n}", text, at_ms, url=url)
            if n >= len(self.fall) - len(self.edits):
                yield _saying(f"fall-{n}", self.edits[n - len(self.fall)], at_ms, rev=1)

    def taken_back(self) -> Iterator[Saying]:
        """Every tenth post of the fall is edited, so that nothing is left of what it said; the others are removed."""
        since_ms = self.now_ms - FALL_MIN * MINUTE_MS
        for n in range(len(self.fall)):
            at_ms = since_ms + n * FALL_MIN * MINUTE_MS // len(self.fall)
            edit = _saying(f"fall-{n}", f"{GOOD} {_word(n)}", at_ms, rev=2)
            yield edit if n % 10 == 0 else edit._replace(value=None)
        for key, _ in self.broken:
            yield Saying(self.now_ms, key, None)

    @property
    def staying(self) -> int:
        """Mentions that count when all is taken back."""
        return CALM_MIN * A_CALM_MINUTE + len(range(0, len(self.fall), 10)) + len(self.citra)


def _key(native: str) -> bytes:
    return post_key("file", native, SECRET).encode()


def _saying(native: str, text: str, at_ms: int, rev: int = 0, url: str | None = None) -> Saying:
    post = Post(id=_key(native).decode(), source="file", text=text, created_at=from_ms(at_ms), rev=rev, lang="id",
                author=f"author-{native}", url=url)  # fmt: skip
    return Saying(at_ms + 500, post.key, encode(post))


def _broken(number: int, canary: str) -> bytes:
    """A record that is no post, and yet holds a word."""
    good = encode(Post(id=_key(f"broken-{number}").decode(), source="file", text=canary, created_at=from_ms(0)))
    return (good[:-1], good.replace(b'"text":"', b'"lang":7,"text":"'), good + canary.encode(),
            b"\xff" + canary.encode())[number % 4]  # fmt: skip


def _word(number: int) -> str:
    """Another word for each number: no two posts are alike."""
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:06d}")


class Stage:
    """A broker, both workers, two feeds; and all the places where a word may be left."""

    def __init__(self, folder: Path, plan: Plan, wire: JetstreamStage, behind: Backstage) -> None:
        self.folder, self.plan, self._wire, self.behind = folder, plan, wire, behind
        for name in ("temp", "logs"):
            (folder / name).mkdir()
        self.kafka = Kafka(folder / "kafka").start()
        (folder / "brands.toml").write_text(BRANDS)
        (folder / "key").write_bytes(SECRET)
        self.environ = {
            "DENYUT_BROKERS": self.kafka.address, "DENYUT_PREFIX": f"canary-{uuid.uuid4().hex[:8]}",
            "DENYUT_SOURCES": "file,bluesky", "DENYUT_BRANDS": str(folder / "brands.toml"),
            "DENYUT_SECRET_FILE": str(folder / "key"), "DENYUT_LOG_LEVEL": "debug",
            "TMPDIR": str(folder / "temp"), "HOME": str(folder / "temp")}
        self.settings = Settings.read({k: v for k, v in self.environ.items() if k.startswith("DENYUT_")})
        self.kafka.create_topics(PARTITIONS, self.settings.prefix)
        self.pulse, self.score = (Worker(name, self.environ, folder / "logs") for name in ("pulse", "score"))
        self.network_url = f"127.0.0.1:{free_port()}"
        self.network: subprocess.Popen[bytes] | None = None
        self.feed = Feed(self.settings, "canary", ("file",), rules=Rules(create_time=True))
        self.seeker = Seeker(plan.canaries.stem)
        for worker in (self.pulse, self.score):
            _wait_owns(worker)

    def listen(self) -> None:
        """The network's feed starts, in a process of its own."""
        words = ["bluesky", "--url", f"ws://127.0.0.1:{self._wire.server.port}", "--wire", "v2",
                 "--brands", self.environ["DENYUT_BRANDS"]]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DENYUT_")}
        with (self.folder / "logs" / "feed.log").open("wb") as out:
            self.network = subprocess.Popen(
                [sys.executable, "-P", "-m", "streams.cli", "feed", *words], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, env={**kept, **self.environ, "DENYUT_HTTP": self.network_url}, start_new_session=True)

    def alter(self, topic: str, **policy: str | int) -> None:
        """Gives a topic another policy while it is in use; dots are written as underscores. "": the broker's own."""
        configs = {key.replace("_", "."): str(value) for key, value in policy.items()}
        kind = ConfigResourceType.TOPIC if topic else ConfigResourceType.BROKER
        with KafkaAdminClient(bootstrap_servers=self.kafka.address) as admin:
            admin.alter_configs([ConfigResource(kind, self.settings.topic(topic) if topic else "1", configs)])

    def segments(self, topic: str) -> str:
        """What a topic's segments are called among the places."""
        return f"{self.settings.topic(topic)}: segments"

    def mentions(self, window: str = "24h") -> float | None:
        """The brand's mentions, as the page has them."""
        return self.pulse.page().get("denyut_window_mentions", brand=BRAND, window=window)

    def shows(self, mentions: int) -> float:
        """Waits until the day has so many mentions; how long that took, seconds."""
        since_s = time.monotonic()
        until(lambda: self.mentions() == mentions, f"{mentions} mentions; {self.said()}", WAIT_S)
        return time.monotonic() - since_s

    def steps(self) -> dict[bytes, Swing]:
        """The steps of swings that stand: key -> the last that was told."""
        return {key: decode(value) for key, value in read(self.settings, "swings") if value}

    def explained(self) -> list[Swing]:
        return [step for step in self.steps().values() if step.state is Step.EXPLAINED]

    def look(self) -> list[Found]:
        """Looks everywhere."""
        pages = [(url, page) for url in self._urls() for page in ("metrics", "readyz", "livez")]
        return [
            *self.seeker.broker(self.kafka.folder / "logs"),
            self.seeker.bytes("the broker's own log", (self.kafka.folder / "broker.log").read_bytes()),
            self.seeker.folder("logs of all processes, level debug", self.folder / "logs"),
            self.seeker.folder("temporary folders and homes", self.folder / "temp"),
            self.seeker.bytes("pages of all processes", *(_fetched(f"http://{url}/{page}") for url, page in pages)),
        ]  # fmt: skip

    def _urls(self) -> list[str]:
        return [worker.url.removeprefix("http://") for worker in (self.pulse, self.score)] + [self.network_url]

    def said(self) -> str:
        return "\n".join([self.score.said(), self.pulse.said()])

    def close(self) -> None:
        self.feed.close(5.0)
        for process in (self.network, self.pulse.process, self.score.process):
            if process is not None:
                process.kill()
                process.wait()
        self.kafka.stop()


def _wait_owns(worker: Worker) -> None:
    until(lambda: worker.page().count("denyut_partitions") == PARTITIONS, f"it has partitions; {worker.said()}", WAIT_S)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    wire = JetstreamStage(Wire.V2)
    with ExitStack() as stack:
        behind = stack.enter_context(backstage(wire))
        made = Stage(tmp_path, Plan(_now_ms() // MINUTE_MS * MINUTE_MS), wire, behind)
        stack.callback(made.close)
        yield made


@pytest.mark.slow
def test_what_is_taken_back_is_nowhere_a_day_later(
        stage: Stage, record_property: Callable[[str, object], None]) -> None:
    """All 500 words stand in the log of posts and nowhere else; then they are taken back, and stand nowhere."""
    _tell(stage)
    words = {word.encode() for word in stage.plan.canaries.given}
    assert len(words) == COUNT
    with Ticking(stage.feed, _now_ms):
        _go_live(stage)
        before = stage.look()
        held = {one.place: one.nbytes for one in before}
        assert [] == [place for place in map(stage.segments, HELD) if held.get(place, 0) < SAYS], "nothing was searched"
        posts = stage.segments("posts")
        assert {one.place: len(one.strings & words) for one in before if one.strings} == {posts: COUNT}
        quoted = {name for step in stage.explained() for name in step.exemplars}
        assert quoted, "a swing is explained by posts that hold the words"
        _scale(stage)
        begun_s = time.monotonic()
        _take_back(stage)
        shown_s = stage.shows(stage.plan.staying)
        assert shown_s < 60, "a removal is in every figure within a minute"
        retold_s = _wait_retold(stage, quoted, begun_s)
        after, gone_s = _wait_gone(stage, begun_s)
    record_property("measured", _table(words, before, after) + (
        f"figures {shown_s:.1f} s after all was taken back, quotes {retold_s:.1f} s, "
        f"files {gone_s:.1f} s (a day is {DAY_S:.0f} s here)"))


def _now_ms() -> int:
    return int(time.time() * 1000)


def _tell(stage: Stage) -> None:
    """Tells the past, each record at its own time, until it is the present; and waits for the swing that is in it."""
    stage.alter("posts", message_timestamp_type="CreateTime")
    due_ms = 0
    for saying in (*stage.plan.calm(), *stage.plan.falls()):
        while due_ms <= saying.at_ms:
            due_ms = max(due_ms, saying.at_ms - TICK_MS) + TICK_MS
            stage.feed.tick(due_ms, {"file": due_ms})
        assert stage.feed.send(saying)
    for key, value in stage.plan.broken:
        assert stage.feed.send(Saying(_now_ms(), key, value))
    assert stage.feed.flush(WAIT_S)
    stage.alter("posts", message_timestamp_type="LogAppendTime")


def _go_live(stage: Stage) -> None:
    """The network's people speak, some twice; everything that was said counts, and what it led to is explained."""
    plan = stage.plan
    stage.listen()
    until(lambda: b"ready" in _answer(f"http://{stage.network_url}/readyz"), "the network is heard", WAIT_S)
    stage.behind.perform(
        *(Say(f"ana{n}", "ana", text) for n, text in enumerate([*plan.ana_first, *plan.ana[5:]])),
        *(Edit(f"ana{n}", text) for n, text in enumerate(plan.ana[:5])),
        *(Say(f"bayu{n}", "bayu", text) for n, text in enumerate(plan.bayu)),
        *(Say(f"citra{n}", "citra", text) for n, text in enumerate(plan.citra)))
    stage.shows(CALM_MIN * A_CALM_MINUTE + len(plan.fall) + len(plan.ana) + len(plan.bayu) + len(plan.citra))
    until(lambda: any(step.exemplars for step in stage.explained()), f"it is explained; {stage.said()}", WAIT_S)
    until(lambda: len(read(stage.settings, "rejects")) == len(plan.broken), "what is broken is rejected", WAIT_S)
    until(lambda: bool(read(stage.settings, "blocks")), f"a block is written; {stage.said()}", WAIT_S)


def _answer(url: str) -> bytes:
    try:
        return _fetched(url)
    except OSError:
        return b""


def _scale(stage: Stage) -> None:
    """From here on an hour is a second."""
    stage.alter("", log_cleaner_backoff_ms=250)
    hour_ms = int(HOUR_S * 1000)
    stage.alter("posts", segment_ms=hour_ms, min_compaction_lag_ms=12 * hour_ms, max_compaction_lag_ms=20 * hour_ms,
                file_delete_delay_ms=1000)


def _take_back(stage: Stage) -> None:
    for saying in stage.plan.taken_back():
        assert stage.feed.send(saying._replace(at_ms=_now_ms()))
    stage.behind.perform(
        RemoveAuthor("ana"), *(Remove(f"bayu{n}") for n in range(len(stage.plan.bayu))),
        *(Edit(f"citra{n}", f"{GOOD} {_word(n)}") for n in range(len(stage.plan.citra))))
    assert stage.feed.flush(WAIT_S)


def _wait_retold(stage: Stage, quoted: set[str], begun_s: float) -> float:
    """Waits until no step that stands quotes a post that is gone."""
    def is_retold() -> bool:
        return not any(set(step.exemplars) & quoted or step.terms for step in stage.steps().values())

    until(is_retold, f"nobody is quoted; {stage.explained()}; {stage.said()}", 60)
    return time.monotonic() - begun_s


def _wait_gone(stage: Stage, begun_s: float) -> tuple[list[Found], float]:
    """Waits until no file has a word, twice over: a file that is renamed while we look may be missed once."""
    while True:
        after = [*stage.look(), *stage.look()]
        took_s = time.monotonic() - begun_s
        left = together("", after).strings
        if not left:
            return after[len(after) // 2:], took_s
        where = {one.place: len(one.strings) for one in after if one.strings}
        assert took_s < DAY_S + SLACK_S, f"{len(left)} words are still there: {where}"
        time.sleep(0.5)


def _table(words: set[bytes], before: Sequence[Found], after: Sequence[Found]) -> str:
    """Where was looked, how much was read, and what was found before and after."""
    then = {one.place: len(one.strings & words) for one in before}
    lines = [f"{'place':<58}{'bytes':>12}{'before':>8}{'after':>8}"]
    lines += [f"{one.place:<58}{one.nbytes:>12,}{then.get(one.place, 0):>8}{len(one.strings):>8}" for one in after]
    return "\n".join(lines) + "\n"
