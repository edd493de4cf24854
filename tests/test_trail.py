"""A trail answers as a full list of all frames would."""

from hypothesis import given
from hypothesis import strategies as st

from streams.heart.pane import PANE_MS
from streams.heart.trail import NEVER, Trail

Frames = list[tuple[int, int, int | None]]  # offset, the latest arrival in it, panes closed before it


@st.composite
def logs(draw: st.DrawFn) -> Frames:
    """Frames with rising offsets and rising closed panes; arrivals as they come."""
    offset, closed, out = draw(st.integers(0, 5)), None, []
    for step, arrival, more in draw(st.lists(st.tuples(
            st.integers(1, 3), st.integers(0, 400_000), st.sampled_from([None, 0, 0, 1, 7])), max_size=40)):
        closed = closed if more is None else (closed or 0) + more
        out.append((offset, arrival, closed))
        offset += step
    return out


def noted(frames: Frames) -> Trail:
    """A trail of these."""
    trail = Trail()
    for frame in frames:
        trail.note(*frame)
    return trail


@given(logs(), st.integers(-50_000, 450_000))
def test_no_record_of_an_arrival_stands_before_the_frame_that_it_names(frames: Frames, arrival_ms: int) -> None:
    """And that frame is the first in whose slice of time one may stand, so no more is read than that."""
    since = noted(frames).since(arrival_ms, 10**6)
    assert all(arrival < arrival_ms for offset, arrival, _ in frames if offset < since)
    first = next((offset for offset, arrival, _ in frames if arrival // PANE_MS >= arrival_ms // PANE_MS), 10**6)
    assert since == first


@given(logs(), st.integers(0, 60))
def test_it_knows_what_each_frame_met_closed(frames: Frames, dropped: int) -> None:
    """Also after it has forgotten what lies before, and after a return from its points."""
    trail = noted(frames)
    trail.forget(dropped)
    again = Trail(trail.points)
    for offset, _, closed in frames:
        if offset >= dropped:
            assert trail.closed_at(offset) == again.closed_at(offset) == (NEVER if closed is None else closed)


def test_a_long_log_is_a_short_trail() -> None:
    """Two hours of frames, two a second: a point for each ten seconds."""
    trail = noted([(at, at * 500, at * 500 // PANE_MS - 4) for at in range(14_400)])
    assert len(trail.points) <= 2 * 720 + 1
