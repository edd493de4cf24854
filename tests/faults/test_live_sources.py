"""From the wire of a network to the figures of a brand, with everything real but the network: feed, Kafka, workers.

What people do at their network, take back, change, or leave it with all they said, is in the figures and the quotes
within a minute; and of who they are, nothing is anywhere.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from streams.heart.post import id64, post_key
from streams.heart.tracker import Tracker
from streams.scrape import Page
from streams.settings import Settings
from streams.sources.bluesky import Wire
from tests.faults.feeding import read, until
from tests.faults.kafka import Kafka
from tests.faults.test_pulse_worker import free_port
from tests.faults.test_whole_way import Worker
from tests.incidents import swing
from tests.sources.backstage import Backstage, backstage
from tests.sources.fediverse import FediverseStage
from tests.sources.jetstream import JetstreamStage
from tests.sources.scenarios import Edit, Remove, RemoveAuthor, Say
from tests.sources.stage import Stage

PARTITIONS = 2
SECRET = b"a key that only this test has"
WAIT_S = 120.0
PEOPLE = ("kanaria-ana", "kanaria-bayu", "kanaria-citra")  # whoever looks for a person looks for this word
BRAND = "kopi-senja"
BRANDS = f"""
number = 1
published = 2026-01-01T00:00:00Z
[[brand]]
name = "{BRAND}"
title = "Kopi Senja"
any = ["kopi senja"]
group = "coffee"
own.tags = ["#senjahemat"]
"""
POLICY = """
[mastodon]
store_text = true
max_age = "8d"
removal = "24h"
commercial_ok = true
needs_approval = true
approval = "this test, which runs the server"
"""
BAD = "Kopi Senja mengecewakan, kopinya basi dan pelayannya kasar"
WORSE = "Kecewa berat sama Kopi Senja, pesanan salah terus, tidak mau balik lagi"
AWFUL = "Parah, Kopi Senja lama sekali dan rasanya hambar, kapok"
GOOD = "Kopi Senja enak sekali, saya suka, pelayanannya ramah"


class Network(NamedTuple):
    """A network: its stage, and how its feed is asked for."""

    stage: Stage
    words: Callable[[Path], list[str]]


def _bluesky(wire: Wire) -> Network:
    stage = JetstreamStage(wire)
    return Network(stage, lambda _: ["bluesky", "--url", f"ws://127.0.0.1:{stage.server.port}", "--wire", wire])


def _mastodon(folder: Path) -> Network:
    stage = FediverseStage()
    token = folder / "token"
    token.write_text("token-contoh")
    stage.token_file = str(token)
    return Network(stage, lambda _: ["mastodon", "--server", f"http://127.0.0.1:{stage.server.port}",
                                     "--token-file", str(stage.token_file)])


class Run:
    """A network, its feed, both workers, a Kafka; and what can be seen of them."""

    def __init__(self, kafka: Kafka, folder: Path, network: Network, behind: Backstage) -> None:
        self.behind, self.folder, self.network = behind, folder, network
        self.source = network.words(folder)[0]
        for name, text in (("brands.toml", BRANDS), ("policy.toml", POLICY), ("key", SECRET.decode())):
            (folder / name).write_text(text)
        self.environ = {
            "DENYUT_BROKERS": kafka.address, "DENYUT_PREFIX": f"live-{uuid.uuid4().hex[:8]}",
            "DENYUT_SOURCES": self.source, "DENYUT_BRANDS": str(folder / "brands.toml"),
            "DENYUT_POLICY": str(folder / "policy.toml"), "DENYUT_SECRET_FILE": str(folder / "key"),
            "DENYUT_LOG_LEVEL": "debug"}
        self.settings = Settings.read(self.environ)
        kafka.create_topics(PARTITIONS, self.settings.prefix)
        self.pulse = Worker("pulse", self.environ, folder)
        self.score = Worker("score", self.environ, folder)
        self.feed_url = f"127.0.0.1:{free_port()}"
        self.feed = self._feed()

    def _feed(self) -> "subprocess.Popen[bytes]":
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DENYUT_")}
        words = [*self.network.words(self.folder), "--brands", self.environ["DENYUT_BRANDS"]]
        with (self.folder / "feed.log").open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "streams.cli", "feed", *words], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, env={**kept, **self.environ, "DENYUT_HTTP": self.feed_url}, start_new_session=True)

    def close(self) -> None:
        for process in (self.feed, self.pulse.process, self.score.process):
            process.kill()
            process.wait()

    def heard(self) -> Page:
        try:
            return Page.fetch(f"http://{self.feed_url}/metrics")
        except OSError:
            return Page("")

    def shows(self, **figures: float) -> None:
        """Waits until the hour's figures are these: mentions, negative, prompted …"""
        def right() -> bool:
            page = self.pulse.page()
            return all(number == page.get(f"denyut_window_{name}", brand=BRAND, window="1h")
                       for name, number in figures.items())

        until(right, f"{figures}; {self.said()}", WAIT_S)

    def said(self) -> str:
        return "\n".join([(self.folder / "feed.log").read_text()[-2000:], self.score.said(), self.pulse.said()])

    def quoted(self) -> set[int]:
        """The posts that an explanation of a fall may quote now: what the counting heart makes of the log."""
        found: set[int] = set()
        for partition in range(PARTITIONS):
            tracker = Tracker(partition, PARTITIONS)
            tracker.apply([value for _, value in read(self.settings, "mentions", partition=partition) if value])
            tracker.settle()
            now_ms = int(time.time() * 1000)
            asked = tracker.evidence(swing(brand=BRAND, at_ms=now_ms + 60_000, onset_ms=now_ms - 3_600_000))
            found |= {voice.post for voice in asked.now}
        return found

    def post(self, name: str) -> int:
        """A post of the scenario, as rows call it."""
        return id64(post_key(self.source, self.network.stage.native(name), SECRET))


