"""How a worker begins and ends, with an app that is not Faust's."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from streams.agents import app as ours
from streams.agents.app import Life, conduct, run_worker
from streams.heart.errors import BadSetting, BrokenPromise

Work = Callable[[Life], Coroutine[Any, Any, None]]


@dataclass
class App:
    """As much of an app as `conduct` knows; writes down what happens."""

    log: list[str] = field(default_factory=list)
    crash_reason: BaseException | None = None
    agents: dict[str, Any] = field(default_factory=dict)
    conf: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(stream_wait_empty=True))

    async def start(self) -> None:
        self.log.append("start")

    async def wait_until_stopped(self) -> None:
        if self.crash_reason is None:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.log.append("stop")

    async def job(self) -> None:
        """Works until it is cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("job ends")


@pytest.fixture(autouse=True)
def deadlines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """The deadlines that were set; none of them ends the tests."""
    found: list[tuple[float, int]] = []
    monkeypatch.setattr(ours, "_deadline", lambda seconds, code: found.append((seconds, code)))
    return found


def working(app: App, *jobs: Work) -> Work:
    """Work that conducts this app and these jobs."""
    async def work(life: Life) -> None:
        await conduct(app, life, [app.job(), *(job(life) for job in jobs)])

    return work


async def _told(_: Life) -> None:
    await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()


def test_a_worker_that_is_told_to_stop_stops_its_app_first(deadlines: list[tuple[float, int]]) -> None:
    """Its jobs finish what the app waits for, then end; exit code 0, and 70 if it had taken too long."""
    app = App()
    assert run_worker(7000, working(app, _told)) == 0
    assert app.log == ["start", "stop", "job ends"]
    assert app.conf.stream_wait_empty
    assert deadlines == [(7.0, 70)]


async def _breaks(_: Life) -> None:
    raise BrokenPromise("a figure would be wrong")


async def _ends(_: Life) -> None:
    return


async def _tells(life: Life) -> None:
    await asyncio.to_thread(life.fail, BrokenPromise("seen on a thread"))
    await asyncio.Event().wait()


@pytest.mark.parametrize("job", [_breaks, _ends, _tells])
def test_a_broken_promise_ends_the_worker_loudly(
    job: Work, deadlines: list[tuple[float, int]], caplog: pytest.LogCaptureFixture
) -> None:
    """A job that fails, one that ends, a word from another thread: exit code 1, and nobody waits for what is broken."""
    app = App()
    assert run_worker(7000, working(app, job)) == 1
    assert (app.log, app.conf.stream_wait_empty) == (["start", "stop", "job ends"], False)
    assert deadlines == [(7.0, 1)]
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_a_crash_of_faust_ends_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """With exit code 1 and its reason in the log."""
    assert run_worker(7000, working(App(crash_reason=OSError("gone")))) == 1
    assert "gone" in caplog.text


def test_a_setting_that_cannot_be_is_the_callers_affair() -> None:
    """The command line turns it into exit code 2."""
    async def work(_: Life) -> None:
        raise BadSetting("DENYUT_PREFIX")

    with pytest.raises(BadSetting):
        run_worker(7000, work)


def test_a_worker_that_waits_for_its_broker_can_be_told_to_stop() -> None:
    """Before there is an app at all."""
    assert run_worker(7000, _told) == 0


def test_a_stop_that_never_ends_is_cut_off() -> None:
    """As with the broker away: the process is gone with code 70."""
    said = """
import asyncio, os, signal
from streams.agents.app import conduct, run_worker
from tests.test_app import App, _told
class Hangs(App):
    async def stop(self): await asyncio.Event().wait()
async def work(life): await conduct(Hangs(), life, [_told(life)])
run_worker(200, work)
"""
    done = subprocess.run([sys.executable, "-c", said], check=False, timeout=60, capture_output=True)
    assert done.returncode == 70, done.stderr
    assert b"cut off" in done.stderr


def test_topics_of_different_sizes_are_refused() -> None:
    """A brand's partition is a number modulo one count."""
    with pytest.raises(BadSetting, match=r"posts has 12, denyut\.mentions has 4"):
        ours._same({"denyut.posts": 12, "denyut.mentions": 4})
