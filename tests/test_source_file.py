"""A file's rows become posts, whatever its format, and nothing native goes on."""

import csv
import gzip
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer, TopicPartition

from streams.embedded import EmbeddedBroker
from streams.heart.errors import BadPost, BadSetting
from streams.heart.post import NO_ZONE, TICK, Post, decode, epoch_ms, post_key, pseudonym
from streams.settings import Settings
from streams.sources.file import (
    FIELDS,
    BadRow,
    JsonRows,
    Maker,
    Options,
    Pace,
    Record,
    open_rows,
    records,
    run_file,
    undamaged,
)
from streams.topics import EMBEDDED

SECRET = b"0123456789abcdef"
BRANDS = Settings().read_brands()
NOON = "2026-11-25T12:00:00Z"
NOON_MS = 1_795_608_000_000
SECRET = b"a key that only this test has"
ROW: dict[str, Any] = {"id": "42", "text": "kopi enak", "created_at": NOON, "author": "@budi", "lang": "id", "rev": 1}


def _made(path: Path, options: Options | None = None, now_ms: int = 0) -> list[Record | BadRow]:
    options = options or Options()
    rows = open_rows(path, options.columns)
    try:
        return list(records(rows, Maker(options, SECRET, lambda: now_ms, BRANDS)))
    finally:
        rows.close()


def _post(one: Record | BadRow) -> Post:
    assert isinstance(one, Record), one
    post = decode(one.key, one.value, frozenset({"file"}))
    assert isinstance(post, Post)
    return post


def test_no_row_brings_a_person_into_the_log(tmp_path: Path) -> None:
    """As at the door of a live source: no handle in the text, no account in the link; the post is the same post."""
    told = ("@ana.bsky.social dan ana@warung.example: Kopi Senja enak, kata https://bsky.app/profile/ana", NOON)
    path = tmp_path / "posts.jsonl"
    rows = [ROW | {"text": told[0], "url": url} for url in ("https://k.example/@ana/1", "https://k.example/1")]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, ROW | {"text": told[0], "id": None}]))
    posts = [_post(one) for one in _made(path)]
    assert {"@user dan @user: Kopi Senja enak, kata https://bsky.app/profile/user"} == {one.text for one in posts}
    assert [None, "https://k.example/1", None] == [one.url for one in posts]
    assert post_key("file", f"@budi\n{NOON_MS}\n{told[0]}", SECRET) == posts[2].id


def _why(made: list[Record | BadRow]) -> list[tuple[int, str]]:
    return [(one.number, str(one.error)) for one in made if isinstance(one, BadRow)]


def _jsonl(folder: Path, *rows: object, name: str = "posts.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _write(folder: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"posts.{kind}"
    if kind == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(rows), path)
    elif kind.startswith("jsonl"):
        body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(body) if kind.endswith("gz") else body)
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "tsv", "parquet"])
def test_every_format_gives_the_same_posts(tmp_path: Path, kind: str) -> None:
    """Quotes, line ends inside a text and emoji included."""
    rows = [ROW, ROW | {"id": "43", "text": 'a "quoted", long\ntext ☕', "author": "", "lang": "", "rev": 0}]
    one, other = (_post(made) for made in _made(_write(tmp_path, kind, rows)))
    assert (one.text, one.lang, one.rev, one.event_ms) == ("kopi enak", "id", 1, NOON_MS)
    assert (other.text, other.author, other.lang) == ('a "quoted", long\ntext ☕', None, None)


def test_native_ids_and_handles_stay_behind(tmp_path: Path) -> None:
    """What goes on are keyed hashes; the same id is the same post, in every run."""
    made = _made(_jsonl(tmp_path, ROW | {"id": 1729000042, "reply_to": "parent-7"}))
    post = _post(made[0])
    assert post.id == post_key("file", "1729000042", SECRET)
    assert post.author == pseudonym("file", "@budi", SECRET)
    assert post.reply_to == post_key("file", "parent-7", SECRET)
    value = made[0].value  # type: ignore[union-attr]
    assert value is not None
    assert not any(word in value for word in (b"budi", b"1729000042", b"parent-7"))


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    """The file need not be written for us."""
    path = _write(tmp_path, "csv", [{"body": "kopi", "time": "1795608000", "no": "7"}])
    made = _made(path, Options.read(mapping="text=body, created_at=time, id=no"))
    assert _post(made[0]).id == post_key("file", "7", SECRET)
    assert _post(made[0]).event_ms == NOON_MS


