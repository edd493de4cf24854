"""Errors, by whose move is next.

    DenyutError
    ├── BadPost         the producer's move: the post is rejected with a reason and counted, the worker goes on
    ├── BadSetting      the user's move: the start is refused, exit code 2
    │   └── BadBrands   the same, for the brand file
    ├── LostBroker      nobody's move: wait and try again
    └── BrokenPromise   ours: the process stops, loudly, exit code 1

Knows nothing of how an error is shown. No message ever holds the text of a post.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum


class Reason(StrEnum):
    """Why a record of `denyut.posts` is no post. A fixed list: these are metric labels."""

    NO_KEY = "no_key"
    BAD_KEY = "bad_key"  # not UTF-8, too long, or not `source:hash`
    KEY_IS_NOT_ID = "key_is_not_id"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NEWER_SCHEMA = "newer_schema"
    UNKNOWN_SOURCE = "unknown_source"
    BAD_TIME = "bad_time"
    BAD_TEXT = "bad_text"  # lone surrogates, NUL, nothing visible, too much invisible, marks heaped on one letter
    TOO_LONG = "too_long"
    BAD_TICK = "bad_tick"
    POISON = "poison"  # the model fails on this text, and on this text alone


class DenyutError(Exception):
    """The root of all errors that Denyut raises on purpose."""


class BadPost(DenyutError):
    """A record that is no post. `detail` names a field or a size, never a value that came from the post."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class BadSetting(DenyutError):
    """A setting that cannot be: names the key, what was seen and what was expected."""


class BadBrands(BadSetting):
    """A brand file that cannot be."""


class LostBroker(DenyutError):
    """Kafka does not answer."""


class BrokenPromise(DenyutError):
    """Something that only our own code can have caused. Going on would make figures wrong."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word, or nothing.

    >>> nearest("brnads", ["brands", "broker"])
    ' (did you mean brands?)'
    >>> nearest("zzz", ["brands"])
    ''
    """
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
