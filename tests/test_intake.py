"""The score worker's pure half: every record gets one verdict, whatever it holds."""

import json
from string import ascii_lowercase
from typing import Any

import eldc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from models.lang import ALIASES, MALAY_LIKE
from streams.heart.brands import Brands
from streams.heart.errors import BrokenPromise, Reason
from streams.heart.frame import GONE, KINDS, PROMPTED, ROW, unpack
from streams.heart.intake import LANGS, Batch, Done, Intake, Judged, Limits, Record, Scored
from streams.heart.post import Kind, Post, encode, encode_tick, from_ms, post_key, tick_key

NOW_MS = 1_795_586_400_000
BRANDS = Brands.parse("""
number = 1
published = 2026-01-01T00:00:00Z
[[brand]]
name = "kopi"
any = ["kopi"]
own.tags = ["#kopihemat"]
[[brand]]
name = "teh"
any = ["teh"]
languages = ["id"]
own.tags = ["#tehsore"]
""")


def judge(_: str, declared: str | None) -> Judged:
    return Judged(declared or "id", declared in {None, "id", "en"})


INTAKE = Intake(frozenset({"demo"}), BRANDS, judge, Limits())


def post(text: str, *, number: int = 1, ago_ms: int = 1000, rev: int = 0, lang: str | None = None) -> Record:
    said = Post(id=post_key("demo", str(number), b"s"), source="demo", text=text, created_at=from_ms(NOW_MS - ago_ms),
                rev=rev, lang=lang)
    return Record(0, number, NOW_MS, said.key, encode(said))


def done(records: list[Record], score: Scored | None = Scored(0.5, 2)) -> tuple[Batch, Done]:  # noqa: B008  # a value
    batch = INTAKE.read(records)
    return batch, INTAKE.finish(batch, [score] * len(batch.texts), "model", 4)


@pytest.mark.parametrize(("record", "verdict"), [
    (post("kopi enak"), "matched"),
    (post("nasi enak"), "unmatched"),
    (post("teh enak", lang="en"), "unmatched"),
    (post("kopi", ago_ms=3_610_000), "late"),
    (post("kopi", ago_ms=-60_001), "early"),
    (post("kopi")._replace(value=None), "removals"),
    (post("kopi")._replace(value=b"{"), "rejected"),
    (Record(0, 1, NOW_MS, tick_key("feed"), encode_tick({"demo": NOW_MS})), "ticks"),
])
def test_every_kind_of_record_has_its_verdict(record: Record, verdict: str) -> None:
    """One record, one verdict, and the counts say so."""
    _, finished = done([record])
    counted = {name: getattr(finished.counts, name) for name in finished.counts.__slots__}
    assert {"read": 1, verdict: 1} == {name: count for name, count in counted.items() if count}


def test_floors_and_marks_go_everywhere_and_rows_go_home() -> None:
    """Every partition hears of an edit, of a removal and of the time; only the brand's own gets the row."""
    _, finished = done([post("kopi", rev=7), post("nasi", number=2)._replace(value=None)])
    frames = [unpack(data) for data in finished.frames.values()]
    assert [1, 0, 0, 0] == sorted((len(frame.rows) for frame in frames), reverse=True)
    for frame in frames:
        assert [7, GONE] == sorted(frame.floors["rev"].tolist())
        assert NOW_MS == frame.marks[0].mark_ms


@pytest.mark.parametrize(("text", "hands", "prompted"), [
    ("kopi dan teh", (), set()),
    ("kopi dan teh", ("kopi",), {"kopi"}),
    ("kopi dan teh", ("teh", "kopi"), {"kopi", "teh"}),
    ("kopi dan teh", ("nasi",), set()),
    ("kopi dan teh #KopiHemat", (), {"kopi"}),
    ("kopi dan teh #kopihemat #tehsore", (), {"kopi", "teh"}),
    ("kopi dan teh kopihemat", (), set()),
    ("teh #kopihemat", (), set()),
])
def test_a_mention_is_prompted_by_its_own_brand_alone(text: str, hands: tuple[str, ...], prompted: set[str]) -> None:
    """By the brand's account, as the feed says, or by the brand's tag in the text; the kind stands beside it."""
    said = Post(id=post_key("demo", "1", b"s"), source="demo", text=text, created_at=from_ms(NOW_MS), kind=Kind.REPLY,
                prompted=hands)
    _, finished = done([Record(0, 1, NOW_MS, said.key, encode(said))])
    frames = [unpack(data) for data in finished.frames.values()]
    kinds = {frame.names.brand[row["brand"]]: int(row["kind"]) for frame in frames for row in frame.rows}
    assert prompted == {brand for brand, kind in kinds.items() if kind & PROMPTED}
    assert {"reply"} == {KINDS[kind & ~PROMPTED] for kind in kinds.values()}


