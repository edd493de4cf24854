"""Batches: every text once, none too heavy, neighbours alike."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.batch import plan

lengths = st.lists(st.integers(0, 300), max_size=200)
caps = st.integers(1, 500)


@given(lengths, caps, st.integers(1, 40))
def test_every_text_is_scored_exactly_once(lengths: list[int], max_tokens: int, max_posts: int) -> None:
    """Whatever the caps, the batches are a partition of the texts."""
    assert sorted(at for batch in plan(lengths, max_tokens, max_posts) for at in batch) == list(range(len(lengths)))


@given(lengths, caps, st.integers(1, 40))
def test_no_batch_is_heavier_than_the_caps(lengths: list[int], max_tokens: int, max_posts: int) -> None:
    """Padded to its longest, a batch stays under the token cap, or is one long text alone."""
    for batch in plan(lengths, max_tokens, max_posts):
        assert len(batch) <= max_posts
        assert len(batch) == 1 or len(batch) * max(lengths[at] for at in batch) <= max_tokens


@given(lengths, caps, st.integers(1, 40))
def test_batches_rise_in_length(lengths: list[int], max_tokens: int, max_posts: int) -> None:
    """Sorted by length, so that padding is least."""
    order = [lengths[at] for batch in plan(lengths, max_tokens, max_posts) for at in batch]
    assert order == sorted(lengths)


@given(lengths, caps, st.integers(1, 40))
def test_no_batch_ends_early(lengths: list[int], max_tokens: int, max_posts: int) -> None:
    """The next text is left for the next batch only when it would break a cap."""
    batches = plan(lengths, max_tokens, max_posts)
    for one, following in pairwise(batches):
        assert len(one) == max_posts or (len(one) + 1) * lengths[following[0]] > max_tokens


@pytest.mark.parametrize(("max_tokens", "max_posts"), [(0, 1), (1, 0)])
def test_a_cap_under_one_is_refused(max_tokens: int, max_posts: int) -> None:
    """It could not hold a text."""
    with pytest.raises(ValueError, match="at least 1"):
        plan([1], max_tokens, max_posts)
