"""File: posts from a JSONL, CSV or Parquet file, row by row, whatever its size.

    run_file(settings, Path("posts.csv"), Options.read(source="file", mapping="text=body,created_at=time"))

A row is a post: `id`, `text`, `created_at`, and if it has them `author`, `lang`, `kind`, `url`, `reply_to`, `reach`,
`rev`; a row with `removed` true says that the post of its `id` is gone. Columns of other names are mapped. Native ids
and handles end here: what goes on are keyed hashes, texts without handles, and links that name nobody, as at the door
of a live source. Without an `id` a post is told by its author, time and text, so
that sending a file twice counts nothing twice.

A time is RFC 3339 with its zone, or seconds or milliseconds since 1970. **Old times are late**: a live topic counts
what arrives within the grace (1 h) of its `created_at`, and of the rest only that it was late. To see an old file
counted, send it with `times="shift"` (the first row becomes now, gaps are kept) at the speed of its recording, or set a
public clock that shows the time of the file.
A row that is no post is counted with its number and a reason, never with what it says.
Of brands it knows only which handles are theirs; nothing of scores or windows.
"""

import csv
import gzip
import io
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, Self

import msgspec

from streams.clock import Clock
from streams.door import check_size, link, masked
from streams.feed import Feed, Rules, Ticking
from streams.heart.brands import Brands
from streams.heart.errors import BadPost, BadSetting, Reason, nearest
from streams.heart.post import (
    EARLIEST_MS,
    LATEST_MS,
    NO_ZONE,
    Kind,
    Post,
    decode,
    encode,
    epoch_ms,
    from_ms,
    post_key,
    pseudonym,
)
from streams.policy import Policy
from streams.settings import Settings

