"""Terms: words that are said more since the onset, the posts that say them best, how much of the change is theirs.

Log-odds with an informative Dirichlet prior (Monroe, Colaresi, Quinn 2008, "Fightin' Words"), authors as units: whoever
says a word says it once. Each text counts once too, so a pasted text has no more terms than one person has. A word that
fewer than five authors use is never told: that would be somebody's text.
Knows nothing of Kafka or where texts are read from; keeps nothing of them. Splits words at spaces and punctuation, so
languages written without spaces have no terms.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from math import log, sqrt
from typing import NamedTuple

from streams.heart.incident import Term
from streams.heart.post import COMBINING, id64, visible
from streams.heart.reasons import Carried

FEWEST_AUTHORS = 5
LEAST_Z = 3.0
MOST_TERMS = 10
# The background's weight, in authors. Of 40 authors on either side let 45 % say a word now and 0.5 % before: it has
# z > 3 in 91 % of draws, and of 3,000 words said as before fewer than 0.2 an incident pass. With terms as units and a
# weight of 500 to 2,000, usual for two large corpora, it has so in 0 to 41 %.
PRIOR = 10.0  # but at most half of those who spoke before
CONFIDENT = 0.6  # of |score| = |p(positive) - p(negative)|: a p above 0.8 never gives less
EXEMPLARS = 3
SHORT = 8  # words: below it a post is not better for being shorter

# Words that hold sentences together. Negations are not among them: "belum masuk" and "not working" say something.
_INDONESIAN = """
ada adalah agar aja aku akan apa atau banget bgt biar bisa buat dah dan dari deh dengan dgn di dia dong gini gitu gue
gw ini itu jadi jd juga kalau kalo kami kamu karena ke kita kl klo kok krn lagi lg lo lu masih mau mereka nya oleh pada
para pun sama saja saya si sih sudah tapi tp udah untuk utk ya yang yg
"""
_ENGLISH = """
a about all am an and any are as at be been but by can did do does for from get got had has have he here how i if im in
is it its ive just me more my of on or our out really she so some than that the their them then there these they this
those to too up very was we were what when who will with would you your
"""
STOP = frozenset((_INDONESIAN + _ENGLISH).split())

# Handles, mail, links, names of hosts; two words with a dot and no space between are lost with them.
_ADDRESS = re.compile(r"@|://|\w\.\w[\w-]")
_WORD = re.compile(rf"[\w{COMBINING}]+|[^\w{COMBINING}\s'’#_-]+")
_STRETCHED = re.compile(r"(.)\1{2,}")


class Said(NamedTuple):
    """One voting post: its key, its author and its text's near-duplicate cluster (hashes), its text, its score."""

    key: str
    author: int
    text: str
    cluster: int
    score: float


def words(text: str) -> list[str]:
    """The text's words in order; "" stands for all else: a handle, a link, a number, a mark, a joining word.

    >>> words("@budi Refund-nya lamaaa!! cek https://x.id/1 dan 3 jam")
    ['', 'refund', '', 'lama', '', 'cek', '', '', '', 'jam']
    """
    plain = _STRETCHED.sub(r"\1", unicodedata.normalize("NFKC", visible(text)).casefold())
    if _ADDRESS.search(plain):
        plain = " ".join("." if _ADDRESS.search(spaced) else spaced for spaced in plain.split())
    return [word if len(word) > 1 and word not in STOP and (word.isalpha() or _is_mixed(word)) else ""
            for word in _WORD.findall(plain)]


def _is_mixed(word: str) -> bool:
    """Whether it is a word with digits or combining signs in it, and not rather a number."""
    return word[0].isalpha() and sum(map(str.isdigit, word)) < 4


def _grams(text: str, ignored: Collection[str] = ()) -> set[str]:
    """The words of a text, and its pairs of neighbours."""
    row = [word if word not in ignored else "" for word in words(text)]
    pairs = {f"{a} {b}" for a, b in pairwise(row) if a and b and a != b}
    return pairs | {word for word in row if word}


