"""Text: how a post is normalised before the tokenizer sees it. Training and serving share this one function.

Not to be mixed up with the normalising for brands or near-duplicates: this one keeps what carries mood.
Knows nothing of tokenizers or models.
"""

import html
import re

from models.score import Card

_LINK = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_HANDLE = re.compile(r"@\w+")
_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)
_SHOUT = re.compile(r"\b[A-Z]{4,}\b")
# Variation selectors, joiners, skin tones: they change how an emoji looks, not what it says. Lone surrogates: JSON lets
# them through, no tokenizer does.
_TRIM = re.compile("[\ufe00-\ufe0f\u200b-\u200d\u2060\ufeff\U0001f3fb-\U0001f3ff\ud800-\udfff]")
# A space before an emoji or closing punctuation costs a token of its own.
_LOOSE = re.compile("\\s+(?=[!?.,;:)\\]}\u2600-\u27bf\U0001f300-\U0001faff])")
_SPACE = re.compile(r"\s+")


CHARACTERS_A_TOKEN = 32  # a text is cut before the tokenizer sees it; a word of that length says nothing


def read(text: str, card: Card) -> str:
    """What a model reads of a text, before its tokenizer.

    >>> read("KEREN  banget", Card(name="x", normalised=True)), len(read("a" * 9_999, Card(name="x", max_tokens=10)))
    ('keren banget', 320)
    """
    cut = text[:card.max_tokens * CHARACTERS_A_TOKEN]
    return normalise(cut) if card.normalised else cut


def normalise(text: str) -> str:
    """What the model reads: links as `http`, handles as `@user`, shouting lowered, long runs of a letter cut to three.

    >>> normalise("@budi KEREN bangeeeeet &amp; murah  https://t.co/x \U0001f44d\U0001f3fd")
    '@user keren bangeeet & murah http\U0001f44d'
    """
    text = _TRIM.sub("", html.unescape(text))
    text = _HANDLE.sub("@user", _LINK.sub("http", text))
    text = _SHOUT.sub(lambda word: word.group().lower(), _RUN.sub(r"\1\1\1", text))
    return _LOOSE.sub("", _SPACE.sub(" ", text)).strip()
