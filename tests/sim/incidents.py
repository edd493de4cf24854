"""Incidents with a planted cause, and whether it is told first.

    python -m tests.sim.incidents          500 incidents, a table with Wilson intervals
    python -m tests.sim.incidents 1000     another count

    term       many complain (or praise) about one thing, in every source and language, most of them by its name
    source     one source speaks otherwise, and may speak more
    language   one language does
    mix        a source or a language that was always gloomier (or brighter) speaks more; nobody has changed his mind
    account    one account writes and writes, at one source; nearly all others are as ever

and beside them `none`: all turn alike, so that nothing may be named for more than half of the change.

Only what the detector would show is an incident: a draw whose change is under 4.5 standard deviations, in the votes
(for an account: in all posts, and not in the votes), is drawn again. Every text is invented, from a small vocabulary of
Indonesian and English; one in ten has the other leaning's words, as a classifier would have it.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.incident import Cause
from streams.heart.reasons import Amount, Posts, Sums, causes
from streams.heart.terms import Said, carried, terms

KINDS = ("term", "source", "language", "mix", "account")
SEED = 20
MOST_SHARE = 0.7  # of a segment that turns alone: were nearly all votes in it, its turn would be a general one
LANGUAGES = ("id", "en")
BRAND = ("kopi arunika", "#arunika")

FILLERS = {"id": "yang di ini itu aja sih ya udah kok juga banget kalau saya dari",
           "en": "the a is it to my and so for this i at"}
GENERAL = {
    "id": "pesanan kasir antrean cabang menu ukuran meja kurir alamat pagi malam teman kantor gelas paket jam hari"
          " kemarin barista susu gula harga pelayanan rasa tempat parkir musik kursi pesan ambil minum beli coba",
    "en": "order branch menu cup size table driver address morning night friend office box hour day yesterday barista"
          " milk sugar price service taste place parking music seat pick drink buy try wait use weekend staff counter"}
LEANING = {
    ("id", -1): "kecewa lambat parah kapok rugi jelek basi mahal kacau ribet kesal salah hilang tidak+sopan tidak+bisa"
                " belum+datang kotor pahit dingin bohong nyesel payah gagal lama zonk",
    ("id", 1): "enak suka mantap keren nyaman ramah cepat murah segar puas juara wangi bersih andalan pas+banget nagih"
               " terbaik gurih lembut hangat senang betah lengkap rapi top",
    ("en", -1): "slow awful rude cold bitter dirty overpriced broken worst late lost not+working never+again wrong sad"
                " disappointed stale angry useless bad mess scam fail annoying ruined",
    ("en", 1): "great love tasty fresh friendly fast cheap cosy best smooth perfect clean happy amazing warm sweet"
               " favourite delicious lovely nice excellent recommend top wow solid"}
JARGON = {"bluesky": "timeline skeet moots", "mastodon": "instance boost fedi", "reviews": "bintang rating ulasan",
          "forum": "sundul agan thread", "news": "redaksi headline kolom"}
TOPICS = ("refund", "voucher", "login", "aplikasi", "sedotan", "promo", "oatmilk", "checkout", "poin", "galon")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rng = np.random.Generator


class Incident(NamedTuple):
    """What the reasons are made from, and the cause that was planted."""

    kind: str
    name: str
    votes: Mapping[str, tuple[Sums, Sums]]
    posts: Posts
    now: list[Said]
    before: list[Said]
    polar: float


class Public(NamedTuple):
    """Who speaks about a brand, and how: shares of sources, of languages in each, and the lean of either."""

    sources: list[str]
    shares: Floats
    english: Floats  # share of English in each source
    lean: Floats  # of each source
    english_lean: float


class Voices(NamedTuple):
    """Votes, one a place: source and language (numbers), polarity -1, 0, 1, score, whether it is about the topic."""

    source: Ints
    language: Ints
    polarity: Ints
    score: Floats
    topical: npt.NDArray[np.bool_]


def public(rng: Rng) -> Public:
    """A brand's public on ordinary days."""
    sources = rng.permutation(sorted(JARGON))[:rng.integers(3, 6)].tolist()
    return Public(sources, rng.dirichlet(np.full(len(sources), 1.5)), rng.beta(1, 2, len(sources)),
                  rng.normal(0.1, 0.2, len(sources)), rng.normal(0, 0.1))


def voices(rng: Rng, who: Public, count: int, weather: float = 0.0) -> Voices:
    """So many votes of this public. `weather`: how far each source's mood strays, all by itself."""
    source = rng.choice(len(who.sources), count, p=who.shares)
    language = (rng.random(count) < who.english[source]).astype(np.int64)
    lean = (who.lean + rng.normal(0, weather, len(who.sources)))[source] + who.english_lean * language
    weights = np.stack([0.22 * np.exp(-lean), np.full(count, 0.5), 0.28 * np.exp(lean)])
    polarity = (rng.random(count) > np.cumsum(weights / weights.sum(0), 0)[:2]).sum(0) - 1
    return Voices(source, language, polarity, _scores(rng, polarity), np.zeros(count, np.bool_))


