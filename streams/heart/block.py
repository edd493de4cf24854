"""Block: what a counting worker has sealed, as records that outlive it, and back.

    position P    the block is exact here: it is what the log up to P makes, but for the rows of panes not yet sealed
    resume R      those rows, and the floors that may touch them, stand from here on; they are read again

        ──────────R───────────────────P──────────────▶ the log
                  └── rows and floors ┴── as if live

    kind       what                                                       start
    sums       the sums of ten minutes that are sealed; written once      the first minute
    state      all else: levels, marks, names, the minutes since          the watermark, ms
    manifest   comes last: where each part stands, and its digest         the watermark, ms

A key names partition, kind, start, writer and chunk: no two writers overwrite one another's records, whichever releases
they are of. Every block that is whole is true, whoever wrote it; of those the newest that can be read is taken.
A block holds no id of a post, no author and no text: who has had a vote is kept as a hash of brand, hour and pseudonym.
What newer blocks replace is dropped, and only what this writer has itself read or written.
Knows nothing of Kafka, clocks or how figures come about.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from streams.heart.errors import BadSetting
from streams.heart.packed import pack, unpack
from streams.heart.pane import FIELDS, Sums

SCHEMA = 1
BLOCK_MS = 600_000  # of watermark, between two blocks
SPAN = 10  # minutes, of the sums in one part
CHUNK = 250_000  # bytes
KEPT = 3  # blocks: the newest may turn out to be torn, and the one before it as well
ROLL_BACK_MS = 24 * 3_600_000  # so long the last block of a schema before ours is kept
SUMS_MS = 25 * 3_600_000  # no window reaches further back
STRANGE_MS = 2 * 3_600_000  # a record that no manifest we can read speaks of may still be another release's

TORN, NEWER, FOREIGN = "torn", "newer", "foreign"  # why a block is passed over
_SAID = {
    TORN: "torn or damaged", NEWER: "written by a newer release", FOREIGN: "of another log: it ends before they do"}


class Block(NamedTuple):
    """One block, whole. `minutes`: the sums of sealed spans, oldest first; `state`: what `Tracker.restore` reads."""

    partition: int
    partitions: int
    position: int
    resume: int
    watermark_ms: int
    state: bytes
    minutes: tuple[tuple[int, Sums], ...]
    schema: int = SCHEMA


class Place(NamedTuple):
    """What the key of a record says."""

    partition: int
    kind: str
    start: int
    writer: str
    chunk: int

    @property
    def key(self) -> bytes:
        """The key.

        >>> Place(3, "sums", 29891940, "5f0c", 0).key
        b'3/sums/29891940/5f0c/0'
        """
        return "/".join(map(str, self)).encode()

    @classmethod
    def of(cls, key: bytes) -> "Place | None":
        """What a key says; None: it is none of ours."""
        try:
            partition, kind, start, writer, chunk = key.decode().split("/")
            return cls(int(partition), kind, int(start), writer, int(chunk))
        except ValueError:
            return None


class Part(msgspec.Struct, frozen=True, order=True):
    """Where one part of a block stands: so many chunks, under keys of this kind, start and writer."""

    kind: str
    start: int
    writer: str
    chunks: int
    digest: str

    def keys(self, partition: int) -> list[bytes]:
        """Its records' keys, in order."""
        return [Place(partition, self.kind, self.start, self.writer, chunk).key for chunk in range(self.chunks)]


class _Lead(msgspec.Struct, frozen=True):
    schema: int


class Manifest(_Lead, frozen=True):
    """What a block consists of."""

    partition: int
    partitions: int
    position: int
    resume: int
    watermark_ms: int
    parts: tuple[Part, ...]


class Found(NamedTuple):
    """The newest block that can be read, and why newer ones were passed over."""

    block: Block | None
    passed_over: tuple[str, ...]