def test_poison_is_rejected_and_the_rest_goes_on() -> None:
    """A text that the model fails on is a reject with coordinates, and matched no more."""
    batch = INTAKE.read([post("kopi a"), post("kopi b", number=2)])
    finished = INTAKE.finish(batch, [None, Scored(0.1, 1)], "model", 4)
    assert [(Reason.POISON, 1)] == [(reject.reason, reject.offset) for reject in finished.rejects]
    assert (1, 1, 2) == (finished.counts.matched, finished.counts.rejected, finished.counts.read)
    assert 1 == finished.mentions


def test_an_unknown_language_abstains_under_one_name() -> None:
    """Sources declare what they like: three hundred codes are one `und` to us."""
    _, finished = done([post("kopi", number=at, lang=f"q{chr(97 + at // 26)}{chr(97 + at % 26)}") for at in range(300)])
    (frame,) = [frame for frame in map(unpack, finished.frames.values()) if len(frame.rows)]
    assert ("und",) == frame.names.lang
    assert (np.array(frame.rows["label"]) == 3).all()


def test_a_model_for_all_languages_counts_those_that_there_are() -> None:
    """Every code of two letters in one batch, each scored: a frame has room for them, and so has any row of frames."""
    codes = [one + other for one in ascii_lowercase for other in ascii_lowercase]
    intake = Intake(frozenset({"demo"}), BRANDS, lambda _, said: Judged(said or "id", True))
    batch = intake.read([post("kopi", number=at, lang=code) for at, code in enumerate(codes)])
    assert codes == [asked.lang for asked in batch.texts]
    finished = intake.finish(batch, [Scored(0.5, 2)] * len(codes), "model", 4)
    (frame,) = [frame for frame in map(unpack, finished.frames.values()) if len(frame.rows)]
    assert [code if code in LANGS else "und" for code in codes] == [frame.names.lang[at] for at in frame.rows["lang"]]
    assert len(LANGS | {"und"}) <= 2 ** (8 * ROW["lang"].itemsize)


def test_every_language_that_can_be_found_is_counted_by_name() -> None:
    """The detector's, the neighbours of Indonesian and those of the embedded model."""
    found = set(eldc.LANGUAGES) | MALAY_LIKE | set(ALIASES.values()) | set(models.load().card.languages)
    assert set() == found - LANGS


def test_a_score_for_each_text_or_none() -> None:
    """Scores that do not fit the texts are our own mistake."""
    batch = INTAKE.read([post("kopi")])
    with pytest.raises(BrokenPromise):
        INTAKE.finish(batch, [], "model", 4)


_value = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
_fields = st.dictionaries(st.sampled_from(sorted(Post.__struct_fields__)), _value, max_size=4)


@given(st.lists(st.tuples(_fields, st.booleans()), max_size=8),
       st.dictionaries(st.just("demo"), st.integers(), max_size=1))
def test_whatever_is_accepted_can_be_packed(
        given_fields: list[tuple[dict[str, Any], bool]], healthy: dict[str, int]) -> None:
    """No value that passes the decoder breaks a frame: a worker cannot be stopped from outside."""
    good = json.loads(post("kopi").value or b"")
    records = [Record(0, at, NOW_MS, post("kopi").key,
                      None if gone else json.dumps(good | fields).encode("utf-8", "surrogatepass"))
               for at, (fields, gone) in enumerate(given_fields)]
    records.append(Record(0, 99, NOW_MS, tick_key("feed"), json.dumps(healthy).encode()))
    _, finished = done(records)
    for data in finished.frames.values():
        unpack(data)
    assert len(records) == finished.counts.read
