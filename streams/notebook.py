"""Notebook: everything that a feed sent, one JSON object a line, in the order of sending.

    {"id": …, "text": …, "created_at": …, "source": "demo", "arrived_at": 1577838000123}    a post
    {"id": …, "removed": true, "source": "demo", "arrived_at": …}                            it is gone
    {"tick": {"demo": 1577838000000}, "feed": "demo", "arrived_at": …}                       heard until then
    {"broken": true, "arrived_at": …}                                                        what was no post

It is what `denyut backtest FILE --on-error skip` reads (each row names its source), so a run can be gone through again
without Kafka. Here is text, as it was sent, of people who do not exist: nothing but the demo writes one. Times of
arrival never fall, as in the log.
Knows nothing of Kafka, brands or scores.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from streams.feed import Happening
from streams.heart.errors import BadPost, BadSetting
from streams.heart.post import Removal, Tick, decode


class Notebook:
    """A file of what was sent. Closed at the end of a `with`."""

    def __init__(self, path: Path, source: str) -> None:
        """Begins the file anew. `source`: what is sent comes from it. Raises `BadSetting`."""
        self._source = source
        self._last_ms = 0
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise BadSetting(f"--record {path}: {error.strerror or type(error).__name__}") from None

    def send(self, happening: Happening) -> None:
        """A record was sent."""
        try:
            said = decode(happening.key, happening.value, frozenset({self._source}))
        except BadPost:
            return self._write({"broken": True}, happening.at_ms)
        if isinstance(said, Removal):
            return self._write({"id": said.id, "removed": True, "source": self._source}, happening.at_ms)
        assert not isinstance(said, Tick)
        row = msgspec.to_builtins(said)
        return self._write(row, happening.at_ms)

    def tick(self, feed: str, now_ms: int) -> None:
        """A tick was sent: the source is healthy until then."""
        self._write({"tick": {self._source: now_ms}, "feed": feed}, now_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def _write(self, row: dict[str, Any], at_ms: int) -> None:
        self._last_ms = max(self._last_ms, at_ms)  # as the feed does
        self._file.write(msgspec.json.encode({**row, "arrived_at": self._last_ms}) + b"\n")
