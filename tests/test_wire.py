"""The wire in each library's words, what is refused, and what an address may answer; without Kafka."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import faust
import pytest
from click.testing import CliRunner

from streams import topics
from streams.agents import probe
from streams.cli import main
from streams.heart.errors import BadSetting, LostBroker
from streams.knock import knock
from streams.settings import Settings
from streams.wire import Wire
from tests.faults.kafka import Keys

TLS: dict[str, Any] = {"brokers": "one:9093,two:9093", "tls": "on"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """An authority, and a certificate of `somebody`."""
    made = Keys(tmp_path_factory.mktemp("keys"))
    made.sign("somebody")
    return made


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A file with a password in it."""
    path = tmp_path / "password"
    path.write_text("hush, hush\n")
    return path


def _certified(keys: Keys) -> dict[str, Any]:
    folder = keys.ca.parent
    return {"tls_ca": str(keys.ca), "tls_cert": str(folder / "somebody.pem"), "tls_key": str(folder / "somebody.key")}


def test_plain_text_in_every_librarys_words() -> None:
    """Without TLS there is nothing but addresses."""
    wire = Wire.of(Settings(brokers="localhost:9092,127.0.0.1:9093"))
    assert wire.for_kafka_python() == {
        "bootstrap_servers": ["localhost:9092", "127.0.0.1:9093"], "security_protocol": "PLAINTEXT"}
    assert wire.for_aiokafka() == {
        "bootstrap_servers": "localhost:9092,127.0.0.1:9093", "security_protocol": "PLAINTEXT"}
    assert wire.for_faust() == {
        "broker": ["kafka://localhost:9092", "kafka://127.0.0.1:9093"], "broker_credentials": None}


def test_certificates_in_every_librarys_words(keys: Keys) -> None:
    """One context for all: the broker must be trusted and be whom we call, and nothing older than TLS 1.2 is spoken."""
    wire = Wire.of(Settings(**TLS, **_certified(keys)))
    context = wire.context
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for said in (wire.for_kafka_python(), wire.for_aiokafka()):
        assert (said["security_protocol"], said["ssl_context"]) == ("SSL", context)
        assert "sasl_mechanism" not in said
    credentials = wire.for_faust()["broker_credentials"]
    assert isinstance(credentials, faust.SSLCredentials)
    assert credentials.context is context


@pytest.mark.parametrize("sasl", ["plain", "scram-sha-256", "scram-sha-512"])
def test_logins_in_every_librarys_words(keys: Keys, password: Path, sasl: str) -> None:
    """A login goes over TLS, with the password as it stands in its file but for the white space around it."""
    wire = Wire.of(Settings(**TLS, tls_ca=str(keys.ca), sasl=sasl, user="anna", password_file=str(password)))
    for said in (wire.for_kafka_python(), wire.for_aiokafka()):
        assert said["security_protocol"] == "SASL_SSL"
        assert said["ssl_context"] is wire.context
        assert (said["sasl_mechanism"], said["sasl_plain_username"], said["sasl_plain_password"]) == (
            sasl.upper(), "anna", "hush, hush")
    credentials = wire.for_faust()["broker_credentials"]
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", sasl.upper())
    assert (credentials.username, credentials.password) == ("anna", "hush, hush")
    assert credentials.ssl_context is wire.context


def test_both_libraries_take_these_words(keys: Keys, password: Path) -> None:
    """No argument that they do not know: kafka-python would raise, and so does aiokafka."""
    import aiokafka.client
    from kafka.net.manager import KafkaConnectionManager

    wire = Wire.of(Settings(**TLS, **_certified(keys), sasl="plain", user="anna", password_file=str(password)))
    assert wire.for_kafka_python().keys() - {"bootstrap_servers"} <= KafkaConnectionManager.DEFAULT_CONFIG.keys()
    names = aiokafka.client.AIOKafkaClient.__init__.__kwdefaults__.keys()
    assert wire.for_aiokafka().keys() <= names


def test_no_password_is_in_what_is_printed(keys: Keys, password: Path) -> None:
    """Not of the wire, nor of what Faust is given."""
    wire = Wire.of(Settings(**TLS, tls_ca=str(keys.ca), sasl="plain", user="anna", password_file=str(password)))
    assert str(wire) == "one:9093,two:9093"
    assert not any("hush" in f"{one!r} {one}" for one in (wire, wire.for_faust()))


