"""Logs: one line per happening on standard error, and never the same line a hundred times a second.

While a broker is away, Kafka clients write 100 to 300 lines a second (with a clean stop 3,900 in one), nearly all of
two sentences. Of each sentence one line in 10 s passes, with the count of those held back.
No line holds the text of a post: clients write records out when they debug, so they are never let to; and of an
exception that is not ours a line says where it came up and of what kind it is, for what it says may quote a post.
Knows nothing of who logs what.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from streams.heart.errors import DenyutError

SPAN_S = 10.0
OFTEN = "denyut.often"  # what we say ourselves for as long as it lasts
NOISY = ("aiokafka", "kafka", OFTEN)
# At debug level these write out what they carry, or a line for every record. What we make of Faust's own parts logs
# under the names of our modules ("DROPPED MESSAGE … v=" and the post); what we say ourselves is "denyut"'s.
CARRIERS = (*NOISY, "faust", "mode", "asyncio", "streams")
CHATTY = "kafka"  # tells of each connection, loop and slow task at info level; what matters of it is a warning
MOST = 1000  # sentences remembered
log = logging.getLogger("denyut")

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"


class _Seen(NamedTuple):
    at_s: float
    held: int


class Sparse(logging.Filter):
    """Lets one line per span and sentence through, of the loggers named and those below them; others always pass.

    A sentence is a message before its values are put in. It belongs on a handler: a logger's own filter does not see
    what its children say.
    """

    def __init__(
        self, names: tuple[str, ...] = NOISY, span_s: float = SPAN_S, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._heads = tuple(f"{name}." for name in names)
        self._span_s = span_s
        self._now_s = now_s
        self._seen: dict[tuple[str, str], _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line passes; if others like it were held back since the last one, it says how many."""
        if not f"{record.name}.".startswith(self._heads):
            return True
        sentence, now_s = (record.name, str(record.msg)), self._now_s()
        last = self._seen.get(sentence)
        if last is not None and now_s - last.at_s < self._span_s:
            self._seen[sentence] = last._replace(held=last.held + 1)
            return False
        if len(self._seen) >= MOST:  # a library that puts its values in by itself makes every line a new sentence
            self._seen.clear()
        self._seen[sentence] = _Seen(now_s, 0)
        if last is not None and last.held:
            record.msg = f"{record.getMessage()} (and {last.held} more like it)"
            record.args = None
        return True


class Discreet(logging.Formatter):
    """Writes exceptions, and those that led to them, without their messages; our own have words fit to read."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and what somebody else's formatter has left in the record about the exception is not used."""
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """The lines of code, and the kinds."""
        lines, error, seen = list[str](), ei[1], set[int]()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            said = f": {error}" if isinstance(error, DenyutError) else ""
            lines = [*traceback.format_tb(error.__traceback__), f"{type(error).__name__}{said}\n", *lines]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "".join(lines).rstrip()


def _ended(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """What nobody caught ends the process; Python's own way would print what it says."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, at)
    else:
        log.critical("ended by what nobody expected: %s", kind.__name__, exc_info=(kind, error, at))


def _thread_ended(said: threading.ExceptHookArgs) -> None:
    if said.exc_value is not None:
        _ended(said.exc_type, said.exc_value, said.exc_traceback)


def setup(level: str = "info") -> None:
    """Sends everything from `level` (debug, info, warning, error) on to standard error, in UTC. Once per process."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = Discreet(_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(Sparse())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in CARRIERS:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
    logging.getLogger(CHATTY).setLevel(max(logging.WARNING, logging.getLogger().level))


def end_discreetly() -> None:
    """What nobody caught is logged as every exception is, not printed with all that it says. Once per process."""
    sys.excepthook = _ended
    threading.excepthook = _thread_ended