def test_without_an_id_a_row_is_told_by_what_it_is(tmp_path: Path) -> None:
    """Sent twice, also with shifted times, it is the same post; another author's same words are not."""
    row = {"text": "kopi", "created_at": NOON, "author": "a"}
    path = _jsonl(tmp_path, row, row, row | {"author": "b"})
    one, again, other = (_post(made).id for made in _made(path))
    assert one == again != other
    assert _post(_made(path, Options.read(times="shift", speed="as-recorded"), now_ms=5 * 10**11 * 4)[0]).id == one


@pytest.mark.parametrize(("said", "ms"), [
    (NOON, NOON_MS), ("2026-11-25 19:00:00+07:00", NOON_MS), (1_795_608_000, NOON_MS), (1_795_608_000.5, NOON_MS + 500),
    (NOON_MS, NOON_MS), (str(NOON_MS), NOON_MS),
])
def test_times_are_read_with_their_zone_or_since_1970(tmp_path: Path, said: object, ms: int) -> None:
    """Seconds and milliseconds are told apart by their size."""
    assert _post(_made(_jsonl(tmp_path, ROW | {"created_at": said}))[0]).event_ms == ms


def test_a_parquet_time_is_read_when_it_has_a_zone(tmp_path: Path) -> None:
    """A time without one could be any of 24."""
    when = datetime(2026, 11, 25, 12, tzinfo=UTC)
    row = {"id": 1, "text": "kopi"}
    assert _post(_made(_write(tmp_path, "parquet", [row | {"created_at": when}]))[0]).event_ms == epoch_ms(when)
    made = _made(_write(tmp_path, "parquet", [row | {"created_at": when.replace(tzinfo=None)}]))
    assert _why(made) == [(1, f"bad_time: {NO_ZONE}, or seconds since 1970")]


def test_shifted_times_begin_now_and_keep_their_gaps(tmp_path: Path) -> None:
    """    recorded   12:00:00   12:01:30            11:59:50
           shifted    now        now + 90 s          now - 10 s
    """
    times = [NOON, "2026-11-25T12:01:30Z", "2026-11-25T11:59:50Z"]
    path = _jsonl(tmp_path, *({**ROW, "id": str(n), "created_at": said} for n, said in enumerate(times)))
    now_ms = NOON_MS + 999_999_000
    made = _made(path, Options.read(times="shift", speed="as-recorded"), now_ms)
    assert [_post(one).event_ms - now_ms for one in made] == [0, 90_000, -10_000]


def test_a_removed_row_is_a_removal(tmp_path: Path) -> None:
    """It needs its id, and nothing else."""
    made = _made(_jsonl(tmp_path, {"id": "42", "removed": True}, ROW | {"removed": "false"}, {"removed": True}))
    assert made[0] == Record(1, post_key("file", "42", SECRET).encode(), None, None)
    assert _post(made[1]).text == "kopi enak"
    assert _why(made) == [(3, "missing_field: id")]


def test_bad_rows_are_named_by_number_and_reason_never_by_text(tmp_path: Path) -> None:
    """Each row has one reason, the one that the score worker would give; the rows after it are read."""
    path = tmp_path / "posts.jsonl"
    secret = "nobody may see this"
    bad: list[bytes] = [
        b'{"text": "' + secret.encode(), b"[1]", b'"\xff\xfe"', b'{"text": "\xff"}',
        b'{"text": 7, "created_at": 1795608000}',
        json.dumps({"text": secret}).encode(), json.dumps(ROW | {"text": " "}).encode(),
        json.dumps(ROW | {"created_at": secret}).encode(), json.dumps(ROW | {"created_at": NOON[:-1]}).encode(),
        json.dumps(ROW | {"rev": secret}).encode(), json.dumps(ROW | {"text": "x" * 10_001}).encode(),
        json.dumps(ROW | {"created_at": 12}).encode(), json.dumps(ROW | {"removed": secret}).encode(),
        b'{"text": "' + b"x" * 1_000_001 + b'"}', b"[" * 100_000,
    ]
    path.write_bytes(b"\n".join([*bad, json.dumps(ROW).encode()]))
    made = _made(path)
    assert len(_why(made)) == len(bad) == len(made) - 1
    assert [why for _, why in _why(made)] == [
        "not_json", "wrong_type: no object", "not_utf8", "not_utf8", "wrong_type: text", "missing_field: created_at",
        "bad_text: nothing visible", "bad_time: neither RFC 3339 nor seconds or milliseconds since 1970",
        f"bad_time: {NO_ZONE}, or seconds since 1970", "wrong_type: rev",
        "too_long: 10001 characters", "bad_time: out of range",
        "wrong_type: removed", "too_large: a line of more than 1000000 bytes", "not_json",
    ]
    assert _post(made[-1]).text == "kopi enak"