FIELDS = ("id", "text", "created_at", "author", "lang", "kind", "url", "reply_to", "reach", "rev", "removed")
NEEDED = ("text", "created_at")
MAX_LINE = 1_000_000  # bytes; a longer line is no post, and is not read into memory
COLUMNS = 20  # named when one is missing,
COLUMN = 40  # by so many characters of each
SHOWN = 10  # bad rows named one by one; the others only count
FLUSH_S = 150.0  # longer than the feed lets a record wait
YES = frozenset({"true", "1", "yes", "t", "y"})
NO = frozenset({"false", "0", "no", "f", "n", ""})

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is read. `speed`: 0 as fast as it goes, 1 as recorded, N that many times faster."""

    source: str = "file"
    columns: Mapping[str, str] = field(default_factory=dict)  # field of a post -> column of the file
    speed: float = 0.0
    shift: bool = False
    strict: bool = False

    @classmethod
    def read(
        cls, source: str = "file", mapping: str = "", speed: str = "max", times: str = "keep", strict: bool = False
    ) -> Self:
        """The options as they stand on a command line. Raises `BadSetting`.

        >>> Options.read(mapping="text=body", speed="60").columns
        {'text': 'body'}
        """
        if times not in ("keep", "shift"):
            raise BadSetting(f"--times {times}: expected keep or shift")
        if times == "shift" and speed != "as-recorded":
            raise BadSetting(f"--times shift --speed {speed}: expected --speed as-recorded; at any other, the shifted "
                             "times run away from their arrival, and do not count")
        return cls(source, _columns(mapping), _speed(speed), times == "shift", strict)


def _columns(said: str) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in said.split(","))):
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not (equals and column):
            raise BadSetting(f"--map {pair}: expected FIELD=COLUMN")
        if name not in FIELDS:
            raise BadSetting(f"--map {pair}: a post has no {name!r}{nearest(name, FIELDS)}; it has {', '.join(FIELDS)}")
        if name in columns:
            raise BadSetting(f"--map {pair}: {name} is mapped twice")
        columns[name] = column
    return columns


def _speed(said: str) -> float:
    if said in ("max", "as-recorded"):
        return float(said == "as-recorded")
    try:
        speed = float(said)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise BadSetting(f"--speed {said}: expected as-recorded, max, or a factor such as 60")
    return speed


# Reading rows.


class BadRow(NamedTuple):
    """A row that is no post."""

    number: int
    error: BadPost


_DAMAGE = (OSError, EOFError, zlib.error)  # what compressed files and disks raise


class Rows(Protocol):
    """The rows of a file, each with its number, counted from 1 without a header. Read once."""

    def __iter__(self) -> Iterator[tuple[int, Row | BadPost]]: ...

    @property
    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""

    def close(self) -> None: ...


class _Lines:
    """What JSONL and CSV share: a file of lines, perhaps compressed, and how far it is read."""

    def __init__(self, path: Path) -> None:
        self._raw: BinaryIO = path.open("rb")
        self._size = max(path.stat().st_size, 1)
        self._file: Any = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw

    @property
    def share(self) -> float:
        return 1.0 if self._raw.closed else min(self._raw.tell() / self._size, 1.0)

    def close(self) -> None:
        self._file.close()
        self._raw.close()


class JsonRows(_Lines):
    """One JSON object a line. An empty line is none."""

    def __iter__(self) -> Iterator[tuple[int, Row | BadPost]]:
        number = 0
        while line := self._file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                self._skip(line)
                yield number, BadPost(Reason.TOO_LARGE, f"a line of more than {MAX_LINE} bytes")
                continue
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, _json(line)

    def _skip(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._file.readline(MAX_LINE)


def _json(line: bytes) -> Row | BadPost:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return BadPost(Reason.NOT_JSON)
    except UnicodeDecodeError:
        return BadPost(Reason.NOT_UTF8)
    return row if isinstance(row, dict) else BadPost(Reason.WRONG_TYPE, "no object")


class CsvRows(_Lines):
    """Comma or, with `.tsv`, tab separated, a header first, quoted as spreadsheets do."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        super().__init__(path)
        # Bytes that are no UTF-8 come through as what no text may hold, so that one bad row stays one bad row.
        text = io.TextIOWrapper(self._file, "utf-8-sig", errors="surrogateescape", newline="")
        self._text = text
        self._reader = csv.reader(text, delimiter="\t" if ".tsv" in path.suffixes else ",")
        try:
            self._header = next(self._reader, [])
            _check_columns(path, self._header, columns)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[tuple[int, Row | BadPost]]:
        number = 0
        while True:
            number += 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error:
                yield number, BadPost(Reason.TOO_LARGE, "a cell")  # the only thing that a lenient reader refuses
                continue
            if not cells:
                continue
            if len(cells) != len(self._header):
                yield number, BadPost(Reason.WRONG_TYPE, f"{len(cells)} cells under {len(self._header)} columns")
            else:
                yield number, dict(zip(self._header, cells, strict=True))

    def close(self) -> None:
        self._text.close()
        super().close()


