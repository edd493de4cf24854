"""Series: the state of many like series, an array for each name, all described by one table.

    grow      fresh series at the end            reset    some as if they were fresh
    pack      the state as bytes; the same state gives the same bytes          unpack   back again

Knows nothing of what the names mean.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.errors import BrokenPromise

_LEAD = struct.Struct("<4sHqq")
_NEVER = -1


class Column(NamedTuple):
    """One name: its numpy type, the shape of one series' part, and its value at first."""

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    first: float = 0


class Table:
    """The columns of some series. `of`: name -> array (series, *shape)."""

    def __init__(self, magic: bytes, version: int, columns: Sequence[Column]) -> None:
        self._magic, self._version, self._columns = magic, version, columns
        self.series = 0
        self.of: dict[str, npt.NDArray[Any]] = {
            column.name: np.zeros((0, *column.shape), column.kind) for column in columns}

    def grow(self, series: int) -> None:
        """Adds fresh series at the end, until there are so many."""
        more = series - self.series
        if more > 0:
            for name, kind, shape, first in self._columns:
                self.of[name] = np.concatenate([self.of[name], np.full((more, *shape), first, kind)])
            self.series = series

    def reset(self, series: Sequence[int]) -> None:
        """These are fresh again."""
        for name, _, _, first in self._columns:
            self.of[name][series] = first

    def pack(self, minute: int | None) -> bytes:
        """All series, and the last minute that they know of."""
        lead = _LEAD.pack(self._magic, self._version, self.series, _NEVER if minute is None else minute)
        return lead + b"".join(_bits(self.of[column.name]).tobytes() for column in self._columns)

    def unpack(self, data: bytes) -> int | None:
        """Takes the state that `pack` wrote; returns the minute. Raises `BrokenPromise` for other bytes."""
        if len(data) < _LEAD.size or data[:4] != self._magic:
            raise BrokenPromise("not a snapshot of these series")
        _, version, self.series, minute = _LEAD.unpack_from(data)
        if version != self._version:
            raise BrokenPromise(f"a snapshot of version {version}; this release reads {self._version}")
        place = _LEAD.size
        try:
            for column in self._columns:
                self.of[column.name], place = self._read(column, data, place)
        except ValueError as error:
            raise BrokenPromise(f"a torn snapshot: {error}") from None
        if place != len(data):
            raise BrokenPromise("a snapshot with bytes left over, or of other windows")
        return None if minute == _NEVER else int(minute)

    def _read(self, column: Column, data: bytes, place: int) -> tuple[npt.NDArray[Any], int]:
        shape = (self.series, *column.shape)
        is_bits = column.kind == "?" and len(shape) == 2
        held = (self.series, -(-shape[1] // 8)) if is_bits else shape
        read = np.frombuffer(data, "u1" if is_bits else column.kind, math.prod(held), place).reshape(held)
        return (np.unpackbits(read, axis=1, count=shape[1]).astype(np.bool_) if is_bits else read.copy(),
                place + read.nbytes)


def _bits(held: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows of booleans as bits, all else as it is."""
    return np.packbits(held, axis=1) if held.dtype == np.bool_ and held.ndim == 2 else held
