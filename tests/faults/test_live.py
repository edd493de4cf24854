"""From an angry post to somebody's message, with everything real: Kafka, the processes, Prometheus, Alertmanager.

    denyut feed public ─▶ Kafka ─▶ score, pulse ─/metrics─▶ Prometheus ─▶ Alertmanager ─▶ a webhook sink, a mail sink
                            └────────────────── denyut tell ───────────────────┘

The stage is played once, and each claim looks at what was seen. What is accelerated: the public lives a day in six
minutes, Prometheus looks every 2 s, and the waits of rules and routes are a tenth (deploy/stack/files.py says which);
pipeline, expressions, inhibitions, templates and the wait of a group are those of a real day.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from kafka import KafkaConsumer, TopicPartition

from deploy.stack.files import EVERY, QUICKER, prometheus, quick_rules, quicker
from streams.clock import Clock
from streams.heart.errors import BadPost
from streams.heart.post import Post, decode
from streams.scrape import Page
from streams.settings import Settings
from streams.sources.public import SOURCE, SPEED, START_MS, Campaign, Crisis, planned
from streams.sources.sayings import Sayings
from streams.topics import create
from tests.alertmanager import Alertmanager, Sinks, loopback_config
from tests.board_queries import Query, queries
from tests.faults.kafka import Kafka
from tests.programs import ROOT, program
from tests.sinks import free_port

SUITE = "forky"
PARTITIONS = 4
RULES = ROOT / "deploy" / "prometheus" / "rules"
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
GROUP_WAIT_S = 30
WAIT_S = 240.0  # a machine with other work needs longer than one without
STEP_S = 4
TITLE, BRAND, CAMPAIGN = "Kopi Lumora", "kopi-lumora", "lajuro"
WAY = """
From the first post of the crisis to marketing's sink: {wall:.1f} s, {wait} of them the wait of a group, as on any day;
{public:.0f} minutes of the public, which lives {speed:g} times as fast. Scraped and evaluated every {every}, not 15s;
waits of rules divided by {quicker}, of which this alert has none before it fires.
From the stop of the score worker to the pager: {page:.1f} s, {wait} of them the wait of a group.
"""

pytestmark = pytest.mark.slow


class Process:
    """One of the project's own processes, seen through its page."""

    def __init__(self, name: str, words: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self.name, self.address, self._log = name, f"127.0.0.1:{free_port()}", folder / f"{name}.log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DENYUT_")}
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "streams.cli", *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**kept, **environ, "DENYUT_HTTP": self.address}, start_new_session=True)

    def page(self) -> Page:
        """Its metrics; an empty page while nobody answers."""
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.said()}"
        try:
            return Page.fetch(f"http://{self.address}/metrics")
        except OSError:
            return Page("")

    def stop(self) -> int:
        """As Kubernetes stops it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def said(self) -> str:
        """The last of its log."""
        return self._log.read_text("utf-8", "replace")[-3000:]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Prometheus:
    """A real one, with the project's rules, from entry to exit of a `with`."""

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._folder = folder
        rules = folder / "rules"
        rules.mkdir(parents=True)
        for path in RULES.glob("*.rules.yml"):
            (rules / path.name).write_text(quick_rules(path.read_text("utf-8")), "utf-8")
        targets = {**targets, "prometheus": self.address}
        config = prometheus(yaml.safe_load(PROMETHEUS.read_text("utf-8")), rules, targets)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")

    def __enter__(self) -> "Prometheus":
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program("prometheus", SUITE), f"--config.file={self._folder}/prometheus.yml",
                 f"--storage.tsdb.path={self._folder}/series", f"--web.listen-address={self.address}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, path: str, **asked: Any) -> Any:
        """What its interface answers; None while it does not."""
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text("utf-8")[-3000:]
        url = f"http://{self.address}/api/v1/{path}?{urlencode(asked)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.loads(answer.read())["data"]
        except OSError:
            return None

    def up(self) -> set[str]:
        """The jobs that have a target which answers."""
        targets = (self.ask("targets", state="active") or {"activeTargets": []})["activeTargets"]
        return {one["labels"]["job"] for one in targets if one["health"] == "up"}

    def firing(self, **labels: str) -> list[dict[str, str]]:
        """The labels of the alerts that fire now, of those with these."""
        alerts = (self.ask("alerts") or {"alerts": []})["alerts"]
        return [one["labels"] for one in alerts
                if one["state"] == "firing" and labels.items() <= one["labels"].items()]

    def over(self, expr: str, since_s: float) -> list[Any]:
        """The series of a query from a moment until now."""
        data = self.ask("query_range", query=expr, start=since_s, end=time.time(), step=STEP_S)
        assert data is not None, f"refused: {expr}"
        series: list[Any] = data["result"]
        return series


