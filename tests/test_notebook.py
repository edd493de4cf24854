"""What was sent is written down, every record of it, and can be read again."""

import json
from collections import Counter
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from streams.heart.errors import BadSetting
from streams.heart.post import Post, decode, epoch_ms
from streams.notebook import Notebook
from streams.sources.file import FIELDS, JsonRows
from streams.sources.public import SOURCE, START_MS, Happening, Public, What

CROWD: tuple[Happening, ...] = tuple(islice(Public(seed=5, rate_per_s=50.0), 4000))


def written(path: Path) -> list[dict[str, Any]]:
    with Notebook(path, SOURCE) as notebook:
        for number, happening in enumerate(CROWD):
            notebook.send(happening)
            if number % 10 == 0:
                notebook.tick("demo", happening.at_ms)
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_record_is_written_in_its_order(tmp_path: Path) -> None:
    """Posts, removals, ticks and broken ones, as many as were sent; arrivals never fall."""
    rows = written(tmp_path / "sent.jsonl")
    kinds = Counter("tick" if "tick" in row else "broken" if "broken" in row else
                    "removal" if row.get("removed") else "post" for row in rows)
    sent = Counter("broken" if h.what is What.BROKEN else "removal" if h.value is None else "post" for h in CROWD)
    assert {**sent, "tick": 400} == kinds
    assert all(a["arrived_at"] <= b["arrived_at"] for a, b in pairwise(rows))


def test_a_post_is_written_as_a_file_of_posts_has_it(tmp_path: Path) -> None:
    """Its fields are those that `denyut feed file` knows, with what they held, to the millisecond."""
    rows = [row for row in written(tmp_path / "sent.jsonl") if "text" in row]
    posts = [post for happening in CROWD if happening.what is not What.BROKEN
             and isinstance(post := decode(happening.key, happening.value, frozenset({SOURCE})), Post)]
    for row, post in zip(rows, posts, strict=True):
        assert set(row) <= {*FIELDS, "source", "arrived_at"}
        said = (row["id"], row["text"], row.get("author"), row.get("rev", 0))
        assert (post.id, post.text, post.author, post.rev) == said
        assert row["created_at"].endswith("Z")
    with closing(JsonRows(tmp_path / "sent.jsonl")) as read:
        assert len(rows) == sum(isinstance(row, dict) and "text" in row for _, row in read)
    assert min(epoch_ms(post.created_at) for post in posts) >= START_MS


def test_what_was_no_post_is_not_quoted(tmp_path: Path) -> None:
    """A broken record is a line without content."""
    for row in written(tmp_path / "sent.jsonl"):
        if "broken" in row:
            assert {"broken", "arrived_at"} == set(row)


def test_times_do_not_fall(tmp_path: Path) -> None:
    """A record that is sent behind a tick arrives with it, as the feed has it."""
    path = tmp_path / "sent.jsonl"
    with Notebook(path, SOURCE) as notebook:
        notebook.tick("demo", CROWD[0].at_ms + 5)
        notebook.send(CROWD[0])
    assert [CROWD[0].at_ms + 5] * 2 == [json.loads(line)["arrived_at"] for line in path.read_bytes().splitlines()]


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    """It is said before anything starts."""
    with pytest.raises(BadSetting, match="--record"):
        Notebook(tmp_path / "nowhere" / "sent.jsonl", SOURCE)