def _scores(rng: Rng, polarity: Ints) -> Floats:
    return np.clip(rng.normal(0.72 * polarity, np.where(polarity, 0.2, 0.15)), -1, 1)


def incident(rng: Rng, kind: str) -> Incident:
    """One with this cause; drawn until it would be seen."""
    while not (found := _drawn(rng, kind)):
        pass
    return found


def _drawn(rng: Rng, kind: str) -> Incident | None:
    who, sign, count = public(rng), int(rng.choice([-1, -1, 1])), int(np.exp(rng.uniform(np.log(60), np.log(800))))
    who, changed, name = _changed(rng, who, kind, sign)
    topics = int(count * rng.uniform(0.15, 0.5)) if kind == "term" else 0
    before, now = voices(rng, who, count * int(rng.integers(8, 30))), voices(rng, changed, count - topics, 0.08)
    if topics:
        now = _with_topic(rng, now, voices(rng, _uneven(rng, who), topics), sign)
    posts_before, posts, loudest = *(_repeated(rng, said) for said in (before, now)), now.score[:2]
    if kind == "account":
        loud = _loud(rng, who, int(rng.uniform(0.3, 1.5) * count), sign)
        posts, loudest = _joined(posts, loud), loud.score
    if _share(who, name) > MOST_SHARE or not _is_seen((before, now), (posts_before, posts), kind == "account"):
        return None
    fired = (posts_before, posts) if kind == "account" else (before, now)
    topic, hour = str(rng.choice(TOPICS)), voices(rng, who, int(count * rng.uniform(0.5, 4)))
    return Incident(kind, topic if kind == "term" else name, _split(who, fired),
                    Posts(*(_amount(said) for said in (posts_before.score, posts.score, loudest))),
                    _said(rng, who, now, sign, topic), _said(rng, who, hour, sign, topic),
                    float((now.polarity == sign).mean()))


def _uneven(rng: Rng, who: Public) -> Public:
    """Those who speak of one thing: from the same sources, not quite in the same shares."""
    return who._replace(shares=rng.dirichlet(1 + 6 * who.shares))


def _share(who: Public, name: str) -> float:
    """The segment's share of the votes on ordinary days."""
    english = float(who.shares @ who.english)
    shares: dict[str, float] = dict(zip(who.sources, who.shares.tolist(), strict=True))
    return {"": 0.0, "en": english, "id": 1 - english, **shares}[name]


def _changed(rng: Rng, who: Public, kind: str, sign: int) -> tuple[Public, Public, str]:
    """The public before and now, and the name of what has changed."""
    at, by = int(rng.integers(len(who.sources))), sign * rng.uniform(0.8, 3.0)
    if kind == "source":
        shares = who.shares * np.where(np.arange(len(who.sources)) == at, rng.uniform(1, 1.8), 1)
        lean = who.lean + np.where(np.arange(len(who.sources)) == at, by, 0)
        return who, who._replace(lean=lean, shares=shares / shares.sum()), who.sources[at]
    if kind == "language":
        english = who._replace(english_lean=who.english_lean + by)
        others = who._replace(english_lean=who.english_lean - by, lean=who.lean + by)
        return (who, english, "en") if rng.random() < 0.5 else (who, others, "id")
    if kind == "mix" and rng.random() < 0.5:
        who = who._replace(english_lean=sign * rng.uniform(1, 2), english=rng.beta(2, 6, len(who.sources)))
        return who, who._replace(english=1 - (1 - who.english) * rng.uniform(0.1, 0.6)), ""
    if kind == "mix":
        is_it = np.arange(len(who.sources)) == at
        shares = np.where(is_it, who.shares * rng.uniform(3, 12), who.shares)
        who = who._replace(lean=np.where(is_it, sign * rng.uniform(1, 2), who.lean))
        return who, who._replace(shares=shares / shares.sum()), ""
    if kind == "none":
        return who, who._replace(lean=who.lean + by), ""
    return who, who, ""


def _with_topic(rng: Rng, now: Voices, more: Voices, sign: int) -> Voices:
    """These and more, who speak of one thing, nearly all of them in one tone."""
    polarity = np.where(rng.random(len(more.score)) < 0.92, sign, more.polarity)
    return _joined(now, more._replace(polarity=polarity, score=_scores(rng, polarity),
                                      topical=np.ones(len(polarity), np.bool_)))


