"""Tell: gives Alertmanager the reasons of the swings that it alerts on. `denyut tell`.

    Alertmanager ──what fires──▶ Teller ◀──incidents── denyut.swings
          ▲                        │
          └──DenyutReasons, over as it begins, beside the alert that it is about

Prometheus decides whether to alert, by numbers alone; words that people use are no labels, so they are not among them.
A companion alert carries them. It is in the group of the alert it is about, and in the same message; being over
already it calls for none of its own, whatever becomes of the other. So it must come while Alertmanager waits for the
group to be whole, or it is in no message. Without this process the message is sent all the same, with numbers and no
words.
Numbers, names of the brand file and terms; never a post's text, for a swing has none.
Knows nothing of how a swing is found, or of who reads the message.
"""

import http.client
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from streams import wording
from streams.heart.brands import Brands
from streams.heart.errors import BadSetting
from streams.heart.incident import Swing
from streams.metrics import Metrics, release
from streams.serve import Health, Pages
from streams.settings import Settings
from streams.stop import interruptible
from streams.told import Told

REASONS = "DenyutReasons"
ABOUT = ("DenyutMoodDown", "DenyutCoordinatedTalk")  # the alerts of deploy/prometheus/rules that a swing explains
JOIN_S = 27.0  # of the 30 s that Alertmanager waits for a group: what comes later is in no message
LOOK_S = 3.0
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

    def __init__(self, door: Door, brands: Brands) -> None:
        self._door = door
        self._brands = brands
        self._given: dict[Alert, Mapping[str, str]] = {}

    def step(self, swings: Sequence[Swing], now_s: float) -> int:
        """Gives each alert that began to fire its reasons, again when more is known; returns how many it gave."""
        firing = self._door.firing()
        self._given = {alert: said for alert, said in self._given.items() if alert in firing}
        given = 0
        for alert in firing:
            swing = _of(swings, alert)
            if swing is None or now_s - alert.since_s > JOIN_S:
                continue
            said = annotations(swing, self._brands.title(swing.brand))
            if said != self._given.get(alert):
                self._door.put(alert, said)
                self._given[alert] = said
                given += 1
        return given


def _of(swings: Sequence[Swing], alert: Alert) -> Swing | None:
    """The swing that an alert is about: the last to begin, and one that goes on before one that is over."""
    fits = [swing for swing in swings if swing.series == "mood" and swing.brand == alert.brand
            and (swing.authenticity == "coordinated") == (alert.name == "DenyutCoordinatedTalk")
            and (swing.direction == "down" or alert.name == "DenyutCoordinatedTalk")]
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
    """Alertmanager's own interface, version 2."""

    def __init__(self, address: str) -> None:
        self._alerts = f"{address}/api/v2/alerts"

    def firing(self) -> list[Alert]:
        """What fires now; of what is silenced or inhibited nobody hears, so it needs no reasons."""
        asked = urlencode({"active": "true", "silenced": "false", "inhibited": "false",
                           "filter": f'alertname=~"{"|".join(ABOUT)}"'})
        found = self._ask(f"{self._alerts}?{asked}")
        try:
            return [_alert(one) for one in found if one["labels"].get("brand")]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise OSError(f"{self._alerts} gave no list of alerts ({type(error).__name__})") from None

    def put(self, about: Alert, said: Mapping[str, str]) -> None:
        """Posts them: the same labels are the same alert, whose words are changed."""
        self._ask(self._alerts, [_wire(about, said)])

    def _ask(self, url: str, body: object | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # the setting allows http and https only
            url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
                said = answer.read()
            return json.loads(said) if said else None
        except urllib.error.HTTPError as error:
            raise OSError(f"{url.partition('?')[0]} answered {error.code}") from None
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"{url.partition('?')[0]} does not answer as Alertmanager does ({type(error).__name__})"
                          ) from None


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
    with (interruptible() as stop, Told(settings) as told,
          telling(settings.alertmanager, settings.http, settings.read_brands(), told) as failed):
        while not stop and not failed:
            time.sleep(0.1)
    for error in failed:
        raise error
    return 0


@contextmanager
def telling(alertmanager: str, http: str, brands: Brands, told: Told) -> Iterator[list[Exception]]:
    """Tells from a thread of its own, with a page of its own, within a `with`. The list is what ended it, if it did."""
    health = Health("swings", "alertmanager", stale_s=float("inf"))  # alive also while one of them is away
    metrics, over, failed = Metrics(), threading.Event(), list[Exception]()
    metrics.build(release(), "", "tell")
    teller = Teller(Alertmanager(alertmanager), brands)

    def work() -> None:
        try:
            while not over.is_set():
                look(teller, told.latest(), metrics, health)
                over.wait(LOOK_S)
        except Exception as error:  # told to whoever waits: this thread has nobody to tell
            failed.append(error)

    with Pages(http, metrics.registry, health) as pages:
        log.info("pages at %s", pages.url)
        thread = threading.Thread(target=work, name="tell", daemon=True)
        thread.start()
        yield failed
        over.set()
        thread.join(PATIENCE_S)


def look(teller: Teller, swings: Sequence[Swing], metrics: Metrics, health: Health) -> None:
    """Tells once. An Alertmanager that does not answer is asked again next time."""
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
