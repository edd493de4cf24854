"""Posts and brands to measure with: the demo's public, each text once; and many brands that it never names."""

from collections.abc import Iterator
from random import Random

from streams.heart.brands import Brands
from streams.heart.errors import BadPost
from streams.heart.post import Post, decode
from streams.sources.public import SOURCE, Public

SOURCES = frozenset({SOURCE})


def distinct(count: int, brands: Brands) -> list[Post]:
    """So many posts of the demo's public, each of which costs the embedded model one text: matched, of a language that
    it knows, and unlike all others."""
    from models.lang import Languages
    from models.registry import EMBEDDED, card_of
    from models.text import normalise

    languages = Languages(card_of(EMBEDDED, ""))
    seen: set[str] = set()
    out: list[Post] = []
    for post in _said():
        text = normalise(post.text)
        if text not in seen and brands.of(post) and languages.judge(post.text, post.lang).known:
            seen.add(text)
            out.append(post)
            if len(out) == count:
                break
    return out


def _said() -> Iterator[Post]:
    for happening in Public(seed=1):
        try:
            said = decode(happening.key, happening.value, SOURCES)
        except BadPost:
            continue
        if isinstance(said, Post) and not said.rev:
            yield said


def strangers(count: int) -> str:
    """A brand file of so many brands, none of which the public knows, as TOML."""
    rng = Random(1)
    lines = ["number = 1", "published = 2019-12-31T00:00:00Z"]
    for number in range(count):
        first, second = _word(rng), _word(rng)
        phrases = f"{first} {second}", f"#{first}{second}*", f"@{first}{number}"
        lines.append(f'[[brand]]\nname = "b{number}"\nany = {list(phrases)}')
    return "\n".join(lines) + "\n"


def _word(rng: Random) -> str:
    return "".join(rng.choice("bdgklmnprstvz") + rng.choice("aeiou") for _ in range(3))
