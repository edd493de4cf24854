"""Moods: what the windows said, minute by minute, of a history that is over; for a file, or for a picture.

A minute is taken when it is sealed and nothing can change it any more, and what is left when the history ends. So the
figures are those of the whole history, with every late post, edit and removal that counts. A brand has a line for a
minute and a window if the window, which ends with that minute, holds a mention of it.
Knows nothing of how mentions are counted, or of what is drawn.
"""

import csv
import os
from collections import deque
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from streams.heart.errors import BadSetting
from streams.heart.pane import FIELDS, MINUTE, PANE_MS, Sums
from streams.heart.post import from_ms
from streams.heart.tracker import Tracker
from streams.heart.window import Reading, reading

SPANS = {"5m": 5, "1h": 60, "24h": 1440}  # minutes; the day is for the variance
SHOWN = ("5m", "1h")
# Beside the time, a reading's own fields.
COLUMNS = {"time": "timestamp[ms]", "brand": "string", "window": "string", "mentions": "int64", "votes": "int64",
           "mood": "double", "lower": "double", "upper": "double", "prompted": "int64", "unprompted_votes": "int64",
           "unprompted": "double", "unprompted_lower": "double", "unprompted_upper": "double"}
ROW_GROUP = 50_000
MINUTE_MS = MINUTE * PANE_MS
MENTIONS = 4  # the first fields of sums: mentions by label


class Line(NamedTuple):
    """What one window said of one brand; `end_ms` is the end of its last minute."""

    end_ms: int
    reading: Reading


class Sink(Protocol):
    """Takes lines, in the order of time."""

    def take(self, line: Line) -> None: ...


class Moods:
    """Follows a tracker, and tells its sinks what each minute's windows said."""

    def __init__(self, brands: Sequence[str], grace_ms: int, sinks: Sequence[Sink]) -> None:
        """`brands`: the order in which lines of one minute come."""
        self._order = {brand: place for place, brand in enumerate(brands)}
        self._grace_ms, self._sinks = grace_ms, sinks
        self._numbers: dict[str, int] = {}  # of the brands that were mentioned, in that order
        self._next: int | None = None  # the first minute that was not taken
        self._held: deque[Sums] = deque(maxlen=max(SPANS.values()))
        # Whole numbers: what was added is taken away again exactly.
        self._total = {window: np.zeros((0, len(FIELDS)), np.int64) for window in SPANS}

    def look(self, tracker: Tracker, changed: Iterable[str]) -> None:
        """Takes the minutes that are sealed by now. `changed`: brands whose figures have moved."""
        fresh = [brand for brand in changed if brand not in self._numbers]
        if fresh:
            known = sorted([*self._numbers, *fresh], key=self._order.__getitem__)
            self._numbers = {brand: tracker.brand_number(brand) for brand in known}
        if tracker.watermark_ms is not None:
            self._take(tracker, (tracker.watermark_ms - self._grace_ms) // MINUTE_MS)

    def end(self, tracker: Tracker) -> None:
        """Takes the rest: the minutes that time has passed."""
        if tracker.watermark_ms is not None:
            self._take(tracker, tracker.watermark_ms // MINUTE_MS)

    def _take(self, tracker: Tracker, after: int) -> None:
        first = after if self._next is None else self._next  # what arrives first is dated in no sealed minute
        for minute in range(first, after):
            self._add(tracker.between(minute * MINUTE, minute * MINUTE + MINUTE))
            self._tell((minute + 1) * MINUTE_MS)
        self._next = max(first, after)

    def _add(self, sums: Sums) -> None:
        """One minute comes into every window, and one goes out of each that is full."""
        need = int(sums.brand.max(initial=0)) + 1
        for window, span in SPANS.items():
            total = self._total[window]
            if len(total) < need:
                more = np.zeros((need - len(total), len(FIELDS)), np.int64)
                total = self._total[window] = np.concatenate([total, more])
            if len(self._held) >= span:
                gone = self._held[-span]
                total[gone.brand] -= gone.values
            total[sums.brand] += sums.values
        self._held.append(sums)

    def _tell(self, end_ms: int) -> None:
        totals = {window: total.tolist() for window, total in self._total.items()}
        for brand, number in self._numbers.items():
            for window in SHOWN:
                if number < len(totals[window]) and any(totals[window][number][:MENTIONS]):
                    said = reading(brand, window, totals[window][number], totals["24h"][number], (None, 1.0))
                    for sink in self._sinks:
                        sink.take(Line(end_ms, said))


class MoodFile:
    """Lines as a table, `.csv` or `.parquet`. The file is there when it is whole; what was there is replaced."""

    def __init__(self, path: Path) -> None:
        """Raises `BadSetting`."""
        self._path = path
        self._part = path.with_name(path.name + ".part")
        try:
            self._writer: _Writer = (_CsvWriter if path.suffix == ".csv" else _ParquetWriter)(self._part)
        except OSError as error:
            raise _unwritten(path, error) from None

    @staticmethod
    def check(path: Path) -> None:
        """Raises `BadSetting` for a name that says no format, or one that cannot be written here."""
        if path.suffix not in (".csv", ".parquet"):
            raise BadSetting(f"--mood {path}: expected a name that ends in .csv or .parquet")
        if path.suffix == ".parquet" and find_spec("pyarrow") is None:
            raise BadSetting(f"--mood {path}: Parquet files need the extra denyut[parquet]")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._writer.close()
            if error is None:
                os.replace(self._part, self._path)
        except OSError as failure:
            if error is None:
                raise _unwritten(self._path, failure) from None
        finally:
            self._part.unlink(missing_ok=True)

    def take(self, line: Line) -> None:
        """Writes a line."""
        try:
            self._writer.write((line.end_ms, *(getattr(line.reading, name) for name in _FIELDS)))
        except OSError as error:
            raise _unwritten(self._path, error) from None


def _unwritten(path: Path, error: OSError) -> BadSetting:
    return BadSetting(f"--mood {path}: {error.strerror or error}")


_FIELDS = tuple(COLUMNS)[1:]
Cells = tuple[Any, ...]  # in the order of COLUMNS


class _Writer(Protocol):
    def write(self, cells: Cells) -> None: ...

    def close(self) -> None: ...


class _CsvWriter:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow(COLUMNS)
        self._when = (0, "")

    def write(self, cells: Cells) -> None:
        if cells[0] != self._when[0]:
            self._when = cells[0], from_ms(cells[0]).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._csv.writerow((self._when[1], *(f"{one:.6f}" if isinstance(one, float) else one for one in cells[1:])))

    def close(self) -> None:
        self._file.close()


class _ParquetWriter:
    def __init__(self, path: Path) -> None:
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        kinds = {name: pyarrow.type_for_alias(kind) for name, kind in COLUMNS.items()}
        self._arrow = pyarrow
        self._schema = pyarrow.schema({**kinds, "time": pyarrow.timestamp("ms", "UTC")})
        self._file: Any = ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Cells] = []

    def write(self, cells: Cells) -> None:
        self._waiting.append(cells)
        if len(self._waiting) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = [self._arrow.array(column, one.type) for column, one in
                   zip(zip(*self._waiting, strict=True), self._schema, strict=True)]
        self._file.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))
        self._waiting = []

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._file.close()
