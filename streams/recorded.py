"""Recorded: a scorer that writes down what the model said, so that a run that was killed need not ask again.

    b"DYSC" | version u8 | name length u16 | name of the model | entry | entry | …
    entry   texts u32, 0: the model failed | digest of the texts, 16 bytes | crc32 of what follows u32
            three float64 for each text

The same posts give the same calls in the same order, so that a second run reads its answers from the file until it has
used them up, and only then asks the model. An entry is whole or it is none: one that was torn by a kill is cut off.
That the model failed on some texts is written down once it has answered again: of a model that is dead, nothing is.
A file that tells of other texts, or of another model, is refused.
Numbers and digests of whole calls, never a text. Yet the digest of a call that held one text alone, as calls around
poison do, could be guessed by whoever has candidates: keep the file where the posts may be kept.
Knows nothing of posts, brands or what scores add up to.
"""

import struct
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

from models.score import Card, NoModel, Score, Scorer
from streams.heart.errors import BadSetting

MAGIC = b"DYSC"
VERSION = 1
_LEAD = struct.Struct("<4sBH")
_ENTRY = struct.Struct("<I16sI")
_SCORE = struct.Struct("<3d")


class Recorded:
    """A scorer around a scorer, with a memory on disk. Confined to one thread, as that one is."""

    def __init__(self, scorer: Scorer, path: Path, name: str) -> None:
        """`name` tells the model from any other. Raises `BadSetting` for a file that is of another, or none of ours."""
        self._scorer = scorer
        self._path = path
        self.spared = 0  # texts that the model was not asked for
        lead = _lead(name)
        try:
            path.touch()
            self._file = path.open("r+b")
            found = self._file.read(len(lead))
            if lead.startswith(found) and found != lead:  # it is new, or a kill left no more of it
                self._file.seek(0)
                self._file.write(lead)
                self._file.flush()
                found = lead
        except OSError as error:
            raise BadSetting(f"--resume {path}: {error.strerror}") from None
        if found != lead:
            self._file.close()
            other = "of another model" if found.startswith(MAGIC) else "no file of recorded scores"
            raise BadSetting(f"--resume {path}: {other}; name another file, or remove this one")
        self._is_reading = True
        self._failed = b""  # entries of calls since the last answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # what could not be written has been told of
            self._file.close()

    @property
    def card(self) -> Card:
        """The card of the model within."""
        return self._scorer.card

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order: recorded, or the model's, which are recorded. Raises what it raises."""
        digest = _digest(texts)
        if self._is_reading:
            known = self._next(digest, len(texts))
            if known is not None:
                self.spared += len(texts)
                return known
            self._is_reading = False
        try:
            scores = self._scorer.score(texts)
        except Exception:
            self._failed += _ENTRY.pack(0, digest, crc32(b""))
            raise
        said = b"".join(_SCORE.pack(score.negative, score.neutral, score.positive) for score in scores)
        try:
            self._file.write(self._failed + _ENTRY.pack(len(texts), digest, crc32(said)) + said)
            self._file.flush()
        except OSError as error:
            # As what no text is to blame for: whoever halves batches around poison lets it pass.
            raise NoModel(f"--resume {self._path}: {error.strerror}") from None
        self._failed = b""
        return scores

    def _next(self, digest: bytes, count: int) -> list[Score] | None:
        """The next answer that was recorded; None: there is no whole one left."""
        begin = self._file.tell()
        head = self._file.read(_ENTRY.size)
        if len(head) == _ENTRY.size:
            length, of, crc = _ENTRY.unpack(head)
            said = self._file.read(_SCORE.size * length)
            if len(said) == _SCORE.size * length and crc32(said) == crc:
                if of != digest or length not in (0, count):
                    raise NoModel(f"--resume {self._path}: it was written for other posts, another brand file or "
                                  "other settings; name another file, or remove this one")
                if not length:
                    raise Failed("as it did when this was recorded")
                return [Score(*three) for three in _SCORE.iter_unpack(said)]
        self._file.seek(begin)
        self._file.truncate()
        return None


class Failed(Exception):
    """The model failed on these texts, then."""


def _lead(name: str) -> bytes:
    said = name.encode()
    return _LEAD.pack(MAGIC, VERSION, len(said)) + said


def _digest(texts: Sequence[str]) -> bytes:
    """Tells calls apart. Of many texts at once, it says nothing of any one; of one text, it can be guessed."""
    digest = blake2b(digest_size=16)
    for text in texts:
        said = text.encode("utf-8", "surrogatepass")
        digest.update(len(said).to_bytes(4, "little") + said)
    return digest.digest()
