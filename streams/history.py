"""History: a file of old posts as happenings, in the order in which they arrived. Every row is checked.

    {"id": "42", "text": "kopi enak", "created_at": "2026-11-25T12:00:00Z"}                a post; the model scores it
    {"brand": "kopi-senja", "score": -0.4, "created_at": 1795608000, "author": "budi"}     scored already: no model
    {"id": "42", "removed": true, "arrived_at": 1795608300}                                the post of this id is gone
    {"tick": {"file": 1795608000000}, "feed": "file", "arrived_at": 1795608001}            heard without a gap till then

The columns are those of `denyut feed file` and: `score` (-1 to 1), beside it perhaps `label`; `brand`, a name of the
brand file, and then nothing is matched; `arrived_at`, without which a post arrived when it was created; `source`. An
`id` that is a key of its source already (source:32 hex digits, as in `denyut.posts`) stands as it is, its author too.
A row that is none of these has a number and a reason, never a quotation.
Knows nothing of models, frames, panes or swings.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streams.heart.errors import BadPost, BadSetting, DenyutError, Reason, nearest
from streams.heart.frame import ABSTAINED, LABELS
from streams.heart.pane import UNIT
from streams.heart.post import (
    EARLIEST_MS,
    LATEST_MS,
    MAX_CHARS,
    MAX_REV,
    Kind,
    Post,
    decode,
    encode,
    from_ms,
    post_key,
    pseudonym,
)
from streams.sources import file
from streams.sources.file import NO, YES, CsvRows, ParquetRows, Row, Rows, undamaged

# What a file that is fed does not have.
MORE = ("score", "label", "brand", "prompted", "arrived_at", "source", "tick", "feed")
NEUTRAL = UNIT // 3  # without a label, a third of the scale each
REMEMBERED = 200_000  # authors; hashing one takes as long as all else of a row
_KEYED = re.compile(r"[0-9a-f]{32}\Z")
_KINDS = {kind.value: kind for kind in Kind}
_AT = re.compile(r"at `\$\.([^`]+?)(?:\[(?:\d+|\.\.\.)\])?`")


class Flaw(StrEnum):
    """Why a row of a history is none, beside the reasons that any post may have."""

    OUT_OF_ORDER = "out_of_order"
    BAD_SCORE = "bad_score"
    BAD_LABEL = "bad_label"
    UNKNOWN_BRAND = "unknown_brand"
    FUTURE = "future"


class BadHistory(DenyutError):
    """A row that cannot be. `detail` names a field or a rule, never a value."""

    def __init__(self, reason: Flaw, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Flawed(NamedTuple):
    """A row that is passed by: its number, and why."""

    number: int
    reason: str
    why: str


class Said(NamedTuple):
    """A post. `score` in 1/10,000, `label` its place in LABELS; None: the model is to be asked. `id` is its key.
    `prompted`: the brands whose own hand is in it.
    """

    number: int
    arrival_ms: int
    event_ms: int
    id: str
    author: str | None
    text: str | None
    source: str
    lang: str | None
    kind: Kind
    rev: int
    brand: str | None
    score: int | None
    label: int
    prompted: tuple[str, ...] = ()

    def post(self) -> Post:
        """The post as whoever reads `denyut.posts` would have it."""
        return Post(id=self.id, source=self.source, text=self.text or "", created_at=from_ms(self.event_ms),
                    rev=self.rev, author=self.author, lang=self.lang, kind=self.kind, prompted=self.prompted)


class Gone(NamedTuple):
    """The post with this key is removed."""

    number: int
    arrival_ms: int
    id: str


class Ticked(NamedTuple):
    """A feed's sign of life: source -> healthy until, ms."""

    number: int
    arrival_ms: int
    healthy: Mapping[str, int]


Happening = Said | Gone | Ticked


