"""Tell: gives Alertmanager the reasons of the swings that it alerts on. `denyut tell`.

    Alertmanager ──what fires──▶ Teller ◀──incidents── denyut.swings
          ▲                        │
          └──DenyutReasons, over as it begins, beside the alert that it is about

Prometheus decides whether to alert, by numbers alone; words that people use are no labels, so they are not among them.
A companion alert carries them. It is in the group of the alert it is about, and in the same message; being over
already it calls for none of its own, whatever becomes of the other. So it must come while Alertmanager waits for the
group to be whole, or it is in no message. Without this process the message is sent all the same, with numbers and no
words; so is one that a silence or an outage held back. Where several Alertmanagers share the work each must hear of it,
or the message with the words is another one to them: it is given to every address that a name stands for. A message
may come twice, first without words, where one of the same brand is due (once in five minutes) between an alert and our
look.
Numbers, names of the brand file and terms; never a post's text, for a swing has none.
Knows nothing of how a swing is found, or of who reads the message.
"""

import http.client
import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

from streams import wording
from streams.clock import Clock
from streams.heart.brands import Brands
from streams.heart.errors import BadSetting
from streams.heart.incident import Swing
from streams.knock import EVERY_S, knock_again
from streams.metrics import Metrics, release
from streams.serve import Health, Pages
from streams.settings import Settings
from streams.stop import interruptible
from streams.told import Told
from streams.wire import Wire

REASONS = "DenyutReasons"
ABOUT = ("DenyutMoodDown", "DenyutCoordinatedTalk")  # the alerts of deploy/prometheus/rules that a swing explains
JOIN_S = 27.0  # of the 30 s that Alertmanager waits for a group: what comes later is in no message
LOOK_S = 3.0
STALE_MS = 600_000  # of event time: a swing that was over so long before an alert is not what it is about
PATIENCE_S = 5.0
log = logging.getLogger("denyut.tell")


class Alert(NamedTuple):
    """An alert that fires: which, of what brand, since when (seconds since 1970), in what cluster ("": none said)."""

    name: str
    brand: str
    since_s: float
    cluster: str = ""


class Door(Protocol):
    """Alertmanager."""

    def firing(self) -> list[Alert]:
        """What fires now, of `ABOUT`, neither silenced nor inhibited. Raises OSError."""

    def put(self, about: Alert, said: Mapping[str, str]) -> None:
        """Gives the reasons of one alert. Raises OSError."""


class Teller:
    """What fires and what is known of swings in, companions out. `step` it every few seconds."""

    def __init__(self, door: Door, brands: Brands, clock: Clock) -> None:
        self._door = door
        self._brands = brands
        self._clock = clock
        self._given: dict[Alert, Mapping[str, str]] = {}

    def step(self, swings: Sequence[Swing], now_s: float) -> int:
        """Gives each alert that began to fire its reasons, again when more is known; returns how many it gave."""
        firing = self._door.firing()
        self._given = {alert: said for alert, said in self._given.items() if alert in firing}
        given = 0
        for alert in firing:
            swing = _of(swings, alert, self._clock.at(alert.since_s))
            if swing is None or now_s - alert.since_s > JOIN_S:
                continue
            said = annotations(swing, self._brands.title(swing.brand))
            if said != self._given.get(alert):
                self._door.put(alert, said)
                self._given[alert] = said
                given += 1
        return given


def _of(swings: Sequence[Swing], alert: Alert, since_ms: int) -> Swing | None:
    """The swing that an alert is about: the last to begin, and one that goes on before one that is over (an alert holds
    on for minutes). `since_ms`: when the alert began, in event time."""
    is_copies = alert.name == "DenyutCoordinatedTalk"
    fits = [swing for swing in swings if swing.series == "mood" and swing.brand == alert.brand
            and (swing.authenticity == "coordinated") == is_copies and (swing.direction == "down" or is_copies)
            and (swing.is_open or swing.at_ms >= since_ms - STALE_MS)]
    return max(fits, key=lambda swing: (swing.is_open, swing.onset_ms), default=None)


def annotations(swing: Swing, title: str) -> dict[str, str]:
    """A swing in words, one short phrase each; what is not known is empty."""
    return {
        "title": title,
        "swing": swing.id,
        "course": wording.course(swing),
        "figures": wording.figures(swing),
        "cause": wording.cause(swing),
        "terms": ", ".join(term.term for term in swing.terms[:wording.TERMS]),
        "authenticity": wording.who(swing),
        "grounds": " · ".join(wording.grounds(swing)),
    }


class Alertmanager:
    """Alertmanager's own interface, version 2, of all that share the work."""

    def __init__(self, sites: Sequence[str]) -> None:
        self._sites = sites

    def firing(self) -> list[Alert]:
        """What fires now, by the first that answers; of what is silenced or inhibited nobody hears."""
        asked = urlencode({"active": "true", "silenced": "false", "inhibited": "false",
                           "filter": f'alertname=~"{"|".join(ABOUT)}"'})
        failed: list[OSError] = []
        for site in self._all():
            try:
                found = site.ask(f"/api/v2/alerts?{asked}")
                return [_alert(one) for one in found if one["labels"].get("brand")]
            except (TypeError, KeyError, ValueError, AttributeError) as error:
                failed.append(OSError(f"{site.address} gave no list of alerts ({type(error).__name__})"))
            except OSError as error:
                failed.append(error)
        raise failed[0]

    def put(self, about: Alert, said: Mapping[str, str]) -> None:
        """Posts them to each: the same labels are the same alert, whose words are changed. One must take them."""
        failed: list[OSError] = []
        sites = self._all()
        for site in sites:
            try:
                site.ask("/api/v2/alerts", [_wire(about, said)])
            except OSError as error:
                failed.append(error)
                log.warning("Alertmanager was not told: %s", error)
        if len(failed) == len(sites):
            raise failed[0]

    def _all(self) -> "list[_Site]":
        """Every one that a name stands for. One that has ended may have no name any more: the others are asked."""
        sites: list[_Site] = []
        failed: list[OSError] = []
        for address in self._sites:
            try:
                sites += _Site.all(address)
            except OSError as error:
                failed.append(OSError(f"{address} is no name of anybody ({error.strerror})"))
        if not sites:
            raise failed[0]
        return sites


