"""Knock: is there a broker, and does it let us in? Asked before any client starts, for clients do not say why not.

Both Kafka libraries try again for ever, or say "unable to bootstrap", whether a broker is away or has refused us. So
one connection of our own goes first, as far as the login, with the few words of Kafka's protocol that this takes:

    connect ──▶ TLS ──▶ ApiVersions: it speaks Kafka ──▶ SaslHandshake, SaslAuthenticate: it knows us ──▶ let in

Nobody there, silence, or a line that breaks is `LostBroker`: wait. A refusal that only another setting can mend is
`BadSetting`, and only where there is proof of it: what accepts a connection and drops it may be a proxy before a broker
that is away. So when TLS fails we look whether it speaks plain text, and the other way about.
Blocking. Knows nothing of topics or records.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from streams.heart.errors import BadSetting, LostBroker
from streams.logs import OFTEN
from streams.wire import Wire

if TYPE_CHECKING:
    from streams.serve import Health

PATIENCE_S = 5.0  # for every step
LOOK_S = 1.0  # for what should be said at once, if at all
EVERY_S = 30.0
API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
MOST = 1_000_000  # bytes of an answer
UNSUPPORTED, NO_LOGIN_HERE, REFUSED = 33, 34, 58  # Kafka's error codes
often = logging.getLogger(f"{OFTEN}.knock")


def knock(wire: Wire, patience_s: float = PATIENCE_S) -> None:
    """Returns when one of the brokers lets us in.

    Raises `BadSetting`, naming the setting to look at, when none does and one refuses; `LostBroker` when none answers.
    """
    refused: BadSetting | None = None
    away: OSError | None = None
    for host, port in wire.addresses:
        try:
            return _Door(wire, host, port, patience_s).enter()
        except BadSetting as error:
            refused = refused or error
        except OSError as error:
            away = error
    if refused is not None:
        raise refused
    raise LostBroker(f"no Kafka broker answers at {wire} ({_why(away)})")


async def keep_knocking(
    wire: Wire, health: "Health", renewed: Callable[[], Wire], every_s: float = EVERY_S
) -> None:
    """Knocks again for ever. Raises `BadSetting`, as `knock_again` does."""
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(knock_again, wire, health, renewed)


def knock_again(wire: Wire, health: "Health", renewed: Callable[[], Wire]) -> None:
    """Looks whether we would still be let in; where not, the process is not ready, and says why.

    Clients keep what they were given at the start, so no other file mends them. `renewed` reads the files again: when
    what is in them is let in and what we have is not, raises `BadSetting`: the start that follows takes the new.
    """
    try:
        knock(wire)
    except LostBroker:
        pass  # the clients say so, and wait
    except BadSetting as error:
        health.unmet("login", "the broker refuses us")
        often.error("%s; the connections that we have go on while they last", error)
        if _lets_in(renewed):
            raise BadSetting(f"{error}; what is in the files by now is let in: start again to take it") from None
    else:
        health.met("login")


def _lets_in(renewed: Callable[[], Wire]) -> bool:
    try:
        knock(renewed())
    except (BadSetting, LostBroker):
        return False
    return True


class _Door:
    """One address."""

    def __init__(self, wire: Wire, host: str, port: int, patience_s: float) -> None:
        self._wire = wire
        self._host = host
        self._port = port
        self._patience_s = patience_s
        self._where = f"{host}:{port}"

    def enter(self) -> None:
        """Goes as far as the login. Raises `BadSetting`, or OSError."""
        with contextlib.closing(self._connect()) as bare, contextlib.closing(self._wrap(bare)) as line:
            try:
                _ask(line, API_VERSIONS, 0, b"")
            except OSError as error:
                self._explain(error)
                raise
            if self._wire.mechanism:
                self._log_in(line)
            else:
                self._need_no_login(line)

    # TLS.

    def _connect(self) -> socket.socket:
        return socket.create_connection((self._host, self._port), self._patience_s)

    def _wrap(self, bare: socket.socket) -> socket.socket:
        if self._wire.context is None:
            return bare
        try:
            return self._wire.context.wrap_socket(bare, server_hostname=self._host)
        except ssl.SSLCertVerificationError as error:
            raise BadSetting(f"DENYUT_TLS_CA: the certificate of {self._where} is not trusted "
                             f"({error.verify_message.rstrip('.')})") from None
        except OSError as error:
            bare.close()
            self._explain(error)
            raise

    def _explain(self, error: OSError) -> None:
        """Raises `BadSetting` where there is proof that the broker, not the network, broke the line."""
        if isinstance(error, TimeoutError):  # silence: asking again would only take as long again
            return
        if self._wire.context is None:
            if self._speaks_tls():
                raise BadSetting(f"DENYUT_TLS=off: {self._where} speaks TLS; expected DENYUT_TLS=on") from None
            return
        if self._speaks_kafka():
            raise BadSetting(f"DENYUT_TLS=on: {self._where} speaks plain text; is it the port for TLS?") from None
        # A certificate is refused after the handshake, and what we have sent by then may drown the alert.
        alert = error if _is_alert(error) else self._listen()
        if alert is not None:
            own = "refuses our certificate" if self._wire.has_certificate else "refuses us, who have no certificate"
            raise BadSetting(f"DENYUT_TLS_CERT: {self._where} {own} ({_why(alert)})") from None

    def _listen(self) -> OSError | None:
        """The alert that a broker sends to who says nothing; None: none."""
        assert self._wire.context is not None
        try:
            with self._connect() as bare, self._wire.context.wrap_socket(bare, server_hostname=self._host) as line:
                line.settimeout(LOOK_S)
                line.recv(1)
        except OSError as error:
            return error if _is_alert(error) else None
        return None

    def _speaks_tls(self) -> bool:
        """Nothing is believed of it and nothing told, so its certificate does not matter."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with self._connect() as bare, context.wrap_socket(bare):
                return True
        except OSError as error:
            return _is_alert(error)

    def _speaks_kafka(self) -> bool:
        try:
            with self._connect() as line:
                _ask(line, API_VERSIONS, 0, b"")
        except OSError:
            return False
        return True

    # The login.

    def _log_in(self, line: socket.socket) -> None:
        from kafka.net.sasl import get_sasl_mechanism

        said = self._wire.mechanism.lower()
        code, offered = self._handshake(line, self._wire.mechanism)
        if code == NO_LOGIN_HERE:
            raise BadSetting(f"DENYUT_SASL={said}: {self._where} takes no login; is it the port for one?")
        if code == UNSUPPORTED:
            raise BadSetting(f"DENYUT_SASL={said}: {self._where} does not take that; it takes {offered}")
        if code:
            raise OSError(f"it answered with error {code}")
        way = get_sasl_mechanism(self._wire.mechanism)(**self._wire.for_kafka_python())
        while not way.is_done():
            token = way.auth_bytes()
            answer = _Answer(_ask(line, SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token))
            code, why = answer.number(">h"), answer.text()
            if code == REFUSED:
                raise BadSetting(f"DENYUT_USER={self._wire.user}: {self._where} refuses the login by {said} ({why}); "
                                 f"is it the password of this user that DENYUT_PASSWORD_FILE holds?")
            if code:
                raise OSError(f"it answered with error {code}")
            try:
                way.receive(answer.token())
            except (ValueError, KeyError):  # only who knows the password can sign
                raise BadSetting(f"DENYUT_PASSWORD_FILE: {self._where} does not know the password itself") from None

    def _need_no_login(self, line: socket.socket) -> None:
        try:
            code, offered = self._handshake(line, "none")
        except OSError:  # not every broker answers that; whoever wants no login need not
            return
        if code == UNSUPPORTED:
            raise BadSetting(f"DENYUT_SASL is empty: {self._where} asks for a login; it takes {offered}")

    def _handshake(self, line: socket.socket, mechanism: str) -> tuple[int, str]:
        """The error code, and the mechanisms that it takes, in our words."""
        answer = _Answer(_ask(line, SASL_HANDSHAKE, 1, _text(mechanism)))
        code = answer.number(">h")
        return code, ", ".join(sorted(answer.text().lower() for _ in range(answer.number(">i"))))


