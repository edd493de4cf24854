"""Settings are checked at the door."""

import contextlib
import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.heart.block import BLOCK_MS
from streams.heart.errors import BadBrands, BadSetting
from streams.keeping import named
from streams.settings import DEMO_SECRET, LEVELS, LONGEST_MS, Settings, mask, span


def test_nothing_said_gives_the_defaults() -> None:
    """An empty environment is a working set of settings, and other programs' variables are none of ours."""
    assert Settings.read({}) == Settings() == Settings.read({"PATH": "/bin", "XDENYUT_BROKERS": "?"})


def test_every_default_passes_its_own_check() -> None:
    """What `rows` shows as a default can be said, and means the default."""
    said = {row.name: row.default for row in Settings().rows()}
    assert Settings.read(said) == Settings()


def test_every_setting_is_explained() -> None:
    """No variable without a meaning, none twice, and none too long for one line of a table."""
    rows = Settings().rows()
    assert len({row.name for row in rows}) == len(rows) == len(dataclasses.fields(Settings))
    assert all(row.meaning and len(row.meaning) < 100 and "|" not in row.meaning for row in rows)


@pytest.mark.parametrize(("name", "said", "seen"), [
    ("BROKERS", "localhost:1, 127.0.0.2:2", "localhost:1,127.0.0.2:2"),
    ("BROKERS", "[::1]:9092", "[::1]:9092"),
    ("TLS", "ON", "on"),
    ("PLAINTEXT", "Allow", "allow"),
    ("SOURCES", "demo, file,demo", ("demo", "file")),
    ("DELAY_MS", "45s", 45_000),
    ("DELAY_MS", "45000", 45_000),
    ("GRACE_MS", "25h", 90_000_000),
    ("EARLY_MS", "0", 0),
    ("LOG_LEVEL", "WARNING", "warning"),
    ("THREADS", " 4 ", 4),
])
def test_a_value_is_read_as_meant(name: str, said: str, seen: object) -> None:
    """Spans with and without a unit, lists with spaces, any case of a level."""
    assert getattr(Settings.read({f"DENYUT_{name}": said}), name.lower()) == seen


@pytest.mark.parametrize(("name", "said", "expected"), [
    ("BROKERS", "kafka", "host:port"),
    ("BROKERS", "kafka:0", "host:port"),
    ("BROKERS", "kafka:9092,", "host:port"),
    ("HTTP", "127.0.0.1:65536", "host:port"),
    ("PREFIX", "a b", "letters"),
    ("PREFIX", "", "letters"),
    ("PARTITIONS", "0", "from 1 to"),
    ("PARTITIONS", "twelve", "a whole number"),
    ("PARTITIONS", "-3", "a whole number"),
    ("PARTITIONS", "１２", "a whole number"),
    ("SOURCES", "", "names such as"),
    ("SOURCES", "Demo", "names such as"),
    ("FLUSH_MS", "half a second", "a span"),
    ("FLUSH_MS", "0.5s", "a span"),
    ("GRACE_MS", "59m", "at least 1h"),
    ("DELAY_MS", "0", "at least 1s"),
    ("INSTANCE", "a/b", "letters"),
    ("LOG_LEVEL", "warn", "did you mean warning"),
    ("CLOCK", "noon", "PUBLIC_MS@WALL_MSxSPEED"),
    ("TLS", "yes", "one of off, on"),
    ("PLAINTEXT", "yes", "one of refuse, allow"),
    ("SASL", "scram", "one of nothing, plain, scram-sha-256, scram-sha-512"),
    ("SASL", "oauthbearer", "one of nothing, plain"),
    ("USER", "a user", "a name without white space"),
    ("USER", "a=b,c", "a name without white space"),
    ("SOURCES", ",".join(f"s{n}" for n in range(256)), "at most 255 names"),
])
def test_a_wrong_value_is_named_with_what_was_expected(name: str, said: str, expected: str) -> None:
    """The message says the variable, what was seen and what would do."""
    with pytest.raises(BadSetting) as caught:
        Settings.read({f"DENYUT_{name}": said})
    assert f"DENYUT_{name}={said!r}: expected" in str(caught.value)
    assert expected in str(caught.value)


def test_an_unknown_name_suggests_the_nearest() -> None:
    """A misspelt variable is an error, never ignored."""
    with pytest.raises(BadSetting, match=r"DENYUT_SOURCE: no such setting \(did you mean DENYUT_SOURCES\?\)"):
        Settings.read({"DENYUT_SOURCE": "demo"})
    with pytest.raises(BadSetting, match=r"DENYUT_QQQ: no such setting$"):
        Settings.read({"DENYUT_QQQ": "1"})


@pytest.mark.parametrize("name", ["PULSE_SERVICE_HOST", "PULSE_SERVICE_PORT_HTTP", "PULSE_PORT",
                                  "PULSE_PORT_9100_TCP", "PULSE_PORT_9100_TCP_ADDR"])