@dataclass
class Seen:
    """What became of one performance. Times are seconds since 1970, by the wall clock."""

    clock: Clock
    slack: list[dict[str, Any]] = field(default_factory=list)  # what marketing got
    mails: list[Any] = field(default_factory=list)
    engineers: list[str] = field(default_factory=list)  # everything that they got, as JSON
    before_stop: int = 0  # so many of `slack` came before the worker was stopped
    engineers_before: list[str] = field(default_factory=list)
    muted_meanwhile: list[str] = field(default_factory=list)  # Alertmanager's word for a brand's alert while it is down
    told_s: float = 0.0
    stopped_s: float = 0.0
    paged_s: float = 0.0
    empty: list[Query] = field(default_factory=list)
    fired_meanwhile: list[Any] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)

    def about(self, brand: str) -> list[dict[str, str]]:
        """The attachments of marketing's Slack messages that link to a brand's board."""
        return [part for one in self.slack for part in one["attachments"] if f"var-brand={brand}" in part["title_link"]]


class Stage:
    """Topics, processes, both programs and all sinks; `play` is the performance."""

    def __init__(self, kafka: Kafka, folder: Path, stack: ExitStack) -> None:
        self.settings = Settings(brokers=kafka.address, prefix=f"live-{uuid.uuid4().hex[:8]}", partitions=PARTITIONS,
                                 sources=(SOURCE,))
        create(self.settings, replay=True)  # its posts are dated by a clock of their own
        self.sinks = stack.enter_context(Sinks.all_open())
        config = loopback_config(folder / "config", self.sinks, group_wait=f"{GROUP_WAIT_S}s",
                                 group_interval=quicker("5m"))
        self.alertmanager = stack.enter_context(Alertmanager(SUITE, config, folder / "alertmanager"))
        self.clock = Clock.public(START_MS, SPEED)
        self._stack, self._folder = stack, folder
        self.score, self.pulse = self._start("score", "work", "score"), self._start("pulse", "work", "pulse")
        self.tell = self._start("tell", "tell")
        for worker in (self.score, self.pulse):
            self.wait(lambda worker=worker: worker.page().count("denyut_partitions") == PARTITIONS)  # type: ignore[misc]
        self.feed = self._start("feed", "feed", "public", "--seed", "1", "--rate", "50")
        self.began_s = time.time()
        targets = {f"denyut-{one.name}": one.address for one in (self.score, self.pulse, self.feed, self.tell)}
        targets["alertmanager"] = self.alertmanager.url.removeprefix("http://")
        self.prometheus = stack.enter_context(Prometheus(folder / "prometheus", targets))
        self.wait(lambda: self.prometheus.up() == {*targets, "prometheus"})

    def _start(self, name: str, *words: str) -> Process:
        environ = {"DENYUT_BROKERS": self.settings.brokers, "DENYUT_PREFIX": self.settings.prefix,
                   "DENYUT_SOURCES": SOURCE, "DENYUT_CLOCK": str(self.clock), "DENYUT_SESSION_MS": "6s",
                   "DENYUT_ALERTMANAGER": self.alertmanager.url}
        process = Process(name, words, environ, self._folder)
        self._stack.callback(process.close)
        return process

    def wait(self, until: Callable[[], object], most_s: float = WAIT_S) -> None:
        """Waits for something that happens in other processes: it can only be asked for."""
        give_up = time.monotonic() + most_s
        while not until():
            assert time.monotonic() < give_up, self.said()
            time.sleep(0.2)

    def said(self) -> str:
        """What everybody said last, and what marketing got."""
        logs = [f"--- {one.name}\n{one.said()}" for one in (self.score, self.pulse, self.tell, self.feed)]
        return "\n".join([*logs, str(self.prometheus.firing()), str(self.sinks.marketing.messages)])

    def play(self) -> Seen:
        """The crisis comes and goes, and the campaign; then the score worker is stopped."""
        seen = Seen(self.clock)
        self.sinks.marketing.wait(1, WAIT_S)
        seen.told_s = time.time()
        self.wait(lambda: [one for one in self.sinks.marketing.messages if _is_over(one, BRAND)])
        self.wait(lambda: not self.prometheus.firing(team="marketing"))
        asked = queries()
        assert len(asked) > 0
        seen.empty = [one for one in asked if not self.prometheus.over(one.expr, self.began_s)]
        self._stop_scoring(seen)
        seen.slack, seen.mails = list(self.sinks.marketing.messages), list(self.sinks.mail.messages)
        seen.engineers = self._told_engineers()
        seen.posts = list(_posts(self.settings))
        return seen

    def _stop_scoring(self, seen: Seen) -> None:
        """Meanwhile somebody says that mood is down everywhere: nobody knows, so nobody may be told."""
        seen.before_stop, seen.engineers_before = len(self.sinks.marketing.messages), self._told_engineers()
        seen.stopped_s = time.time()
        assert self.score.stop() == 0, self.score.said()
        self.wait(lambda: self.prometheus.firing(alertname="DenyutPipelineDown"))
        self.wait(lambda: self._is_active("DenyutPipelineDown"))
        self.alertmanager.push(_brand_alert())
        self.wait(lambda: any("DenyutPipelineDown" in json.dumps(one) for one in self.sinks.pager.messages))
        seen.paged_s = time.time()
        time.sleep(3.0)  # what is pushed is due a moment later
        seen.muted_meanwhile = [one["status"]["state"] for one in self._alerts("DenyutMoodDown")]
        seen.fired_meanwhile = self.prometheus.over('ALERTS{team="marketing",alertstate="firing"}', seen.stopped_s)

    def _alerts(self, name: str) -> list[Any]:
        asked = urlencode({"filter": f'alertname="{name}"'})
        url = f"{self.alertmanager.url}/api/v2/alerts?{asked}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own
            alerts: list[Any] = json.loads(answer.read())
        return alerts

    def _is_active(self, name: str) -> bool:
        return bool(self._alerts(name))

    def _told_engineers(self) -> list[str]:
        """Everything that they got, as JSON; the watchdog's is for a program."""
        sinks = self.sinks
        return [json.dumps(one) for sink in (sinks.pager, sinks.critical, sinks.tickets) for one in sink.messages]


