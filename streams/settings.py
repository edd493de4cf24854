"""Settings: everything that can be said to Denyut from outside, read once, at the door, from a mapping.

`Settings.read(os.environ)` is called by the command line and by nobody else; every other room is handed the value. An
unknown `DENYUT_*` name, a wrong type or a value out of range is a `BadSetting` that says what was seen and what was
expected. Which brands are listened to is content, not a setting: a file, whose path is one.
Knows nothing of Kafka, or of what a setting does.
"""

import ipaddress
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from models.score import EFFORTS, Effort
from streams.clock import Clock
from streams.heart.brands import Brands
from streams.heart.errors import BadBrands, BadSetting, nearest

PREFIX = "DENYUT_"
DEMO_SECRET = b"denyut: everybody has this key, so it protects nobody"
LEAST_SECRET = 16  # bytes
MAX_SOURCES = 255  # frames and trackers number them in one byte
LEVELS = ("debug", "info", "warning", "error")
SECRETS = ("secret_file", "password_file", "tls_cert", "tls_key")  # settings that name a file with a secret in it
LOGINS = ("", "plain", "scram-sha-256", "scram-sha-512")
HOUR_MS = 3_600_000
LONGEST_MS = 25 * HOUR_MS + HOUR_MS // 2  # of grace and early together: mentions are kept for 26 h
log = logging.getLogger("denyut.settings")