def test_the_systems_authorities_are_trusted_where_none_are_named() -> None:
    """An empty DENYUT_TLS_CA is the system's."""
    context = Wire.of(Settings(**TLS)).context
    assert context is not None
    assert context.verify_mode == ssl.CERT_REQUIRED


def _bad_files(keys: Keys, folder: Path) -> list[tuple[dict[str, Any], str]]:
    none, empty, junk, locked = folder / "none", folder / "empty", folder / "junk", folder / "locked.key"
    empty.write_text(" \n")
    junk.write_bytes(b"\xff\xfe no PEM")
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    good, login = _certified(keys), {"sasl": "plain", "user": "anna"}
    keys.sign("other")
    return [
        ({"tls_ca": str(none)}, "DENYUT_TLS_CA='.*none': cannot be read .No such file"),
        ({"tls_ca": str(folder)}, "DENYUT_TLS_CA=.*: cannot be read .Is a directory"),
        ({"tls_ca": str(empty)}, "DENYUT_TLS_CA=.*: the file is empty"),
        ({"tls_ca": str(junk)}, "DENYUT_TLS_CA=.*: expected certificates, PEM"),
        ({**good, "tls_cert": str(none)}, "DENYUT_TLS_CERT: no such file"),
        ({**good, "tls_key": str(empty)}, "DENYUT_TLS_KEY=.*: the file is empty"),
        ({**good, "tls_key": str(locked)}, "DENYUT_TLS_KEY=.*: it has a passphrase"),
        ({**good, "tls_key": str(keys.ca.parent / "other.key")}, "DENYUT_TLS_CERT=.*key values mismatch"),
        ({**good, "tls_cert": str(junk)}, "DENYUT_TLS_CERT=.*: expected a certificate, PEM"),
        ({**login, "password_file": str(empty)}, "DENYUT_PASSWORD_FILE=.*: the file is empty"),
        ({**login, "password_file": str(junk)}, "DENYUT_PASSWORD_FILE=.*: not UTF-8"),
    ]


def test_a_file_that_is_no_use_is_named(keys: Keys, tmp_path: Path) -> None:
    """Missing, empty, of another kind, with a passphrase, or not belonging together."""
    for said, words in _bad_files(keys, tmp_path):
        with pytest.raises(BadSetting, match=words):
            Wire.of(Settings(**TLS, **said))


@pytest.mark.parametrize("said", ["hunter2", "hun/ter=2", "hunter2\0"])
def test_a_password_in_place_of_its_file_is_not_repeated(said: str) -> None:
    """Somebody will put it there; neither the error nor the table shows it."""
    settings = Settings(**TLS, sasl="plain", user="anna", password_file=said)
    with pytest.raises(BadSetting, match="DENYUT_PASSWORD_FILE: no ") as caught:
        Wire.of(settings)
    assert said not in str(caught.value)
    assert not any(said in column for row in settings.rows() for column in row)


def test_a_key_in_place_of_its_file_is_not_repeated(keys: Keys) -> None:
    """A whole PEM is too long for a name, a short one is no file's; certificates may carry their key with them."""
    pem = (keys.ca.parent / "somebody.key").read_text()
    for said in (pem, pem * 20, "0123456789abcdef" * 4):
        for field in ("tls_key", "tls_cert"):
            settings = Settings(**TLS, **{**_certified(keys), field: said})
            with pytest.raises(BadSetting, match=f"DENYUT_{field.upper()}: no ") as caught:
                Wire.of(settings)
            assert not any(line in str(caught.value) for line in said.splitlines())
            assert f"DENYUT_{field.upper()}" in {row.name for row in settings.rows() if row.value == "***"}


def test_settings_made_elsewhere_are_checked_too() -> None:
    """No wire in plain text to another machine, also where the settings came through no door."""
    with pytest.raises(BadSetting, match="DENYUT_PLAINTEXT=allow"):
        Wire.of(Settings(brokers="kafka:9092"))


