"""Server-sent events: whatever the cuts, the same events."""

from hypothesis import given
from hypothesis import strategies as st

from streams.heart.errors import Reason
from streams.sources.contract import Refused
from streams.sources.sse import Event, EventStream

LINES = (b"event: put", b"event:patch", b"event", b"data: 1", b"data:  two", b"data", b"data:\xff", b": thump", b":",
         b"id: 7", b"retry: 5", b"nonsense", b"", b"", b"\xef\xbb\xbfdata: x")
ENDS = (b"\n", b"\r", b"\r\n")


def read(data: bytes, limit: int = 1000) -> list[Event | Refused]:
    """The events of a whole stream at once."""
    return EventStream(limit).feed(data)


def slowly(data: bytes) -> list[Event]:
    """The same as the specification says it, line by line, for streams without long events."""
    events: list[Event] = []
    values: list[bytes] = []
    name = ""
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in text.split(b"\n")[:-1]:
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if not line:
            events += [Event(name or "message", b"\n".join(values))] if values else []
            name, values = "", []
        elif field == b"event":
            name = value.decode(errors="replace")
        elif field == b"data":
            values.append(value)
    return events


def test_an_event_has_a_name_and_data() -> None:
    """What Mastodon sends is read as it is meant."""
    stream = EventStream()
    events = stream.feed(b':)\nevent: update\ndata: {"id":"1"}\n\n:thump\nevent: delete\ndata: 1\n\n')
    assert [Event("update", b'{"id":"1"}'), Event("delete", b"1")] == events
    assert 2 == stream.heartbeats


def test_an_event_without_a_name_is_a_message() -> None:
    """And one without data is none."""
    assert [Event("message", b"1")] == read(b"data: 1\n\nevent: put\n\n")


def test_an_event_that_has_not_ended_is_none() -> None:
    """It may have been cut off in the middle."""
    assert [] == read(b"data: 1\n")


@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(ENDS)), max_size=20), st.integers(1, 7))
def test_cuts_change_nothing(lines: list[tuple[bytes, bytes]], size: int) -> None:
    """However the network cuts a stream, its events are those of the specification."""
    data = b"".join(line + end for line, end in lines)
    stream = EventStream(1000)
    cut = [event for at in range(0, len(data), size) for event in stream.feed(data[at:at + size])]
    assert slowly(data) == cut
    assert cut == read(data)


@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_bytes_are_read(data: bytes, limit: int) -> None:
    """Nothing raises, and no event is longer than it may be."""
    for event in read(data, limit):
        assert isinstance(event, Refused) or len(event.data) <= limit


def test_an_event_that_is_too_large_is_refused_in_its_place() -> None:
    """Those before and after it are whole, and it is not kept while it comes."""
    stream = EventStream(100)
    events = stream.feed(b"data: 1\n\ndata: ")
    for _ in range(1000):
        events += stream.feed(b"x" * 1000)
    assert len(stream._rest) <= 100
    events += stream.feed(b"\nid: 7\n\ndata: 2\n\n")
    assert [Event("message", b"1"), Event("message", b"2")] == [events[0], events[2]]
    assert isinstance(events[1], Refused)
    assert Reason.TOO_LARGE is events[1].reason


def test_many_lines_are_too_large_as_one_is() -> None:
    """The limit is the event's, not the line's."""
    events = EventStream(100).feed(b"data: 1234567890\n" * 20 + b"\ndata: 2\n\n")
    assert [Refused, Event] == [type(event) for event in events]