def test_what_kubernetes_puts_there_is_explained(name: str) -> None:
    """A service called denyut-pulse makes variables that look like settings; the error says how to keep them out."""
    with pytest.raises(BadSetting, match="enableServiceLinks"):
        Settings.read({f"DENYUT_{name}": "10.0.0.1"})


@pytest.mark.parametrize(("grace", "early"), [("26h", "1m"), ("720h", "0"), ("1h", "25h"), ("25h", "31m")])
def test_what_is_not_sealed_can_be_read_back(grace: str, early: str) -> None:
    """Mentions are kept for 26 h: a grace that is longer would lose figures at every restart."""
    with pytest.raises(BadSetting, match=f"DENYUT_GRACE_MS={grace[:-1]}.*DENYUT_EARLY_MS=.*kept for 26 h"):
        Settings.read({"DENYUT_GRACE_MS": grace, "DENYUT_EARLY_MS": early})


def test_the_longest_grace_is_shorter_than_mentions_are_kept() -> None:
    """By so much that a block, of every ten minutes, is written in between."""
    kept = named("mentions").rules["retention.ms"].least
    assert kept is not None
    assert kept - LONGEST_MS >= 3 * BLOCK_MS


def test_the_delay_is_inside_the_grace() -> None:
    """Settings that contradict each other are refused together."""
    with pytest.raises(BadSetting, match="DENYUT_DELAY_MS=2h: expected less than DENYUT_GRACE_MS"):
        Settings.read({"DENYUT_DELAY_MS": "2h"})


@pytest.mark.parametrize("brokers", [
    "kafka:9092", "localhost:9092,10.0.0.1:9092", "127.0.0.1.example:9092", "127.1:9092", "[::ffff:127.0.0.1]:9092",
    "[fe80::1]:9092", "0.0.0.0:9092",
])
def test_plain_text_stays_on_this_machine(brokers: str) -> None:
    """Every address must be of this machine beyond doubt, unless TLS is on or somebody says that plain text will do."""
    with pytest.raises(BadSetting, match=r"DENYUT_TLS=off: \S+ is not this machine.*DENYUT_PLAINTEXT=allow"):
        Settings.read({"DENYUT_BROKERS": brokers})
    for said in ({"DENYUT_PLAINTEXT": "allow"}, {"DENYUT_TLS": "on"}):
        assert Settings.read({"DENYUT_BROKERS": brokers, **said}).brokers == brokers


TLS = {"DENYUT_TLS": "on"}
LOGIN = {**TLS, "DENYUT_SASL": "plain", "DENYUT_USER": "anna", "DENYUT_PASSWORD_FILE": "/run/password"}


@pytest.mark.parametrize(("said", "words"), [
    ({"DENYUT_TLS_CA": "a"}, "DENYUT_TLS_CA is set, and DENYUT_TLS=off"),
    ({"DENYUT_TLS_CERT": "a", "DENYUT_TLS_KEY": "b"}, "DENYUT_TLS_CERT is set, and DENYUT_TLS=off"),
    ({**TLS, "DENYUT_TLS_CERT": "a"}, "DENYUT_TLS_CERT is set, and DENYUT_TLS_KEY is empty"),
    ({**TLS, "DENYUT_TLS_KEY": "a"}, "DENYUT_TLS_KEY is set, and DENYUT_TLS_CERT is empty"),
    ({**LOGIN, "DENYUT_TLS": "off"}, "DENYUT_SASL=plain: a login is sent over TLS only"),
    ({**LOGIN, "DENYUT_TLS": "off", "DENYUT_PLAINTEXT": "allow"}, "DENYUT_SASL=plain: a login is sent over TLS only"),
    ({**LOGIN, "DENYUT_USER": ""}, "DENYUT_USER is empty, and DENYUT_SASL=plain needs it"),
    ({**LOGIN, "DENYUT_PASSWORD_FILE": ""}, "DENYUT_PASSWORD_FILE is empty, and DENYUT_SASL=plain needs it"),
    ({**LOGIN, "DENYUT_SASL": ""}, "DENYUT_USER is set, and DENYUT_SASL is empty"),
    ({"DENYUT_PASSWORD_FILE": "/run/password"}, "DENYUT_PASSWORD_FILE is set, and DENYUT_SASL is empty"),
])
def test_half_a_wire_is_refused(said: dict[str, str], words: str) -> None:
    """What is set and would not be used, or needs something that is not set; the key is named."""
    with pytest.raises(BadSetting, match=words):
        Settings.read(said)
    assert Settings.read(LOGIN).sasl == "plain"


def test_a_password_belongs_into_a_file(tmp_path: Path) -> None:
    """There is no variable for it, and a file's name is shown only where there is such a file."""
    with pytest.raises(BadSetting, match=r"DENYUT_PASSWORD: no such setting \(did you mean DENYUT_PASSWORD_FILE\?\)"):
        Settings.read({"DENYUT_PASSWORD": "hush"})
    path = tmp_path / "password"
    path.write_text("hush")
    for said, shown in ((str(path), str(path)), ("hush", "***"), ("", "")):
        rows = {row.name: row.value for row in Settings(password_file=said).rows()}
        assert rows["DENYUT_PASSWORD_FILE"] == shown
        assert "hush" not in rows.values()


