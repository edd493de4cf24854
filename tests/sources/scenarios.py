"""Scenarios: what happens at a source's server, step by step, and what must be known of it in the end.

    Say Edit Remove RemoveAuthor                       what people do
    Garbage                                            what no decoder can read
    Drop Freeze Fail Again Swap Lose Restart Rewind    what servers, networks and our own process do

A scenario is data: a stage (`tests/sources/stage.py`) turns each step into what its server sends. What must be known in
the end follows from the steps alone, by `truth`. Texts are invented.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Say(NamedTuple):
    """A post by an author, called by short names."""

    post: str
    author: str
    text: str


class Edit(NamedTuple):
    """A post reads otherwise from now on. Its author stays."""

    post: str
    text: str


class Remove(NamedTuple):
    """A post is taken back."""

    post: str


class RemoveAuthor(NamedTuple):
    """An author leaves, with all posts."""

    author: str


class Garbage(NamedTuple):
    """Something unreadable comes: not_json, wrong_type, bad_time, not_utf8, deep, huge."""

    kind: str


class Drop(NamedTuple):
    """The server closes every connection; the next one is welcome."""


class Freeze(NamedTuple):
    """The present connections stay open and say nothing more, not even a heartbeat; a new one is served."""


class Fail(NamedTuple):
    """The next requests for a connection are answered with a status; present ones are closed."""

    status: int
    times: int = 1


class Again(NamedTuple):
    """The last events are sent once more."""

    events: int = 3


class Swap(NamedTuple):
    """The two steps within reach the wire in the other order."""

    first: Say
    second: Remove | Say


class Lose(NamedTuple):
    """The connections are closed, and of what is said meanwhile nothing is kept: not even a cursor brings it back."""

    lost: Say


class Restart(NamedTuple):
    """Our own process dies, and goes on from the positions of what was delivered."""


class Rewind(NamedTuple):
    """Our own process dies, and goes on from the positions that it had before the last so many steps."""

    steps: int = 2


Step = (Say | Edit | Remove | RemoveAuthor | Garbage | Drop | Freeze | Fail | Again | Swap | Lose | Restart | Rewind)


class Scenario(NamedTuple):
    """`gap`: that something is missing must be told. `reasons`: why what came is refused, whatever else is."""

    name: str
    steps: tuple[Step, ...]
    gap: bool = False
    reasons: frozenset[str] = frozenset()

    @property
    def needs(self) -> frozenset[type]:
        """The kinds of steps that a stage must be able to perform."""
        return frozenset(type(step) for step in self.steps)


def truth(steps: Iterable[Step]) -> dict[str, str | None]:
    """What is known in the end: post -> its text, or None once it is gone. What was lost is not known."""
    known: dict[str, str | None] = {}
    authors: dict[str, str] = {}
    for step in steps:
        match step:
            case Swap(first, second):
                known |= truth((first, second))
                authors[first.post] = first.author
                if isinstance(second, Say):
                    authors[second.post] = second.author
            case Say(post, author, text):
                known[post], authors[post] = text, author
            case Edit(post, text):
                known[post] = text
            case Remove(post):
                known[post] = None
            case RemoveAuthor(author):
                known |= {post: None for post, by in authors.items() if by == author}
            case _:
                pass
    return known


A, B, C = "ana", "bayu", "citra"
_ONE = Say("one", A, "Kopi Senja enak sekali pagi ini")
_TWO = Say("two", B, "Antrean Kopi Senja panjang & lambat <kecewa>")
_THREE = Say("three", A, "Barista Kopi Senja ramah 😊\nbesok lagi")
_FOUR = Say("four", C, "the new Kopi Senja blend is too bitter")
_FIVE = Say("five", B, "Kopi Senja promo lagi, lumayan")

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("people talk", (_ONE, _TWO, _THREE)),
    Scenario("an edit", (_ONE, _TWO, Edit("one", "Kopi Senja ternyata biasa saja"))),
    Scenario("two edits", (_ONE, Edit("one", "Kopi Senja, eh, biasa saja"), Edit("one", "Kopi Senja mengecewakan"))),
    Scenario("a removal", (_ONE, _TWO, Remove("one"), _THREE)),
    Scenario("an edit, then a removal", (_ONE, Edit("one", "Kopi Senja tutup?"), Remove("one"))),
    Scenario("an author leaves", (_ONE, _TWO, _THREE, RemoveAuthor(A), _FOUR)),
    Scenario("a disconnect", (_ONE, Drop(), _TWO, Drop(), _THREE)),
    Scenario("a disconnect before an edit and a removal",
             (_ONE, _TWO, Drop(), Edit("one", "Kopi Senja, dua kali"), Remove("two"), _THREE)),
    Scenario("a half-open connection", (_ONE, Freeze(), _TWO, _THREE)),
    Scenario("asked to wait", (_ONE, Fail(429), _TWO)),
    Scenario("the server is ill", (_ONE, Fail(500), Fail(503), _TWO, Fail(502), _THREE)),
    Scenario("events come twice", (_ONE, _TWO, Again(2), _THREE, Remove("two"), Again(4))),
    Scenario("two posts in the other order", (_ONE, Swap(_TWO, _THREE), _FOUR)),
    Scenario("a removal before its post", (_ONE, Swap(_TWO, Remove("two")), _THREE)),
    Scenario("a restart", (_ONE, _TWO, Restart(), _THREE, Restart(), Remove("one"), Edit("three", "Kopi Senja ramai"))),
    Scenario("a replayed cursor", (_ONE, _TWO, Remove("one"), _THREE, Rewind(3), _FOUR)),
    Scenario("a cursor that is too old", (_ONE, Lose(_FIVE), _TWO), gap=True),
    Scenario("no JSON", (_ONE, Garbage("not_json"), _TWO), reasons=frozenset({"not_json"})),
    Scenario("a wrong type", (_ONE, Garbage("wrong_type"), _TWO), reasons=frozenset({"wrong_type"})),
    Scenario("an absurd date", (_ONE, Garbage("bad_time"), _TWO), reasons=frozenset({"bad_time"})),
    Scenario("no UTF-8", (_ONE, Garbage("not_utf8"), _TWO), reasons=frozenset({"not_utf8"})),
    Scenario("far too deep", (_ONE, Garbage("deep"), _TWO), reasons=frozenset({"not_json", "wrong_type"})),
    Scenario("ten megabytes", (_ONE, Garbage("huge"), _TWO), reasons=frozenset({"too_large"})),
    Scenario("all at once", (
        _ONE, _TWO, Drop(), _THREE, Again(3), Edit("one", "Kopi Senja berubah"), Garbage("not_json"), Fail(500), _FOUR,
        Restart(), Remove("two"), Freeze(), Edit("four", "the new Kopi Senja blend is fine after all"), _FIVE,
        Rewind(4), Remove("three")), reasons=frozenset({"not_json"})),
)