_UNITS = {"": 1, "ms": 1, "s": 1000, "m": 60_000, "h": HOUR_MS, "d": 24 * HOUR_MS}
_SPAN = re.compile(r"(\d{1,15})\s*(ms|s|m|h|d|)\Z")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}\Z")
_BROKER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@,\[\]]+):(\d{1,5})\Z")
# Kubernetes tells every pod where every service of its namespace is, in variables named after the service.
_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)\Z")
_USER = re.compile(r"[^\s,=\x00]{1,200}\Z")  # SCRAM would need the comma and = escaped; its clients do not
_SITE = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(?::(\d{1,5}))?(/[^\s?#]*)?\Z")
_LOGIN = re.compile(r"((?:^|(?<=//)|(?<=,))[^\s:/@,]*):(?!//).*@", re.DOTALL)  # a password may hold / , and @ as well

Reader = Callable[[str], Any]


def milliseconds(said: str) -> int:
    """A span as one writes it, in ms. Raises `ValueError`.

    >>> milliseconds("90s"), milliseconds("7d")
    (90000, 604800000)
    """
    match = _SPAN.match(said)
    if match is None:
        raise ValueError("a span in ms, or such as 500ms, 30s, 5m or 1h")
    return int(match[1]) * _UNITS[match[2]]


def _span(least_ms: int = 0) -> Reader:
    def read(said: str) -> int:
        ms = milliseconds(said)
        if ms < least_ms:
            raise ValueError(f"at least {span(least_ms)}")
        return ms
    return read


def _whole(least: int, most: int) -> Reader:
    def read(said: str) -> int:
        if not re.fullmatch(r"\d{1,15}", said, re.ASCII) or not least <= int(said) <= most:
            raise ValueError(f"a whole number from {least:,} to {most:,}")
        return int(said)
    return read


def _matching(pattern: re.Pattern[str], expected: str, *, empty: bool = False) -> Reader:
    def read(said: str) -> str:
        if not (pattern.match(said) or (empty and not said)):
            raise ValueError(expected)
        return said
    return read


def _text(said: str) -> str:
    return said


def _one_of(known: Sequence[str]) -> Callable[[str], str]:
    def read(said: str) -> str:
        if said.lower() not in known:
            named = ", ".join(one or "nothing" for one in known)
            raise ValueError(f"one of {named}{nearest(said.lower(), known)}")
        return said.lower()
    return read


def _clock(said: str) -> str:
    try:
        return str(Clock(said))
    except BadSetting:
        raise ValueError("nothing, or PUBLIC_MS@WALL_MSxSPEED") from None


def _sites(said: str) -> tuple[str, ...]:
    sites = tuple(site.strip().rstrip("/") for site in said.split(",")) if said else ()
    found = [_SITE.match(site) for site in sites]
    if not all(one and int(one[2] or 80) <= 65_535 for one in found):
        raise ValueError("http://host:port, or https; more of them with commas between")
    return sites


def _sources(said: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in said.split(",")))
    if not all(_SOURCE.match(name) for name in names):
        raise ValueError("names such as demo,file (small letters, digits, - and _, at most 32)")
    if len(names) > MAX_SOURCES:
        raise ValueError(f"at most {MAX_SOURCES} names")
    return names


def _brokers(said: str) -> str:
    addresses = [address.strip() for address in said.split(",")]
    for address in addresses:
        _address(address, least_port=1)
    return ",".join(addresses)


def _address(said: str, least_port: int = 0) -> str:
    match = _BROKER.match(said)
    if match is None or not least_port <= int(match[2]) <= 65_535:
        raise ValueError("host:port" if least_port == 0 else "host:port, more of them with commas between")
    return said


def is_here(address: str) -> bool:
    """Whether an address is this machine's own: what is sent there leaves it on no wire.

    >>> is_here("localhost:9092"), is_here("127.0.0.3:9092"), is_here("[::1]:9092"), is_here("127.0.0.1.example:9092")
    (True, True, True, False)
    """
    host = address.rpartition(":")[0].strip("[]").lower()
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: whose, a name server decides
        return False


def _setting(default: Any, read: Reader, meaning: str) -> Any:
    return field(default=default, metadata={"read": read, "meaning": meaning})


class Row(NamedTuple):
    """One setting as it is shown: its variable, its value and its default as one would write them, what it means."""

    name: str
    value: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings. The defaults work with a broker on this machine and with the demo's brands.

    >>> Settings.read({"DENYUT_DELAY_MS": "1m", "HOME": "/root"}).delay_ms
    60000
    >>> Settings.read({"DENYUT_BROKER": "kafka:9092"})
    Traceback (most recent call last):
    streams.heart.errors.BadSetting: DENYUT_BROKER: no such setting (did you mean DENYUT_BROKERS?)
    """

    brokers: str = _setting("localhost:9092", _brokers, "Kafka: host:port, more of them with commas between")
    plaintext: str = _setting("refuse", _one_of(("refuse", "allow")),
                              "to brokers elsewhere, in plain text: refuse; allow where the network itself is trusted")
    tls: str = _setting("off", _one_of(("off", "on")), "TLS to the brokers: on or off")
    tls_ca: str = _setting("", _text, "path of the authorities that brokers are trusted by, PEM; empty: the system's")
    tls_cert: str = _setting("", _text, "path of our certificate, PEM, where brokers ask for one")
    tls_key: str = _setting("", _text, "path of its key, PEM, without a passphrase")
    sasl: str = _setting("", _one_of(LOGINS), "how we log in: plain, scram-sha-256 or scram-sha-512; empty: not at all")
    user: str = _setting("", _matching(_USER, "a name without white space, commas and =", empty=True),
                         "who logs in")
    password_file: str = _setting("", _text, "path of the password; never the password itself")
    prefix: str = _setting("denyut", _matching(_NAME, "letters, digits, dots, - and _"),
                           "what the names of topics and consumer groups begin with")
    partitions: int = _setting(12, _whole(1, 10_000), "of new topics, used by `denyut topics --create` only")
    replication: int = _setting(1, _whole(1, 100), "copies of new topics, used by `denyut topics --create` only")
    brands: str = _setting("", _text, "path of the brand file; empty: the demo's brands")
    sources: tuple[str, ...] = _setting(("demo", "file"), _sources, "sources whose posts count; any other is a reject")
    secret_file: str = _setting("", _text, "path of the key that hides ids and handles; no feed without one")
    policy: str = _setting("", _text, "path of your own policy entries, one for each source; empty: those that we ship")
    model: str = _setting("", _text, "a path or a Hugging Face name; empty: the embedded model")
    threads: int = _setting(1, _whole(1, 256), "of the model")
    effort: Effort = _setting("balanced", _one_of(EFFORTS),  # noqa: RUF009  # it makes a field, as the others
                              "of the model: fast (it answers early), exact (late) or balanced (early where sure)")
    batch_posts: int = _setting(256, _whole(1, 100_000), "at most, in one call of the model")
    flush_ms: int = _setting(500, _span(10), "a frame of mentions waits at most so long")
    flush_bytes: int = _setting(262_144, _whole(1024, 900_000), "a frame of mentions grows at most so large")
    delay_ms: int = _setting(30_000, _span(1000), "after a pane's end: then its votes and health are settled")
    grace_ms: int = _setting(HOUR_MS, _span(HOUR_MS), "a post that comes later after its pane does not count")
    early_ms: int = _setting(60_000, _span(), "a post dated further ahead of its arrival does not count")
    http: str = _setting("127.0.0.1:9100", _address, "where /metrics, /livez and /readyz are served; port 0: any")
    alertmanager: tuple[str, ...] = _setting(
        (), _sites, "where `denyut tell` finds Alertmanager: http://host:port, all of them with commas between")
    instance: str = _setting("", _matching(_NAME, "letters, digits, dots, - and _", empty=True),
                             "this counting worker's own name in its group, the same after a restart; empty: none")
    session_ms: int = _setting(10_000, _span(1000), "a worker that is silent for so long loses its partitions")
    stop_ms: int = _setting(10_000, _span(100), "a worker that is told to stop has so long")
    clock: str = _setting("", _clock, "empty: the wall clock; or the public clock that the demo tells its workers")
    log_level: str = _setting("info", _one_of(LEVELS), "debug, info, warning or error")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads every `DENYUT_*` variable; others are none of ours. Raises `BadSetting`."""
        known = {PREFIX + one.name.upper(): one for one in fields(cls)}
        for name in sorted(environ):
            if name.startswith(PREFIX) and name not in known:
                raise BadSetting(f"{name}: no such setting{_hint(name, known)}")
        said = {one.name: _read(name, one.metadata["read"], environ[name])
                for name, one in known.items() if name in environ}
        settings = cls(**said)
        settings._agree()
        return settings

    def _agree(self) -> None:
        if self.delay_ms >= self.grace_ms:
            raise BadSetting(f"DENYUT_DELAY_MS={span(self.delay_ms)}: expected less than DENYUT_GRACE_MS, "
                             f"which is {span(self.grace_ms)}")
        if self.grace_ms + self.early_ms > LONGEST_MS:
            raise BadSetting(f"DENYUT_GRACE_MS={span(self.grace_ms)}: with DENYUT_EARLY_MS={span(self.early_ms)} it is "
                             f"more than {LONGEST_MS / HOUR_MS:g} h, and what is not sealed yet must be read back from "
                             "denyut.mentions, which is kept for 26 h; expected less")
        self.check_wire()

    def check_wire(self) -> None:
        """Raises `BadSetting` for a way to Kafka that cannot be, or that everybody on the network could read along."""
        tls, sasl = self.tls == "on", self.sasl
        named = {"TLS_CA": self.tls_ca, "TLS_CERT": self.tls_cert, "TLS_KEY": self.tls_key}
        for name, path in named.items():
            if path and not tls:
                raise BadSetting(f"DENYUT_{name} is set, and DENYUT_TLS=off would not use it: expected DENYUT_TLS=on")
        for name, other in (("TLS_CERT", "TLS_KEY"), ("TLS_KEY", "TLS_CERT")):
            if named[name] and not named[other]:
                raise BadSetting(f"DENYUT_{name} is set, and DENYUT_{other} is empty: a certificate and its key, or "
                                 f"none of them")
        if sasl and not tls:
            raise BadSetting(f"DENYUT_SASL={sasl}: a login is sent over TLS only; expected DENYUT_TLS=on")
        for name, said in (("USER", self.user), ("PASSWORD_FILE", self.password_file)):
            if bool(sasl) != bool(said):
                raise BadSetting(f"DENYUT_{name} is empty, and DENYUT_SASL={sasl} needs it" if sasl else
                                 f"DENYUT_{name} is set, and DENYUT_SASL is empty: expected how we log in, "
                                 f"one of {', '.join(LOGINS[1:])}")
        far = [one for one in self.brokers.split(",") if not is_here(one)]
        if far and not tls and self.plaintext != "allow":
            raise BadSetting(f"DENYUT_TLS=off: {far[0]} is not this machine, and what people write would cross the "
                             f"network as plain text; expected DENYUT_TLS=on, or DENYUT_PLAINTEXT=allow where the "
                             f"network itself is trusted")

    def topic(self, name: str) -> str:
        """A topic's full name.

        >>> Settings().topic("posts")
        'denyut.posts'
        """
        return f"{self.prefix}.{name}"

    def read_brands(self) -> Brands:
        """The brands listened to. Raises `BadBrands`, naming the file."""
        try:
            if self.brands:
                return Brands.parse(Path(self.brands).read_text("utf-8"))
            return Brands.parse((files("streams") / "demo" / "brands.toml").read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadBrands(f"DENYUT_BRANDS={self.brands!r}: cannot be read ({_why(error)})") from None
        except BadBrands as error:
            raise BadBrands(f"{self.brands or 'demo/brands.toml'}: {error}") from None

    def read_secret(self, *, needed: bool = True) -> bytes:
        """The key that hides native ids and handles: all bytes of its file but the white space around them.

        Raises `BadSetting`, naming the file; also without one, where it is needed: what real people write is not hidden
        with a key that everybody has. Where it is not, because nothing leaves this process, that key will do.
        """
        if not self.secret_file and not needed:
            return DEMO_SECRET
        if not self.secret_file:
            raise BadSetting("DENYUT_SECRET_FILE is empty: the ids and handles of real people are hidden with a key of "
                             "yours; `openssl rand -hex 32 > FILE` makes one, and the same key must be kept")
        try:
            secret = Path(self.secret_file).read_bytes().strip()
        except (OSError, ValueError) as error:
            raise BadSetting(unreadable("DENYUT_SECRET_FILE", self.secret_file, error)) from None
        if len(secret) < LEAST_SECRET:
            raise BadSetting(f"DENYUT_SECRET_FILE={self.secret_file!r}: {len(secret)} bytes, expected at least "
                             f"{LEAST_SECRET}; `openssl rand -hex 32` makes a good one")
        return secret

    def rows(self) -> list[Row]:
        """Every setting in force, as one would write it. A secret that strayed into a value is masked."""
        return [Row(PREFIX + one.name.upper(), _shown(one.name, getattr(self, one.name)),
                    _said(one.name, one.default), one.metadata["meaning"]) for one in fields(self)]


def span(ms: int) -> str:
    """A span as one would write it.

    >>> span(90_000), span(3_600_000), span(250), span(0)
    ('90s', '1h', '250ms', '0ms')
    """
    for unit in ("h", "m", "s"):
        if ms and ms % _UNITS[unit] == 0:
            return f"{ms // _UNITS[unit]}{unit}"
    return f"{ms}ms"


def mask(said: str) -> str:
    """Hides a password in what looks like a login.

    >>> mask("kafka://anna:secret@host:9092"), mask("host:9092,other:9092")
    ('kafka://anna:***@host:9092', 'host:9092,other:9092')
    """
    return _LOGIN.sub(r"\1:***@", said)


def _read(name: str, read: Reader, said: str) -> Any:
    try:
        return read(said.strip())
    except ValueError as error:
        raise BadSetting(f"{name}={mask(said)!r}: expected {error}") from None


def _hint(name: str, known: Mapping[str, Any]) -> str:
    if _KUBERNETES.search(name):
        return ": Kubernetes put it there for a service of this name; set `enableServiceLinks: false` in the pod"
    # Without what all of them begin with, or every name would be near to every other.
    close = get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], n=1)
    return f" (did you mean {PREFIX}{close[0]}?)" if close else ""


def _said(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return span(value) if name.endswith("_ms") else str(value)


def _shown(name: str, value: Any) -> str:
    """What may be seen of a value. What stands for a file and is none may be the secret itself."""
    if name in SECRETS and value and not is_file(value):
        return "***"
    return mask(_said(name, value))


def is_file(path: str) -> bool:
    """Whether there is a file of that name, for us to see. What can be no name at all, as a whole key, is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def unreadable(name: str, path: str, error: Exception) -> str:
    """What to say of the file that a setting names. `name` is the variable. What is no file is not repeated where it
    may be a secret: whoever puts the key where its path belongs finds it in no log.

    >>> unreadable("DENYUT_TLS_KEY", "-----BEGIN PRIVATE KEY-----", FileNotFoundError())
    'DENYUT_TLS_KEY: no such file'
    """
    if is_file(path) or name.removeprefix(PREFIX).lower() not in SECRETS:
        return f"{name}={path!r}: cannot be read ({_why(error)})"
    return f"{name}: no such file" if isinstance(error, FileNotFoundError) else \
        f"{name}: no file that can be read ({_why(error)})"


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