class ParquetRows:
    """A Parquet file, in batches, only the columns that are wanted. Needs the extra `denyut[parquet]`."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        try:
            import pyarrow
            from pyarrow.parquet import ParquetFile
        except ImportError:
            raise BadSetting(f"{path}: Parquet files need the extra denyut[parquet]: "
                             "pip install 'denyut[parquet]'") from None
        try:
            self._file: Any = ParquetFile(path)
        except pyarrow.ArrowInvalid:
            raise BadSetting(f"{path}: no Parquet file") from None
        names = list(self._file.schema_arrow.names)
        try:
            _check_columns(path, names, columns)
        except BadSetting:
            self._file.close()
            raise
        self._wanted = [name for name in names if name in {columns.get(one, one) for one in FIELDS}]
        self._total = max(int(self._file.metadata.num_rows), 1)
        self._read = 0

    def __iter__(self) -> Iterator[tuple[int, Row | BadPost]]:
        from pyarrow import ArrowException

        batches = self._file.iter_batches(batch_size=1024, columns=self._wanted)
        while True:
            try:
                batch = next(batches, None)
            except ArrowException as error:
                raise OSError("the file is damaged") from error
            if batch is None:
                return
            for row in batch.to_pylist():
                self._read += 1
                yield self._read, row

    @property
    def share(self) -> float:
        return min(self._read / self._total, 1.0)

    def close(self) -> None:
        self._file.close()


def _check_columns(path: Path, header: Sequence[str], columns: Mapping[str, str]) -> None:
    """Raises `BadSetting` for a column that was named and is not there, or that every post needs."""
    for name in dict.fromkeys((*columns, *NEEDED)):
        column = columns.get(name, name)
        if column not in header:
            names = [_plain(one) for one in header]
            more = f" and {len(names) - COLUMNS} more" if len(names) > COLUMNS else ""
            raise BadSetting(f"{path}: no column {column!r} for {name}{nearest(column, names)}; it has "
                             f"{', '.join(names[:COLUMNS]) or 'no columns'}{more}; --map {name}=COLUMN names another")


def _plain(name: str) -> str:
    """A column's name without what would move a terminal's cursor; in a file that is no table it may be a whole text.

    >>> _plain("te\\x1b[2Jxt")
    'te[2Jxt'
    """
    return "".join(sign for sign in name if sign.isprintable())[:COLUMN]


def open_rows(path: Path, columns: Mapping[str, str]) -> Rows:
    """The rows of a file, by its ending. Raises `BadSetting`."""
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    try:
        if kind.lower() in (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"):
            return JsonRows(path)
        if kind.lower() in (".csv", ".tsv", ".csv.gz", ".tsv.gz"):
            return CsvRows(path, columns)
        if kind.lower() == ".parquet":
            return ParquetRows(path, columns)
    except _DAMAGE as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise BadSetting(f"{path}: cannot be read ({why})") from None
    raise BadSetting(f"{path}: expected a name that ends in .jsonl, .csv, .tsv (or these with .gz) or .parquet")


# From rows to records.


class Record(NamedTuple):
    """One record of `denyut.posts`, made from a row. `created_ms` None: a removal that bears no time."""

    number: int
    key: bytes
    value: bytes | None
    created_ms: int | None


class Maker:
    """Makes records of rows."""

    def __init__(self, options: Options, secret: bytes, now_ms: Callable[[], int], brands: Brands) -> None:
        """`now_ms`: where shifted times begin, when the first row has come. `brands`: whose handles stand."""
        self._options = options
        self._brands = brands
        self._secret = secret
        self._now_ms = now_ms
        self._sources = frozenset({options.source})
        self._shift_ms: int | None = None if options.shift else 0

    def make(self, number: int, row: Row) -> Record:
        """Raises `BadPost`, with the reason that the score worker would give."""
        said = {name: row.get(self._options.columns.get(name, name)) for name in FIELDS}
        source, removed = self._options.source, _is_true(said["removed"])
        if removed:
            native = _word(said, "id")
            if native is None:
                raise BadPost(Reason.MISSING_FIELD, "id")
            return Record(number, post_key(source, native, self._secret).encode(), None, self._time(said, False))
        created_ms = self._time(said, True)
        assert created_ms is not None
        post = self._post(said, created_ms)
        try:
            value = encode(post)
        except UnicodeEncodeError:
            raise BadPost(Reason.NOT_UTF8) from None
        decode(post.key, value, self._sources)  # what a worker would refuse does not set out
        return Record(number, post.key, value, created_ms)

    def _time(self, said: Row, needed: bool) -> int | None:
        if said["created_at"] in (None, ""):
            if needed:
                raise BadPost(Reason.MISSING_FIELD, "created_at")
            return None
        created_ms = time_ms(said["created_at"])
        if self._shift_ms is None:
            self._shift_ms = self._now_ms() - created_ms
        return created_ms + self._shift_ms

    def _post(self, said: Row, created_ms: int) -> Post:
        source, text = self._options.source, said["text"]
        if text is None:
            raise BadPost(Reason.MISSING_FIELD, "text")
        if not isinstance(text, str):
            raise BadPost(Reason.WRONG_TYPE, "text")
        author, reply_to, kind = _word(said, "author"), _word(said, "reply_to"), _word(said, "kind")
        native = _word(said, "id")
        if native is None:
            # By the time of the file, not the shifted one: the same row is the same post, whenever it is sent.
            native = f"{author or ''}\n{created_ms - (self._shift_ms or 0)}\n{text}"
        if not EARLIEST_MS <= created_ms <= LATEST_MS:
            raise BadPost(Reason.BAD_TIME, "out of range")
        check_size(text)
        return Post(
            id=post_key(source, native, self._secret), source=source, text=masked(text, self._brands),
            created_at=from_ms(created_ms), rev=_number(said, "rev") or 0,
            author=author and pseudonym(source, author, self._secret), lang=_word(said, "lang"),
            kind=_KINDS.get((kind or "").lower(), Kind.POST), url=link(_word(said, "url")),
            reply_to=reply_to and post_key(source, reply_to, self._secret), reach=_number(said, "reach"),
        )


_KINDS = {kind.value: kind for kind in Kind}


def _word(said: Row, name: str) -> str | None:
    """A short text; numbers will do, since ids often are. Empty is absent."""
    value = said[name]
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadPost(Reason.WRONG_TYPE, name)
    return str(value)


def _number(said: Row, name: str) -> int | None:
    value = said[name]
    if isinstance(value, str):
        value = value.strip()
        if value.isascii() and value.isdigit() and len(value) < 19:
            value = int(value)
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer():  # an empty cell makes a whole column of numbers floats
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise BadPost(Reason.WRONG_TYPE, name)
    return value


def _is_true(value: Any) -> bool:
    said = "" if value is None else str(value).strip().lower()
    if said not in YES and said not in NO:
        raise BadPost(Reason.WRONG_TYPE, "removed")
    return said in YES


def time_ms(value: Any) -> int:
    """A time as ms UTC. Raises `BadPost`.

    >>> time_ms("2026-11-25T06:00:00Z"), time_ms(1795586400), time_ms("1795586400000")
    (1795586400000, 1795586400000, 1795586400000)
    """
    if isinstance(value, str):
        value = _time_said(value.strip())
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise BadPost(Reason.BAD_TIME, f"{NO_ZONE}, or seconds since 1970")
        return epoch_ms(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**14:
        raise BadPost(Reason.BAD_TIME, "neither RFC 3339 nor seconds or milliseconds since 1970")
    return int(value if value >= 10**11 else value * 1000)  # 10**11 seconds are the year 5138


def _time_said(said: str) -> datetime | float | int:
    try:
        return int(said) if said.isdigit() else datetime.fromisoformat(said)
    except ValueError:
        raise BadPost(Reason.BAD_TIME, "neither RFC 3339 nor seconds or milliseconds since 1970") from None


def undamaged(path: Path, rows: Rows) -> Iterator[tuple[int, Row | BadPost]]:
    """The rows as they are. Raises `BadSetting` where the file can be read no further."""
    number = 0
    try:
        for number, row in rows:
            yield number, row
    except _DAMAGE as error:
        raise BadSetting(f"{path}: damaged after row {number} ({type(error).__name__})") from None


def records(rows: Iterable[tuple[int, Row | BadPost]], maker: Maker) -> Iterator[Record | BadRow]:
    """Every row as a record, or as why it is none."""
    for number, row in rows:
        if isinstance(row, BadPost):
            yield BadRow(number, row)
            continue
        try:
            yield maker.make(number, row)
        except BadPost as error:
            yield BadRow(number, error)


# Sending.


@dataclass
class Summary:
    """What became of a file. Every row read is a post, a removal, or bad."""

    path: Path
    posts: int = 0
    removals: int = 0
    bad: Counter[str] = field(default_factory=Counter)  # reason -> rows
    first: list[tuple[int, str]] = field(default_factory=list)  # the first bad rows: number and why
    not_sent: dict[str, int] = field(default_factory=dict)  # reason -> records
    interrupted: bool = False

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.posts + self.removals + self.bad.total()

    def note(self, row: BadRow) -> None:
        """Counts a bad row."""
        self.bad[str(row.error.reason)] += 1
        if len(self.first) < SHOWN:
            self.first.append((row.number, str(row.error)))

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.rows} rows: {self.posts} posts, {self.removals} removals, {self.bad.total()} bad"]
        lines += [f"  {count} bad: {reason}" for reason, count in self.bad.most_common()]
        lines += [f"  row {number}: {why}" for number, why in self.first]
        lines += [f"  {count} records were not sent (ticks included): {why}" for why, count in self.not_sent.items()]
        return "\n".join([*lines, *(["  interrupted: the rest of the file was not read"] if self.interrupted else [])])


class Pace:
    """When a row is due: as fast as the file was recorded, or `speed` times faster; 0: at once.

    >>> pace = Pace(60.0)
    >>> pace.due_s(1000, 0.0), pace.due_s(121_000, 0.0), pace.due_s(61_000, 5.0)
    (0.0, 2.0, 1.0)
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start: tuple[int, float] | None = None

    def due_s(self, created_ms: int | None, now_s: float) -> float:
        """The moment (seconds of the clock that `now_s` shows) at which a post may go. The first one goes at once."""
        if not self._speed or created_ms is None:
            return now_s
        if self._start is None:
            self._start = (created_ms, now_s)
        start_ms, start_s = self._start
        return start_s + (created_ms - start_ms) / 1000 / self._speed


