"""The stack: the demo's pipeline with a real Prometheus and a real Alertmanager, until Ctrl-C. `make stack`.

Neither root nor containers: programs of Debian's packages, unpacked below build/tools by deploy/tools/debian.sh, or
those on PATH. Rules, routes and templates are the project's own, led here by `files`; messages end in this terminal.
Exit codes: 0 ended when told, 1 something of it ended by itself, 2 it cannot be started so.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml

from deploy.stack.family import Ended, Family
from deploy.stack.files import EVERY, QUICKER, alertmanager, prometheus, quick_rules
from deploy.stack.sink import Sink
from streams.sources.public import SPEED, Crisis, planned

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = ROOT / "build" / "tools"
HOST = "127.0.0.1"
PAGES = ("score", "pulse", "feed", "tell")
NAMES = {"prometheus": ("prometheus",), "alertmanager": ("prometheus-alertmanager", "alertmanager")}
UP_S = 150.0  # the model on a slow disk
LOOK_S = 0.5
MESSAGE_S = 40.0  # from the first angry post to the message: the swing is found, and the group waits

NO_PAGES = "  (Debian's has no pages: /api/v2/alerts)"
GREETING = """
All is up; Ctrl-C ends all of it.

{pages}

The invented public lives a day in six minutes. In {crisis} people begin to complain about Kopi Lumora;
{message} from now the message that marketing would get stands below.
Rules, routes and texts are the project's own, but quicker: scraped every {every}; `for`, `keep_firing_for` and
`group_interval` divided by {quicker}. Links to boards lead to localhost:3000, where Grafana would be; here is none.
"""


class CannotStart(Exception):
    """It cannot be started so; the message says what to change."""


class Wish(NamedTuple):
    """What was asked on the command line. `seconds` None: until Ctrl-C. `tools` empty: bookworm's, or on PATH."""

    seconds: float | None
    seed: int
    rate: float
    prometheus: int
    alertmanager: int
    pages: int
    tools: str

    def ports(self) -> dict[str, int]:
        """What listens where."""
        pages = {f"denyut-{name}": self.pages + at for at, name in enumerate(PAGES)}
        return {"prometheus": self.prometheus, "alertmanager": self.alertmanager, **pages}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--for", "seconds", type=click.FloatRange(min=1), metavar="SECONDS",
              help="End when all has been up for so long.  [default: at Ctrl-C]")
@click.option("--seed", type=int, default=1, show_default=True, help="Which public.")
@click.option("--rate", type=click.FloatRange(min=1, max=2000), default=50.0, show_default=True, metavar="POSTS_PER_S",
              help="Posts a second.")
@click.option("--prometheus", type=click.IntRange(1, 65_535), default=9090, show_default=True, metavar="PORT",
              help="Where Prometheus listens.")
@click.option("--alertmanager", type=click.IntRange(1, 65_535), default=9093, show_default=True, metavar="PORT",
              help="Where Alertmanager listens.")
@click.option("--pages", type=click.IntRange(1, 65_532), default=9101, show_default=True, metavar="PORT",
              help="The pages of score, pulse, feed and tell: there and on the next three.")
@click.option("--tools", default="", metavar="SUITE",
              help="A suite of Debian below build/tools, such as forky.  [default: bookworm, then PATH]")
def main(**wish: Any) -> None:
    """The demo's pipeline with a real Prometheus and Alertmanager; Ctrl-C ends all of it."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(Wish(**wish), stop)
    except CannotStart as error:
        click.echo(f"stack: {error}", err=True)
        sys.exit(2)
    except Ended as error:
        click.echo(f"stack: {error}", err=True)
        sys.exit(1)


def run(wish: Wish, stop: threading.Event) -> None:
    """Starts everything, waits, ends everything. Raises `CannotStart` or `Ended`."""
    programs = {name: program(name, wish.tools) for name in NAMES}
    versions = ", ".join(map(version, programs.values()))
    check_ports(wish.ports())
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        sink = stack.enter_context(Sink(say))
        write(folder, wish.ports(), sink)
        say(f"starting: {versions}, and the demo's pipeline")
        family = stack.enter_context(Family(folder))
        start(family, folder, programs, wish)
        if not wait_up(family, wish.ports(), stop):
            return
        say(greeting(wish))
        until = float("inf") if wish.seconds is None else time.monotonic() + wish.seconds
        while time.monotonic() < until and not stop.wait(LOOK_S):
            family.check()
        say("ending all of it")


def program(name: str, tools: str) -> Path:
    """The program that is called so. Raises `CannotStart` where there is none."""
    folder = TOOLS / (tools or "bookworm") / "usr" / "bin"
    path = str(folder) if tools else f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    for called in NAMES[name]:
        if found := shutil.which(called, path=path):
            return Path(found)
    raise CannotStart(f"no {name} in build/tools/{tools or 'bookworm'}{'' if tools else ' or on PATH'}: "
                      f"run deploy/tools/debian.sh {tools or 'bookworm'} build/tools/{tools or 'bookworm'} "
                      "prometheus prometheus-alertmanager")


def version(path: Path) -> str:
    """Which program it is, in three words. Raises `CannotStart` if it does not run."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        raise CannotStart(f"{path} does not run here") from None
    found = re.search(r"(\w+), version (\S+)", said.stdout + said.stderr)
    return f"{found[1].capitalize()} {found[2]}" if found else path.name