class Shelf:
    """The blocks of one partition, as its topic holds them: first read, then written on by one writer."""

    def __init__(self, partition: int, writer: str) -> None:
        """`writer`: a name that nobody else has, not even this worker before its restart."""
        self._partition = partition
        self._writer = writer
        self._values: dict[bytes, bytes] = {}  # while reading
        self._keys: set[bytes] = set()  # all records that stand, as far as we have read or written them
        self._manifests: dict[bytes, Manifest] = {}  # those that we can read
        self._foreign: set[bytes] = set()  # of these, those of another log
        self._sums: dict[int, Part] = {}  # first minute -> where the span's sums stand

    # Reading.

    def put(self, key: bytes | None, value: bytes | None) -> None:
        """Takes a record in, as it stands in the topic: the last of a key counts, and null takes it away."""
        if key is None:
            return
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value

    def newest(self, partitions: int, end: int) -> Found:
        """The newest block of all records taken in, which are let go. `end`: the log's; no block of it lies further.

        Raises `BadSetting`: there are blocks, and none can be read; or they are of another number of partitions.
        """
        values, self._values = self._values, {}
        self._keys |= values.keys()
        passed_over: list[str] = []
        said = [key for key in values if (place := Place.of(key)) is not None and place.kind == "manifest"]
        for key in said:
            manifest = _manifest(values[key])
            if isinstance(manifest, Manifest):
                self._manifests[key] = manifest
            else:
                passed_over.append(manifest)
        for manifest in self._manifests.values():
            if manifest.partitions != partitions:
                raise BadSetting(f"blocks of {manifest.partitions} partitions, and the topics have {partitions}: "
                                 "new topics need new blocks; delete them, or choose another DENYUT_PREFIX")
        self._foreign = {key for key, manifest in self._manifests.items() if manifest.position > end}
        passed_over += [FOREIGN] * len(self._foreign)
        for manifest in self._by_age():
            block = self._whole(manifest, values)
            if block is not None:
                return self._taken(block, manifest, passed_over)
            passed_over.append(TORN)
        # Sums are shared by all blocks that are kept. Where one of them is gone, a day's figures lack ten minutes; a
        # state is worth more than that.
        for manifest in self._by_age():
            block = self._whole(manifest, values, lacking=True)
            if block is not None:
                return self._taken(block, manifest, passed_over)
        if said:
            why = ", ".join(f"{count} {_SAID[reason]}" for reason, count in Counter(passed_over).items())
            raise BadSetting(f"partition {self._partition}: of {len(said)} blocks none can be read ({why}): run the "
                             "release that wrote them; or delete the topic of blocks, and baselines are learned anew")
        return Found(None, ())

    def _taken(self, block: Block, manifest: Manifest, passed_over: list[str]) -> Found:
        held = {minute - minute % SPAN for minute, _ in block.minutes}
        self._sums = {part.start: part for part in manifest.parts if part.kind == "sums" and part.start in held}
        return Found(block, tuple(passed_over))

    def _by_age(self) -> list[Manifest]:
        """Those of this log, the newest first."""
        ours = [manifest for key, manifest in self._manifests.items() if key not in self._foreign]
        return sorted(ours, key=lambda one: (one.position, one.watermark_ms, one.parts), reverse=True)

    def _whole(self, manifest: Manifest, values: dict[bytes, bytes], *, lacking: bool = False) -> Block | None:
        """The block, if all of it stands; with `lacking` also one that lacks sums."""
        state, minutes = b"", list[tuple[int, Sums]]()
        for part in sorted(manifest.parts):
            chunks = [values.get(key) for key in part.keys(self._partition)]
            data = b"".join(chunk for chunk in chunks if chunk is not None)
            is_whole = None not in chunks and _digest(data) == part.digest
            if not is_whole and not (lacking and part.kind == "sums"):
                return None
            if part.kind != "sums":
                state = data
            elif is_whole:
                minutes += unpack_sums(data)
        return Block(manifest.partition, manifest.partitions, manifest.position, manifest.resume,
                     manifest.watermark_ms, state, tuple(minutes), manifest.schema)

    # Writing.

    def records(self, block: Block) -> list[tuple[bytes, bytes]]:
        """What must be written for a block, the manifest last. It stands when all are delivered: `wrote` it then."""
        spans: dict[int, list[tuple[int, Sums]]] = {}
        for minute, sums in block.minutes:
            spans.setdefault(minute - minute % SPAN, []).append((minute, sums))
        fresh = {start: pack_sums(of) for start, of in spans.items() if start not in self._sums}
        parts, out = [self._sums[start] for start in spans if start in self._sums], list[tuple[bytes, bytes]]()
        for kind, start, data in [*(("sums", start, data) for start, data in fresh.items()),
                                  ("state", block.watermark_ms, block.state)]:
            chunks = [data[at:at + CHUNK] for at in range(0, len(data), CHUNK)] or [b""]
            parts.append(Part(kind, start, self._writer, len(chunks), _digest(data)))
            out += zip(parts[-1].keys(self._partition), chunks, strict=True)
        manifest = Manifest(SCHEMA, *block[:5], tuple(sorted(parts)))
        place = Place(self._partition, "manifest", block.watermark_ms, self._writer, 0)
        return [*out, (place.key, msgspec.json.encode(manifest))]

    def wrote(self, records: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """All these records, those of one block, are delivered; returns the keys of records that may go now."""
        self._keys.update(key for key, _ in records)
        key, value = records[-1]
        manifest = msgspec.json.decode(value, type=Manifest)
        self._manifests[key] = manifest
        self._sums = {part.start: part for part in manifest.parts if part.kind == "sums"}
        return self._spare(manifest.watermark_ms)

    def _spare(self, now_ms: int) -> list[bytes]:
        kept = self._kept(now_ms)
        needed = {key for manifest in kept for part in manifest.parts for key in part.keys(self._partition)}
        replaced = {key for manifest in self._manifests.values() if manifest not in kept
                    for part in manifest.parts if part.kind == "state" for key in part.keys(self._partition)}
        replaced |= {key for key, manifest in self._manifests.items() if manifest not in kept}
        needed |= {key for key, manifest in self._manifests.items() if manifest in kept}
        return sorted(key for key in self._keys - needed if key in replaced or _is_old(Place.of(key), now_ms))

    def _kept(self, now_ms: int) -> list[Manifest]:
        """The newest few; and for a day the newest of each schema before ours, for a release that is rolled back to."""
        kept = self._by_age()[:KEPT]
        for schema in {manifest.schema for manifest in self._by_age()} - {SCHEMA}:
            newest = next(manifest for manifest in self._by_age() if manifest.schema == schema)
            if newest.watermark_ms > now_ms - ROLL_BACK_MS and newest not in kept:
                kept.append(newest)
        return kept

    def dropped(self, keys: Iterable[bytes]) -> None:
        """These are gone from the topic."""
        for key in keys:
            self._keys.discard(key)
            self._foreign.discard(key)
            self._manifests.pop(key, None)


def _is_old(place: Place | None, now_ms: int) -> bool:
    if place is None or place.kind not in ("manifest", "state", "sums"):  # a release to come may have other kinds
        return False
    return place.start * 60_000 < now_ms - SUMS_MS if place.kind == "sums" else place.start < now_ms - STRANGE_MS


def _manifest(value: bytes) -> "Manifest | str":
    try:
        if msgspec.json.decode(value, type=_Lead).schema > SCHEMA:
            return NEWER
        return msgspec.json.decode(value, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return TORN


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class _Minutes(NamedTuple):
    fields: tuple[str, ...]
    minutes: list[tuple[int, npt.NDArray[np.uint32], npt.NDArray[np.signedinteger[Any]]]]


def pack_sums(minutes: Iterable[tuple[int, Sums]]) -> bytes:
    """The sums of some minutes as bytes, with the names of their fields."""
    return pack(_Minutes(FIELDS, [(minute, sums.brand, sums.values) for minute, sums in minutes]))


def unpack_sums(data: bytes) -> list[tuple[int, Sums]]:
    """What `pack_sums` wrote, also if it was a release with other fields: one that it did not count is 0.

    Raises `BrokenPromise` for other bytes.
    """
    fields, minutes = unpack(data, _Minutes)
    if fields == FIELDS:
        return [(minute, Sums(brand, values)) for minute, brand, values in minutes]
    out = []
    for minute, brand, values in minutes:
        ours = np.zeros((len(brand), len(FIELDS)), np.int64)
        for at, name in enumerate(fields):
            if name in FIELDS:
                ours[:, FIELDS.index(name)] = values[:, at]
        out.append((minute, Sums(brand, ours)))
    return out