class _Sending(NamedTuple):
    at_ms: int
    key: bytes
    value: bytes | None


def run_file(settings: Settings, path: Path, options: Options) -> Summary:
    """Sends a file and waits until all of it is delivered or counted as not sent; ticks once a second meanwhile.

    Raises `BadSetting`: with `strict`, also at the first bad row, when what stands before it has been delivered.
    """
    if options.source not in settings.sources:
        raise BadSetting(f"--source {options.source}: expected one of DENYUT_SOURCES={','.join(settings.sources)}; "
                         "the posts of any other are rejects")
    clock = Clock(settings.clock)
    summary = Summary(path)
    Policy.read(settings).entry(options.source)
    maker = Maker(options, settings.read_secret(), clock.now_ms, settings.read_brands())
    with closing(open_rows(path, options.columns)) as rows:
        feed = Feed(settings, options.source, (options.source,), rules=Rules(create_time=bool(settings.clock)))
        try:
            with Ticking(feed, clock.now_ms), _bar(path, rows) as show:
                _send(records(undamaged(path, rows), maker), feed, clock, options, lambda: show(summary), summary)
                feed.flush(FLUSH_S)
        except KeyboardInterrupt:
            summary.interrupted = True
        finally:
            feed.close()
            summary.not_sent = dict(feed.tally.not_sent)
    return summary