def _repeated(rng: Rng, votes: Voices) -> Voices:
    """All posts: these, and three in ten of them said once more."""
    again = rng.choice(len(votes.score), len(votes.score) * 3 // 10)
    return _joined(votes, Voices._make(column[again] for column in votes))


def _loud(rng: Rng, who: Public, count: int, sign: int) -> Voices:
    """One account at one source, in one language and one tone."""
    polarity = np.full(count, sign)
    return Voices(np.full(count, rng.integers(len(who.sources))), np.full(count, rng.integers(2)), polarity,
                  _scores(rng, polarity), np.zeros(count, np.bool_))


def _joined(some: Voices, more: Voices) -> Voices:
    return Voices._make(np.concatenate(pair) for pair in zip(some, more, strict=True))


def _is_seen(votes: tuple[Voices, Voices], posts: tuple[Voices, Voices], is_raw: bool) -> bool:
    """By the test on votes; or, `is_raw`, by that on all posts alone."""
    in_votes, in_posts = (_z(now.score.mean() - before.score.mean(), len(now.score)) >= 4.5
                          for before, now in (votes, posts))
    return in_posts and not in_votes if is_raw else in_votes


def _z(change: float, count: float) -> float:
    return abs(change) / sqrt(0.45 / count + 0.02**2)


def _split(who: Public, fired: tuple[Voices, Voices]) -> dict[str, tuple[Sums, Sums]]:
    """The sums by dimension, before and now, of the votes or posts in which the change was seen."""
    before, now = fired
    return {"source": (_sums(before.source, before.score, who.sources), _sums(now.source, now.score, who.sources)),
            "language": (_sums(before.language, before.score, LANGUAGES), _sums(now.language, now.score, LANGUAGES))}


def _sums(segment: Ints, score: Floats, names: Sequence[str]) -> dict[str, Amount]:
    return {name: _amount(score[segment == at]) for at, name in enumerate(names) if (segment == at).any()}


def _amount(score: Floats) -> Amount:
    return len(score), float(score.sum())


def _said(rng: Rng, who: Public, votes: Voices, sign: int, topic: str) -> list[Said]:
    """At most 400 votes of one polarity, with the texts that go with them."""
    found: list[Said] = []
    for at in rng.permutation(np.flatnonzero(votes.polarity == sign))[:400].tolist():
        language = LANGUAGES[votes.language[at]]
        is_named = rng.random() < (0.85 if votes.topical[at] else 0.02)
        words = _words(rng, language, sign, JARGON[who.sources[votes.source[at]]].split(), topic if is_named else "")
        key, author = int(rng.integers(2**63)), int(rng.integers(4000))
        cluster = found[-1].cluster if found and rng.random() < 0.02 else key
        found.append(Said(f"demo:{key:016x}", author, " ".join(words), cluster, float(votes.score[at])))
    return found


def _words(rng: Rng, language: str, sign: int, jargon: list[str], topic: str) -> list[str]:
    """A text: what is said of the brand, in no order."""
    told = _some(rng, FILLERS[language], 2, 6) + _some(rng, GENERAL[language], 2, 6)
    told += _some(rng, LEANING[language, sign if rng.random() < 0.9 else -sign], 1, 4)
    told += [topic] if topic else []
    told += [str(rng.choice(jargon))] if rng.random() < 0.2 else []
    told += [f"@u{rng.integers(99)}"] if rng.random() < 0.2 else []
    told += [f"https://x.id/{rng.integers(9)}"] if rng.random() < 0.1 else []
    told += [str(rng.integers(60))] if rng.random() < 0.1 else []
    told = [told[at] for at in rng.permutation(len(told))]
    return ["Kopi Arunika", *told] if rng.random() < 0.7 else [*told, "#arunika!!"]


def _some(rng: Rng, text: str, low: int, high: int) -> list[str]:
    """At least `low` and fewer than `high` words of a list, the first ones oftenest (Zipf)."""
    choices, edges = _zipf(text)
    return [choices[at] for at in np.searchsorted(edges, rng.random(rng.integers(low, high))).tolist()]


@cache
def _zipf(text: str) -> tuple[list[str], Floats]:
    choices = [word.replace("+", " ") for word in text.split()]
    edges = np.cumsum(1 / np.arange(3, len(choices) + 3))
    return choices, np.asarray(edges / edges[-1])


def told(said: Incident) -> tuple[Cause, ...]:
    """The reasons, the first one first."""
    found = terms(said.now, said.before, BRAND)
    return causes(said.votes, said.posts, carried(said.now, said.before, found, said.polar))


def is_right(said: Incident) -> bool:
    """Whether the planted cause is told first; where there is none, whether none is told for half of the change."""
    ranking = told(said)
    if said.kind == "none":
        return all(cause.share < 0.5 for cause in ranking)
    return bool(ranking) and (said.kind, said.name) == (ranking[0].kind, ranking[0].name)


def judged(kind: str, count: int, seed: int = SEED) -> int:
    """How many of so many incidents of this kind are told rightly."""
    rngs = (np.random.default_rng([seed, (*KINDS, "none").index(kind), number]) for number in range(count))
    return sum(is_right(incident(rng, kind)) for rng in rngs)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927).

    >>> [round(edge, 3) for edge in wilson(95, 100)]
    [0.888, 0.978]
    """
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def main(count: int) -> None:
    """Prints the table."""
    each = count // len(KINDS)
    hits = {kind: judged(kind, each) for kind in KINDS}
    rows = [*((kind, right, each) for kind, right in hits.items()), ("all", sum(hits.values()), each * len(KINDS)),
            ("none", judged("none", each), each)]
    for kind, right, of in rows:
        low, high = wilson(right, of)
        sys.stdout.write(f"{kind:9} {right:4} of {of:4}   {right / of:.3f} [{low:.3f}, {high:.3f}]\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
