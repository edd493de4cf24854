"""A block of a release before loads: its records, and the log from where it resumes, are kept in a file.

    python -m tests.test_block_kept          writes the file anew, with this release's schema
"""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from streams.heart.block import SCHEMA, Shelf
from streams.heart.tracker import Times, Tracker
from streams.heart.window import Reading
from tests.story import PARTITIONS
from tests.test_restored import HOME, logs

KEPT = Path(__file__).with_name("kept") / "block-1.json.gz"
TIMES = Times(grace_ms=600_000)  # short, so that the file is small
FRAMES = 2 * 500  # minutes of the story: a swing is open


def said(reading: Reading) -> dict[str, Any]:
    """What a reading says in whole numbers."""
    names = ("brand", "window", "negative", "neutral", "positive", "abstained", "votes", "authors", "prompted")
    return {name: getattr(reading, name) for name in names}


def test_a_block_of_the_first_schema_loads() -> None:
    """Its figures, its open swing, and its baseline are those that the release which wrote it had."""
    kept = json.loads(gzip.decompress(KEPT.read_bytes()))
    shelf = Shelf(HOME, "reader")
    for key, value in kept["records"].items():
        shelf.put(key.encode(), base64.b64decode(value))
    block = shelf.newest(PARTITIONS, kept["end"]).block
    assert block is not None
    tracker = Tracker.restore(block, TIMES)
    tracker.apply(map(base64.b64decode, kept["frames"]), block.resume)
    tracker.settle()
    assert kept["schema"] <= SCHEMA
    assert [said(reading) for reading in tracker.readings()] == kept["readings"]
    assert [(step.id, step.step, step.state) for step in tracker.open_swings()] == [tuple(one) for one in kept["open"]]
    assert kept["open"]
    assert all(standing.is_ready for standing in tracker.standing().values())


def write() -> None:
    """Writes the file."""
    tracker, shelf = Tracker(HOME, PARTITIONS, TIMES), Shelf(HOME, "kept")
    records: dict[bytes, bytes] = {}
    resume = 0
    for at, data in enumerate(logs()[HOME][:FRAMES]):
        tracker.apply([data])
        tracker.settle()
        if tracker.is_block_due and at < FRAMES - 10:
            block = tracker.block()
            fresh = shelf.records(block)
            records.update(fresh)
            gone = shelf.wrote(fresh)
            shelf.dropped(gone)
            for key in gone:
                del records[key]
            resume = block.resume
    kept = {
        "schema": SCHEMA, "end": FRAMES, "records": {key.decode(): _text(value) for key, value in records.items()},
        "frames": [_text(data) for data in logs()[HOME][resume:FRAMES]],
        "readings": [said(reading) for reading in tracker.readings()],
        "open": [(step.id, step.step, step.state) for step in tracker.open_swings()],
    }  # fmt: skip
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_bytes(gzip.compress(json.dumps(kept, indent=0).encode(), mtime=0))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    write()
