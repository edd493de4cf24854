"""Push keys: who may push, and whether a request is theirs.

A file of keys is TOML:

    [[key]]
    id = "2026-11"                      # stands in each request
    sender = "shop"                     # whose key it is: the first part of all their ids
    secret = "…"                        # at least 16 bytes
    until = 2026-12-01T00:00:00Z        # absent: for ever

A request names one key, or during a rotation several (`X-Denyut-Key: 2026-11, 2026-12`), says its time, and bears a
signature of one of them (`X-Denyut-Signature: v1=…, v1=…`): the keyed hash of time and body as they go over the wire.
Its time may be 5 minutes off; within these, a signature that was used before is known.
Knows nothing of files, sockets, clocks, or of what a body says.
"""

import hashlib
import hmac
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

from streams.heart.errors import BadSetting, DenyutError
from streams.heart.post import epoch_ms

MIN_SECRET = 16  # bytes
SKEW_MS = 5 * 60_000
MOST_SIGNATURES = 4  # keys, and signatures, of one request: two during a rotation
KEY, TIMESTAMP, SIGNATURE = "X-Denyut-Key", "X-Denyut-Timestamp", "X-Denyut-Signature"


class Stranger(DenyutError):
    """A request that is not let in. Says why in words that are fit for its sender, and no secret."""


@dataclass(frozen=True, slots=True)
class Key:
    """A shared secret, and the sender who has it. From `until_ms` on it opens nothing."""

    id: str
    sender: str
    secret: bytes = field(repr=False)
    until_ms: int | None = None


class Keys(Mapping[str, Key]):
    """The keys that open the door, by id."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: key for key in keys}

    def __getitem__(self, key: str) -> Key:
        return self._keys[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def read(cls, text: str, name: str) -> Self:
        """The keys of a file's text. Raises `BadSetting` that names the file (`name`) and the key, never a secret.

        >>> text = '[[key]]\\nid = "2026-11"\\nsender = "shop"\\nsecret = "sixteen bytes or more"'
        >>> Keys.read(text, "keys.toml")["2026-11"]
        Key(id='2026-11', sender='shop', until_ms=None)
        """
        try:
            tables: Any = tomllib.loads(text).get("key")
        except (tomllib.TOMLDecodeError, RecursionError):
            raise BadSetting(f"--keys {name}: no TOML") from None  # tomllib's own words may quote a secret
        if not isinstance(tables, list) or not tables:
            raise BadSetting(f"--keys {name}: expected one [[key]] or more")
        keys = [_key(table, f"--keys {name}: key {at}") for at, table in enumerate(tables, 1)]
        seen: set[str] = set()
        for key in keys:
            if key.id in seen:
                raise BadSetting(f"--keys {name}: two keys are called {key.id!r}")
            seen.add(key.id)
        return cls(keys)

    def claim(self, headers: Mapping[str, str], now_ms: int) -> "Claim":
        """What a request says of itself, before its body is read. Raises `Stranger`."""
        stamp = headers.get(TIMESTAMP, "")
        ids, said = _listed(headers.get(KEY, "")), _listed(headers.get(SIGNATURE, ""))
        if not (stamp and ids and said):
            raise Stranger(f"expected the headers {KEY}, {TIMESTAMP} and {SIGNATURE}")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise Stranger(f"{TIMESTAMP}: expected seconds since 1970")
        if abs(int(stamp) * 1000 - now_ms) > SKEW_MS:
            raise Stranger(f"{TIMESTAMP}: more than {SKEW_MS // 60_000} minutes off our clock")
        known = [self._keys[one] for one in ids if one in self._keys]
        valid = tuple(key for key in known if key.until_ms is None or now_ms < key.until_ms)
        if not valid:
            raise Stranger(f"{KEY}: unknown or expired")
        signatures = tuple(bytes.fromhex(one[3:]) for one in said if _V1.match(one))
        if not signatures:
            raise Stranger(f"{SIGNATURE}: expected v1= and 64 hexadecimal digits")
        return Claim(stamp, valid, signatures)


_V1 = re.compile(r"v1=[0-9a-fA-F]{64}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_KEY_FIELDS = frozenset({"id", "sender", "secret", "until"})


def _listed(header: str) -> list[str]:
    return [one.strip() for one in header.split(",") if one.strip()][:MOST_SIGNATURES]


def _key(table: Any, where: str) -> Key:
    if not isinstance(table, dict):
        raise BadSetting(f"{where}: expected a table [[key]]")
    for name in ("id", "sender"):
        if not isinstance(table.get(name), str) or not _NAME.match(table[name]):
            raise BadSetting(f"{where}: {name}: expected letters, digits and . _ - (at most 64)")
    where = f"{where} ({table['id']})"
    if unknown := sorted(table.keys() - _KEY_FIELDS):
        raise BadSetting(f"{where}: unknown {', '.join(unknown)}; a key has {', '.join(sorted(_KEY_FIELDS))}")
    secret = table.get("secret")
    if not isinstance(secret, str) or len(secret.encode()) < MIN_SECRET:
        raise BadSetting(f"{where}: secret: expected a text of at least {MIN_SECRET} bytes")
    until = table.get("until")
    if until is not None and (not isinstance(until, datetime) or until.tzinfo is None):
        raise BadSetting(f"{where}: until: expected a time with its zone, such as 2026-12-01T00:00:00Z")
    return Key(table["id"], table["sender"], secret.encode(), None if until is None else epoch_ms(until))


def signature(secret: bytes, timestamp: str, body: bytes) -> bytes:
    """What a sender signs with: the hash of the time and the body as they go over the wire.

    >>> signature(b"sixteen bytes or more", "1795586400", b"[]").hex()[:16]
    '8fe5f1640b4790b0'
    """
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).digest()


class Claim(NamedTuple):
    """Who a request says that it is from. Not proven yet."""

    timestamp: str
    keys: tuple[Key, ...]
    signatures: tuple[bytes, ...]

    def proven(self, body: bytes) -> tuple[Key, bytes]:
        """The key that signed this body, and its signature. Raises `Stranger`."""
        for key in self.keys:
            ours = signature(key.secret, self.timestamp, body)
            if any(hmac.compare_digest(ours, theirs) for theirs in self.signatures):
                return key, ours
        raise Stranger(f"{SIGNATURE}: wrong")


class Memory:
    """The signatures whose posts are delivered, for as long as they could be used again; of too many, the latest.

    >>> memory = Memory(keep_ms=600_000, most=2)
    >>> for at, digest in enumerate((b"a", b"b", b"c")): memory.add(digest, at)
    >>> [memory.has(digest, 600_001) for digest in (b"a", b"b", b"c")]
    [False, False, True]
    """

    def __init__(self, keep_ms: int = 2 * SKEW_MS, most: int = 50_000) -> None:
        self._keep_ms = keep_ms
        self._most = most
        self._times: dict[bytes, int] = {}  # oldest first

    def add(self, digest: bytes, now_ms: int) -> None:
        """It is delivered."""
        self._times.pop(digest, None)
        self._times[digest] = now_ms
        self._forget(now_ms)

    def has(self, digest: bytes, now_ms: int) -> bool:
        """Whether it was."""
        self._forget(now_ms)
        return digest in self._times

    def _forget(self, now_ms: int) -> None:
        while self._times:
            oldest = next(iter(self._times))
            if len(self._times) <= self._most and now_ms - self._times[oldest] < self._keep_ms:
                return
            del self._times[oldest]