def test_a_right_that_is_missing_is_no_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting would mend nothing: both who ask about topics say who may not, and the caller ends."""
    import asyncio

    import aiokafka.client
    import aiokafka.errors
    import kafka.errors

    async def refuses(_: object) -> None:
        raise aiokafka.errors.ClusterAuthorizationFailedError

    wire = Wire("localhost:9092", mechanism="PLAIN", user="anna")
    monkeypatch.setattr(aiokafka.client.AIOKafkaClient, "bootstrap", refuses)
    monkeypatch.setattr(probe, "knock", lambda *_: None)
    with pytest.raises(BadSetting, match=r"who does not log in may not describe denyut\.posts"):
        asyncio.run(probe.wait_for_topics(Wire("localhost:9092"), ["denyut.posts"]))
    monkeypatch.setattr(topics, "knock", lambda *_: None)
    monkeypatch.setattr("kafka.KafkaAdminClient", lambda **_: nullcontext())
    with pytest.raises(BadSetting, match="anna may not describe the topics of localhost:9092"), topics.admin_of(wire):
        raise kafka.errors.TopicAuthorizationFailedError


# What an address answers.


@contextmanager
def _listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """An address where every connection gets this; closed afterwards."""
    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            with line:
                line.settimeout(5.0)
                with suppress(OSError):
                    answer(line)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _kafka(*bodies: bytes) -> Callable[[socket.socket], None]:
    """A broker that answers one request after the other with these bodies, then ends the connection."""
    def answer(line: socket.socket) -> None:
        for body in bodies:
            (size,) = struct.unpack(">i", line.recv(4))
            request = line.recv(size)
            line.sendall(struct.pack(">i", 4 + len(body)) + request[4:8] + body)
    return answer


VERSIONS = struct.pack(">hi", 0, 0)
LOGIN_WANTED = struct.pack(">hi", 33, 1) + struct.pack(">h", 13) + b"SCRAM-SHA-512"
NO_LOGIN = struct.pack(">hi", 34, 0)


def test_a_broker_without_logins_lets_us_in() -> None:
    """One that has never heard of logins, and ends the connection when asked, does as well."""
    for bodies in ((VERSIONS, NO_LOGIN), (VERSIONS,)):
        with _listening(_kafka(*bodies)) as address:
            knock(Wire(address), 5.0)


def test_a_broker_that_wants_a_login_says_which() -> None:
    """Its own list, in our words."""
    with _listening(_kafka(VERSIONS, LOGIN_WANTED)) as address, \
            pytest.raises(BadSetting, match=r"DENYUT_SASL is empty: .* it takes scram-sha-512"):
        knock(Wire(address), 5.0)


@pytest.mark.parametrize("context", [None, ssl.create_default_context()], ids=["plain", "tls"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 4, b"\0\0\0\x04\0\0\0\0"])
def test_what_does_not_answer_as_kafka_does_is_waited_for(context: ssl.SSLContext | None, said: bytes) -> None:
    """A proxy before a broker that is away takes a connection and drops it, or says something else: no refusal."""
    def answer(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(said)

    with _listening(answer) as address, pytest.raises(LostBroker):
        knock(Wire(address, context), 5.0)


def test_silence_is_waited_for_in_time() -> None:
    """Who takes a connection and says nothing costs no longer than the patience, and is no refusal."""
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(LostBroker, match="no answer"):
        knock(Wire(f"127.0.0.1:{server.getsockname()[1]}"), 0.2)


def test_a_name_that_nobody_has_is_waited_for() -> None:
    """A name server may not know it yet."""
    with pytest.raises(LostBroker, match=r"nobody\.invalid:9092"):
        knock(Wire("nobody.invalid:9092"), 5.0)


def test_a_command_without_a_broker_says_what_to_do() -> None:
    """Whoever sets Denyut up meets it first at `denyut topics --create`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    done = CliRunner().invoke(main, ["topics", "--create"], env={"DENYUT_BROKERS": address})
    assert (1, f"denyut: no Kafka broker answers at {address} (Connection refused); start Kafka, or correct "
               "DENYUT_BROKERS\n") == (done.exit_code, done.stderr)


def test_one_that_lets_us_in_is_enough() -> None:
    """Some brokers may be away, or refuse us while their settings are being changed."""
    with _listening(_kafka(VERSIONS, LOGIN_WANTED)) as other, _listening(_kafka(VERSIONS, NO_LOGIN)) as good:
        knock(Wire(f"127.0.0.1:1,{other},{good}"), 5.0)
        with pytest.raises(BadSetting, match="DENYUT_SASL is empty"):
            knock(Wire(f"127.0.0.1:1,{other}"), 5.0)
