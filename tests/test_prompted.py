"""Prompted: what a brand asked for, or said itself, counts in all talk and stands apart in the figures."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.heart.errors import BrokenPromise
from streams.heart.facts import FACT, Floors, Slice, is_prompted
from streams.heart.frame import FLOOR, KINDS, PROMPTED, ROW, Frame, Mark, Names, pack, unpack
from streams.heart.pane import FIELDS, Rows
from streams.heart.tracker import Tracker
from streams.heart.window import Reading, reading

NOW_MS = 1_795_586_400_000
# What the release before this one wrote: three mentions, a post, a reply and a survey's answer.
VERSION_1 = bytes.fromhex("""
444e59540100340000009503009592a46b6f7069a374656891a464656d6f91a2696491a56d6f64656c91a6616c77617973919200cf000001
a2114ba5a09001000000000000000b000000000000001500000000000000001f4a11a2010000001f4a11a201000000000000000000000000
00000000000000008813020000000000000002000000000000000c000000000000001600000000000000011f4a11a2010000011f4a11a201
00000100000000000000000001000000000000003cf6010100000000000003000000000000000d000000000000001700000000000000021f
4a11a2010000021f4a11a2010000020000000000000000000000000000000000d8dc0004000000000000
""")
KIND_AT = VERSION_1.rindex(bytes.fromhex("d8dc0004")) + 3  # where the last row has its kind


def frame(*said: tuple[int, int, int]) -> bytes:
    """A frame of mentions of one brand: (author, score, bits of the kind), a second apart, each a text of its own."""
    rows = np.zeros(len(said), ROW)
    for at, (author, score, kind) in enumerate(said):
        rows[at]["id"], rows[at]["dup"], rows[at]["author"] = at + 1, at + 1000, 3600 * author
        rows[at]["event"] = rows[at]["arrival"] = NOW_MS + 1000 * at
        rows[at]["score"], rows[at]["label"], rows[at]["kind"] = score, 1 + (score > 0) - (score < 0), kind
    names = Names(("kopi",), ("demo",), ("id",), ("model",), ("always",))
    return pack(Frame(names, rows, np.zeros(0, FLOOR), (Mark(0, NOW_MS + 60_000),)))


def read(*frames: bytes) -> Reading:
    """What the hour says of the brand, once these frames are read."""
    tracker = Tracker(0, 1)
    tracker.apply(frames)
    tracker.settle()
    (hour,) = (one for one in tracker.readings() if (one.brand, one.window) == ("kopi", "1h"))
    return hour


def test_unprompted_mood_is_the_mean_of_the_votes_that_the_brand_had_no_hand_in() -> None:
    """All talk is as it was; beside it stands the same without what was prompted."""
    said = read(frame((1, 9000, PROMPTED), (2, 8000, PROMPTED | KINDS.index("reply")), (3, -5000, 0),
                      (4, -1000, KINDS.index("review"))))
    assert (said.mentions, said.votes, said.prompted, said.unprompted_votes) == (4, 4, 2, 2)
    assert said.mood == 0.275
    assert said.unprompted == -0.3
    assert said.unprompted_lower is not None
    assert said.unprompted_upper is not None
    assert said.unprompted_lower < -0.3 < said.unprompted_upper


def test_whose_first_word_of_the_hour_was_prompted_has_no_unprompted_vote() -> None:
    """There is one ballot: the vote was given to the answer, and what is said unasked after it has none."""
    first_prompted = read(frame((1, 9000, PROMPTED), (1, -9000, 0)))
    assert (first_prompted.votes, first_prompted.unprompted_votes, first_prompted.unprompted) == (1, 0, None)
    first_unasked = read(frame((1, -9000, 0), (1, 9000, PROMPTED)))
    assert (first_unasked.votes, first_unasked.unprompted_votes, first_unasked.prompted) == (1, 1, 1)


@pytest.mark.parametrize("bits", [0, PROMPTED])
def test_without_an_unprompted_vote_there_is_no_unprompted_mood(bits: int) -> None:
    """None, never a zero, also where the prompted ones have a mood; without a prompted one both are the same."""
    said = read(frame((1, 9000, bits), (2, 5000, bits)))
    alone = (said.unprompted, said.unprompted_lower, said.unprompted_upper)
    assert alone == ((None, None, None) if bits else (said.mood, said.lower, said.upper))


def test_what_a_brand_does_itself_does_not_move_the_interval_of_unprompted_talk() -> None:
    """It rests on the unprompted votes of the day, whatever a campaign has added to the rest."""
    sums = dict.fromkeys(FIELDS, 0)
    sums |= {"positive": 40, "positive_votes": 40, "vote": 80_000, "vote_square": 10**9}
    sums |= {"unprompted_votes": 40, "unprompted_vote": 80_000, "unprompted_vote_square": 10**9}
    loud = sums | {"positive": 4040, "positive_votes": 4040, "vote": 36_080_000, "vote_square": 325 * 10**9,
                   "prompted": 4000}
    quiet, campaign = (reading("kopi", "1h", [*of.values()], [*of.values()], (1, 1.0)) for of in (sums, loud))
    assert campaign.mood != quiet.mood
    for name in ("unprompted_votes", "unprompted", "unprompted_lower", "unprompted_upper"):
        assert getattr(quiet, name) == getattr(campaign, name)


def test_a_frame_of_version_1_is_read_and_prompts_nothing() -> None:
    """A log holds them for a day after this release has come."""
    old = unpack(VERSION_1)
    assert [KINDS[kind] for kind in old.rows["kind"]] == ["post", "reply", "survey"]
    assert not is_prompted(old.rows).any()
    assert unpack(pack(old)).rows.tobytes() == old.rows.tobytes()
    said = read(VERSION_1)
    assert (said.mentions, said.prompted, said.unprompted_votes, said.unprompted) == (2, 0, 2, -0.2)
    assert (said.mood, said.lower, said.upper) == (said.unprompted, said.unprompted_lower, said.unprompted_upper)


@pytest.mark.parametrize(("version", "kind"), [(1, 4 | PROMPTED), (1, 5), (2, 5), (2, 5 | PROMPTED), (3, 4)])
def test_a_kind_that_its_version_does_not_know_stops_the_reader(version: int, kind: int) -> None:
    """A broken promise, never a wrong figure."""
    data = bytearray(VERSION_1)
    data[4], data[KIND_AT] = version, kind
    with pytest.raises(BrokenPromise):
        unpack(bytes(data))
    data[4], data[KIND_AT] = 2, 4 | PROMPTED
    assert is_prompted(unpack(bytes(data)).rows).tolist() == [False, False, True]


def replay(*said: tuple[int, int]) -> Rows:
    """Rows of one record: (score, bits of the kind)."""
    rows = np.zeros(len(said), FACT)
    rows["score"], rows["kind"] = [score for score, _ in said], [kind for _, kind in said]
    return rows


_replays = st.lists(st.tuples(st.sampled_from([-5, 5]), st.sampled_from([0, PROMPTED])), min_size=1, max_size=6)


@given(_replays, st.randoms(use_true_random=False))
def test_of_one_record_the_smaller_score_wins_and_then_what_is_prompted(
        said: list[tuple[int, int]], rng: random.Random) -> None:
    """Workers whose files list other tags may both have scored a record: in which order they are read is all one."""
    score = min(score for score, _ in said)
    want = score, max(kind for one, kind in said if one == score)
    rng.shuffle(said)
    cut, one = rng.randint(0, len(said)), Slice(0)
    for part in (said[:cut], said[cut:]):
        one.fresh.append(replay(*part))
        one.resolve(Floors(), 20)
    (won,) = one.counted()
    assert want == (won["score"], won["kind"])


_said = st.lists(st.tuples(st.integers(1, 4), st.integers(-10_000, 10_000), st.sampled_from([0, 1, PROMPTED])),
                 min_size=1, max_size=12)


@given(_said)
def test_all_talk_does_not_know_who_was_prompted(said: list[tuple[int, int, int]]) -> None:
    """The same mentions without their bits say the same of all talk, and unprompted votes are never more than all."""
    with_bits, without = read(frame(*said)), read(frame(*((author, score, 0) for author, score, _ in said)))
    apart = ("prompted", "unprompted_votes", "unprompted", "unprompted_lower", "unprompted_upper")
    assert {name: getattr(with_bits, name) for name in Reading._fields if name not in apart} == {
        name: getattr(without, name) for name in Reading._fields if name not in apart}
    assert with_bits.prompted == sum(kind == PROMPTED for *_, kind in said)
    assert with_bits.unprompted_votes <= with_bits.votes == without.unprompted_votes
    assert with_bits.unprompted is None or -1 <= with_bits.unprompted <= 1
    assert math.isclose(without.unprompted or 0.0, without.mood or 0.0)