def test_a_csv_row_that_does_not_fit_its_header_is_bad(tmp_path: Path) -> None:
    """A shifted column would put a handle where the text is; bytes that are no UTF-8 spoil their row only."""
    path = tmp_path / "posts.csv"
    path.write_bytes(b"text,created_at\nkopi," + NOON.encode() + b",x\nkopi\n\xff," + NOON.encode() + b"\n\nteh,"
                     + NOON.encode() + b"\n" + b"x" * 200_000 + b",1795608000\n")
    made = _made(path)
    assert _why(made) == [(1, "wrong_type: 3 cells under 2 columns"), (2, "wrong_type: 1 cells under 2 columns"),
                          (3, "not_utf8"), (6, "too_large: a cell")]
    assert [_post(one).text for one in made if isinstance(one, Record)] == ["teh"]


@given(st.binary(max_size=300))
def test_no_line_of_bytes_stops_the_reading(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    """Whatever a line is, it becomes a record or a bad row, and the one after it is read."""
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(line.replace(b"\n", b"") + b"\n" + msgspec.json.encode(ROW) + b"\n")
    assert _post(_made(path)[-1]).text == "kopi enak"


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(FIELDS), _values))
def test_no_row_stops_the_reading(row: dict[str, Any]) -> None:
    """Any types in any column: a record that decodes, or a reason."""
    for one in records([(1, row)], Maker(Options(), SECRET, lambda: 0, BRANDS)):
        assert isinstance(one, BadRow) or decode(one.key, one.value, frozenset({"file"}))


@pytest.mark.parametrize(("wish", "said"), [
    ({"mapping": "txt=body"}, r"did you mean text\?"), ({"mapping": "text"}, "expected FIELD=COLUMN"),
    ({"mapping": "text=a,text=b"}, "mapped twice"), ({"speed": "fast"}, "as-recorded, max, or a factor"),
    ({"speed": "0"}, "factor"), ({"speed": "nan"}, "factor"), ({"times": "now"}, "keep or shift"),
    ({"times": "shift", "speed": "60"}, "run away"),
])
def test_a_wrong_option_is_named(wish: dict[str, str], said: str) -> None:
    """The message says what was seen and what would do."""
    with pytest.raises(BadSetting, match=said):
        Options.read(**wish)  # type: ignore[arg-type]


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    """Before anything is sent, not once per row."""
    path = _write(tmp_path, "csv", [{"texts": "kopi", "created_at": NOON}])
    with pytest.raises(BadSetting, match=r"no column 'text' for text \(did you mean texts\?\); it has texts, cr"):
        open_rows(path, {})
    with pytest.raises(BadSetting, match="no column 'user' for author"):
        open_rows(path, {"text": "texts", "author": "user"})


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_hostile_header_moves_no_cursor(tmp_path: Path, kind: str) -> None:
    """What is printed of it is short, and holds no escape of a terminal; neither does the hint."""
    row = {"te\x1b[2Jxts\u202e": "kopi", "x" * 100: "", "created_at": NOON} | {f"c{n}": "" for n in range(50)}
    path = _write(tmp_path, kind, [row])
    with pytest.raises(BadSetting) as caught:
        open_rows(path, {"text": "te[2Jxt"})
    said = str(caught.value)
    assert said.isprintable()
    assert "(did you mean te[2Jxts?); it has te[2Jxts, " + "x" * 40 + ", created_at, c0, " in said
    assert "c16 and 33 more; --map text=COLUMN" in said


@pytest.mark.parametrize(("name", "said"), [("posts.xlsx", "ends in"), ("none.jsonl", "No such file"),
                                            ("bad.parquet", "no Parquet file")])
def test_a_file_that_cannot_be_read_is_the_users(tmp_path: Path, name: str, said: str) -> None:
    """Each with its own sentence."""
    (tmp_path / "bad.parquet").write_text("hello")
    with pytest.raises(BadSetting, match=said):
        open_rows(tmp_path / name, {})


def test_a_damaged_file_says_where_it_ends(tmp_path: Path) -> None:
    """What can be read is read; a file that only looks compressed is refused at once."""
    whole = _write(tmp_path, "jsonl.gz", [ROW | {"id": str(n), "author": str(hash(str(n)))} for n in range(2000)])
    whole.write_bytes(whole.read_bytes()[:-100])
    rows, numbers = open_rows(whole, {}), []
    with pytest.raises(BadSetting, match=r"damaged after row \d+ \(EOFError\)"):
        numbers += [number for number, _ in undamaged(whole, rows)]
    rows.close()
    (tmp_path / "posts.csv.gz").write_text("text,created_at\n")
    with pytest.raises(BadSetting, match="BadGzipFile"):
        open_rows(tmp_path / "posts.csv.gz", {})


