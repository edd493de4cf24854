"""kill -9 of a feed at random moments, while a Jetstream server tells of people who post, edit, take back and leave.

    python -m tests.faults.kills --times 200 --seed 1

In the end the set of (post, rev) and (post, removed) that was ever written to `denyut.posts` must be what people did,
no more and no less, and the last record of each post must be its last state. Prints what it did as one line.
"""

import argparse
import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from streams.cursors import Cursors
from streams.heart.post import post_key
from streams.settings import Settings
from streams.sources.bluesky import POSTS, Options, Wire
from streams.sources.bluesky_reader import Bluesky
from tests.faults.feeding import BRANDS, Listening, Set, last, read, until, versions
from tests.faults.kafka import Kafka
from tests.sources.jetstream import Jetstream, commit, record, when

SECRET = b"a key that only this test has"
PARTITIONS = 3
EVENTS_PER_S = 60.0
SETTLE_S = 60.0


class Outcome(NamedTuple):
    """What a run did: how often the feed was killed, what people did, what was written for it."""

    kills: int
    events: int
    truth: int
    written: int
    records: int


class People:
    """People who post, edit, take back and leave, on a server that keeps all they did. Lives on the server's loop."""

    def __init__(self, server: Jetstream, seed: int) -> None:
        self.truth: Set = set()
        self.alive: dict[str, tuple[str, int]] = {}  # post -> its author, and the second of its last version
        self.events = 0
        self._server = server
        self._rng = Random(seed)
        self._number = 0
        self._left: set[str] = set()

    async def live(self, is_over: Callable[[], bool]) -> None:
        """Goes on until it is over."""
        while not is_over():
            self._act()
            await asyncio.sleep(self._rng.expovariate(EVENTS_PER_S))

    def _act(self) -> None:
        self.events += 1
        throw, now_s = self._rng.random(), int(time.time())
        old = [post for post, (_, since_s) in self.alive.items() if since_s < now_s]
        if throw < 0.65 or not old:
            self._post()
        elif throw < 0.80:
            self._edit(self._rng.choice(old))
        elif throw < 0.97:
            self._remove(self._rng.choice(old))
        else:
            self._leave(self.alive[self._rng.choice(old)][0])

    def _post(self) -> None:
        self._number += 1
        author, rkey = f"did:plc:p{self._rng.randrange(40)}of{self._number // 300}", f"3k{self._number}"
        if author in self._left:  # whoever has left does not come back
            return
        text = f"Quovira nomor {self._number} jelek" if self._rng.random() < 0.8 else "pagi semua"
        self._server.add(author, "commit", commit("create", rkey, record(text, when(time.time_ns() // 1000))))
        if "Quovira" in text:
            post = f"at://{author}/{POSTS}/{rkey}"
            self.alive[post] = author, int(time.time())
            self.truth.add((_key(post), 0))

    def _edit(self, post: str) -> None:
        author, _ = self.alive[post]
        text = f"Quovira, kata orang, lumayan {self.events}"
        body = commit("update", post.rpartition("/")[2], record(text, when(time.time_ns() // 1000)))
        second = self._server.add(author, "commit", body).us // 1_000_000
        self.alive[post] = author, second
        self.truth.add((_key(post), second))

    def _remove(self, post: str) -> None:
        author, _ = self.alive.pop(post)
        self._server.add(author, "commit", commit("delete", post.rpartition("/")[2]))
        self.truth.add((_key(post), None))

    def _leave(self, author: str) -> None:
        self._left.add(author)
        self._server.add(author, "account", {"active": False, "status": "deleted"})
        for post in [post for post, (by, _) in self.alive.items() if by == author]:
            del self.alive[post]
            self.truth.add((_key(post), None))


def _key(post: str) -> str:
    return post_key("bluesky", post, SECRET)


class World(NamedTuple):
    """A server's port, its people, and what makes them speak and fall silent."""

    people: People
    port: int
    begin: Callable[[], object]
    hush: Callable[[], object]


@contextmanager
def world(seed: int) -> Iterator[World]:
    """A server and its people, on a thread of their own."""
    over, port, people = threading.Event(), list[int](), list[People]()
    loop = asyncio.new_event_loop()
    begun, finished = asyncio.Event(), asyncio.Event()

    async def main() -> None:
        server = Jetstream()
        await server.start()
        people.append(People(server, seed))
        port.append(server.port)
        await begun.wait()
        await people[0].live(over.is_set)
        await finished.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    until(lambda: bool(port), "the server listens")
    try:
        yield World(people[0], port[0], lambda: loop.call_soon_threadsafe(begun.set), over.set)
    finally:
        over.set()
        for event in (begun, finished):
            loop.call_soon_threadsafe(event.set)
        thread.join(20)
        loop.close()


def _bluesky(port: int, wire: Wire) -> Bluesky:
    from tests.faults.feeding import QUICK

    return Bluesky("bluesky", Options.read(url=f"ws://127.0.0.1:{port}", wire=wire), QUICK)


def killed(kafka: Kafka, folder: Path, times: int, seed: int, wire: Wire = Wire.V2) -> Outcome:
    """One run. Raises `AssertionError` where what is written is not what was done."""
    (folder / "key").write_bytes(SECRET)
    settings = Settings(brokers=kafka.address, prefix=f"kills-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS,
                        sources=("bluesky",), secret_file=str(folder / "key"), brands=BRANDS, http="127.0.0.1:0")
    kafka.create_topics(PARTITIONS, settings.prefix)
    rng = Random(seed)
    with world(seed) as (people, port, begin, hush):
        feed = Listening(settings, partial(_bluesky, port, wire), folder)
        with feed.running():  # who was never here has no position: what is said before the first one is not due
            until(lambda: bool(Cursors(settings, "bluesky").read()), "the first position is written")
            begin()
        for _ in range(times):
            feed.start()
            time.sleep(rng.uniform(0.05, 1.2))  # while it starts, reads back, connects, replays, listens
            assert feed.is_alive, feed.log.read_text()[-3000:]
            feed.kill()
        hush()
        with feed.running():
            until(lambda: people.truth <= versions(read(settings, "posts")), "all that was done is written", SETTLE_S)
    records = read(settings, "posts")
    written = versions(records)
    assert people.truth == written, (len(people.truth - written), len(written - people.truth))
    standing = {key.decode() for key, value in last(records).items() if value is not None}
    assert {_key(post) for post in people.alive} == standing
    return Outcome(times, people.events, len(people.truth), len(written), len(records))


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--times", type=int, default=200)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--wire", type=Wire, default=Wire.V2)
    wish = asked.parse_args()
    with TemporaryDirectory() as at, Kafka(Path(at)) as broker:
        print(killed(broker, Path(at), wish.times, wish.seed, wish.wire))  # noqa: T201  # it is what was asked for