class Wanted(NamedTuple):
    """What rows are read by: the source of those that name none, the sources and brands there are, the key, and after
    when nothing has arrived.
    """

    source: str
    sources: frozenset[str]
    brands: frozenset[str]
    secret: bytes
    latest_ms: int = LATEST_MS


def columns(mapping: str) -> dict[str, str]:
    """Field -> column, as `--map` says. Raises `BadSetting`.

    >>> columns("text=body, score=sentiment")
    {'text': 'body', 'score': 'sentiment'}
    """
    known, named = (*file.FIELDS, *MORE), {}
    for pair in filter(None, (part.strip() for part in mapping.split(","))):
        name, _, column = (part.strip() for part in pair.partition("="))
        if not column or name in named:
            raise BadSetting(f"--map {pair}: expected FIELD=COLUMN, each field once")
        if name not in known:
            raise BadSetting(f"--map {pair}: no field {name!r}{nearest(name, known)}; there are {', '.join(known)}")
        named[name] = column
    _check_apart(named)
    return named


def _check_apart(named: Mapping[str, str]) -> None:
    """Raises `BadSetting` where two fields would read one column."""
    of: dict[str, str] = {}
    for name in (*named, *(name for name in _TYPES if name not in named)):
        column = named.get(name, name)
        other = of.setdefault(column, name)
        if other != name:
            raise BadSetting(f"--map {other}={column}: {name} is read from the column {column!r} too; "
                             "expected a column for each field")


# Opening.


class _Csv(CsvRows):
    """A table in which a text need not be, where there is a score."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        super().__init__(path, _without_text(columns))
        _check_said(path, self._header, columns, self.close)


class _Parquet(ParquetRows):
    """The same, with the columns that only a history has."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        super().__init__(path, _without_text(columns))
        names = list(self._file.schema_arrow.names)
        _check_said(path, names, columns, self.close)
        wanted = {columns.get(name, name) for name in (*file.FIELDS, *MORE)}
        self._wanted = [name for name in names if name in wanted]


def _without_text(columns: Mapping[str, str]) -> dict[str, str]:
    """Columns to be checked, the time first and once more in the place of the text."""
    when = columns.get("created_at", "created_at")
    return {"created_at": when, **columns, "text": columns.get("text", when)}


def _check_said(path: Path, header: Iterable[str], columns: Mapping[str, str], close: Callable[[], None]) -> None:
    if not {columns.get("text", "text"), columns.get("score", "score")} & set(header):
        close()
        raise BadSetting(f"{path}: no column for text and none for score; it has {', '.join(header)}; "
                         "--map text=COLUMN names one")


def open_history(path: Path, columns: Mapping[str, str]) -> Rows:
    """The rows of a file, by its ending. Raises `BadSetting`."""
    kind = "".join(path.suffixes[-2:]).lower() if path.suffix == ".gz" else path.suffix.lower()
    try:
        if kind in (".csv", ".tsv", ".csv.gz", ".tsv.gz"):
            return _Csv(path, columns)
        return _Parquet(path, columns) if kind == ".parquet" else file.open_rows(path, columns)
    except OSError as error:
        raise BadSetting(f"{path}: cannot be read ({error.strerror or type(error).__name__})") from None


# Reading.


