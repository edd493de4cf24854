"""Family: processes that run together and end together. Nothing of them outlives this process, however it ends.

    with Family(folder) as family:
        family.start("prometheus", ["prometheus", "--config.file=…"], {})
        while not stop.wait(1):
            family.check()            # raises Ended as soon as one of them has

What they say goes into `folder`, one log each. On Linux a child whose parent has died becomes ours, so that it can be
ended; and ours are told when we die. Knows nothing of what they do.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

AGAIN_S = 1.5  # the demo counts again what it has sent, when it is told to end; told a second time it does not
END_S = 9.0
_PR_SET_CHILD_SUBREAPER = 36
_LAST = 5  # lines of a log that are quoted


class Ended(Exception):
    """One of them has ended, and was not told to."""


class Family:
    """None at first. On exit of the `with` each is told to end, then told again, then killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError, AttributeError):  # another system than Linux
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends them all, and whatever they have left behind."""
        for moment_s in (AGAIN_S, END_S - AGAIN_S):
            for process in self._processes.values():
                if process.poll() is None:
                    process.terminate()
            self._wait(moment_s)
        for process in self._processes.values():
            process.kill()
            process.wait()
        while left := _children():
            for pid in left:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)

    def start(self, name: str, words: Sequence[str | Path], environ: Mapping[str, str]) -> None:
        """Starts one. It does not hear Ctrl-C: it is told to end when all are."""
        with self.log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [*_with_us(), *words], env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)

    def check(self) -> None:
        """Raises `Ended`, with the last that it said, if one of them has."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                last = self.log(name).read_text("utf-8", "replace").splitlines()[-_LAST:]
                raise Ended("\n".join((f"{name} ended with code {process.returncode}; {self.log(name)} ends:", *last)))

    def log(self, name: str) -> Path:
        """The log of one of them."""
        return self._folder / f"{name}.log"

    def _wait(self, most_s: float) -> None:
        until = time.monotonic() + most_s
        while time.monotonic() < until and any(process.poll() is None for process in self._processes.values()):
            time.sleep(0.05)


def _with_us() -> list[str]:
    """What tells a process to end when we do, even if we are killed."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _children() -> list[int]:
    """The processes whose parent we are now."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text("utf-8", "replace").rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return found
