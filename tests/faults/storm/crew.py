"""Crew: the workers of a storm, each a process of its own, and what their pages say.

Knows nothing of faults' schedules, of the broker, or of what the figures should be.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import count
from pathlib import Path

from streams.scrape import Page
from tests.faults.test_pulse_worker import free_port

WORDS: Mapping[str, Sequence[str]] = {
    "score": ("tests.faults.storm.flawed", "work", "score"),
    "pulse": ("streams.cli", "work", "pulse"),
}
EXITS = (0, 70)  # of a worker that is told to stop: in order, or cut off by its own deadline
LOOK_S = 2.0
_MARK = re.compile(r'^denyut_watermark_timestamp_seconds\{brand="([^"]+)"\} (\S+)$', re.MULTILINE)
# What makes a worker end with the thread that started it, however that one ends (Linux).
WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
START = "--- start "
_AT_WORK = re.compile(r" denyut\.app: | faust\.app")


class State(StrEnum):
    """What we have done to a worker."""

    RUNNING = "running"
    FROZEN = "frozen"
    ENDING = "ending"  # told to stop
    DOWN = "down"


class Worker:
    """One worker: a place in the crew with its address, and the process that stands in it, if one does."""

    def __init__(self, role: str, name: str, environ: Mapping[str, str], folder: Path) -> None:
        self.role, self.name = role, name
        self.log = folder / f"{name}.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.state = State.DOWN
        self.started_s = 0.0
        self.starts = 0
        self._environ = {**environ, "DENYUT_HTTP": self.url.removeprefix("http://")}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_unborn(self) -> bool:
        """Whether it had not begun to work: until then it has nothing in hand, and a signal ends it as any program."""
        return not _AT_WORK.search(self.log.read_text("utf-8", "replace").rpartition(START)[2])

    @property
    def pid(self) -> int | None:
        """Of the living process."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Starts it; does not wait."""
        assert self._process is None
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DENYUT_")}
        with self.log.open("ab") as out:
            out.write(f"{START}{self.starts}\n".encode())
            out.flush()
            self._process = subprocess.Popen(
                [*WITH_US, sys.executable, "-P", "-m", *WORDS[self.role]], env={**kept, **self._environ},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        self.state, self.started_s, self.starts = State.RUNNING, time.monotonic(), self.starts + 1

    def kill(self) -> None:
        """kill -9, in whatever state."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self.state = None, State.DOWN

    def tell(self, number: signal.Signals) -> None:
        """SIGTERM, SIGSTOP or SIGCONT."""
        assert self._process is not None
        self._process.send_signal(number)
        self.state = {signal.SIGTERM: State.ENDING, signal.SIGSTOP: State.FROZEN,
                      signal.SIGCONT: State.RUNNING}[number]

    def ended(self) -> int | None:
        """The exit code of a process that has ended by now; the place is free then."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self._process, self.state = None, State.DOWN
        return code

    def fetch(self) -> str:
        """Its metrics; empty while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=LOOK_S) as answer:  # noqa: S310
                return str(answer.read().decode())
        except OSError:
            return ""

    def page(self) -> Page:
        """Its metrics, parsed."""
        return Page(self.fetch())

    def rss_mb(self) -> float | None:
        """Its memory in MB (RSS); None: it does not live."""
        try:
            said = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        except OSError:
            return None
        found = re.search(r"VmRSS:\s+(\d+) kB", said)
        return int(found[1]) / 1024 if found else None

    def __repr__(self) -> str:
        return f"{self.name} ({self.state})"


class Crew:
    """All workers. `unexpected` says who ended by itself, and how."""

    def __init__(self, environ: Mapping[str, str], folder: Path, *, named: bool) -> None:
        """`named`: counting workers are members with names of their own, as in a StatefulSet."""
        self.workers: list[Worker] = []
        self.unexpected: list[str] = []
        self._environ, self._folder, self._named = environ, folder, named
        self._numbers = {"score": count(), "pulse": count()}

    def add(self, role: str) -> Worker:
        """One more worker, in the lowest place that nobody has."""
        name = next(name for name in (f"{role}-{number}" for number in self._numbers[role])) if not self._named \
            else next(f"{role}-{number}" for number in range(9) if f"{role}-{number}" not in self._names())
        own = {"DENYUT_INSTANCE": name} if self._named and role == "pulse" else {}
        worker = Worker(role, name, {**self._environ, **own}, self._folder)
        self.workers.append(worker)
        worker.start()
        return worker

    def _names(self) -> set[str]:
        return {worker.name for worker in self.workers}

    def of(self, role: str, *states: State) -> list[Worker]:
        """The workers of a role in one of these states."""
        return [worker for worker in self.workers if worker.role == role and worker.state in states]

    def look(self) -> None:
        """Notes who has ended without being told, and starts it again: the run goes on, and has failed."""
        for worker in self.workers:
            if worker.state in (State.RUNNING, State.FROZEN) and (code := worker.ended()) is not None:
                self.unexpected.append(f"{worker.name} ended by itself with {code}")
                worker.start()

    def rest(self, worker: Worker) -> bool:
        """Whether a worker that was told to stop has ended; notes how, if it is not as documented."""
        code = worker.ended()
        if code is None:
            return worker.state is State.DOWN
        if code not in EXITS and not (code == -signal.SIGTERM and worker.is_unborn):
            self.unexpected.append(f"{worker.name} was told to stop and ended with {code}")
        return True

    def marks(self) -> dict[str, int]:
        """Brand -> the watermark (ms) that some living page shows."""
        shown: dict[str, int] = {}
        for worker in self.of("pulse", State.RUNNING):
            for brand, value in _MARK.findall(worker.fetch()):
                shown[brand] = max(shown.get(brand, 0), round(float(value) * 1000))
        return shown

    def outcries(self) -> list[str]:
        """Tracebacks in the logs, by their last lines, and lines of level CRITICAL."""
        out = []
        for log in sorted({worker.log for worker in self.workers} | set(self._folder.glob("*-*.log"))):
            out += [f"{log.stem}: {said}" for said in outcries(log.read_text("utf-8", "replace"))]
        return out

    def close(self) -> None:
        """Kills whoever lives."""
        for worker in self.workers:
            worker.kill()


def outcries(said: str) -> list[str]:
    """The last line of each traceback, and CRITICAL lines.

    >>> outcries("fine\\nTraceback (most recent call last):\\n  File x\\nValueError: y\\nfine")
    ['ValueError: y']
    """
    out, lines = [], iter(said.splitlines())
    for line in lines:
        if line.startswith("Traceback (most recent call last)"):
            last = next((one for one in lines if not one.startswith((" ", "\t")) and one), "")
            out.append(last)
        elif " CRITICAL " in line:
            out.append(line)
    return out
