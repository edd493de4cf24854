"""Quotes: on which posts an explanation rests, and which of them were taken back since it was told.

    explained ──told──▶ quotes ◀──heard── floors: removals and edits
                          └──due──▶ what must be told again: see `streams.agents.swings.Explainer`

An exemplar that is removed or edited is to be quoted by nobody from then on, and a term that may rest on fewer than
five authors by now is to be counted again. Posts live for a week, so quotes are remembered as long.
Floors come to every worker whatever brands it counts, so it knows what is due when a brand comes to it.
Holds keys and hashes of posts, and no text. Knows nothing of Kafka, or of how a swing is explained.
"""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from streams.heart.explain import Evidence
from streams.heart.frame import FLOOR
from streams.heart.incident import Step, Swing, Term
from streams.heart.pane import Rows, joined
from streams.heart.post import id64
from streams.heart.terms import EXEMPLARS, FEWEST_AUTHORS

MOST = 4096  # explained incidents that are remembered; then the oldest are not
MOST_READ = 32  # of them with all the posts that were read for them, some 200 kB each
LIFE_MS = 7 * 86_400_000  # of a post: the retention of `denyut.posts`
EARLY = 1_000_000  # floors that are held until all quotes are known; of more the latest
UNREAD = 8  # of one incident: steps of our own that are waited for; of more the latest
_UNKNOWN = -1  # the rev of a quoted post that another worker read


@dataclass
class Quoted:
    """One incident and the posts behind it. `opened` and `evidence` are known to the process that explained it."""

    step: Swing  # the explained step as it was told last; before that, what opened
    opened: Swing | None = None
    evidence: Evidence | None = None  # the posts that it was explained from
    gone: set[int] = field(default_factory=set)  # of the posts behind it: taken back since, hashes
    unread: list[Swing] = field(default_factory=list)  # told by this process, and not read back yet
    is_replaced: bool = False  # what stands in the topic is not what this process has told last

    @property
    def is_due(self) -> bool:
        """Whether what was told of it may be told no longer, or somebody else's stands in its place."""
        if self.is_replaced:
            return True
        if not self.gone:
            return False
        if any(id64(name) in self.gone for name in self.step.exemplars):
            return True
        # Who used which term is not kept: any of those who are gone may have used it.
        now = {voice.post for voice in self.evidence.now} if self.evidence else set()
        lost = len(self.gone & now)
        return any(term.authors - lost < FEWEST_AUTHORS for term in self.step.terms if lost)

    def bare(self) -> Swing:
        """The explained step without the exemplars that are gone, nor a term that may rest on them. Needs no text."""
        exemplars = tuple(name for name in self.step.exemplars if id64(name) not in self.gone)
        lost = EXEMPLARS - len(exemplars)
        terms = tuple(term for term in self.step.terms if term.authors - lost >= FEWEST_AUTHORS)
        return self._retold(exemplars, terms)

    def empty(self) -> Swing:
        """The explained step with neither terms nor exemplars."""
        return self._retold((), ())

    def _retold(self, exemplars: tuple[str, ...], terms: tuple[Term, ...]) -> Swing:
        told = {term.term for term in terms}
        causes = tuple(cause for cause in self.step.causes if cause.kind != "term" or cause.name in told)
        return msgspec.structs.replace(self.step, exemplars=exemplars, terms=terms, causes=causes)

    def left(self) -> Evidence | None:
        """The posts that it was explained from, without those that are gone; None: they are not known here."""
        if self.evidence is None:
            return None
        now, before = (tuple(voice for voice in voices if voice.post not in self.gone)
                       for voices in (self.evidence.now, self.evidence.before))
        return self.evidence._replace(now=now, before=before)

    def posts(self) -> dict[int, int]:
        """The posts behind it -> the rev that was read."""
        found = {id64(name): _UNKNOWN for name in self.step.exemplars}
        if self.evidence is not None:
            found |= {voice.post: voice.rev for voice in (*self.evidence.now, *self.evidence.before)}
        return found


class Quotes:
    """The explained incidents of the last week. Lives on one event loop."""

    def __init__(self) -> None:
        self._of: dict[str, Quoted] = {}
        self._index: dict[int, list[tuple[str, int]]] | None = None  # post -> incidents, each with the rev it read
        self._posts = np.zeros(0, np.uint64)  # its keys, sorted
        self._early: list[Rows] | None = []  # floors heard before all quotes were known

    def reads(self, opened: Swing, evidence: Evidence) -> None:
        """These posts are being read to explain an incident: what is taken back from now on is heard for it."""
        known = self._of.get(opened.id) or Quoted(opened)
        self._keep(Quoted(known.step, opened, evidence, known.gone, known.unread))

    def told(self, step: Swing, evidence: Evidence | None) -> None:
        """An explanation was told, from these posts; None: it is an earlier one without what is gone."""
        before = self._of.get(step.id) or Quoted(step)
        self._keep(Quoted(step, before.opened, evidence, before.gone, [*before.unread, step][-UNREAD:]))

    def note(self, step: Swing, is_mine: bool = False) -> None:
        """A step stands in `denyut.swings`; `is_mine`: its brand is counted here.

        Of what this process has explained itself, it knows better: a worker that was cut off may deliver afterwards
        what it told before a removal. Where the brand has become another's, that one knows better.
        """
        before = self._of.get(step.id)
        if step.state is not Step.EXPLAINED:
            return
        if before is None:
            self._keep(Quoted(step))
        elif step in before.unread:
            before.unread.remove(step)
            before.is_replaced = before.is_replaced and step != before.step
        elif before.evidence is None or before.step.state is not Step.EXPLAINED:
            before.step, self._index = step, None
        elif is_mine:
            before.is_replaced = step != before.step
        else:
            before.step, before.opened, before.evidence, self._index = step, None, None, None

    def caught_up(self) -> None:
        """All that stood in `denyut.swings` at the start has been noted."""
        early, self._early = self._early, None
        if early:
            self.heard(joined(early, FLOOR))

    def heard(self, floors: Rows) -> None:
        """These floors were settled (dtype FLOOR), in any order, and any of them more than once."""
        if self._early is not None:
            self._early.append(floors.copy())
            while sum(map(len, self._early)) > EARLY:
                del self._early[0]
            return
        index = self._indexed()
        for post, rev, arrival_ms in floors[np.isin(floors["id"], self._posts)].tolist():
            for name, read in index[post]:
                quoted = self._of[name]
                # Where the rev is not known: who explained it knew of every floor that had arrived before.
                if (rev > read) if read != _UNKNOWN else (arrival_ms >= quoted.step.at_ms):
                    quoted.gone.add(post)

    def due(self) -> list[Quoted]:
        """The incidents that must be told again."""
        return [quoted for quoted in self._of.values() if quoted.is_due]

    def _indexed(self) -> dict[int, list[tuple[str, int]]]:
        if self._index is None:
            self._index = {}
            for name, quoted in self._of.items():
                for post, rev in quoted.posts().items():
                    self._index.setdefault(post, []).append((name, rev))
            self._posts = np.sort(np.array(list(self._index), np.uint64))
        return self._index

    def _keep(self, quoted: Quoted) -> None:
        self._of.pop(quoted.step.id, None)  # the last that was told stands last
        self._of[quoted.step.id] = quoted
        self._index = None
        while len(self._of) > MOST or next(iter(self._of.values())).step.at_ms < quoted.step.at_ms - LIFE_MS:
            del self._of[next(iter(self._of))]
        if quoted.evidence is not None:
            read = [one for one in self._of.values() if one.evidence is not None]
            for one in read[:-MOST_READ]:
                one.opened = one.evidence = None