def _send(made: Iterator[Record | BadRow], feed: Feed, clock: Clock, options: Options, show: Callable[[], None],
          summary: Summary) -> None:
    pace = Pace(options.speed * clock.speed)
    for one in made:
        show()
        if isinstance(one, BadRow):
            summary.note(one)
            if options.strict:
                raise BadSetting(f"{summary.path}: row {one.number}: {one.error}")
            continue
        due_s = pace.due_s(one.created_ms, time.monotonic())
        while (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 1.0))
            show()
        feed.send(_Sending(clock.now_ms(), one.key, one.value))
        if one.value is None:
            summary.removals += 1
        else:
            summary.posts += 1


@contextmanager
def _bar(path: Path, rows: Rows) -> Iterator[Callable[[Summary], None]]:
    """A progress bar on standard error, where somebody looks at it; drawn again at most ten times a second."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
               TextColumn("{task.fields[posts]} posts, {task.fields[bad]} bad"), TimeElapsedColumn())
    drawn_s = float("-inf")
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(path.name, total=1.0, posts=0, bad=0)

        def show(summary: Summary) -> None:
            nonlocal drawn_s
            now_s = time.monotonic()
            if now_s - drawn_s >= 0.1:
                drawn_s = now_s
                progress.update(task, completed=rows.share, posts=summary.posts, bad=summary.bad.total())

        yield show
        drawn_s = float("-inf")
