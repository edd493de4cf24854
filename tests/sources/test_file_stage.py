"""The file source keeps the promises of a source, as far as a file can be told what happens.

A file is no `Source`: `denyut feed file` reads it once. Here it is one that grows, and is read on from where it was.
"""

import csv
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.heart.post import Post, Removal, decode, post_key, pseudonym
from streams.settings import Settings
from streams.sources.contract import Gone, Happening, Heard, Refused, Said, Source, Trouble
from streams.sources.file import BadRow, Maker, Options, Record, open_rows, records
from streams.sources.reader import Patience
from tests.sources.scenarios import (
    SCENARIOS,
    Again,
    Drop,
    Edit,
    Fail,
    Freeze,
    Garbage,
    Lose,
    Remove,
    RemoveAuthor,
    Restart,
    Rewind,
    Say,
    Scenario,
    Step,
    Swap,
)
from tests.sources.stage import performed

SOURCE, SECRET = "file", b"an invented secret"
FIELDS = ("id", "author", "text", "created_at", "rev", "removed")
BASE_S = 1_795_586_400
BRANDS = Settings().read_brands()

Row = dict[str, Any]


def happening(told: Record | BadRow) -> Happening:
    """What a row of a file says, as a source would say it."""
    if isinstance(told, BadRow):
        return Refused(told.error.reason, told.error.detail)
    match decode(told.key, told.value, frozenset({SOURCE})):
        case Removal(native):
            return Gone(native)
        case Post() as post:
            return Said(post.id, post.text, post.event_ms, post.rev, post.author or "")
        case other:
            raise AssertionError(other)


class Growing:
    """A file as a source. Its position is the number of the last row; its end is the end of a connection."""

    name = SOURCE
    is_pushed = False

    def __init__(self, stage: "FileStage") -> None:
        self._stage = stage

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:
        """The rows that came since."""
        rows = open_rows(self._stage.path, {})
        self._stage.opened += 1
        try:
            told = records(rows, Maker(Options(SOURCE), SECRET, lambda: 0, BRANDS))
            yield Heard()
            for number, record in enumerate(told, 1):
                if number > int(positions.get("", "0")):
                    yield Heard((happening(record),), {"": str(number)})
        finally:
            rows.close()
        raise Trouble("the end of the file")


class FileStage:
    """A file to which rows are added."""

    can: frozenset[type] = frozenset({Say, Edit, Remove, Again, Swap, Restart, Rewind})

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = 0
        self._said: dict[str, Row] = {}
        self._rows: list[Row] = []

    async def start(self) -> None:
        self._write()

    async def stop(self) -> None:
        """A file needs no stopping."""

    def source(self, patience: Patience) -> Source:  # noqa: ARG002 - a file needs none
        return Growing(self)

    def native(self, post: str) -> str:
        return post_key(SOURCE, post, SECRET)

    def author(self, author: str) -> str:
        return pseudonym(SOURCE, author, SECRET)

    def connections(self) -> int:
        return self.opened

    async def perform(self, step: Step) -> None:
        match step:
            case Again(events):
                self._rows += self._rows[-events:]
            case Swap(first, second):
                self._rows += [self._row(one) for one in (first, second)][::-1]
            case _:
                self._rows.append(self._row(step))
        self._write()

    def _row(self, step: Step) -> Row:
        match step:
            case Say(post, author, text):
                at_s = BASE_S + len(self._said)
                row: Row = {"id": post, "author": author, "text": text, "created_at": at_s, "rev": 0}
            case Edit(post, text):
                row = self._said[post] | {"text": text, "rev": self._said[post]["rev"] + 1}
            case Remove(post):
                return dict.fromkeys(FIELDS) | {"id": post, "removed": True}
            case _:
                raise AssertionError(step)
        self._said[row["id"]] = row
        return dict.fromkeys(FIELDS) | row

    def _write(self) -> None:
        raise NotImplementedError


class JsonStage(FileStage):
    """JSONL: it can also hold what is no row."""

    can = FileStage.can | {Garbage}
    GARBAGE: Mapping[str, bytes] = {
        "not_json": b'{"id": "7", "text": ',
        "wrong_type": b'["Kopi Senja"]',
        "bad_time": b'{"id": "7", "text": "Kopi Senja", "created_at": "0001-01-01T00:00:00Z"}',
        "not_utf8": b'{"id": "7", "text": "\xff\xfe", "created_at": 1795586400}',
        "deep": b"[" * 100_000,
        "huge": b'{"text": "' + b"a" * 10_000_000 + b'"}',
    }

    async def perform(self, step: Step) -> None:
        if isinstance(step, Garbage):
            self._rows.append({"garbage": step.kind})
            self._write()
        else:
            await super().perform(step)

    def _write(self) -> None:
        self.path.write_bytes(b"".join(self._line(row) + b"\n" for row in self._rows))

    def _line(self, row: Row) -> bytes:
        if "garbage" in row:
            return self.GARBAGE[row["garbage"]]
        return msgspec.json.encode({name: value for name, value in row.items() if value is not None})


class CsvStage(FileStage):
    """CSV."""

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, FIELDS)
        writer.writeheader()
        writer.writerows(self._rows)
        self.path.write_bytes(text.getvalue().encode())


class ParquetStage(FileStage):
    """Parquet: written anew with each row, since it cannot grow."""

    def _write(self) -> None:
        import pyarrow
        from pyarrow import parquet

        text, number = pyarrow.string(), pyarrow.int64()
        schema = pyarrow.schema(list(zip(FIELDS, (text, text, text, number, number, pyarrow.bool_()), strict=True)))
        parquet.write_table(pyarrow.Table.from_pylist(self._rows, schema), self.path)


STAGES: dict[str, type[FileStage]] = {"jsonl": JsonStage, "csv": CsvStage, "parquet": ParquetStage}
CASES = [pytest.param(ending, one, id=f"{ending}: {one.name}")
         for ending, stage in STAGES.items() for one in SCENARIOS if one.needs <= stage.can]


@pytest.mark.parametrize(("ending", "scenario"), CASES)
def test_keeps_the_promises_of_a_source(ending: str, scenario: Scenario, tmp_path: Path) -> None:
    """Whatever its rows say, in whichever order, and wherever its reader goes on."""
    performed(STAGES[ending](tmp_path / f"posts.{ending}"), scenario)


def test_leaves_out_what_a_file_cannot_say() -> None:
    """It has no server that is away or ill, and no row for an author who leaves; only JSONL may be broken in a row."""
    no_server, no_such_row = {Drop, Freeze, Fail, Lose}, {RemoveAuthor}
    for ending, stage in STAGES.items():
        unbroken = set() if ending == "jsonl" else {Garbage}
        expected = {one.name for one in SCENARIOS if one.needs & (no_server | no_such_row | unbroken)}
        assert expected == {one.name for one in SCENARIOS if not one.needs <= stage.can}
