"""Batch: which texts are scored together. Pure policy; knows nothing of texts, tokenizers or models."""

from collections.abc import Sequence


def plan(lengths: Sequence[int], max_tokens: int, max_posts: int) -> list[list[int]]:
    """Every index exactly once, in batches of neighbours by length.

    A batch costs its longest text times its count (that is what padding does); it holds at most `max_posts` texts and
    at most `max_tokens` padded tokens, except that a longer text stands alone. Raises ValueError for a cap under 1.

    >>> plan([3, 9, 3, 4], max_tokens=10, max_posts=8)
    [[0, 2], [3], [1]]
    """
    if max_tokens < 1 or max_posts < 1:
        raise ValueError(f"max_tokens={max_tokens}, max_posts={max_posts}: expected at least 1")
    batches: list[list[int]] = []
    room = 0
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Lengths rise, so the text that comes last decides what the whole batch costs.
        if room == 0 or (len(batches[-1]) + 1) * lengths[at] > max_tokens:
            batches.append([])
            room = max_posts
        batches[-1].append(at)
        room -= 1
    return batches