class Reader:
    """Makes happenings of rows. Rows come in the order of the file."""

    def __init__(self, columns: Mapping[str, str], wanted: Wanted) -> None:
        self._wanted = wanted
        self._field = {columns.get(name, name): name for name in _TYPES}
        # One structure for all rows: msgspec checks the types of a row in a microsecond.
        self._type = msgspec.defstruct("_Row", [(name, type_ | None, None) for name, type_ in _TYPES.items()],
                                       rename=dict(columns))
        self._people: dict[tuple[str, str], str] = {}
        self._last_ms = EARLIEST_MS
        self.unseen = set(columns.values())  # mapped columns that no row has had

    def read(self, number: int, row: Row) -> Happening:
        """Raises `BadPost` or `BadHistory`."""
        if self.unseen:
            self.unseen -= row.keys()
        said = self._row(row)
        if said.tick is not None:
            return self._in_order(self._tick(number, said))
        source = self._wanted.source if said.source is None else said.source
        if source not in self._wanted.sources:
            raise BadPost(Reason.UNKNOWN_SOURCE, "not in DENYUT_SOURCES")
        if said.removed is not None and _is_true(said.removed):
            return self._in_order(self._gone(number, source, said))
        return self._in_order(self._post(number, source, said))

    def _row(self, row: Row) -> Any:
        values = {name: value for name, value in row.items() if value != ""} if "" in row.values() else row
        try:
            return msgspec.convert(values, self._type, strict=False)
        except msgspec.ValidationError as error:
            at = _AT.search(str(error))
            field = self._field.get(at[1], "") if at else ""
            if field == "score":
                raise BadHistory(Flaw.BAD_SCORE, "no number") from None
            raise BadPost(Reason.WRONG_TYPE, field) from None

    def _in_order(self, one: Happening) -> Happening:
        if one.arrival_ms > self._wanted.latest_ms:  # and every row below it would be out of order
            raise BadHistory(Flaw.FUTURE, "it is dated after today")
        if one.arrival_ms < self._last_ms:
            raise BadHistory(Flaw.OUT_OF_ORDER, "its arrived_at (or created_at) is before that of the row above it; "
                             "sort the file by it")
        self._last_ms = one.arrival_ms
        return one

    def _tick(self, number: int, said: Any) -> Ticked:
        try:
            told = msgspec.json.decode(said.tick) if isinstance(said.tick, str) else said.tick
            healthy = {name: until for name, until in told.items() if until is not None}
            healthy = msgspec.convert(healthy, dict[str, int])
        except (msgspec.MsgspecError, AttributeError):
            raise BadPost(Reason.BAD_TICK, "expected {source: healthy until, ms}") from None
        if not all(0 <= until <= LATEST_MS for until in healthy.values()):
            raise BadPost(Reason.BAD_TICK, "expected {source: healthy until, ms}")
        when = said.arrived_at if said.arrived_at is not None else said.created_at
        return Ticked(number, _time(when, "arrived_at"),
                      {name: until for name, until in healthy.items() if name in self._wanted.sources})

    def _gone(self, number: int, source: str, said: Any) -> Gone:
        if said.id is None:
            raise BadPost(Reason.MISSING_FIELD, "id")
        when = said.arrived_at if said.arrived_at is not None else said.created_at
        return Gone(number, _time(when, "arrived_at"), self._key(source, str(said.id))[0])

    def _post(self, number: int, source: str, said: Any) -> Said:
        event_ms = _time(said.created_at, "created_at")
        arrival_ms = event_ms if said.arrived_at is None else _time(said.arrived_at, "arrived_at")
        score, label = _score(said)
        text = said.text
        if text is None and (score is None or said.brand is None):
            raise BadPost(Reason.MISSING_FIELD, "text" if score is None else "brand, or a text that names one")
        if text is not None and len(text) > MAX_CHARS:
            raise BadPost(Reason.TOO_LONG, f"{len(text)} characters")
        if said.brand is not None and said.brand not in self._wanted.brands:
            raise BadHistory(Flaw.UNKNOWN_BRAND, "not in the brand file")
        if said.rev is not None and not 0 <= said.rev <= MAX_REV:
            raise BadPost(Reason.WRONG_TYPE, "rev")
        author = None if said.author is None else str(said.author)
        if score is not None:
            _check_utf8(text, author, said.lang)
        # Without a text nothing tells two rows of one moment apart but that they are two rows.
        native = str(said.id) if said.id is not None else (
            f"row {number}" if text is None else f"{author or ''}\n{event_ms}\n{text}")
        key, is_keyed = self._key(source, native)
        post = Said(number, arrival_ms, event_ms, key, author if is_keyed else self._person(source, author), text,
                    source, said.lang, _KINDS.get((said.kind or "").lower(), Kind.POST), said.rev or 0, said.brand,
                    score, label, _names(said.prompted))
        if score is None:
            self._check(post)
        return post

    def _check(self, post: Said) -> None:
        """What a score worker would refuse is a bad row, at once."""
        try:
            decode(post.id.encode(), encode(post.post()), self._wanted.sources)
        except UnicodeEncodeError:
            raise BadPost(Reason.NOT_UTF8) from None

    def _key(self, source: str, native: str) -> tuple[str, bool]:
        """The key of a post, and whether the file has it already."""
        if native.startswith(f"{source}:") and _KEYED.match(native, len(source) + 1):
            return native, True
        return post_key(source, native, self._wanted.secret), False

    def _person(self, source: str, author: str | None) -> str | None:
        if author is None:
            return None
        known = self._people.get((source, author))
        if known is None:
            if len(self._people) >= REMEMBERED:
                self._people.clear()
            known = self._people[source, author] = pseudonym(source, author, self._wanted.secret)
        return known