def test_parquet_without_its_extra_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel does not bring pyarrow; the message says what does."""
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadSetting, match=r"denyut\[parquet\]"):
        open_rows(tmp_path / "posts.parquet", {})


def test_pace_is_that_of_the_recording() -> None:
    """At 60, an hour takes a minute; a row that is out of order goes at once."""
    pace = Pace(60.0)
    assert [pace.due_s(ms, now) for ms, now in ((0, 10.0), (3_600_000, 10.0), (1_800_000, 70.0), (None, 71.0))] == [
        10.0, 70.0, 40.0, 71.0]
    assert Pace(0.0).due_s(10**12, 3.0) == 3.0


def test_reading_takes_no_more_memory_for_a_longer_file(tmp_path: Path) -> None:
    """Rows come one by one, and the share that is read grows to 1."""
    rows = JsonRows(_jsonl(tmp_path, *[ROW] * 20_000))
    shares = [rows.share for _ in rows]
    rows.close()
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] == 1.0


def _written(broker: EmbeddedBroker) -> list[tuple[bytes, bytes | None]]:
    consumer = KafkaConsumer(bootstrap_servers=broker.address, api_version=EMBEDDED, group_id=None)
    try:
        places = [TopicPartition("denyut.posts", number) for number in range(broker.partitions)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends, seen = consumer.end_offsets(places), []
        while any(consumer.position(place) < end for place, end in ends.items()):
            for some in consumer.poll(200).values():
                seen += [(record.key, record.value) for record in some]
        return seen
    finally:
        consumer.close()


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The embedded broker, which the feed must be told of."""
    from streams import feed
    from streams.sources import file

    monkeypatch.setattr(file, "Rules", lambda **rules: feed.Rules(embedded=True, **rules))
    with EmbeddedBroker() as broker:
        yield broker


def _settings(tmp_path: Path, embedded: EmbeddedBroker) -> Settings:
    (tmp_path / "key").write_bytes(SECRET)
    return Settings(brokers=embedded.address, secret_file=str(tmp_path / "key"))


def test_a_file_is_sent_whole_and_accounted_for(tmp_path: Path, embedded: EmbeddedBroker) -> None:
    """Posts, removals and bad rows add up to the rows; ticks go to every partition."""
    rows = [ROW | {"id": str(n)} for n in range(500)]
    path = _jsonl(tmp_path, *rows, {"id": "7", "removed": True}, {"id": "x"})
    summary = run_file(_settings(tmp_path, embedded), path, Options())
    assert (summary.rows, summary.posts, summary.removals, dict(summary.bad)) == (502, 500, 1, {"missing_field": 1})
    assert not summary.not_sent
    assert "row 502: missing_field: created_at" in str(summary)
    seen = _written(embedded)
    gone = post_key("file", "7", SECRET).encode()
    assert [value is None for key, value in seen if key == gone] == [False, True]
    assert len([key for key, _ in seen if not key.startswith(TICK)]) == 501
    assert len([key for key, _ in seen if key.startswith(TICK)]) >= embedded.partitions


def test_strict_stops_at_the_first_bad_row(tmp_path: Path, embedded: EmbeddedBroker) -> None:
    """What stands before it has been sent; the message names the row and the reason."""
    path = _jsonl(tmp_path, ROW, {"id": "x"}, ROW | {"id": "44"})
    with pytest.raises(BadSetting, match=r"row 2: missing_field: created_at"):
        run_file(_settings(tmp_path, embedded), path, Options.read(strict=True))
    assert len([key for key, _ in _written(embedded) if not key.startswith(TICK)]) == 1


def test_a_source_that_nobody_counts_is_refused(tmp_path: Path) -> None:
    """Before it fills the topic with rejects."""
    with pytest.raises(BadSetting, match="DENYUT_SOURCES=demo,file"):
        run_file(Settings(), _jsonl(tmp_path, ROW), Options(source="fiel"))


def test_a_file_needs_a_key_and_a_policy_as_any_source_does(tmp_path: Path) -> None:
    """What real people wrote is hidden with a key of one's own, and on terms that somebody has written down."""
    path = _jsonl(tmp_path, ROW)
    with pytest.raises(BadSetting, match="DENYUT_SECRET_FILE is empty"):
        run_file(Settings(), path, Options())
    with pytest.raises(BadSetting, match="'mine' has no policy entry"):
        run_file(Settings(sources=("mine",)), path, Options(source="mine"))


def test_a_bad_row_is_told_as_the_worker_would() -> None:
    """The reasons are the heart's own."""
    with pytest.raises(BadPost, match="wrong_type: author"):
        Maker(Options(), SECRET, lambda: 0, BRANDS).make(1, ROW | {"author": ["budi"]})
