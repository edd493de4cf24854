"""Sayings: the words of the demo's public, put together from packaged phrases.

A saying has a brand, a language and a lean; the lean is what the writer meant, not what a model will make of it.
Everything is drawn from the `random.Random` that the caller hands in. Reads `streams/demo/texts.toml` and
`reviews.jsonl` once, in `load`. Knows nothing of time, posts or authors.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from random import Random
from typing import Any

import msgspec

_SLOT = re.compile(r"\{(place|when|n|h)\}")
_BRAND = "\x00"  # stands for the brand while a saying is roughened, so that no name is ever misspelt
_SHORT = {"banget": "bgt", "yang": "yg", "tidak": "tdk", "dengan": "dgn", "sudah": "udah", "sama": "sm", "terus": "trs"}


class Lean(StrEnum):
    """What the writer of a saying feels."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


@dataclass(frozen=True, slots=True)
class Subject:
    """A brand as the public sees it: how it is called, how much and how well it is talked of."""

    name: str
    trade: str
    weight: float  # share of the talk, relative to the others
    base: float  # where its mood rests, -1 to +1
    reviews: float  # share of its Indonesian posts that are product reviews
    spoken: tuple[str, ...]  # ways to say it; the first are used most


class Sayings:
    """All phrases, ready to be drawn from."""

    def __init__(self, texts: Mapping[str, Any], reviews: Mapping[Lean, Sequence[str]]) -> None:
        self._texts = texts
        self._reviews = reviews
        self._places: list[str] = texts["places"]
        self.subjects = tuple(
            Subject(b["name"], b["trade"], b["weight"], b["base"], b["reviews"], tuple(b["spoken"]))
            for b in texts["brand"]
        )
        # Brand -> what a crisis of it is about: every phrase holds one of these words.
        self.topics = {brand: tuple(crisis["topic"]) for brand, crisis in texts["crisis"].items()}
        self.campaigns = tuple(texts["campaign"])  # brands

    @classmethod
    def load(cls) -> "Sayings":
        """The packaged phrases and reviews."""
        folder = files("streams") / "demo"
        reviews: dict[Lean, list[str]] = {lean: [] for lean in Lean}
        for line in (folder / "reviews.jsonl").read_bytes().splitlines():
            row = msgspec.json.decode(line, type=dict[str, str])
            reviews[Lean(row["lean"])].append(row["text"])
        return cls(tomllib.loads((folder / "texts.toml").read_text("utf-8")), reviews)

    def say(self, rng: Random, subject: Subject, lang: str, lean: Lean, *, on_topic: bool = False) -> str:
        """One saying about a brand, in `id` or `en`; `on_topic`: about what is wrong with it in a crisis."""
        words = self._texts[lang]
        told = words[lean]
        phrases = self._texts["crisis"][subject.name][lang] if on_topic else words[subject.trade]
        text = _upper_first(rng.choice(told["frames"]).replace("{x}", rng.choice(phrases[lean])))
        if rng.random() < 0.35:
            opener = rng.choice(told["openers"])
            text = f"{opener} {_lower_first(text) if opener.endswith(',') else text}"
        if rng.random() < 0.55:
            text = f"{text} {rng.choice(told['closers'])}"
        return self._finish(rng, text, subject, lang)

    def review(self, rng: Random, subject: Subject, lean: Lean) -> str:
        """One Indonesian product review beside a brand; a neutral lean has none, so it is a plain saying."""
        if not self._reviews[lean]:
            return self.say(rng, subject, "id", lean)
        tag = subject.name.replace("-", "")
        frame = rng.choice(self._texts["reviews"]["frames"]).replace("{tag}", tag)
        return self._finish(rng, frame.replace("{r}", rng.choice(self._reviews[lean])), subject, "id")

    def slogan(self, rng: Random, brand: str, *, evading: bool) -> tuple[str, str]:
        """A language and one of the few texts of a campaign; `evading`: with a word of one's own somewhere in it."""
        campaign = self._texts["campaign"][brand]
        text = str(rng.choice(campaign["texts"]))
        if evading:
            words = text.split(" ")
            words.insert(rng.randrange(1, len(words)), rng.choice(campaign["spice"]))
            return campaign["lang"], " ".join(words)
        if rng.random() < 0.3:  # what hides a copy from nobody
            text = f"{text.upper() if rng.random() < 0.3 else text} {rng.choice(['🔥', '!!', '😡', ''])}".rstrip()
        return campaign["lang"], text

    def both(self, rng: Random, subjects: tuple[Subject, Subject], lang: str, lean: Lean) -> str:
        """A saying about one brand that names another beside it."""
        beside = {"id": "Bandingin sama {b} juga.", "en": "Comparing with {b} too."}[lang]
        return f"{self.say(rng, subjects[0], lang, lean)} {beside.replace('{b}', subjects[1].spoken[0])}"

    def foreign(self, rng: Random, subject: Subject) -> tuple[str, str]:
        """A language that nobody promised to understand, and a saying in it."""
        lang = rng.choice(sorted(self._texts["foreign"]))
        text = self._slots(rng, rng.choice(self._texts["foreign"][lang]), "en")
        return lang, text.replace("{b}", subject.spoken[0])

    def other(self, rng: Random) -> tuple[str, str]:
        """A language and a saying about nothing that is listened to."""
        lang = "id" if rng.random() < 0.7 else "en"
        return lang, self._slots(rng, rng.choice(self._texts["other"][lang]), lang)

    def _finish(self, rng: Random, text: str, subject: Subject, lang: str) -> str:
        """Fill the slots, write it as people do, and put the brand in last."""
        text = _roughen(rng, self._slots(rng, text.replace("{b}", _BRAND), lang), lang)
        # Squaring prefers the first ways of saying it.
        spoken = subject.spoken[int(len(subject.spoken) * rng.random() ** 2)]
        return text.replace(_BRAND, spoken)

    def _slots(self, rng: Random, text: str, lang: str) -> str:
        def fill(slot: re.Match[str]) -> str:
            match slot[1]:
                case "place":
                    return rng.choice(self._places)
                case "when":
                    return str(rng.choice(self._texts[lang]["when"]))
                case "n":
                    return str(rng.randint(2, 9))
                case _:
                    return str(rng.randint(7, 18))

        return _SLOT.sub(fill, text)


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower_first(text: str) -> str:
    """The English I stays what it is."""
    return text if text.startswith("I ") else text[:1].lower() + text[1:]


def _roughen(rng: Random, text: str, lang: str) -> str:
    """Small letters, short forms, stretched vowels: nobody writes like a template."""
    if lang == "id" and rng.random() < 0.3:
        text = re.sub(r"[a-z]+", lambda word: _SHORT.get(word[0], word[0]), text)
    if rng.random() < 0.35:
        text = text.lower()
    elif rng.random() < 0.02:
        text = text.upper()
    if rng.random() < 0.08:
        text = re.sub(r"([aeiou])([a-z]?)(?=[ .,!]|$)", lambda m: m[1] * rng.randint(3, 5) + m[2], text, count=1)
    return text