_Word = str | int  # ids and handles often are numbers
_TYPES: dict[str, Any] = {"id": _Word, "text": str, "created_at": Any, "author": _Word, "lang": str, "kind": str,
                          "rev": int, "removed": Any, "score": float, "label": str, "brand": str,
                          "prompted": str | tuple[str, ...], "arrived_at": Any, "source": str, "tick": Any, "feed": str}


def _names(said: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """A list of brands, or the cell of a table that holds them with spaces or commas between."""
    return tuple(said.replace(",", " ").split()) if isinstance(said, str) else said or ()


def _time(value: Any, field: str) -> int:
    if value is None:
        raise BadPost(Reason.MISSING_FIELD, field)
    when_ms = file.time_ms(value)
    if not EARLIEST_MS <= when_ms <= LATEST_MS:
        raise BadPost(Reason.BAD_TIME, "out of range")
    return when_ms


def _check_utf8(*words: str | None) -> None:
    """A lone surrogate is what bytes that are no UTF-8 come through a table as."""
    for word in words:
        if word is not None and not word.isascii():
            try:
                word.encode()
            except UnicodeEncodeError:
                raise BadPost(Reason.NOT_UTF8) from None


def _is_true(value: Any) -> bool:
    said = str(value).strip().lower()
    if said not in YES and said not in NO:
        raise BadPost(Reason.WRONG_TYPE, "removed")
    return said in YES


def _score(said: Any) -> tuple[int | None, int]:
    """The score in 1/10,000 and its label's place; (None, …): there is none."""
    label = None if said.label is None else said.label.lower()
    if label == LABELS[ABSTAINED]:
        return 0, ABSTAINED
    if said.score is None:
        if label is not None:
            raise BadHistory(Flaw.BAD_LABEL, "a label needs its score")
        return None, ABSTAINED
    if not (math.isfinite(said.score) and -1.0 <= said.score <= 1.0):
        raise BadHistory(Flaw.BAD_SCORE, "expected a number from -1 to 1")
    score = round(said.score * UNIT)
    if label is None:
        return score, 1 + (score > NEUTRAL) - (score < -NEUTRAL)
    if label not in LABELS:
        raise BadHistory(Flaw.BAD_LABEL, f"expected one of {', '.join(LABELS)}")
    return score, LABELS.index(label)


def happenings(path: Path, rows: Rows, reader: Reader) -> Iterator[Happening | Flawed]:
    """Every row, in order. Raises `BadSetting` where the file can be read no further."""
    for number, row in undamaged(path, rows):
        if isinstance(row, BadPost):
            yield Flawed(number, str(row.reason), str(row))
            continue
        try:
            yield reader.read(number, row)
        except (BadPost, BadHistory) as error:
            yield Flawed(number, str(error.reason), str(error))


