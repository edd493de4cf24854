"""Listening on a real Kafka: positions, restarts, refusals and removals, told by a source that does as it is told."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.cursors import Cursors
from streams.heart.errors import BadSetting
from streams.heart.post import post_key, pseudonym
from streams.listen import Wish, run
from streams.scrape import Page
from streams.settings import Settings
from streams.sources.contract import AuthorGone, Denied, Gap, Gone, Happening, Heard, Said
from tests.faults.feeding import BRANDS, Listening, last, read, until, versions
from tests.faults.kafka import Kafka

PARTITIONS = 3
SECRET = b"a key that only this test has"
NOW = int(time.time() * 1000)
_KINDS: dict[bytes, type[Happening]] = {b"said": Said, b"gone": Gone, b"author": AuthorGone}


class Told:
    """A source that tells what its file says: one happening a line, its position the number of lines told."""

    name = "bluesky"
    is_pushed = False

    def __init__(self, path: Path) -> None:
        self._path = path

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:
        """Every line from its position on, for ever."""
        at = int(positions.get("", "0"))
        while True:
            for line in self._path.read_bytes().splitlines()[at:]:
                at += 1
                yield self._heard(line, at)
            yield Heard(positions={"": str(at)}, until_ms=int(time.time() * 1000))
            await asyncio.sleep(0.02)

    def _heard(self, line: bytes, at: int) -> Heard:
        kind, data = line.split(b" ", 1)
        now_ms = int(time.time() * 1000)
        if kind == b"denied":
            raise Denied("401, wrong or expired: look at --token-file")
        if kind == b"gap":
            return Heard(positions={"": str(at)}, gap=Gap(now_ms - 1000 * int(data), now_ms))
        return Heard((msgspec.json.decode(data, type=_KINDS[kind]),), {"": str(at)}, now_ms)


def line(what: Happening) -> bytes:
    """One happening as a line of the file."""
    kind = next(kind for kind, of in _KINDS.items() if isinstance(what, of))
    return kind + b" " + msgspec.json.encode(what) + b"\n"


def said(native: str, text: str = "Quovira jelek", author: str = "did:plc:ana", **more: Any) -> Said:
    return Said(**{"native": native, "text": text, "author": author, "created_ms": NOW, **more})


def name(native: str) -> str:
    return post_key("bluesky", native, SECRET)


class Stand:
    """One listening feed and its file."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        (folder / "key").write_bytes(SECRET)
        self.settings = Settings(brokers=kafka.address, prefix=f"listen-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS,
                                 sources=("bluesky",), secret_file=str(folder / "key"), brands=BRANDS,
                                 http="127.0.0.1:0")
        kafka.create_topics(PARTITIONS, self.settings.prefix)
        self.path = folder / "told"
        self.path.touch()
        self.feed = Listening(self.settings, partial(Told, self.path), folder)

    def tell(self, *what: Happening) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(map(line, what)))

    def position(self) -> int:
        return int(Cursors(self.settings, "bluesky").read().get("", "0"))

    def written(self, lines: int) -> None:
        until(lambda: self.position() >= lines, f"position {lines} is written")


@pytest.fixture
def told(kafka: Kafka, tmp_path: Path) -> Stand:
    return Stand(kafka, tmp_path)


def test_a_position_is_written_when_all_before_it_stands_in_the_log(told: Stand) -> None:
    """Posts, edits, removals; then a restart tells nothing twice and misses nothing."""
    told.tell(said("one"), said("two"), said("one", "Quovira lumayan", rev=4), Gone("two"), said("five", "pagi"))
    with told.feed.running():
        told.written(5)
    assert {(name("one"), 0), (name("one"), 4), (name("two"), 0), (name("two"), None)} == versions(
        read(told.settings, "posts"))
    told.tell(said("six"), Gone("one"))
    with told.feed.running():
        told.written(7)
    records = read(told.settings, "posts")
    assert 6 == len(records)
    assert {(name("six"), 0), (name("one"), None)} <= versions(records)


def test_after_a_restart_an_author_takes_all_posts_along(told: Stand) -> None:
    """Whose a post is stands in the log, so the removal of an account reaches what another process has sent."""
    told.tell(*[said(f"ana-{n}") for n in range(50)], said("bayu", author="did:plc:bayu"))
    with told.feed.running():
        told.written(51)
    told.tell(AuthorGone("did:plc:ana"))
    with told.feed.running():
        told.written(52)
    left = {key for key, value in last(read(told.settings, "posts")).items() if value is not None}
    assert {name("bayu").encode()} == left


def test_kafka_away_for_a_while_loses_nothing(kafka: Kafka, told: Stand) -> None:
    """The feed waits, its source with it, and the position stands until all is there."""
    told.tell(said("before"))
    with told.feed.running():
        told.written(1)
        kafka.kill()
        told.tell(*[said(f"during-{n}") for n in range(200)])
        time.sleep(1.0)
        kafka.start()
        told.written(201)
    assert {(name("before"), 0), *((name(f"during-{n}"), 0) for n in range(200))} == versions(
        read(told.settings, "posts"))


