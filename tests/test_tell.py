"""Alertmanager gets the reasons of what it fires: in time, while it fires, and nothing else."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.clock import Clock
from streams.heart.brands import Brands
from streams.heart.errors import BadSetting
from streams.heart.incident import Cause, Copies, Step, Swing, Term
from streams.metrics import Metrics
from streams.serve import Health
from streams.settings import Settings
from streams.tell import JOIN_S, LOOK_S, STALE_MS, Alert, Alertmanager, Teller, annotations, look, run
from tests.loopback import serving
from tests.test_swings_edge import swing

NOW_S = 1_795_586_400.0
DOWN = Alert("DenyutMoodDown", "quovira", NOW_S)
BRANDS: Brands = Settings().read_brands()
CLOCK = Clock()
NOW_MS = int(NOW_S * 1000)


class Door:
    """An Alertmanager that keeps what it was given."""

    def __init__(self, *firing: Alert) -> None:
        self.alerts = list(firing)
        self.given: list[tuple[Alert, Mapping[str, str]]] = []

    def firing(self) -> list[Alert]:
        return self.alerts

    def put(self, about: Alert, said: Mapping[str, str]) -> None:
        self.given.append((about, said))


class Told:
    """A topic of swings that has been read, or not yet."""

    def __init__(self, *swings: Swing, is_read: bool = True) -> None:
        self.swings, self.is_read = swings, is_read

    def catch_up(self, timeout_s: float) -> bool:
        return self.is_read and timeout_s > 0

    def latest(self) -> tuple[Swing, ...]:
        return self.swings


def known(**other: Any) -> Swing:
    """A swing of Quovira, explained."""
    said: dict[str, Any] = {"votes": 412, "chance_weeks": 57.6, "authenticity": "organic", "now": -0.55, "usual": 0.18,
                            "effect": -0.73, "terms": (Term("oatlira", 9.0, 12), Term("susu", 4.0, 7)),
                            "causes": (Cause("term", "oatlira", 0.62),), **other}
    return swing(**said)


def test_an_alert_gets_the_reasons_of_its_swing() -> None:
    """The companion names the alert, its brand, the terms and who speaks."""
    door = Door(DOWN)
    assert Teller(door, BRANDS, CLOCK).step([known()], NOW_S + 2) == 1
    [(about, said)] = door.given
    assert about == DOWN
    assert (said["title"], said["terms"], said["authenticity"]) == ("Quovira", "oatlira, susu", "organic")
    assert said["grounds"] == "412 votes · by chance 1 in 58 weeks · organic · about oatlira 62%, susu"


def test_terms_that_are_read_later_are_given_too_and_nothing_twice() -> None:
    """The swing opens before its terms are known: the companion is given again with them, and then no more."""
    door = Door(DOWN)
    teller = Teller(door, BRANDS, CLOCK)
    teller.step([known(terms=(), causes=())], NOW_S + 1)
    teller.step([known()], NOW_S + 4)
    teller.step([known()], NOW_S + 7)
    assert [said["terms"] for _, said in door.given] == ["", "oatlira, susu"]


def test_reasons_that_come_after_the_message_are_not_given() -> None:
    """After the time that a group waits they would be in no message."""
    door = Door(DOWN)
    assert Teller(door, BRANDS, CLOCK).step([known()], NOW_S + JOIN_S + 1) == 0
    assert Teller(door, BRANDS, CLOCK).step([known()], NOW_S + JOIN_S) == 1


def test_the_time_to_give_them_is_less_than_a_group_waits() -> None:
    """The number here and the one in Alertmanager's configuration belong together."""
    config = yaml.safe_load((Path(__file__).parents[1] / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    [marketing] = [route for route in config["route"]["routes"] if "marketing" in str(route["matchers"])]
    assert marketing.get("group_wait", config["route"]["group_wait"]) == "30s"
    assert JOIN_S <= 30 - LOOK_S


def test_an_alert_that_fires_again_gets_its_reasons_again() -> None:
    """It began at another time, so it is another message."""
    door = Door(DOWN)
    teller = Teller(door, BRANDS, CLOCK)
    teller.step([known()], NOW_S)
    door.alerts = []
    assert teller.step([known()], NOW_S + 300) == 0
    door.alerts = [DOWN._replace(since_s=NOW_S + 600)]
    assert teller.step([known()], NOW_S + 603) == 1


@pytest.mark.parametrize("other", [
    {"brand": "lajuro"}, {"direction": "up"}, {"series": "volume"}, {"authenticity": "coordinated"},
], ids=str)
def test_a_swing_of_another_kind_is_no_reason(other: dict[str, str]) -> None:
    """Another brand, the other direction, volume, or copies: none of them is what a fall of mood is about."""
    door = Door(DOWN)
    assert Teller(door, BRANDS, CLOCK).step([known(**other)], NOW_S) == 0


def test_copies_are_the_reason_of_the_alert_on_copies_in_either_direction() -> None:
    """DenyutCoordinatedTalk is about a swing that copies make, up or down."""
    door = Door(Alert("DenyutCoordinatedTalk", "quovira", NOW_S))
    copies = known(authenticity="coordinated", direction="up", copies=Copies(0.31, 0.9))
    Teller(door, BRANDS, CLOCK).step([known(), copies], NOW_S)
    assert [said["authenticity"] for _, said in door.given] == ["coordinated (31% as authentic as usual)"]


def test_a_swing_that_goes_on_comes_before_one_that_is_over() -> None:
    """The alert holds on for minutes after its swing; if another has opened by then, that is the one."""
    door = Door(DOWN)
    over = known(state=Step.CLOSED, step=3, ended="over", onset_ms=NOW_MS - 1_000, at_ms=NOW_MS - 60_000, votes=1)
    Teller(door, BRANDS, CLOCK).step([known(onset_ms=NOW_MS - 900_000), over], NOW_S)
    assert door.given[0][1]["grounds"].startswith("412 votes")
    alone = Door(DOWN)
    Teller(alone, BRANDS, CLOCK).step([over], NOW_S)
    assert alone.given[0][1]["grounds"].startswith("1 votes")


def test_a_swing_that_was_over_long_before_is_not_what_an_alert_is_about() -> None:
    """Last month's words in today's message would be worse than none, whatever clock the posts live on."""
    old = known(state=Step.CLOSED, step=3, ended="over", at_ms=NOW_MS - STALE_MS - 1)
    assert Teller(Door(DOWN), BRANDS, CLOCK).step([old], NOW_S) == 0
    assert Teller(Door(DOWN), BRANDS, CLOCK).step([known(state=Step.CLOSED, at_ms=NOW_MS - STALE_MS)], NOW_S) == 1
    public = Clock(f"1577836800000@{NOW_MS}x240")
    of_then = known(state=Step.CLOSED, at_ms=1_577_836_800_000 - 60_000)
    assert Teller(Door(DOWN), BRANDS, public).step([of_then], NOW_S) == 1


def test_a_topic_that_is_half_read_gives_no_reasons() -> None:
    """In it a swing of last month may still look open; who waits is told what is missing, and it counts as failed."""
    metrics, health, door = Metrics(), Health("swings", "alertmanager"), Door(DOWN)
    look(Teller(door, BRANDS, CLOCK), Told(known(), is_read=False), metrics, health)
    assert (door.given, health.missing()["swings"]) == ([], "not read to the end yet")
    assert metrics.registry.get_sample_value("denyut_tellings_total", {"outcome": "failed"}) == 1


def test_what_is_told_holds_no_key_of_a_post() -> None:
    """Exemplars are keys of posts: a message has no use for them."""
    assert "demo:" not in json.dumps(annotations(known(exemplars=("demo:9f86d081884c7d65",)), "Quovira"))


# The wire.


@contextmanager
def server(status: int, body: bytes) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Something that answers so, and what it was asked."""
    asked: list[tuple[str, bytes]] = []

    def answer(path: str, said: bytes) -> tuple[int, bytes]:
        asked.append((path, said))
        return status, body

    with serving(answer) as url:
        yield url, asked


@pytest.mark.parametrize(("status", "body"), [
    (500, b"no"), (200, b"<html>"), (200, b'{"a": 1}'), (200, b'[{"labels": {"brand": "quovira"}}]'), (200, b"[3]"),
    (200, b'[{"labels": {"alertname": "DenyutMoodDown", "brand": "quovira"}, "startsAt": "noon"}]'),
], ids=str)
def test_an_alertmanager_that_talks_nonsense_is_asked_again_later(status: int, body: bytes) -> None:
    """Whatever it answers, it is counted, said on /readyz, and does not end the process."""
    metrics, health = Metrics(), Health("alertmanager")
    with server(status, body) as (url, _):
        look(Teller(Alertmanager([url]), BRANDS, CLOCK), Told(known()), metrics, health)
    assert metrics.registry.get_sample_value("denyut_tellings_total", {"outcome": "failed"}) == 1
    assert "alertmanager" in health.missing()


def test_an_alertmanager_that_is_away_is_asked_again_later() -> None:
    """Nobody listens at its port."""
    metrics, health = Metrics(), Health("alertmanager")
    with server(200, b"[]") as (url, _):
        look(Teller(Alertmanager([url]), BRANDS, CLOCK), Told(), metrics, health)
        assert health.ready
    look(Teller(Alertmanager([url]), BRANDS, CLOCK), Told(), metrics, health)
    assert not health.ready


def test_what_is_posted_is_an_alert_beside_the_other() -> None:
    """Of the same brand, team and cluster, so it is in its group; over as it begins, so it is no message of its own."""
    fires = [{"labels": {"alertname": "DenyutMoodDown", "brand": "quovira", "cluster": "jakarta"},
              "startsAt": "2026-11-25T06:00:00.000Z"}]
    with server(200, json.dumps(fires).encode()) as (url, asked):
        door = Alertmanager([url])
        [alert] = door.firing()
        assert alert == Alert("DenyutMoodDown", "quovira", 1_795_586_400.0, "jakarta")
        door.put(alert, {"terms": "susu", "cause": ""})
    assert "silenced=false&inhibited=false" in asked[0][0]
    [posted] = json.loads(asked[1][1])
    assert posted == {
        "labels": {"alertname": "DenyutReasons", "about": "DenyutMoodDown", "brand": "quovira", "team": "marketing",
                   "severity": "info", "cluster": "jakarta"},
        "annotations": {"terms": "susu"},
        "startsAt": "2026-11-25T06:00:00.000+00:00", "endsAt": "2026-11-25T06:00:00.000+00:00",
    }


def test_every_alertmanager_hears_of_it_and_one_that_is_away_does_not_matter() -> None:
    """Those that share the work must know the same; of a name that stands for many, each is asked."""
    with server(200, b"") as (gone, _):
        pass
    with server(200, b"[]") as (one, first), server(200, b"[]") as (other, second):
        door = Alertmanager(["http://nobody.invalid:9093", gone, one.replace("127.0.0.1", "localhost"), other])
        assert door.firing() == []
        door.put(DOWN, {"terms": "susu"})
    assert [len(first), len(second)] == [2, 1]
    with pytest.raises(OSError, match=gone):
        Alertmanager([gone]).put(DOWN, {})
    with pytest.raises(OSError, match=r"nobody\.invalid:9093 is no name of anybody"):
        Alertmanager(["http://nobody.invalid:9093"]).firing()


def test_without_an_alertmanager_the_start_stops_and_names_the_setting() -> None:
    """`denyut tell` with nobody to tell is a mistake."""
    with pytest.raises(BadSetting, match="DENYUT_ALERTMANAGER is empty"):
        run(Settings())


@pytest.mark.parametrize("said", ["localhost:9093", "ftp://host", "http://", "http://host:9093?x=1", "http://a:1,b:2",
                                  "http://host:65536", "http://anna:pw@host"])
def test_an_address_that_cannot_be_is_refused(said: str) -> None:
    """Only http and https, and no login in an address."""
    with pytest.raises(BadSetting, match="DENYUT_ALERTMANAGER"):
        Settings.read({"DENYUT_ALERTMANAGER": said})