class _Answer:
    """The body of an answer, read from its beginning. Whatever does not fit is an OSError."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def number(self, form: str) -> int:
        """The next number, in the form that `struct` says."""
        (found,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return int(found)

    def text(self) -> str:
        """The next string; null is empty."""
        return self._take(max(self.number(">h"), 0)).decode("utf-8", "replace")

    def token(self) -> bytes:
        """The next bytes; null is none."""
        return self._take(max(self.number(">i"), 0))

    def _take(self, count: int) -> bytes:
        taken, self._body = self._body[:count], self._body[count:]
        if len(taken) < count:
            raise OSError("its answer ends too soon")
        return taken


def _ask(line: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """Sends a request; the body of its answer. Raises OSError."""
    request = struct.pack(">hhi", api, version, api) + _text("denyut") + body
    line.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", _exactly(line, 4))
    if not 4 <= size <= MOST:
        raise OSError("what answers is not Kafka")
    answer = _exactly(line, size)
    if struct.unpack(">i", answer[:4]) != (api,):
        raise OSError("what answers is not Kafka")
    return answer[4:]


def _exactly(line: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = line.recv(count - len(found))
        if not more:
            raise ConnectionError("it ended the connection")
        found += more
    return found


def _text(said: str) -> bytes:
    encoded = said.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _is_alert(error: OSError) -> bool:
    """Whether the other side said in TLS why it ends the connection."""
    return isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")


def _why(error: OSError | None) -> str:
    """What happened, in a few words.

    >>> _why(ConnectionRefusedError(111, "Connection refused"))
    'Connection refused'
    """
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.partition("ALERT_")[2].replace("_", " ").lower() or error.reason.replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