def test_the_page_says_how_a_source_is_heard(told: Stand) -> None:
    """Up, behind, a gap, what came and what became of it; and a wrong token is one clear line and not up."""
    told.feed.settings = replace(told.settings, http=f"127.0.0.1:{_free_port()}")
    url = f"http://{told.feed.settings.http}/metrics"

    def page() -> Page:
        try:
            return Page.fetch(url)
        except OSError:
            return Page("")

    told.tell(said("one"), said("two", "pagi"), Gone("three"), said("four", created_ms=-1))
    with told.feed.running():
        told.written(4)
        until(lambda: page().get("denyut_source_up", source="bluesky") == 1, "it is up")
        happenings = page().counts("denyut_source_happenings_total", "outcome")
        assert (1, 1, 1, 1) == tuple(happenings[one] for one in ("post", "unmatched", "unknown", "refused"))
        assert 1 == page().count("denyut_source_refused_total", source="bluesky", reason="bad_time")
        assert 10 > (page().get("denyut_source_behind_seconds", source="bluesky") or 0)
        with told.path.open("ab") as file:
            file.write(b"gap 90\n")
        until(lambda: page().get("denyut_source_gap_seconds_total", source="bluesky") == 90, "the gap is told")
        with told.path.open("ab") as file:
            file.write(b"denied x\n")
        until(lambda: page().get("denyut_source_up", source="bluesky") == 0, "it is not up")
        until(lambda: (page().get("denyut_source_reconnects_total", source="bluesky") or 0) > 1, "it is tried again")
    assert "bluesky: 401, wrong or expired: look at --token-file" in told.feed.log.read_text()


def test_nothing_of_a_person_is_in_any_record_or_line(told: Stand) -> None:
    """Ids, accounts and handles that a source tells stay at the door."""
    canary = "canary-7f3a"
    told.tell(said(f"at://did:plc:{canary}/1", f"Quovira kata @{canary}.bsky.social", author=f"did:plc:{canary}",
                   refers=f"did:plc:{canary}-2", reply_to=f"at://did:plc:{canary}/0", alias=f"{canary}/7"),
              Gone(f"at://did:plc:{canary}/9"), AuthorGone(f"did:plc:{canary}-3"))
    with told.feed.running():
        told.written(3)
    for topic in ("posts", "cursors", "mentions", "rejects", "swings", "blocks"):
        for key, value in read(told.settings, topic, ticks=True):
            assert canary.encode() not in (key or b"") + (value or b"")
    assert canary not in told.feed.log.read_text()
    post = msgspec.json.decode(read(told.settings, "posts")[0][1] or b"")
    assert ("Quovira kata @user", pseudonym("bluesky", f"did:plc:{canary}", SECRET)) == (post["text"], post["author"])


def test_each_source_has_its_own_positions_part_by_part(told: Stand) -> None:
    """What one writes is not another's; the last of each part stands, and one that cannot be read is none."""
    import kafka as kafka_python

    for source, positions in (("bluesky", {"": "1", "a/b": "2"}), ("mastodon", {"": "3"}), ("bluesky", {"": "4"})):
        with closing(Cursors(told.settings, source)) as cursors:
            cursors.write(positions)
    assert {"": "4", "a/b": "2"} == Cursors(told.settings, "bluesky").read()
    assert {"": "3"} == Cursors(told.settings, "mastodon").read()
    producer = kafka_python.KafkaProducer(bootstrap_servers=told.settings.brokers.split(","))
    for key, value in ((b"bluesky", None), (b"bluesky/a/b", b"{"), (b"\xff", b"{}")):
        producer.send(told.settings.topic("cursors"), value, key)
    producer.close()
    assert {} == Cursors(told.settings, "bluesky").read()


def test_a_gap_is_not_forgotten_by_who_is_killed(told: Stand) -> None:
    """No position past it is written until its panes are known to be incomplete: it is told again."""
    told.tell(said("one"))
    with told.feed.running():
        told.written(1)
        with told.path.open("ab") as file:
            file.write(b"gap 90\n")
        told.tell(said("two"))
        until(lambda: len(read(told.settings, "posts")) == 2, "what follows the gap is sent")
        time.sleep(2.5)  # a position is written once a second
    assert 1 == told.position()


def test_a_feed_that_may_not_start_says_why(told: Stand) -> None:
    """No key, no name among the sources, no policy entry: each is told before anything is heard."""
    for changed, says in (({"secret_file": ""}, "DENYUT_SECRET_FILE"), ({"sources": ("demo",)}, "DENYUT_SOURCES"),
                          ({"brands": ""}, "DENYUT_BRANDS is empty")):
        with pytest.raises(BadSetting, match=says):
            run(replace(told.settings, **changed), partial(Told, told.path), Wish())

    def unheard_of() -> Told:
        source = Told(told.path)
        source.name = "unheard-of"
        return source

    with pytest.raises(BadSetting, match="has no policy entry"):
        run(replace(told.settings, sources=("unheard-of",)), unheard_of, Wish(seconds=20))


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
