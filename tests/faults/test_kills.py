"""kill -9 of a feed, again and again: what is written is what was done. `tests/faults/kills.py` does it for long."""

from pathlib import Path

import pytest

from streams.sources.bluesky import Wire
from tests.faults.kafka import Kafka
from tests.faults.kills import killed


@pytest.mark.slow
@pytest.mark.parametrize(("wire", "seed"), [(Wire.V1, 11), (Wire.V2, 12)])
def test_a_feed_that_is_killed_writes_each_thing_once_and_all_of_it(
        kafka: Kafka, tmp_path: Path, wire: Wire, seed: int) -> None:
    """Posts, edits, removals and departures, over 15 deaths at random moments."""
    outcome = killed(kafka, tmp_path, 15, seed, wire)
    assert outcome.truth == outcome.written > 100
