"""No decoder of a source raises, whatever comes. A few seconds' worth; `python -m tests.fuzz` goes on for longer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

NESTS = (b"[", b'{"a":', b"<p>", b"<a ", b"&#", b'"', b"\\ud83d", b"\xff", b"9", b"\r\n", b"data: ")
EXAMPLES = 250
FOUND = (  # by tests.fuzz, each the shortest form of what once was raised
    ("record", b'file:0123456789abcdef\n{"id":"file:0123456789abcdef","\xe3":1}'),
)


def mutated(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Good bytes, and what becomes of them when they are cut, spliced, flipped, or filled with what nests."""
    seed = st.sampled_from(seeds)
    share = st.floats(0, 1)

    def flipped(data: bytes, flips: list[tuple[float, int]]) -> bytes:
        changed = bytearray(data)
        for where, to in flips:
            changed[int(where * (len(changed) - 1))] = to
        return bytes(changed)

    def spliced(one: bytes, other: bytes, cut: float, cut_other: float) -> bytes:
        return one[:int(cut * len(one))] + other[int(cut_other * len(other)):]

    def filled(data: bytes, where: float, nest: bytes, times: int) -> bytes:
        at = int(where * len(data))
        return data[:at] + nest * times + data[at:]

    return st.one_of(
        seed,
        st.binary(max_size=200),
        st.builds(flipped, seed, st.lists(st.tuples(share, st.integers(0, 255)), min_size=1, max_size=8)),
        st.builds(lambda data, cut: data[:int(cut * len(data))], seed, share),
        st.builds(spliced, seed, seed, share, share),
        st.builds(filled, seed, share, st.sampled_from(NESTS), st.sampled_from((1, 2, 50, 3000))),
    )


@pytest.mark.parametrize("name", TARGETS)
def test_returns_whatever_comes(name: str) -> None:
    """Mutations of good bytes, and any bytes: each is read, or refused."""
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated(target.seeds))
    def run(data: bytes) -> None:
        target.run(data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_starts_with_what_is_good(name: str) -> None:
    """A seed that is refused at once would leave all that stands behind the refusal alone."""
    target = TARGETS[name]
    assert any([target.run(seed) for seed in target.seeds])  # noqa: C419 - all of them


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_bears_what_was_found(name: str, data: bytes) -> None:
    """What once ended a worker is refused."""
    assert not TARGETS[name].run(data)
