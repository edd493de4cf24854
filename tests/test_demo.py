"""The demo counts again what it sent, and would notice if anything were missing."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streams.demo import DRAIN_S, compare, in_account
from streams.heart.incident import Cause, Step, Term
from streams.heart.window import WINDOWS, Reading
from streams.recount import Mention
from streams.sources.public import Campaign, Crisis, planned
from streams.sources.sayings import Sayings
from tests.incidents import swing

NOW_MS = 1_800_000_000_000


def mention(post: int, ago_ms: int) -> Mention:
    return Mention("kopi", post, NOW_MS - ago_ms, author=post, text=post, label=1, score=0, source="demo")


def shown(*counts: int) -> dict[str, dict[str, Reading]]:
    """Mentions in the last minute, five minutes, hour and day."""
    of = {window: Reading("kopi", window, count, 0, 0, count, 0, 0.0, 0, None, None, None, None, None, 1.0)
          for window, count in zip(WINDOWS, counts, strict=True)}
    return {"kopi": of}


@pytest.mark.parametrize(("counts", "found"), [
    ((1, 2, 3, 4), (0, 0)),
    ((0, 1, 2, 3), (1, 0)),
    ((1, 2, 4, 5), (0, 1)),
    ((0, 2, 3, 4), (1, 1)),  # one too few in the last minute, one too many before: they do not make up for each other
])
def test_what_is_lost_or_doubled_is_seen_where_it_is(counts: tuple[int, ...], found: tuple[int, int]) -> None:
    """Figures are compared span by span, so that a loss and a double do not cancel."""
    mentions = [mention(1, 5_000), mention(2, 200_000), mention(3, 1_000_000), mention(4, 40_000_000)]
    assert found == compare(mentions, shown(*counts), NOW_MS, 3_600_000)


def test_an_incident_in_the_account_is_json() -> None:
    """Brand, what, which way, who speaks, how it ended, its first cause and its terms; what is not known is null."""
    bare = swing(state=Step.CLOSED, ended="over")
    told = json.loads(json.dumps(in_account(bare)))
    assert ("lajuro", "mood", "down", "closed", "organic", 2, "over") == tuple(
        told[name] for name in ("brand", "series", "direction", "state", "authenticity", "severity", "ended"))
    assert (None, [], bare.onset_ms) == (told["cause"], told["terms"], told["onset_ms"])
    explained = swing(causes=(Cause("term", "susu", 0.5), Cause("mix", "", 0.1)), terms=(Term("susu", 5.0, 9),))
    told = json.loads(json.dumps(in_account(explained)))
    assert ({"kind": "term", "name": "susu", "share": 0.5}, ["susu"]) == (told["cause"], told["terms"])


def performed(seconds: int, *options: str) -> dict[str, Any]:
    """The account of a headless run."""
    done = subprocess.run([sys.executable, "-P", "-m", "streams.cli", "demo", "--headless", "--for", str(seconds),
                           *options], capture_output=True, text=True, timeout=seconds + 240, check=False)
    assert done.returncode == 0, done.stderr
    account: dict[str, Any] = json.loads(done.stdout)
    assert (account["lost"], account["doubled"]) == (0, 0)
    assert account["sent"] == account["read"]
    return account


@pytest.mark.slow
def test_the_demo_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Twelve seconds of the whole pipeline, most of an hour of the public's life: every mention is counted once, and
    every record that was sent is written down where that was asked."""
    account = performed(12, "--seed", "3", "--rate", "30", "--record", str(tmp_path / "sent.jsonl"))
    assert account["mentions"] == account["scored"] + account["abstained"]
    assert account["mentions"] > 100
    for brand in account["brands"].values():
        assert brand["mood"] is None or brand["lower"] <= brand["mood"] <= brand["upper"]
    rows = [json.loads(line) for line in (tmp_path / "sent.jsonl").read_bytes().splitlines()]
    kinds = Counter("tick" in row for row in rows)
    assert kinds[False] == account["sent"]
    assert kinds[True] > 12


@pytest.mark.slow
def test_the_demo_shows_a_crisis_and_a_campaign() -> None:
    """In under three minutes: the crisis is found, explained by its topic, and over; the campaign is seen, called
    coordinated, and no organic swing of its brand is."""
    crisis, campaign = planned(0)
    assert isinstance(crisis, Crisis)
    assert isinstance(campaign, Campaign)
    moods: dict[str, list[dict[str, Any]]] = {crisis.brand: [], campaign.brand: []}
    for told in performed(155)["swings"]:
        if told["series"] == "mood":
            moods.setdefault(told["brand"], []).append(told)
    fell, = moods[crisis.brand]
    assert ("down", "closed", "organic", "over") == tuple(
        fell[name] for name in ("direction", "state", "authenticity", "ended"))
    topics = [topic.casefold() for topic in Sayings.load().topics[crisis.brand]]
    assert any(topic in term for term in fell["terms"] for topic in topics)
    assert {"coordinated"} == {told["authenticity"] for told in moods[campaign.brand]}


@pytest.mark.parametrize("after_s", [0.0, 2.5, 4.0])
def test_a_demo_that_is_ended_before_anything_was_said_ends_at_once(after_s: float) -> None:
    """While its workers start there is nothing to count again, and no figure to wait for."""
    with subprocess.Popen([sys.executable, "-P", "-m", "streams.cli", "demo", "--headless", "--rate", "1"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("starting")
        time.sleep(after_s)  # before, while and after its workers get ready
        process.terminate()
        said, told = process.communicate(timeout=DRAIN_S - 5)
    assert process.returncode == 0, told
    assert said == "" or json.loads(said)["lost"] == 0
