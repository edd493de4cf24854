r"""Server-sent events: the bytes of a stream in, its events out, however the network cut them.

    event: update⏎
    data: {"id": "1"}⏎
    ⏎

Lines end with CR, LF or both; several `data` lines are one text with LF between them; `id` and `retry` say nothing that
we use, and neither does a field that nobody knows. A line that begins with a colon is a comment: a sign of life, which
is no event but is counted in `heartbeats`. An event that is too large is a `Refused` in its place, and is not kept
meanwhile.
Knows nothing of HTTP, or of what the data mean.
"""

from typing import NamedTuple

from streams.heart.errors import Reason
from streams.sources.contract import Refused
from streams.sources.reader import MAX_EVENT

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. Without an `event` line its name is "message"."""

    name: str
    data: bytes


class EventStream:
    r"""One stream, from its first byte to its last. What stands after the last blank line is no event yet.

    >>> stream = EventStream()
    >>> stream.feed(b": hello\nevent: put\nda"), stream.heartbeats
    ([], 1)
    >>> stream.feed(b"ta: 1\ndata: 2\n\n")
    [Event(name='put', data=b'1\n2')]
    """

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self.heartbeats = 0  # comment lines so far
        self._limit = limit
        self._rest = bytearray()  # of a line that has not ended
        self._after_cr = False  # an LF that comes next belongs to it
        self._started = False
        self._size = 0  # bytes of the event that has not ended: of its data, or, once it is too large, of all its lines
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[Event | Refused]:
        """The events that end within these bytes."""
        if not data:
            return []
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        events: list[Event | Refused] = []
        for line in data.splitlines(keepends=True):
            part = line.rstrip(b"\r\n")
            self._append(part)
            if len(part) < len(line):
                self._end_line(events)
        return events

    @property
    def _is_long(self) -> bool:
        return self._size > self._limit

    def _append(self, part: bytes) -> None:
        if self._is_long or self._size + len(self._rest) + len(part) > self._limit:
            self._size += len(self._rest) + len(part)
            self._rest[:] = b"-" if self._rest or part else b""  # all that matters is whether the line is blank
            self._size -= len(self._rest)
            self._data.clear()
        else:
            self._rest += part

    def _end_line(self, events: list[Event | Refused]) -> None:
        line = bytes(self._rest)
        self._rest.clear()
        if not self._started:
            line, self._started = line.removeprefix(_BOM), True
        if not line:
            self._end_event(events)
        elif line.startswith(b":"):
            self.heartbeats += 1
        elif not self._is_long:
            self._field(line)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._name = value
        elif name == b"data":
            self._data.append(value)
            self._size += len(value) + 1

    def _end_event(self, events: list[Event | Refused]) -> None:
        if self._is_long:
            events.append(Refused(Reason.TOO_LARGE, f"{self._size} bytes"))
        elif self._data:
            events.append(Event(self._name.decode(errors="replace") or "message", b"\n".join(self._data)))
        self._name, self._size = b"", 0
        self._data.clear()