class _Site(NamedTuple):
    """One Alertmanager: the address that was given, and the one to ask; they differ where a name stands for many."""

    address: str
    host: str
    asked: str

    @classmethod
    def all(cls, address: str) -> list["_Site"]:
        """One for every address that a name stands for. Over TLS only the name itself, as on its certificate."""
        parts = urlsplit(address)
        assert parts.hostname is not None
        if parts.scheme == "https":
            return [cls(address, parts.netloc, address)]
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
        hosts = dict.fromkeys(f"[{at[4][0]}]" if at[0] == socket.AF_INET6 else str(at[4][0]) for at in found)
        return [cls(address, parts.netloc, f"http://{host}:{parts.port or 80}{parts.path}") for host in hosts]

    def ask(self, path: str, body: object | None = None) -> Any:
        """What it answers; it is given `body` where there is one. Raises OSError."""
        request = urllib.request.Request(  # noqa: S310  # the setting allows http and https only
            f"{self.asked}{path}", None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Host": self.host})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
                said = answer.read()
            return json.loads(said) if said else None
        except urllib.error.HTTPError as error:
            raise OSError(f"{self.address} answered {error.code}") from None
        except urllib.error.URLError as error:
            raise OSError(f"{self.address} is away ({error.reason})") from None
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"{self.address} does not answer as Alertmanager does ({type(error).__name__})") from None


def _alert(said: Mapping[str, Any]) -> Alert:
    labels = said["labels"]
    since_s = datetime.fromisoformat(said["startsAt"]).timestamp()
    return Alert(labels["alertname"], labels["brand"], since_s, labels.get("cluster", ""))


def _wire(about: Alert, said: Mapping[str, str]) -> dict[str, object]:
    labels = {"alertname": REASONS, "about": about.name, "brand": about.brand, "team": "marketing", "severity": "info",
              "cluster": about.cluster}
    return {
        "labels": {name: word for name, word in labels.items() if word},
        "annotations": {name: word for name, word in said.items() if word},
        "startsAt": _rfc3339(about.since_s), "endsAt": _rfc3339(about.since_s),
    }


def _rfc3339(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")


def run(settings: Settings) -> int:
    """Tells until it is told to stop. Raises `BadSetting` without an Alertmanager to tell."""
    if not settings.alertmanager:
        raise BadSetting("DENYUT_ALERTMANAGER is empty: expected where Alertmanager is, such as http://localhost:9093")
    with interruptible() as stop, Told(settings) as told, telling(settings, settings.http, told) as failed:
        while not stop and not failed:
            told.news()  # nobody else asks for it here, and it would grow
            time.sleep(0.1)
    for error in failed:
        raise error
    return 0


@contextmanager
def telling(settings: Settings, page: str, told: Told) -> Iterator[list[Exception]]:
    """Tells from a thread of its own, with a page of its own, within a `with`. The list is what ended it, if it did."""
    health = Health("swings", "alertmanager", stale_s=float("inf"))  # alive also while one of them is away
    metrics, over, failed = Metrics(), threading.Event(), list[Exception]()
    metrics.build(release(), "", "tell")
    teller = Teller(Alertmanager(settings.alertmanager), settings.read_brands(), Clock(settings.clock))
    wire = Wire.of(settings)

    def work() -> None:
        knocked_s = time.monotonic()
        try:
            while not over.is_set():
                look(teller, told, metrics, health)
                if time.monotonic() - knocked_s > EVERY_S:
                    knocked_s = time.monotonic()
                    knock_again(wire, health, lambda: Wire.of(settings))
                over.wait(LOOK_S)
        except Exception as error:  # told to whoever waits: this thread has nobody to tell
            failed.append(error)

    thread = threading.Thread(target=work, name="tell", daemon=True)
    with Pages(page, metrics.registry, health) as pages:
        log.info("pages at %s", pages.url)
        thread.start()
        try:
            yield failed
        finally:
            over.set()
            thread.join(PATIENCE_S)


class Swings(Protocol):
    """What is known of swings."""

    def catch_up(self, timeout_s: float) -> bool:
        """Waits until all that was told has been read; half of it may have an old swing still open."""

    def latest(self) -> Sequence[Swing]:
        """Every incident as it stands."""


def look(teller: Teller, told: Swings, metrics: Metrics, health: Health) -> None:
    """Tells once. An Alertmanager that does not answer is asked again next time, and so is a topic half read."""
    if not told.catch_up(PATIENCE_S):
        metrics.telling("failed")
        health.unmet("swings", "not read to the end yet")
        return
    swings = told.latest()
    health.met("swings")
    try:
        teller.step(swings, time.time())
    except OSError as error:
        metrics.telling("failed")
        health.unmet("alertmanager", "it does not answer")
        log.warning("Alertmanager was not told: %s", error)
    else:
        metrics.telling("told")
        health.met("alertmanager")