def _brand_alert() -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"labels": {"alertname": "DenyutMoodDown", "brand": "arunika", "team": "marketing", "severity": "critical",
                       "cluster": "denyut"},
            "annotations": {"summary": "Mood about arunika is down"},
            "startsAt": now.isoformat(), "endsAt": (now + timedelta(minutes=5)).isoformat()}


def _is_over(message: Mapping[str, Any], brand: str) -> bool:
    return any(part["color"] == "good" and f"var-brand={brand}" in part["title_link"]
               for part in message["attachments"])


def _posts(settings: Settings) -> Iterator[Post]:
    """Every post that the public sent."""
    with closing(KafkaConsumer(bootstrap_servers=settings.brokers, group_id=None)) as consumer:
        places = [TopicPartition(settings.topic("posts"), number) for number in range(PARTITIONS)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for records in consumer.poll(1000).values():
                for record in records:
                    try:
                        post = decode(record.key, record.value, frozenset({SOURCE}))
                    except BadPost:
                        continue
                    if isinstance(post, Post):
                        yield post


@pytest.fixture(scope="module")
def seen(_broker: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One performance for all claims."""
    if not _broker.running:
        _broker.start()
    with ExitStack() as stack:
        yield Stage(_broker, tmp_path_factory.mktemp("live"), stack).play()


def text_of(part: Mapping[str, Any]) -> str:
    return f"{part['title']}\n{part['text']}"


def test_every_query_of_every_board_has_data(seen: Seen) -> None:
    """Panels, annotations and variables, also what is there only while a swing is open: one was."""
    assert [] == [f"{one.board}: {one.place}: {one.expr}" for one in seen.empty]


def test_the_crisis_reaches_marketing_once(seen: Seen) -> None:
    """One message by each way, and nothing before it about anybody."""
    fell = [part for part in seen.about(BRAND) if part["color"] == "danger"]
    (said,) = [part["title"] for part in fell]
    assert re.fullmatch(f"{TITLE}: mood has turned down, (serious|severe)", said)
    assert fell[0] == seen.slack[0]["attachments"][0]
    assert [said] == [
        mail["Subject"] for mail in seen.mails if TITLE in mail["Subject"] and "is over" not in mail["Subject"]]


def test_the_crisis_reaches_nobody_but_marketing(seen: Seen) -> None:
    """No page, no ticket and no message of the engineers names a brand of marketing's or such an alert."""
    told = "\n".join(seen.engineers)
    assert [] == [name for name in (BRAND, CAMPAIGN, "DenyutMoodDown", "DenyutCoordinatedTalk") if name in told]


def test_the_message_says_brand_size_and_reasons(seen: Seen) -> None:
    """How far with its interval, since when on the public's clock, how sure, and why: words, split and who speaks."""
    part = seen.about(BRAND)[0]
    said = dict(line.split(": ", 1) for line in part["text"].splitlines() if ": " in line)
    assert re.match(r"mood -0\.\d\d, usually \+0\.\d\d: \d\.\d\d lower \(95 %: \d\.\d\d to \d\.\d\d\)", said["How far"])
    assert re.fullmatch(r"\d\d:\d\d UTC, 1 January 2020 \(\d\d:\d\d WIB(, 2 January)?\)", said["Since"])
    assert re.match(r"\d\d+ votes; by chance about once in \d+ weeks or less often, for one brand", said["How sure"])
    assert "% mood within the sources" in said["Why"]
    assert "% as authentic as usual" in said["Why"]
    topics = [topic.casefold() for topic in Sayings.load().topics[BRAND]]
    assert [topic for topic in topics if topic in said["Words"]]
    assert "organic" == said["Who says it"]
    assert part["title_link"].endswith(f"/d/denyut-brand?var-brand={BRAND}")
    mail = next(mail for mail in seen.mails if TITLE in mail["Subject"])
    text = mail.get_body(("plain",)).get_content()
    assert all(f"{name}: {value}" in text for name, value in said.items())


def test_the_crisis_resolves(seen: Seen) -> None:
    """One message more, that it is over, after the first."""
    assert ["danger", "good"] == [part["color"] for part in seen.about(BRAND)]
    assert f"{TITLE}: the fall of mood is over" == seen.about(BRAND)[1]["title"]


def test_the_campaign_is_told_as_what_it_is(seen: Seen) -> None:
    """Four hundred accounts that paste are coordinated talk, not a mood that has turned."""
    told = [part["title"] for part in seen.about(CAMPAIGN)]
    assert told[0] == "Lajuro: coordinated talk"
    assert [] == [title for title in told if "mood" in title]
    assert {BRAND, CAMPAIGN} == {part["title_link"].rpartition("=")[2] for one in seen.slack
                                 for part in one["attachments"]}


def test_a_stopped_score_worker_reaches_the_engineers_only(seen: Seen) -> None:
    """By pager and by Slack, with the runbook; marketing hears of nothing from then on."""
    assert [] == [told for told in seen.engineers_before if "DenyutPipelineDown" in told]
    told = [one for one in seen.engineers if "No score worker runs" in one]
    assert 2 == len(told)
    assert all("runbooks/DenyutPipelineDown.md" in one for one in told)
    assert [] == [part["title"] for one in seen.slack[seen.before_stop:] for part in one["attachments"]
                  if part["color"] == "danger"]
    assert [] == [one for one in seen.slack if "worker" in json.dumps(one)]


def test_no_alert_of_a_brand_fires_while_the_score_worker_is_down(seen: Seen) -> None:
    """Neither in Prometheus nor, where somebody else says that one does, out of Alertmanager."""
    assert [] == seen.fired_meanwhile
    assert ["suppressed"] == seen.muted_meanwhile
    assert [] == seen.about("arunika")


def test_no_message_holds_a_post(seen: Seen) -> None:
    """None of the thousands of texts that were sent stands in one, whole."""
    texts = {post.text for post in seen.posts if len(post.text.split()) >= 4}
    assert len(texts) > 3000
    bodies = [text_of(part) for one in seen.slack for part in one["attachments"]]
    for mail in seen.mails:
        bodies += [mail["Subject"], *(part.get_content() for part in mail.walk() if not part.is_multipart())]
    everything = "\n".join([*bodies, *seen.engineers])
    assert len(everything) > 1000
    assert [] == [text for text in texts if text in everything]


def test_the_way_from_the_first_angry_post_to_the_message(
        seen: Seen, record_property: Callable[[str, object], None]) -> None:
    """Is printed; a group waits on it in any case."""
    crisis, campaign = planned(START_MS)
    assert isinstance(crisis, Crisis)
    assert isinstance(campaign, Campaign)
    topics = [topic.casefold() for topic in Sayings.load().topics[BRAND]]
    first_ms = min(post.created_at.timestamp() * 1000 for post in seen.posts
                   if any(topic in post.text.casefold() for topic in topics))
    now_ms = seen.clock.now_ms()
    told_ms = now_ms - (time.time() - seen.told_s) * 1000 * seen.clock.speed
    wall_s = seen.clock.seconds(told_ms - first_ms)
    record_property("measured", WAY.format(
        wall=wall_s, wait=GROUP_WAIT_S, public=wall_s * SPEED / 60, speed=SPEED, quicker=QUICKER, every=EVERY,
        page=seen.paged_s - seen.stopped_s))
    assert GROUP_WAIT_S < wall_s < WAIT_S
