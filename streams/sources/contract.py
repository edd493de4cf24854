"""The contract of a source: what it hands over, and what it may count on.

    bytes ──decoder (pure)──▶ happenings ──reader (thin)──▶ Heard: happenings, and where to go on after them

A happening is one of four: a post was said (or said anew: an edit has a higher `rev`), a post is gone, an author is
gone with all that they said, or something came that is none of these and is refused with a reason (a `BadEdit` where
it is known of which post it is a version). Ids and authors are the source's own here; they are hashed at the door
(`streams.door`), and go no further than there.

A source promises
- to hand happenings over in the order in which its server tells them, each at least once;
- that after a restart with the positions of a `Heard`, nothing that followed it is missing, or that a gap is told;
- to raise `Trouble` when a connection ends, for whatever reason: who calls it waits, and connects again;
- to refuse what it cannot read, and to go on.

It may count on being asked for the next `Heard` only when there is room, and on its positions being kept only when all
that came with and before them is delivered. It knows nothing of Kafka, brands, pseudonyms, metrics, or of time but by
the function it is given. A new source is a decoder, a reader, a policy entry, and an adapter for the conformance suite
(`tests/sources`).
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from streams.heart.errors import DenyutError, Reason
from streams.heart.post import Kind


class Said(msgspec.Struct, frozen=True, gc=False):
    """A post, or a later version of one. Times in ms UTC.

    `native` is unique within the source and the same for every version; so is `author` for a person. `created_ms` is
    when it was written; of an edit, when the first version was (where the source does not tell, the door knows it).
    `alias`: another id, by which removals call it. `url`: its page; one that names a person goes no further than the
    door. `refers`: the author answered.
    """

    native: str
    text: str
    created_ms: int
    rev: int = 0  # rises with each edit; the edit's epoch seconds will do
    author: str = ""  # empty: the post is its own author
    lang: str | None = None
    kind: Kind = Kind.POST
    reply_to: str | None = None  # native id
    refers: str | None = None  # native id of the author who is answered
    url: str | None = None
    reach: int | None = None
    alias: str | None = None
    witnessed_ms: int | None = None  # when the source's server first saw it, where it tells


class Gone(msgspec.Struct, frozen=True, gc=False):
    """A post was removed: the one of this id, or of this alias."""

    native: str = ""
    alias: str = ""


class AuthorGone(msgspec.Struct, frozen=True, gc=False):
    """An author has left, was removed, or hides all posts: none of them counts any more.

    `before_ms`: who may come back; only what was written before this time is gone, also when it is told again.
    """

    author: str
    before_ms: int | None = None


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Something that is no happening. `detail` names a field or a size, never a value that came from the source."""

    reason: Reason
    detail: str = ""


class BadEdit(Refused, frozen=True, gc=False):
    """A later version of a post that is refused. What was said before it is not said any more."""

    native: str = ""
    rev: int = 0


Happening = Said | Gone | AuthorGone | Refused


def unfit(reason: Reason, detail: str, native: str, rev: int) -> Refused:
    """A version of a post that is refused, the first or a later one.

    >>> unfit(Reason.BAD_TIME, "", "7", 0), unfit(Reason.BAD_TIME, "", "7", 9).rev
    (Refused(reason=<Reason.BAD_TIME: 'bad_time'>, detail=''), 9)
    """
    return BadEdit(reason, detail, native, rev) if native and rev else Refused(reason, detail)


def unread(data: bytes, error: Exception) -> Refused:
    """What becomes of bytes that msgspec does not decode, by what it raised; of its own words, which may hold a value,
    nothing goes further.

    >>> unread(b"{", msgspec.DecodeError()), unread(b"\\xff", msgspec.DecodeError())
    (Refused(reason=<Reason.NOT_JSON: 'not_json'>, detail=''), Refused(reason=<Reason.NOT_UTF8: 'not_utf8'>, detail=''))
    """
    if isinstance(error, msgspec.ValidationError):
        return Refused(Reason.MISSING_FIELD if "missing required" in str(error) else Reason.WRONG_TYPE)
    try:
        data.decode()
    except UnicodeDecodeError:
        return Refused(Reason.NOT_UTF8)
    return Refused(Reason.NOT_JSON)


class Gap(NamedTuple):
    """What was said in [from_ms, to_ms) may be missing, and will not come."""

    from_ms: int
    to_ms: int


class Heard(NamedTuple):
    """What a source has heard since it was last asked. Without happenings it is a sign of life.

    `positions`: part of the source -> where to go on after this; parts that are not named stay as they were. Most
    sources have one part, called "". No id or name of a person stands in them, other than as a hash.
    `until_ms`: nothing that was said before this time is missing once this is delivered; None: nothing is claimed.
    `receipt` is called, once and from any thread, when all of it is delivered (True) or never will be (False).
    `taken` is called, once and before the next `Heard` is asked for, with whether what each happening tells of stands
    in the log: most of what a network says does not.
    """

    happenings: tuple[Happening, ...] = ()
    positions: Mapping[str, str] = {}
    until_ms: int | None = None
    gap: Gap | None = None
    receipt: Callable[[bool], None] | None = None
    taken: Callable[[Sequence[bool]], None] | None = None


class Source(Protocol):
    """One source. Its fakes, and the scenarios that each must pass, are in tests/sources."""

    @property
    def name(self) -> str:
        """Under which its posts are counted: one of DENYUT_SOURCES."""

    @property
    def is_pushed(self) -> bool:
        """Whether a sender hands it its posts, and answers for them: it is told once, and asks nobody."""

    def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:
        """One connection, from these positions on (none: from now on), until it ends: then it raises `Trouble`."""


class Trouble(DenyutError):
    """A connection ended, or never was. Nobody's move: wait and try again."""


class Limited(Trouble):
    """The server asks us to wait. `after_s`: for so long, where it says so."""

    def __init__(self, said: str, after_s: float | None = None) -> None:
        super().__init__(said)
        self.after_s = after_s


class Denied(Trouble):
    """The server does not let us in. The user's move: says which setting to look at. Tried again, seldom."""