@pytest.fixture(params=["bluesky v1", "bluesky v2", "mastodon"])
def live(request: pytest.FixtureRequest, kafka: Kafka, tmp_path: Path) -> Iterator[Run]:
    network = _mastodon(tmp_path) if request.param == "mastodon" else _bluesky(Wire(request.param.split()[1]))
    with ExitStack() as stack:
        behind = stack.enter_context(backstage(network.stage))
        run = Run(kafka, tmp_path, network, behind)
        stack.callback(run.close)
        until(lambda: run.heard().get("denyut_source_up", source=run.source) == 1, f"it is heard; {run.said()}", WAIT_S)
        yield run


def test_what_people_do_is_in_the_figures_and_in_the_quotes(
        live: Run, record_property: Callable[[str, object], None]) -> None:
    """Posts, an edit, a removal, an author who leaves; then nothing of any of them but what still stands."""
    ana, bayu, citra = PEOPLE
    live.behind.perform(Say("one", ana, BAD), Say("two", bayu, GOOD), Say("three", ana, WORSE),
                        Say("four", citra, AWFUL), Say("five", bayu, "selamat pagi semua"),
                        Say("six", bayu, f"{GOOD} #senjahemat"))
    live.shows(mentions=5, negative=3, prompted=1)
    until(lambda: live.quoted() == {live.post("one"), live.post("four")}, "the votes of both are quoted", WAIT_S)
    live.behind.perform(Edit("one", f"{GOOD} ternyata"))
    live.shows(mentions=5, negative=2)
    assert live.post("one") not in live.quoted()
    live.behind.perform(Remove("two"))
    removed_s = time.monotonic()
    live.shows(mentions=4, negative=2)
    took_s = time.monotonic() - removed_s
    assert took_s < 60, "a removal is in every figure within a minute"
    record_property("measured", f"from a removal at {live.source} to the figures: {took_s:.1f} s")
    live.behind.perform(RemoveAuthor(ana))
    live.shows(mentions=2, negative=1)
    until(lambda: live.quoted() == {live.post("four")}, "only who stayed is quoted", WAIT_S)
    live.behind.perform(Remove("four"))
    live.shows(mentions=1, negative=0)
    until(lambda: not live.quoted(), "nobody is quoted", WAIT_S)
    _nobody_is_named(live)


def _nobody_is_named(live: Run) -> None:
    """Not in a record of any topic, ticks and positions too, not on a page, in a log, or in any file."""
    for topic in ("posts", "mentions", "swings", "rejects", "blocks", "cursors"):
        for key, value in read(live.settings, topic, ticks=True):
            assert b"kanaria" not in (key or b"") + (value or b""), topic
    for url in (live.feed_url, live.pulse.url.removeprefix("http://"), live.score.url.removeprefix("http://")):
        assert b"kanaria" not in _fetched(f"http://{url}/metrics") + _fetched(f"http://{url}/readyz")
    for path in live.folder.rglob("*"):
        assert "kanaria" not in path.name
        assert path.is_dir() or b"kanaria" not in path.read_bytes(), path


def _fetched(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own processes' pages
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()
