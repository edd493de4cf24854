"""Lang: which language a text is in, and whether a model may score it. A model that is not good enough there abstains.

The detector is eldc (ELD's n-grams, in C). Of the dev rows may be scored, by a card that names id and en
(`models/recipes/languages.py`):

    texts                       nothing declared   own language declared   English declared
    English tweets                     99.7 %              99.7 %               99.7 %
    Indonesian reviews                 99.6 %             100.0 %               99.9 %
    ar de es fr it pt tweets            0-5 %               0-0.3 %              0-13 %
    Hindi tweets (romanised)             64 %                 0 %                 75 %
    ten regional languages            59-99 %                 0 %               59-99 %

Others are no surer and slower: eldc 9 us a text, py3langid 302 us (id 93-100 %, en 98-100 %), lingua in its
low-accuracy mode 677 us (94-100 %, 98-100 %), on one core; a third to a half of romanised Hindi is English to each.

What it cannot do, and what is done about it:
- It has one class, `ms`, for Malay, Indonesian and their neighbours (jv su min ban bjn at 0.94 to 0.99). It is read as
  `id`; a *declared* language of that family stands.
- It takes romanised Hindi for English. So a declared language that the model does not know wins over a detected `en`.
- Where it is unsure (`reliable` is false), a declared language is believed, except a declared English from five words
  on: that is every phone's default, and a fifth of Portuguese posts would pass by it. Without a declaration a class
  that the model knows is taken, and of fewer words anything else is left open, as `und`.
- Emoji, links and handles alone have no language: `und`, and no score, unless a language is declared. A model can guess
  a mood from an emoji, but its card gives figures for sentences.

Knows nothing of models beyond their card.
"""

import re
from dataclasses import dataclass

from models.score import Card

UNKNOWN = "und"
# Languages that eldc takes for its class `ms`.
MALAY_LIKE = frozenset({"id", "ms", "jv", "su", "min", "ban", "bjn", "ace", "bug", "mad", "nij", "bbc"})
# What sources say, and what is meant: the code of 1989, ISO 639-2, Indonesian written by name.
ALIASES = {"in": "id", "ind": "id", "eng": "en", "may": "ms", "msa": "ms", "zsm": "ms", "jav": "jv", "jw": "jv",
           "sun": "su"}
_NO_WORD = re.compile(r"https?://\S+|www\.\S+|@\w+|&#?\w+;|[#_\d\x00\ud800-\udfff]+", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
# A platform that says one of these says nothing.
_SILENT = frozenset({"", UNKNOWN, "mul", "zxx", "qme", "qht", "qam", "qst", "art", "mis"})
FEW_WORDS = 5
LOOKED_AT = 1_000  # characters; more adds time, not certainty


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lang`: ISO 639 code or `und`. `known`: it may be scored; else `reason` is `no_words`, `unsure` or `language`."""

    lang: str
    known: bool
    reason: str | None


class Languages:
    """The judge for one model. For one thread at a time."""

    def __init__(self, card: Card) -> None:
        """`card.languages` says what the model may score; empty means everything that has words."""
        import eldc

        eldc.init()
        self._detect = eldc.detect_details
        self._known = frozenset(card.languages)

    def judge(self, text: str, declared: str | None) -> Verdict:
        """The language of a text; `declared` is what its source says (a code such as `id`, `en-GB`), if anything."""
        said = base_code(declared)
        bare = _NO_WORD.sub(" ", text[:LOOKED_AT])
        if not _LETTER.search(bare):
            return self._verdict(said, "no_words")
        seen = self._detect(bare)
        found = "id" if seen.language == "ms" else seen.language
        few = len(bare.split()) < FEW_WORDS
        if not seen.reliable and (few or said not in (None, "en")):
            if said is None and not self._may(found):
                return Verdict(UNKNOWN, False, "unsure")
            return self._verdict(said or found, "language")
        return self._verdict(self._settled(found, said), "language")

    def _settled(self, found: str, said: str | None) -> str:
        """What a sure detector found, against what was declared."""
        if said is None or said == found:
            return found
        if (found == "id" and said in MALAY_LIKE) or (found == "en" and not self._may(said)):
            return said
        return found

    def _may(self, lang: str) -> bool:
        return lang != UNKNOWN and (not self._known or lang in self._known)

    def _verdict(self, lang: str | None, reason: str) -> Verdict:
        if lang is None:
            return Verdict(UNKNOWN, False, reason)
        known = self._may(lang)
        return Verdict(lang, known, None if known else "language")


def base_code(declared: str | None) -> str | None:
    """The language of a tag, in the shortest code; None if it says nothing.

    >>> base_code("en-GB"), base_code("in"), base_code("und")
    ('en', 'id', None)
    """
    code = re.split("[-_]", (declared or "").strip().lower(), maxsplit=1)[0]
    return None if code in _SILENT else ALIASES.get(code, code)
