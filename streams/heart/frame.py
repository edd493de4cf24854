"""Frames: how mentions travel from the score workers to the pulse workers.

    b"DNYT" | version u8 | codec u8 | head length u32 | head (MessagePack) | rows | floors

A frame is a set of facts, and it stands alone: the names behind its numbers are in its own head, so any frame can be
read without the ones before it, in any order, from any sender. The head also holds *marks*: for a posts partition,
"every record with arrival < mark has its rows in this partition already, or in this frame"; and the *ticks* read.
All numbers little-endian. An unknown version is a broken promise: the reader stops rather than miscount. Version 1 knew
of no mention that its brand has prompted; it is still read, for a log holds a day of it.
Knows nothing of Kafka, of what a row will count for, or of time.
"""

import struct
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from streams.heart.errors import BrokenPromise
from streams.heart.pane import Rows

MAGIC = b"DNYT"
VERSION = 2
READ = (1, VERSION)
PLAIN = 0  # the one codec: Kafka compresses whole batches, and better
ABSTAINED = 3
LABELS = ("negative", "neutral", "positive", "abstained")
KINDS = ("post", "reply", "repost", "review", "survey")
PROMPTED = 0x80  # a bit of a row's kind: the brand's own hand is in this mention
GONE = 2**32 - 1  # the floor of a removal: above every rev

# One mention: a post and a brand that it names.
ROW = np.dtype([
    ("id", "<u8"), ("author", "<u8"), ("dup", "<u8"),
    ("event", "<i8"), ("arrival", "<i8"), ("offset", "<i8"), ("partition", "<i2"),
    ("brand", "<u4"), ("rev", "<u4"), ("score", "<i2"),
    ("label", "u1"), ("kind", "u1"), ("source", "u1"), ("lang", "u1"), ("model", "<u2"), ("rule", "<u2"),
])
# The lowest rev of a post that still counts, since a record that arrived then.
FLOOR = np.dtype([("id", "<u8"), ("rev", "<u4"), ("arrival", "<i8")])

_LEAD = struct.Struct("<4sBBI")


class Names(msgspec.Struct, frozen=True, array_like=True):
    """The names behind the numbers of one frame's rows: a number is a place in its list."""

    brand: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    lang: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Every record of this posts partition with arrival < `mark_ms` is delivered here."""

    partition: int
    mark_ms: int


class Health(msgspec.Struct, frozen=True, array_like=True):
    """A tick that arrived at `arrival_ms` said that `source` was listened to without a gap until `until_ms`."""

    source: str
    arrival_ms: int
    until_ms: int


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What stands before the rows."""

    rows: Annotated[int, msgspec.Meta(ge=0)]
    floors: Annotated[int, msgspec.Meta(ge=0)]
    names: Names = Names()
    marks: tuple[Mark, ...] = ()
    health: tuple[Health, ...] = ()


class Frame(msgspec.Struct, frozen=True):
    """One frame, unpacked. `rows` has dtype ROW and `floors` FLOOR; both may share memory with the bytes read."""

    names: Names
    rows: Rows
    floors: Rows
    marks: tuple[Mark, ...] = ()
    health: tuple[Health, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Head).decode


def pack(frame: Frame) -> bytes:
    """A frame as bytes; `unpack` reads it back."""
    head = _encode(Head(len(frame.rows), len(frame.floors), frame.names, frame.marks, frame.health))
    return b"".join((_LEAD.pack(MAGIC, VERSION, PLAIN, len(head)), head, frame.rows.tobytes(), frame.floors.tobytes()))


def unpack(data: bytes) -> Frame:
    """Bytes as a frame. Raises `BrokenPromise` for anything that `pack` did not write."""
    if len(data) < _LEAD.size:
        raise BrokenPromise(f"a frame of {len(data)} bytes")
    magic, version, codec, length = _LEAD.unpack_from(data)
    if magic != MAGIC:
        raise BrokenPromise("not a frame of Denyut: is something else writing to this topic?")
    if version not in READ or codec != PLAIN:
        raise BrokenPromise(f"a frame of version {version}, codec {codec}; this release reads {READ}, {PLAIN}")
    start = _LEAD.size + length
    try:
        head = _decode(data[_LEAD.size:start])
        rows = np.frombuffer(data, ROW, head.rows, start)
        floors = np.frombuffer(data, FLOOR, head.floors, start + rows.nbytes)
    except (msgspec.DecodeError, ValueError) as error:
        raise BrokenPromise(f"a torn frame: {error}") from None
    if start + rows.nbytes + floors.nbytes != len(data):
        raise BrokenPromise("a frame with bytes left over")
    if head.rows:
        _check_names(rows, head.names)
        _check_kinds(rows, version)
    return Frame(head.names, rows, floors, head.marks, head.health)


def _check_names(rows: Rows, names: Names) -> None:
    for kind in Names.__struct_fields__:
        if int(rows[kind].max()) >= len(getattr(names, kind)):
            raise BrokenPromise(f"a frame with a {kind} that it does not name")
    if int(rows["label"].max()) >= len(LABELS):
        raise BrokenPromise("a frame with an unknown label")


def _check_kinds(rows: Rows, version: int) -> None:
    bits = PROMPTED if version > 1 else 0
    if int((rows["kind"] & np.uint8(0xFF ^ bits)).max()) >= len(KINDS):
        raise BrokenPromise("a frame with an unknown kind")


def murmur2(key: bytes) -> int:
    """Kafka's hash of a key, as its own partitioners compute it (Austin Appleby's MurmurHash2, seed 0x9747b28c)."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) // 4
    for (k,) in struct.iter_unpack("<I", key[:4 * whole]):
        mixed = k * m & mask
        h = (h * m & mask) ^ ((mixed ^ mixed >> 24) * m & mask)
    rest = key[4 * whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(brand: str, partitions: int) -> int:
    """The mentions partition in which a brand is counted, the same for every sender."""
    return (murmur2(brand.encode()) & 0x7FFFFFFF) % partitions


def used(column: npt.NDArray[Any], names: Sequence[str]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Numbers into a long list of names -> numbers into the short list of those in use, and that list."""
    places, short = np.unique(column, return_inverse=True)
    return short.astype(np.int64), tuple(names[place] for place in places)
