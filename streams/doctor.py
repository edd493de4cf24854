"""Doctor: what stands between this machine and a start, looked at all at once and said in lines.

    settings ──▶ each check, also after one that found something ──▶ lines: ok, warning, fault, skipped ──▶ an exit code

It looks and changes nothing: no topic is made, no record written, no model brought here. A check that fails in a way
that nobody foresaw is a line, too. What a wrong setting leaves unknown is skipped, not guessed.
Knows nothing of how a line is printed.
"""

import errno
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from streams.findings import Line, Lines, Verdict, size
from streams.heart.errors import BadSetting, DenyutError
from streams.settings import PREFIX, Settings, unreadable

ROOM = 256 << 20  # bytes: of temporary files, less is a fault
FILES, FEW_FILES = 1024, 256  # open at once: a warning, a fault
REACHED = ("brokers", "plaintext", "tls", "tls_ca", "tls_cert", "tls_key", "sasl", "user", "password_file")
PACKAGES = ("streams", "models")
PINNED = ("faust-streaming", "aiokafka", "mode-streaming", "kafka-python")

_SETTING = re.compile(rf"{PREFIX}[A-Z_]+")


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at. `wrong`: fields of the settings that cannot be read; they have their defaults here."""

    settings: Settings
    wrong: frozenset[str] = frozenset()


class Check(NamedTuple):
    """One thing to look at, and the settings without which there is nothing to see."""

    what: str
    look: Callable[[Settings], Lines]
    needs: tuple[str, ...] = ()


def examine(environ: Mapping[str, str]) -> Iterator[Line]:
    """Every line, in order; each is given as soon as those before it are known."""
    patient, lines = admitted(environ)
    yield from lines
    # Side by side: the model works while the broker is waited for.
    with ThreadPoolExecutor(4, "doctor") as hands:
        for looked in [hands.submit(_looked, check, patient) for check in CHECKS]:
            yield from looked.result()


def admitted(environ: Mapping[str, str]) -> tuple[Patient, list[Line]]:
    """The settings, without those that cannot be; and what is to be said of them."""
    left, lines, wrong = dict(environ), list[Line](), set[str]()
    while True:
        try:
            settings = Settings.read(left)
        except BadSetting as error:
            lines.append(Line("settings", Verdict.FAULT, str(error)))
            named = _SETTING.match(str(error))
            if named is None or named[0] not in left:  # another one's absence is wrong: nothing is left to leave out
                names = {one.name for one in fields(Settings)}
                return Patient(Settings(), frozenset(wrong | names)), lines
            del left[named[0]]
            wrong.add(named[0].removeprefix(PREFIX).lower())
            continue
        said = sum(name.startswith(PREFIX) for name in left)
        if not lines:
            lines.append(Line("settings", Verdict.OK, f"{said} of {len(fields(Settings))} are set, the others default"))
        return Patient(settings, frozenset(wrong)), lines


def _looked(check: Check, patient: Patient) -> list[Line]:
    """What a check says; an error that it did not foresee is one more line, of which nobody knows whose fault it is."""
    if missing := sorted(patient.wrong & set(check.needs)):
        named = ", ".join(PREFIX + name.upper() for name in missing)
        return [Line(check.what, Verdict.SKIPPED, f"not looked at before {named} is mended")]
    lines: list[Line] = []
    try:
        lines.extend(check.look(patient.settings))
    except BadSetting as error:
        lines.append(Line(check.what, Verdict.FAULT, str(error)))
    except DenyutError as error:
        lines.append(Line(check.what, Verdict.FAULT, str(error), yours=False))
    except Exception as error:
        lines.append(Line(check.what, Verdict.FAULT, f"cannot be looked at ({type(error).__name__}: {error})",
                          yours=False))
    return lines


# This installation.


def _package(_: Settings) -> Lines:
    """Whose code runs under our generic names, and whether the libraries whose ways we rely on are the ones we know."""
    shipping = metadata.packages_distributions()
    try:
        ours = metadata.distribution("denyut")
    except metadata.PackageNotFoundError:
        yield Line("package", Verdict.FAULT, "no package denyut is installed", "one in this environment",
                   "pip install denyut, or `make setup` in a checkout")
        return
    wrong = False
    for name in PACKAGES:
        others = sorted({one for one in shipping.get(name, ()) if one.lower() != "denyut"})
        if others:  # pip says nothing, and the one that was installed last has its files there
            wrong = True
            yield Line("package", Verdict.FAULT, f"`{name}` is shipped by {', '.join(others)} too", "by denyut alone",
                       f"give Denyut an environment to itself: uninstall {', '.join(others)}, then install it again")
    if not wrong:
        where = "" if shipping.get("streams") else f", in place at {Path(__file__).parent.parent}"
        yield Line("package", Verdict.OK, f"denyut {ours.version}{where}; nobody else ships {' or '.join(PACKAGES)}")
    yield from _pins(ours.requires or ())


def _pins(requires: Sequence[str]) -> Lines:
    """The libraries that tests of ours pin down."""
    asked = {match[1].lower(): match[2] for one in requires
             if (match := re.match(r"([A-Za-z0-9._-]+)\s*([^;]*)", one)) and "extra ==" not in one}
    good = []
    for name in PINNED:
        wanted = asked.get(name, "")
        try:
            there = metadata.version(name)
        except metadata.PackageNotFoundError:
            there = "nothing"
        if there != "nothing" and fits(there, wanted):
            good.append(f"{name} {there}")
        else:
            yield Line("libraries", Verdict.FAULT, f"{name} is {there}", wanted or "it installed",
                       f"pip install '{name}{wanted}': its behaviour is relied on to the letter")
    if len(good) == len(PINNED):
        yield Line("libraries", Verdict.OK, ", ".join(good))


def fits(version: str, wanted: str) -> bool:
    """Whether a release is within what a requirement says; of pre-releases only the number is looked at.

    >>> fits("3.0.12", "<3.1,>=3.0.12"), fits("3.1.0", "<3.1,>=3.0.12"), fits("0.14.0", "==0.14.0")
    (True, False, True)
    """
    tests: dict[str, Callable[[list[int], list[int]], bool]] = {
        "==": lambda a, b: a == b, ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b,
        "<": lambda a, b: a < b, ">": lambda a, b: a > b, "!=": lambda a, b: a != b}
    return all(tests[sign](_numbers(version), _numbers(bound))
               for sign, bound in re.findall(r"(==|>=|<=|!=|<|>)\s*([\w.]+)", wanted))


def _numbers(version: str) -> list[int]:
    numbers = [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]
    return (numbers + [0] * 4)[:4]


def _open_files(_: Settings) -> Lines:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    expected, do = f"{FILES} or more", f"raise it (ulimit -n {FILES}; the hard limit is {hard})"
    if soft == resource.RLIM_INFINITY or soft >= FILES:
        yield Line("open files", Verdict.OK, f"up to {'any number' if soft == resource.RLIM_INFINITY else soft}")
    else:
        yield Line("open files", Verdict.FAULT if soft < FEW_FILES else Verdict.WARNING, f"up to {soft}", expected, do)


def _disk(settings: Settings) -> Lines:
    """Where temporary files, and models from a hub, go."""
    try:
        folders = {"temporary files": Path(tempfile.gettempdir())}
    except FileNotFoundError as error:
        yield Line("disk", Verdict.FAULT, str(error), "one that can be written", "set TMPDIR, or mount one")
        return
    if settings.model and not Path(settings.model).is_dir():
        folders["models of the hub"] = _nearest_there(_hub())
    for what, folder in folders.items():
        free = shutil.disk_usage(folder).free
        said = f"{folder}: {size(free)} free for {what}"
        if free < ROOM:
            yield Line("disk", Verdict.FAULT, said, f"{size(ROOM)} or more", "make room, or set TMPDIR")
        elif why := _refused(folder):
            yield Line("disk", Verdict.FAULT, f"{folder}: {why}", "that it can be written", "give this user the right")
        else:
            yield Line("disk", Verdict.OK, said)


def _refused(folder: Path) -> str:
    """Why nothing can be written into a folder; empty where it can. What is written goes at once."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _hub() -> Path:
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")).expanduser()


