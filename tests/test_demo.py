"""The demo counts again what it sent, and would notice if anything were missing."""

import json
import subprocess
import sys

import pytest

from streams.demo import compare
from streams.heart.window import WINDOWS, Reading
from streams.recount import Mention

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


@pytest.mark.slow
def test_the_demo_loses_and_doubles_nothing() -> None:
    """Twelve seconds of the whole pipeline, most of an hour of the public's life: every mention is counted once."""
    done = subprocess.run([sys.executable, "-P", "-m", "streams.cli", "demo", "--headless", "--for", "12",
                           "--seed", "3", "--rate", "30"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert (account["lost"], account["doubled"]) == (0, 0)
    assert account["sent"] == account["read"]
    assert account["mentions"] == account["scored"] + account["abstained"]
    assert account["mentions"] > 100
    for brand in account["brands"].values():
        assert brand["mood"] is None or brand["lower"] <= brand["mood"] <= brand["upper"]
