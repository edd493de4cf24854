"""Logs: one line per happening on standard error, and never the same line a hundred times a second.

While a broker is away, Kafka clients write 100 to 300 lines a second (with a clean stop 3,900 in one), nearly all of
two sentences. Of each sentence one line in 10 s passes, with the count of those held back.
No line holds the text of a post: clients write records out when they debug, so they are never let to.
Knows nothing of who logs what.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

SPAN_S = 10.0
OFTEN = "denyut.often"  # what we say ourselves for as long as it lasts
NOISY = ("aiokafka", "kafka", OFTEN)
# At debug level these write out what they carry, or a line for every record.
CARRIERS = (*NOISY, "faust", "mode", "asyncio")
CHATTY = "kafka"  # tells of each connection, loop and slow task at info level; what matters of it is a warning
MOST = 1000  # sentences remembered

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


def setup(level: str = "info") -> None:
    """Sends everything from `level` (debug, info, warning, error) on to standard error, in UTC. Once per process."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(Sparse())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in CARRIERS:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
    logging.getLogger(CHATTY).setLevel(max(logging.WARNING, logging.getLogger().level))
