"""The explained step: terms, exemplars and causes, from the texts that can still be read."""

import msgspec
import pytest

from streams.heart.explain import Evidence, Voice, explain
from streams.heart.incident import Step, Swing, decode, encode, key
from streams.heart.post import near_duplicate

SWING = Swing(id="0123456789abcdef", step=0, state=Step.OPENED, series="mood", brand="kopi", direction="down",
              severity=2, at_ms=120_000, onset_ms=60_000, onset_from_ms=0, onset_to_ms=120_000, window_min=5, now=-0.3,
              usual=0.2, effect=-0.5, lower=-0.7, upper=-0.3, z=-5.5, votes=60, mentions=70, authors=58, reach=1.4,
              smallest=0.2, chance_weeks=20.0, chance_is_bound=False, authenticity="organic", before=0.2,
              change=-0.5)


def voices(texts: list[str], first: int) -> tuple[tuple[Voice, ...], dict[int, tuple[str, str]]]:
    """One author for each text; and what can be read at their offsets."""
    said = tuple(Voice(0, first + at, first + at, first + at, near_duplicate(text), -0.8, 0)
                 for at, text in enumerate(texts))
    return said, {voice.offset: (f"demo:{voice.offset:08d}", text) for voice, text in zip(said, texts, strict=True)}


def both() -> tuple[Evidence, dict[int, tuple[str, str]]]:
    now, read = voices([f"kopi basi sekali di cabang {street}" for street in "abcdefghijklmnopqrst"], 100)
    before, more = voices([f"antre lama di jalan {street}" for street in "abcdefghijklmnopqrst"], 200)
    return Evidence(now, before, 0.7), read | more


def test_the_word_of_the_swing_is_its_first_term() -> None:
    """What many say since the onset and nobody said before comes first, and the posts that say it are quoted by key."""
    evidence, read = both()
    step = explain(SWING, evidence, lambda voice: read.get(voice.offset), ("kopi",))
    assert (Step.EXPLAINED, 1) == (step.state, step.step)
    assert "basi" in step.terms[0].term
    assert not {"kopi"} & {term.term for term in step.terms}
    assert 3 == len(step.exemplars)
    assert set(step.exemplars) <= {key for key, _ in read.values()}


def test_no_text_is_in_the_step() -> None:
    """Of all that was read, the record holds keys and words that at least five authors used; no sentence."""
    evidence, read = both()
    record = encode(explain(SWING, evidence, lambda voice: read.get(voice.offset))).decode()
    assert not [text for _, text in read.values() if text in record]
    assert "cabang" in record or "basi" in record


def test_words_are_measured_as_the_other_causes_are() -> None:
    """All posts have moved four times as far as votes, by one account: a word is held against that, or it would seem to
    be more than the account.
    """
    evidence, read = both()
    of_votes, of_posts = (
        max(cause.share for cause in explain(swing, evidence, lambda voice: read.get(voice.offset)).causes)
        for swing in (SWING, msgspec.structs.replace(SWING, change=-2.0)))  # fmt: skip
    assert of_votes == pytest.approx(4 * of_posts)


def test_what_is_gone_is_not_quoted() -> None:
    """A post that can no longer be read is in no term and no exemplar; with none left nothing is said, and no error."""
    evidence, read = both()
    left = {place: said for place, said in read.items() if place % 2}
    step = explain(SWING, evidence, lambda voice: left.get(voice.offset))
    assert set(step.exemplars) <= {key for key, _ in left.values()}
    assert explain(SWING, evidence, lambda _: None).terms == ()


def test_a_step_comes_back_from_the_wire_as_it_was() -> None:
    """Encoding loses nothing, and every step of an incident has a key of its own."""
    evidence, read = both()
    step = explain(SWING, evidence, lambda voice: read.get(voice.offset))
    assert step == decode(encode(step))
    assert [b"0123456789abcdef:0000", b"0123456789abcdef:0001"] == [key(SWING), key(step)]


def test_a_reader_passes_by_what_a_newer_release_adds() -> None:
    """Unknown fields of a step are ignored."""
    record = msgspec.json.decode(encode(SWING)) | {"mood_of_the_moon": 0.5}
    assert SWING == decode(msgspec.json.encode(record))