def _nearest_there(folder: Path) -> Path:
    """The folder, or the first above it that there is."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def _page(settings: Settings) -> Lines:
    """Whether the page of a worker could be served: nobody is there, or one of ours."""
    host, _, port = settings.http.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the page does: old connections do not count
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            yield _taken(settings.http, error)
        else:
            yield Line("page", Verdict.OK, f"DENYUT_HTTP={settings.http} is free")


def _taken(address: str, error: OSError) -> Line:
    said = f"DENYUT_HTTP={address}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        if _is_ours(address):
            return Line("page", Verdict.OK, f"DENYUT_HTTP={address} is served by a process of ours already")
        return Line("page", Verdict.FAULT, said, "that nobody is there", "choose another port, or end who has it")
    return Line("page", Verdict.FAULT, said, "an address of this machine", "correct it")


def _is_ours(address: str) -> bool:
    from urllib.request import urlopen

    host, _, port = address.rpartition(":")
    near = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104  # a name that is compared
    try:
        with urlopen(f"http://{near}:{port}/metrics", timeout=2) as answer:  # our own page
            return b"denyut_" in answer.read()
    except (OSError, ValueError):
        return False


# What is read from files.


def _secrets(settings: Settings) -> Lines:
    named = {name: str(getattr(settings, name)) for name in ("secret_file", "password_file", "tls_key")}
    for name, path in named.items():
        if path:
            yield _secret(settings, PREFIX + name.upper(), name, Path(path))
    if not settings.secret_file:
        yield Line("secrets", Verdict.OK, "DENYUT_SECRET_FILE is empty: workers need none, a live feed does not start")


def _secret(settings: Settings, variable: str, name: str, path: Path) -> Line:
    try:
        if name == "secret_file":
            settings.read_secret()  # there, and long enough
        mode = path.stat().st_mode
        empty = not path.read_bytes().strip()
    except BadSetting as error:
        return Line("secrets", Verdict.FAULT, str(error))
    except (OSError, ValueError) as error:
        return Line("secrets", Verdict.FAULT, unreadable(variable, str(path), error), "",
                    "name a file that this user may read")
    if empty:
        return Line("secrets", Verdict.FAULT, f"{variable}={path}: the file is empty", "a secret in it")
    if mode & stat.S_IROTH:
        return Line("secrets", Verdict.WARNING, f"{variable}={path}: everybody on this machine may read it",
                    "its owner alone", f"chmod o-rwx {path}")
    return Line("secrets", Verdict.OK, f"{variable}={path}")


def _brands(settings: Settings) -> Lines:
    from streams import tryout

    brands = settings.read_brands()
    warnings = sum(not one.is_note for one in tryout.check(brands, tryout.scored(settings.model)))
    path = settings.brands or "the demo's"
    said = f"{path}: number {brands.number}, {len(brands.names)} brands, {len(brands.file.brand)} rules"
    if warnings:
        yield Line("brands", Verdict.WARNING, f"{said}, {warnings} warnings", "none", f"denyut brands check {path}")
    else:
        yield Line("brands", Verdict.OK, f"{said}, 0 warnings")


def _policy(settings: Settings) -> Lines:
    """The entries of the sources that count. A source that others feed by themselves needs none."""
    from streams.policy import Policy

    policy, good = Policy.read(settings), []
    for source in settings.sources:
        try:
            policy.entry(source)
        except BadSetting as error:
            yield Line("policy", Verdict.WARNING, str(error), "", "until then no feed of ours carries this source")
        else:
            good.append(source)
    if good:
        yield Line("policy", Verdict.OK, f"{settings.policy or 'shipped'}: {', '.join(good)} may start")


def _model(settings: Settings) -> Lines:
    """As `denyut model check` does, but for bringing one here."""
    from models.cli_model import check
    from models.score import NoModel

    if settings.model and not Path(settings.model).is_dir() and not _is_here(settings.model):
        yield Line("model", Verdict.WARNING, f"DENYUT_MODEL={settings.model} is not on this machine", "it here",
                   f"`denyut model check --model {settings.model}` brings it, or the first start does")
        return
    said = StringIO()
    began_s = time.perf_counter()
    try:
        check(settings.model, said)
    except NoModel as error:
        yield Line("model", Verdict.FAULT, str(error), "a model whose files are those of its card",
                   "install it again, or correct DENYUT_MODEL")
    except Exception as error:  # what a runtime raises at a damaged file is its own affair
        yield Line("model", Verdict.FAULT, f"it does not load ({type(error).__name__}: {str(error)[:200]})", "",
                   "install it again, or correct DENYUT_MODEL")
    else:
        first, *answers = said.getvalue().splitlines()
        yield Line("model", Verdict.OK, f"{first}; {len(answers)} known answers good, "
                                        f"{time.perf_counter() - began_s:.1f} s with loading")


def _is_here(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = name.partition("@")
    return any(isinstance(try_to_load_from_cache(repository, file, revision=revision or None), str)
               for file in ("card.json", "config.json"))


def _kafka(settings: Settings) -> Lines:
    from streams.doctor_kafka import look

    yield from look(settings)


CHECKS = (
    Check("package", _package),
    Check("open files", _open_files),
    Check("disk", _disk, ("model",)),
    Check("page", _page, ("http",)),
    Check("secrets", _secrets, ("secret_file", "password_file", "tls_key")),
    Check("brands", _brands, ("brands", "model")),
    Check("policy", _policy, ("policy", "sources")),
    Check("broker", _kafka, (*REACHED, "prefix", "clock")),
    Check("model", _model, ("model",)),
)