def test_no_password_is_shown() -> None:
    """Neither the table nor an error repeats a password that strayed into a value."""
    with pytest.raises(BadSetting) as caught:
        Settings.read({"DENYUT_BROKERS": "anna:hush@kafka:9092"})
    assert "hush" not in str(caught.value)
    rows = Settings(model="https://anna:hush@models.example/x").rows()
    assert not any("hush" in column for row in rows for column in row)
    assert mask("[::1]:9092,host:9092") == "[::1]:9092,host:9092"


@pytest.mark.parametrize("name", ["BROKERS", "ALERTMANAGER"])
@pytest.mark.parametrize("login", ["anna:se/cret", "anna:se,cret", "anna:se@cret", "anna:se:cret", ":secret",
                                   "anna:se cr et"])
@pytest.mark.parametrize("before", ["", "kafka://", "http://", "one:9092,", "one:9092,kafka://"])
def test_no_part_of_a_password_is_repeated(name: str, login: str, before: str) -> None:
    """Whatever stands in it: keys made at random often hold / and +."""
    with pytest.raises(BadSetting, match=f"DENYUT_{name}=") as caught:
        Settings.read({f"DENYUT_{name}": f"{before}{login}@host:9093"})
    assert not re.search("se|cr", str(caught.value).partition("expected")[0])


def test_the_secret_is_its_files_bytes(tmp_path: Path) -> None:
    """The key comes from its file, without the line end; an empty name is the key everybody has."""
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef0123\n")
    assert Settings(secret_file=str(path)).read_secret() == b"0123456789abcdef0123"
    assert Settings().read_secret(needed=False) == DEMO_SECRET
    with pytest.raises(BadSetting, match="DENYUT_SECRET_FILE is empty"):
        Settings().read_secret()
    assert not any("0123456789abcdef" in row.value for row in Settings(secret_file=str(path)).rows())


@pytest.mark.parametrize("said", ["0123456789abcdef" * 4, "hush\n" * 2000, "hu\0sh"], ids=["hex", "long", "nul"])
def test_a_secret_in_the_place_of_its_file_is_not_repeated(said: str) -> None:
    """Neither by the error nor in the table, however little it looks like a name."""
    settings = Settings(secret_file=said)
    with pytest.raises(BadSetting, match="DENYUT_SECRET_FILE: no ") as caught:
        settings.read_secret()
    assert not any(line in str(caught.value) for line in said.splitlines())
    assert "***" in {row.value for row in settings.rows() if row.name == "DENYUT_SECRET_FILE"}


def test_a_missing_or_short_secret_is_refused(tmp_path: Path) -> None:
    """A key too short to hide anything is no key."""
    with pytest.raises(BadSetting, match=r"DENYUT_SECRET_FILE: no such file"):
        Settings(secret_file=str(tmp_path / "none")).read_secret()
    with pytest.raises(BadSetting, match=r"DENYUT_SECRET_FILE='.*': cannot be read \(Permission denied|: no file"):
        Settings(secret_file=str(tmp_path)).read_secret()
    (tmp_path / "short").write_bytes(b"hush\n")
    with pytest.raises(BadSetting, match="4 bytes, expected at least 16") as caught:
        Settings(secret_file=str(tmp_path / "short")).read_secret()
    assert "hush" not in str(caught.value)


def test_brands_come_from_the_file_or_the_demo(tmp_path: Path) -> None:
    """Without a file the demo's brands are listened to; a bad file is named."""
    assert "kopi-lumora" in Settings().read_brands().names
    with pytest.raises(BadBrands, match=r"DENYUT_BRANDS=.*No such file"):
        Settings(brands=str(tmp_path / "none.toml")).read_brands()
    (tmp_path / "bad.toml").write_text("number = 1\n")
    with pytest.raises(BadBrands, match=r"bad\.toml: "):
        Settings(brands=str(tmp_path / "bad.toml")).read_brands()


@given(st.integers(100, 10**12))
def test_a_span_as_written_is_the_span(ms: int) -> None:
    """`span` writes what the reader reads."""
    assert Settings.read({"DENYUT_STOP_MS": span(ms)}).stop_ms == ms


@given(st.sampled_from([row.name for row in Settings().rows()]), st.text(max_size=20))
def test_nothing_but_bad_setting_comes_of_any_value(name: str, said: str) -> None:
    """Whatever is said, the door answers with settings or with `BadSetting`."""
    with contextlib.suppress(BadSetting):
        Settings.read({name: said})


def test_levels_are_the_words_of_logging() -> None:
    """Every level we take is one that logging knows."""
    import logging

    assert all(isinstance(logging.getLevelName(level.upper()), int) for level in LEVELS)
