"""Wire: how Kafka is reached. The one place that knows of TLS and logins.

    settings ──of──▶ Wire ──▶ for_kafka_python, for_aiokafka, for_faust: each library's own words for the same
                       └────▶ streams/knock.py: is there anybody, and are we let in?

Passwords and keys come from files and go nowhere but to a broker.
Knows nothing of topics or records.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.heart.errors import BadSetting
from streams.settings import Settings, unreadable


@dataclass(frozen=True, slots=True)
class Wire:
    """Where Kafka is, and what proves who we are.

    >>> wire = Wire("one:9092,two:9092")
    >>> str(wire), wire.addresses, wire.for_aiokafka()["security_protocol"]
    ('one:9092,two:9092', (('one', 9092), ('two', 9092)), 'PLAINTEXT')
    """

    brokers: str  # host:port, more of them with commas between
    context: ssl.SSLContext | None = field(default=None, repr=False)  # None: plain text
    mechanism: str = ""  # PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no login
    user: str = ""
    password: str = field(default="", repr=False)
    has_certificate: bool = False  # of our own

    @classmethod
    def of(cls, settings: Settings) -> "Wire":
        """The wire that the settings ask for. Reads files; raises `BadSetting`, naming the setting."""
        settings.check_wire()
        context = _context(settings) if settings.tls == "on" else None
        if not settings.sasl:
            return cls(settings.brokers, context, has_certificate=bool(settings.tls_cert))
        return cls(settings.brokers, context, settings.sasl.upper(), settings.user, _password(settings.password_file),
                   bool(settings.tls_cert))

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each."""
        found = (one.strip().rpartition(":") for one in self.brokers.split(","))
        return tuple((host.strip("[]"), int(port)) for host, _, port in found)

    @property
    def protocol(self) -> str:
        """PLAINTEXT, SSL or SASL_SSL: a login without TLS there is none."""
        return "PLAINTEXT" if self.context is None else "SASL_SSL" if self.mechanism else "SSL"

    def __str__(self) -> str:
        return self.brokers

    def denied(self, what: str, topic: str, error: BaseException) -> BadSetting:
        """The error for a right that we lack: `what` is write, read or describe, `topic` may be a group."""
        who = f"DENYUT_USER={self.user}" if self.mechanism else \
            "who DENYUT_TLS_CERT names" if self.has_certificate else "who does not log in"
        return BadSetting(f"{who} may not {what} {topic} ({type(error).__name__}): a user with that right, or an ACL "
                          f"that gives it")

    @contextmanager
    def denials(self) -> Iterator[None]:
        """Within, what an aiokafka consumer fails of because we lack a right is a `BadSetting`."""
        from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

        try:
            yield
        except Exception as error:
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, GroupAuthorizationFailedError | TopicAuthorizationFailedError):
                    raise self.denied("read", _named(cause), cause) from error
                cause = cause.__cause__
            raise

    def for_kafka_python(self) -> dict[str, Any]:
        """Arguments of kafka-python's clients."""
        return {"bootstrap_servers": self.brokers.split(","), **self._security()}

    def for_aiokafka(self) -> dict[str, Any]:
        """Arguments of aiokafka's clients."""
        return {"bootstrap_servers": self.brokers, **self._security()}

    def for_faust(self) -> dict[str, Any]:
        """Arguments of a Faust app."""
        import faust

        credentials: Any = None
        if self.mechanism:
            credentials = faust.SASLCredentials(username=self.user, password=self.password, ssl_context=self.context,
                                                mechanism=self.mechanism)
        elif self.context is not None:
            credentials = faust.SSLCredentials(self.context)
        brokers = [f"kafka://{one.strip()}" for one in self.brokers.split(",")]
        return {"broker": brokers, "broker_credentials": credentials}

    def _security(self) -> dict[str, Any]:
        """Both libraries use the same words."""
        said: dict[str, Any] = {"security_protocol": self.protocol}
        if self.context is not None:
            said["ssl_context"] = self.context
        if self.mechanism:
            said |= {"sasl_mechanism": self.mechanism, "sasl_plain_username": self.user,
                     "sasl_plain_password": self.password}
        return said


def _context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 or later; the broker's certificate must be trusted, and be for the name by which we call it."""
    ca = settings.tls_ca
    if ca:
        _read("TLS_CA", ca)
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except ssl.SSLError as error:
        raise BadSetting(f"DENYUT_TLS_CA={ca!r}: expected certificates, PEM ({_why(error)})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_cert:
        _prove(context, settings.tls_cert, settings.tls_key)
    return context


def _prove(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Gives the context our certificate."""
    _read("TLS_CERT", cert)
    if b"ENCRYPTED" in _read("TLS_KEY", key):  # OpenSSL would ask the terminal for the passphrase
        raise BadSetting(f"DENYUT_TLS_KEY={key!r}: it has a passphrase; expected a key without one")
    try:
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        raise BadSetting(f"DENYUT_TLS_CERT={cert!r}: expected a certificate, PEM, and in DENYUT_TLS_KEY={key!r} the "
                         f"key that belongs to it ({_why(error)})") from None


def _password(path: str) -> str:
    try:
        return _read("PASSWORD_FILE", path).decode()
    except UnicodeDecodeError:
        raise BadSetting(f"DENYUT_PASSWORD_FILE={path!r}: not UTF-8") from None


def _read(name: str, path: str) -> bytes:
    """A file without the white space around it."""
    try:
        found = Path(path).read_bytes().strip()
    except (OSError, ValueError) as error:
        raise BadSetting(unreadable(f"DENYUT_{name}", path, error)) from None
    if not found:
        raise BadSetting(f"DENYUT_{name}={path!r}: the file is empty")
    return found


def _named(error: BaseException) -> str:
    """The topics or the group that aiokafka speaks of: a name, or a collection of them."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, str) else ", ".join(sorted(map(str, said)))


def _why(error: ssl.SSLError) -> str:
    return (error.reason or "").replace("_", " ").lower() or str(error)
