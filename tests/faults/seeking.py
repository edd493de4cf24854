"""Seeking: where strings stand that must not stand anywhere, byte by byte, in what a broker and processes leave behind.

A broker's segments hold batches that are compressed, so a search of their bytes alone would find nothing and prove
nothing: they are read decoded as well. What is neither plain nor lz4 is no segment that Denyut writes: an error.
Knows nothing of what is sought.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import lz4.frame  # type: ignore[import-untyped]

SEGMENT = re.compile(r"\d{20}\.log(\.[a-z.]+)?\Z")  # .log, .log.deleted, .log.cleaned, .log.swap
_HEAD = struct.Struct(">qiibihiqqqhii")  # of a batch: offset, length, epoch, magic, crc, attributes, …
_PARTITION = re.compile(r"-\d+(\.[0-9a-f]+-[a-z]+)?\Z")  # -0, and what becomes of it when its topic goes
PLAIN, LZ4 = 0, 3


class Found(NamedTuple):
    """What was found at one place: the strings, and how many bytes were looked at, decoded ones included."""

    place: str
    strings: frozenset[bytes]
    nbytes: int


class Seeker:
    """Finds strings that begin with the same letters, which stand nowhere else."""

    def __init__(self, stem: str) -> None:
        self._pattern = re.compile(stem.encode() + rb"[a-z]*")

    def bytes(self, place: str, *parts: bytes) -> Found:
        """In bytes as they are."""
        strings = frozenset(string for part in parts for string in self._pattern.findall(part))
        return Found(place, strings, sum(map(len, parts)))

    def folder(self, place: str, folder: Path) -> Found:
        """In all files below a folder, and in their names: as they are, and segments decoded too."""
        return together(place, self._files(folder, lambda _: True))

    def broker(self, logs: Path) -> list[Found]:
        """In the folder of a broker's logs, whose folders are partitions: by topic, segments apart from all else."""
        homes: dict[str, list[Path]] = {}
        for path in logs.iterdir():
            homes.setdefault(_PARTITION.sub("", path.name) if path.is_dir() else "", []).append(path)
        out = [together("the broker's other files", map(self._file, homes.pop("", [])))]
        for topic, some in sorted(homes.items()):
            out.append(together(f"{topic}: segments", self._each(some, is_segment=True)))
            out.append(together(f"{topic}: all else", self._each(some, is_segment=False)))
        return out

    def _each(self, homes: Iterable[Path], *, is_segment: bool) -> Iterator[Found]:
        for home in homes:
            yield from self._files(home, lambda path: bool(SEGMENT.match(path.name)) == is_segment)

    def _files(self, folder: Path, fits: Callable[[Path], bool]) -> Iterator[Found]:
        for path in sorted(folder.rglob("*")):
            if fits(path) and path.is_file():
                yield self._file(path)

    def _file(self, path: Path) -> Found:
        try:
            held = path.read_bytes()
        except FileNotFoundError:  # renamed or gone since: whoever wants to be sure looks twice
            return Found(str(path), frozenset(), 0)
        decoded = batches(held) if SEGMENT.match(path.name) else ()
        return self.bytes(str(path), path.name.encode(), held, *decoded)


def together(place: str, found: Iterable[Found]) -> Found:
    """Several places as one."""
    strings: set[bytes] = set()
    nbytes = 0
    for one in found:
        strings |= one.strings
        nbytes += one.nbytes
    return Found(place, frozenset(strings), nbytes)


def batches(segment: bytes) -> Iterator[bytes]:
    """The records of each batch of a segment file (message format 2), decompressed."""
    at = 0
    while at + _HEAD.size <= len(segment):
        _, length, _, magic, _, attributes, *_ = _HEAD.unpack_from(segment, at)
        after = at + 12 + length
        if length <= 0 or after > len(segment):  # it is being written
            return
        assert magic == 2, f"a batch of format {magic}"
        records, codec = segment[at + _HEAD.size:after], attributes & 7
        assert codec in (PLAIN, LZ4), f"a batch of codec {codec}"
        yield lz4.frame.decompress(records) if codec == LZ4 else records
        at = after