def terms(now: Sequence[Said], before: Sequence[Said], ignored: Collection[str] = ()) -> tuple[Term, ...]:
    """At most ten words or pairs that are said more `now` than `before`, the surest first. Any order of posts will do.

    `ignored`: the brand's own names, phrases as in a brand file; every post of either side holds them. A pair is told
    only if it is surer than both of its words.

    >>> now = [Said(f"x:{n}", n, f"refund saya {n} hari belum masuk {n}", n, -0.8) for n in range(12)]
    >>> before = [Said(f"x:{n}", n, "antre lama hari ini", n, -0.6) for n in range(100, 200)]
    >>> [term.term for term in terms(now, before)]
    ['belum', 'masuk', 'refund']
    """
    names = frozenset(word for phrase in ignored for word in words(phrase) if word)
    now, before = _unlike(now), _unlike(before)
    said, then = _authors(now, names), _authors(before, names)
    n1, n2 = (len({post.author for post in posts}) for posts in (now, before))
    z = {term: _z((len(who), n1), (len(then.get(term, ())), n2)) for term, who in said.items()
         if len(who) >= FEWEST_AUTHORS and n2}
    told = [Term(term, round(value, 2), len(said[term])) for term, value in z.items()
            if value > LEAST_Z and all(z.get(word, 0.0) < value for word in _beneath(term))]
    return tuple(sorted(told, key=lambda term: (-term.z, term.term))[:MOST_TERMS])


def _beneath(term: str) -> list[str]:
    return term.split() if " " in term else []


def _unlike(posts: Sequence[Said]) -> list[Said]:
    """One post of each text, that of the smallest key."""
    return list({post.cluster: post for post in sorted(posts, reverse=True)}.values())


def _authors(posts: Iterable[Said], ignored: Collection[str]) -> dict[str, set[int]]:
    """Who uses which term."""
    found: dict[str, set[int]] = {}
    for post in posts:
        for term in _grams(post.text, ignored):
            found.setdefault(term, set()).add(post.author)
    return found


def _z(now: tuple[int, int], before: tuple[int, int]) -> float:
    """Log-odds ratio over its standard deviation; (authors who say it, all authors) on both sides."""
    prior = min(PRIOR, before[1] / 2)
    background = prior * (now[0] + before[0] + 0.5) / (now[1] + before[1] + 1)  # never nobody, never everybody
    cells = [(said + background, of + prior - said - background) for said, of in (now, before)]
    (yes, no), (yes0, no0) = cells
    return (log(yes / no) - log(yes0 / no0)) / sqrt(1 / yes + 1 / no + 1 / yes0 + 1 / no0)


def exemplars(now: Sequence[Said], found: Sequence[Term], confident: float = CONFIDENT) -> tuple[str, ...]:
    """The keys of the three posts that say it best: most z of terms to a word, one for each author and each text.

    Only scores of at least `confident`, either way. Without any term, three of those by the hash of their keys.

    >>> posts = [Said("x:1", 1, "refund lama", 1, -0.9), Said("x:2", 2, "antre", 2, -0.9)]
    >>> exemplars([*posts, Said("x:3", 3, "refund!", 3, -0.2)], [Term("refund", 5.0, 9)])
    ('x:1',)
    """
    weight = {term.term: term.z for term in found}
    rank = sorted((-value, id64(post.key), post) for post in now
                  if abs(post.score) >= confident and ((value := _weight(post.text, weight)) or not weight))
    return tuple(post.key for post in _apart(post for _, _, post in rank))


def _weight(text: str, weight: dict[str, float]) -> float:
    return sum(weight.get(term, 0.0) for term in sorted(_grams(text))) / max(len(words(text)), SHORT)


def _apart(posts: Iterable[Said]) -> Iterator[Said]:
    """The first few with no author and no text twice."""
    authors: set[int] = set()
    texts: set[int] = set()
    for post in posts:
        if post.author not in authors and post.cluster not in texts and len(authors) < EXEMPLARS:
            yield post
            authors.add(post.author)
            texts.add(post.cluster)


def carried(now: Sequence[Said], before: Sequence[Said], found: Sequence[Term], polar: float) -> tuple[Carried, ...]:
    """What each term's posts carry. `polar`: the share of all votes since the onset that are of `now`'s polarity.

    Were it only that more is complained of, each word would be in the same share f of the complaints as before. So its
    own are (f1 - f0)/(1 - f0) of them (Abbott 1925): what it has beyond the growth of the posts without it.

    >>> now = [Said("x:1", 1, "refund lama", 1, -0.9), Said("x:2", 2, "antre", 2, -0.9)]
    >>> carried(now, [], [Term("refund", 5.0, 9)], 0.4)
    (Carried(term='refund', share=0.2, mood=-0.9),)
    """
    texts, then = [_grams(post.text) for post in now], [_grams(post.text) for post in before]
    out = []
    for term in (term.term for term in found):
        scores = [post.score for post, grams in zip(now, texts, strict=True) if term in grams]
        usual = sum(term in grams for grams in then) / max(len(then), 1)
        own = (len(scores) / len(now) - usual) / (1 - usual) if scores and usual < 1 else 0.0
        if own > 0:
            out.append(Carried(term, polar * own, sum(scores) / len(scores)))
    return tuple(out)