def check_ports(ports: Mapping[str, int]) -> None:
    """Raises `CannotStart`, naming the first port that is not free, or that two have."""
    for name, port in ports.items():
        option = f"--{name if name in NAMES else 'pages'}"
        if list(ports.values()).count(port) > 1:
            raise CannotStart(f"port {port} would be that of {name} and of another: choose with {option}")
        if port > 65_535:
            raise CannotStart(f"port {port} of {name} is beyond 65535: choose with {option}")
        try:
            socket.create_server((HOST, port)).close()
        except OSError as error:
            raise CannotStart(f"port {port} of {name} cannot be had ({error.strerror}): end what listens there, "
                              f"or choose another with {option}") from None


def write(folder: Path, ports: Mapping[str, int], sink: Sink) -> None:
    """Writes all files that the two programs read."""
    rules, secrets = folder / "rules", folder / "secrets"
    for made in (rules, secrets):
        made.mkdir()
    for path in sorted((DEPLOY / "prometheus" / "rules").glob("*.rules.yml")):
        (rules / path.name).write_text(quick_rules(path.read_text("utf-8")), "utf-8")
    targets = {name: f"{HOST}:{port}" for name, port in ports.items()}
    scraped = prometheus(_read("prometheus/prometheus.yml"), rules, targets)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraped), "utf-8")
    routed = alertmanager(_read("alertmanager/alertmanager.yml"), DEPLOY / "alertmanager" / "templates", secrets,
                          sink.sinks)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routed.config), "utf-8")
    for name, secret in routed.secrets.items():
        (secrets / name).write_text(secret, "utf-8")


def start(family: Family, folder: Path, programs: Mapping[str, Path], wish: Wish) -> None:
    """Starts the three: Alertmanager, Prometheus, the pipeline."""
    address = f"{HOST}:{wish.alertmanager}"
    binary = programs["alertmanager"]
    # Debian's programs look below /usr for their templates and pages, which is not where they were unpacked.
    words = [DEPLOY / "alertmanager" / "unpacked.sh", binary.parents[2]] if binary.is_relative_to(TOOLS) else [binary]
    web = programs["prometheus"].parents[1] / "share" / "prometheus" / "web"
    pages = [f"--web.local-assets={web}/"] if web.is_dir() else []
    family.start("alertmanager", [
        *words, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alerts",
        f"--web.listen-address={address}", "--cluster.listen-address="], {})
    family.start("prometheus", [
        programs["prometheus"], f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/series",
        f"--web.listen-address={HOST}:{wish.prometheus}", *pages], {})
    family.start("demo", [
        sys.executable, "-P", "-m", "streams.cli", "demo", "--headless", "--port", str(wish.pages),
        "--seed", str(wish.seed), "--rate", f"{wish.rate:g}"],
        {"DENYUT_ALERTMANAGER": f"http://{address}", "TMPDIR": str(folder)})


def wait_up(family: Family, ports: Mapping[str, int], stop: threading.Event) -> bool:
    """Waits until both programs are ready and every target is up; False if it was stopped before. Raises `Ended`."""
    until = time.monotonic() + UP_S
    while not stop.is_set():
        family.check()
        ready = all(_get(ports[name], "/-/ready") is not None for name in NAMES)
        missing = missing_targets(_get(ports["prometheus"], "/api/v1/targets?state=active"), ports) if ready else NAMES
        if not missing:
            return True
        if time.monotonic() > until:
            raise Ended(f"not up after {UP_S:g} s: {', '.join(sorted(missing))}; see {family.log('demo').parent}")
        stop.wait(LOOK_S)
    return False


def missing_targets(answer: bytes | None, jobs: Mapping[str, int]) -> list[str]:
    """The jobs of which Prometheus has not scraped a target yet."""
    up = {one["labels"]["job"] for one in json.loads(answer)["data"]["activeTargets"] if one["health"] == "up"} \
        if answer else set()
    return [job for job in jobs if job not in up]


def greeting(wish: Wish) -> str:
    """What there is to open, what is to come, and what is not as it would be in earnest."""
    crisis = next(one for one in planned(0) if isinstance(one, Crisis))
    crisis_s = crisis.course.start_ms / 1000 / SPEED
    pages = {f"{name} page": f"{wish.pages + at}/metrics" for at, name in enumerate(PAGES)}
    open_ = {"Prometheus": str(wish.prometheus), "Alertmanager": f"{wish.alertmanager}{NO_PAGES}", **pages}
    return GREETING.format(
        pages="\n".join(f"  {name:14}http://{HOST}:{page}" for name, page in open_.items()),
        crisis=_minutes(crisis_s), message=_minutes(crisis_s + MESSAGE_S), every=EVERY, quicker=QUICKER)


def say(sentence: str) -> None:
    """A line for whoever watches; nobody may be there any more."""
    with suppress(OSError):
        click.echo(sentence)
        sys.stdout.flush()


def _minutes(seconds: float) -> str:
    """About so long, to half a minute."""
    return f"about {round(seconds / 30) / 2:g} minutes"


def _read(name: str) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text("utf-8"))
    return said


def _get(port: int, path: str) -> bytes | None:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=5) as answer:
            said: bytes = answer.read()
            return said
    except OSError:
        return None


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for files and logs, gone at the end unless it ends with an error."""
    folder = Path(tempfile.mkdtemp(prefix="denyut-stack-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
