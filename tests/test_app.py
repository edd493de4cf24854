"""How a worker begins and ends, with an app that is not Faust's."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from prometheus_client import CollectorRegistry

from streams.agents import app as ours
from streams.agents import pulse, score
from streams.agents.app import Life, conduct, run_worker
from streams.agents.consumer import Expulsions
from streams.agents.patient import know_topics
from streams.heart.errors import BadSetting, BrokenPromise
from streams.serve import Health, answer
from streams.wire import Wire

Work = Callable[[Life], Coroutine[Any, Any, None]]


@dataclass
class App:
    """As much of an app as `conduct` knows; writes down what happens."""

    log: list[str] = field(default_factory=list)
    crash_reason: BaseException | None = None
    agents: dict[str, Any] = field(default_factory=dict)
    should_stop: bool = False
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


async def _refused(_: Life) -> None:
    raise BadSetting("DENYUT_USER: the broker refuses the login")


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


def test_a_setting_that_turns_out_wrong_keeps_its_code_when_the_stop_hangs(
    deadlines: list[tuple[float, int]], caplog: pytest.LogCaptureFixture
) -> None:
    """A login that is withdrawn while it works: exit code 2 is the caller's, and the deadline's if he never hears."""
    with pytest.raises(BadSetting):
        run_worker(7000, working(App(), _refused))
    assert deadlines == [(7.0, 2)]
    assert "DENYUT_USER" in caplog.text


def test_a_right_that_is_missing_is_said_once_and_is_the_users(
    deadlines: list[tuple[float, int]], caplog: pytest.LogCaptureFixture
) -> None:
    """However deep in Faust it shows: one line that names who may not do what, no traceback, exit code 2."""
    denied = OSError("Faust gives up")
    denied.__cause__ = TopicAuthorizationFailedError({"denyut.posts"})
    app, wire = App(crash_reason=denied), Wire("localhost:9092", mechanism="PLAIN", user="anna")

    async def work(life: Life) -> None:
        await conduct(app, life, [app.job()], wire.denials)

    with pytest.raises(BadSetting, match=r"DENYUT_USER=anna may not read denyut\.posts"):
        run_worker(7000, work)
    assert deadlines == [(7.0, 2)]
    (said,) = caplog.records
    assert ("CRITICAL", None) == (said.levelname, said.exc_info or None)
    assert "anna may not read denyut.posts" in said.getMessage()


def test_a_crash_of_faust_ends_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """With exit code 1, and of what kind it was in the log: what it says is somebody else's words."""
    assert run_worker(7000, working(App(crash_reason=OSError("gone")))) == 1
    assert "this worker stops: OSError" in caplog.text


def test_a_setting_that_cannot_be_is_the_callers_affair() -> None:
    """The command line turns it into exit code 2."""
    async def work(_: Life) -> None:
        raise BadSetting("DENYUT_PREFIX")

    with pytest.raises(BadSetting):
        run_worker(7000, work)


def test_a_worker_that_waits_for_its_broker_can_be_told_to_stop() -> None:
    """Before there is an app at all."""
    assert run_worker(7000, _told) == 0


HANGS = """
import asyncio, logging, os, signal, threading, time
from streams.agents.app import conduct, run_worker
from tests.test_app import App, _told
logging.basicConfig()
def told_in(seconds):
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, seconds)
"""
STOPPING = HANGS + """
class Hangs(App):
    async def stop(self): await asyncio.Event().wait()
async def work(life): await conduct(Hangs(), life, [_told(life)])
run_worker(200, work)
"""
IN_THE_LOOP = HANGS + """
async def work(life):
    told_in(0.3)
    time.sleep(100)
run_worker(200, work)
"""
IN_A_LINE = HANGS + """
held = threading.Event()
def hold():
    logging.root.handlers[0].acquire()
    held.set()
    time.sleep(100)
threading.Thread(target=hold, daemon=True).start()
async def work(life):
    held.wait()
    told_in(0.3)
    logging.error("never written")
run_worker(200, work)
"""


FAILING = HANGS + """
class Hangs(App):
    async def stop(self): await asyncio.Event().wait()
async def broken(): raise AssertionError
async def work(life): await conduct(Hangs(), life, [broken()])
run_worker(200, work)
"""


def test_a_worker_that_fails_says_why_before_it_stops() -> None:
    """Its stop may hang on the very thing that failed, and be cut off: code 1, and the reason is in the log. An error
    without words is named.
    """
    done = subprocess.run([sys.executable, "-c", FAILING], check=False, timeout=60, capture_output=True)
    assert done.returncode == 1, done.stderr
    assert b"this worker stops: AssertionError" in done.stderr
    assert b"cut off" in done.stderr


@pytest.mark.parametrize(("program", "said"), [(STOPPING, True), (IN_THE_LOOP, True), (IN_A_LINE, False)])
def test_a_stop_that_never_ends_is_cut_off(program: str, said: bool) -> None:
    """In the app, as with the broker away; in the loop, which hears no signal then; in writing a line: code 70."""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60, capture_output=True)
    assert done.returncode == 70, done.stderr
    assert (b"cut off" in done.stderr) == said


def test_a_second_signal_does_not_put_off_the_end(deadlines: list[tuple[float, int]]) -> None:
    """Nor does it end the worker at once: Ctrl-C twice is a person's impatience, not a reason to do work twice."""
    async def impatient(life: Life) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        await _told(life)

    assert run_worker(7000, working(App(), impatient)) == 0
    assert deadlines == [(7.0, 70)]


def test_the_handlers_of_signals_are_put_back() -> None:
    """A process may go on after its worker."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run_worker(7000, _told)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@dataclass
class Coordinator:
    """As much of aiokafka's as the watchdog looks at."""

    _pending_exception: BaseException | None = None
    member_id: str = "pod-0-1"
    generation: int = 7
    _session_timeout_ms: int = 10_000
    _coordination_task: Any = field(default_factory=lambda: SimpleNamespace(done=lambda: False))

    def reset_generation(self) -> None:
        self.generation = -1


def threaded(coordinator: Coordinator | None, alive: bool = True, answers: bool = True) -> App:
    """An app whose consumer has a thread."""
    loop = SimpleNamespace(call_soon_threadsafe=lambda call: call() if answers else None)
    app = App()
    app._consumer = SimpleNamespace(_thread=SimpleNamespace(  # type: ignore[attr-defined]
        _thread=SimpleNamespace(is_alive=lambda: alive), thread_loop=loop,
        _consumer=SimpleNamespace(_coordinator=coordinator)))
    return app


@pytest.mark.parametrize(("app", "trouble"), [
    (App(), ""),
    (threaded(Coordinator()), ""),
    (threaded(None), ""),  # it looks for its broker
    (threaded(Coordinator(), alive=False), "has died"),
    (threaded(Coordinator(), answers=False), "hangs"),
    (threaded(Coordinator(OSError("refused"))), "gives up: refused"),
    (threaded(Coordinator(_coordination_task=SimpleNamespace(done=lambda: True))), "nobody speaks to the group"),
])
def test_the_watchdog_ends_a_worker_whose_membership_is_dead(
    app: App, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka keeps such things to itself until it is asked, and Faust does not ask: the worker would read nothing."""
    monkeypatch.setattr(ours, "WATCH_S", 0.001)
    monkeypatch.setattr(ours, "HANGS", 5)

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ours.watch(app), 0.5)

    if trouble:
        with pytest.raises(BrokenPromise, match=trouble):
            asyncio.run(run())
    else:
        asyncio.run(run())


def test_a_session_that_the_broker_does_not_allow_is_the_users_affair() -> None:
    """It names the setting, and is no broken promise of ours."""
    from aiokafka.errors import InvalidSessionTimeoutError

    app = threaded(Coordinator(InvalidSessionTimeoutError(), _session_timeout_ms=4000))
    with pytest.raises(BadSetting, match=r"DENYUT_SESSION_MS=4000: .*group\.min\.session\.timeout\.ms"):
        asyncio.run(asyncio.wait_for(ours.watch(app), 5))


def test_the_watchdog_hears_when_the_group_puts_the_worker_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it looks, each is counted once; one that every request in flight is told of again is still one."""
    monkeypatch.setattr(ours, "WATCH_S", 0.001)
    coordinator = Coordinator()
    app = threaded(coordinator)
    app.conf.consumer_group_instance_id = "pod-0"

    async def run() -> None:
        watching = asyncio.create_task(ours.watch(app))
        async with asyncio.timeout(30):
            while not hasattr(coordinator, "denyut_hears_expulsions"):
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        for member in ("one", "two", "", ""):
            coordinator.member_id = member
            coordinator.reset_generation()
        assert "put this worker out" not in caplog.text
        coordinator.member_id = "three"
        coordinator.reset_generation()
        watching.cancel()

    asyncio.run(run())
    assert coordinator.generation == -1
    assert "put this worker out 3 times" in caplog.text
    assert "DENYUT_INSTANCE=pod-0" in caplog.text


def test_a_worker_that_stops_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its consumer's thread ends then, as it should."""
    monkeypatch.setattr(ours, "WATCH_S", 0.001)
    app = threaded(Coordinator(), alive=False)
    app.should_stop = True

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ours.watch(app), 0.1)

    asyncio.run(run())


@pytest.mark.parametrize(("at_s", "said"), [
    ((0, 30, 60), [False, False, True]),
    ((0, 30, 61, 90), [False, False, False, True]),
    ((0, 100, 200), [False, False, False]),
])
def test_being_put_out_again_and_again_is_said_with_the_name(
    at_s: tuple[float, ...], said: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    """Two processes with one DENYUT_INSTANCE put each other out for ever; once is a pause, or a broker's restart."""
    left = list(at_s)
    expulsions = Expulsions("pod-0", lambda: left.pop(0))
    assert [expulsions.again() for _ in at_s] == said
    assert ("DENYUT_INSTANCE=pod-0" in caplog.text) == any(said)


@pytest.mark.parametrize("kind", ["score", "pulse"])
def test_a_loop_that_hangs_for_a_minute_turns_livez_red(kind: str) -> None:
    """The pages have a thread of their own, and the beat comes from the loop."""
    now_s = [0.0]
    health, metrics = Health(now=lambda: now_s[0]), SimpleNamespace(loop_lag=lambda _: None)
    page: Any = SimpleNamespace(metrics=metrics, health=health, figures=SimpleNamespace(silent_s=0.0))
    worker: Any = SimpleNamespace(_page=page, _metrics=metrics, _oldest_s=lambda: 0.0)

    def livez() -> int:
        return answer("/livez", {}, CollectorRegistry(), health)[0]

    async def run() -> None:
        beating = asyncio.create_task(pulse.beat(page, 10.0) if kind == "pulse" else score._Worker._beat(worker))
        for _ in range(2):
            with ThreadPoolExecutor(1) as thread:  # asked by another thread, while the loop stands here
                now_s[0] += 60
                assert thread.submit(livez).result() == 503
            async with asyncio.timeout(30):
                while livez() != 200:
                    await asyncio.sleep(0.01)
        beating.cancel()

    asyncio.run(run())




class Leader:
    """A consumer whose group's coordinator it is to hand out partitions, and whose Kafka tells of them in the end."""

    def __init__(self, untold: int) -> None:
        self._coordinator = self._cluster = self._client = self
        self.untold, self.asked, self.handed_out = untold, 0, list[str]()

    def subscription(self) -> frozenset[str]:
        return frozenset({"mentions"})

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        assert topic == "mentions"
        return None if self.asked < self.untold else {0, 1}

    async def force_metadata_update(self) -> bool:
        self.asked += 1
        return True

    async def _perform_assignment(self, response: str) -> str:
        self.handed_out.append(f"{response} {self.partitions_for_topic('mentions')}")
        return response


@pytest.mark.parametrize(("untold", "asked", "handed_out"), [
    (0, 0, "r {0, 1}"), (3, 3, "r {0, 1}"), (10**6, 10, "r None")])
def test_a_leader_asks_for_partitions_before_it_hands_them_out(
    monkeypatch: pytest.MonkeyPatch, untold: int, asked: int, handed_out: str
) -> None:
    """Else a group stands still after a broker's restart; a topic that is gone holds it up for a moment only."""
    monkeypatch.setattr("streams.agents.patient.TRY_S", 0.0)
    leader = Leader(untold)
    know_topics(leader)
    assert asyncio.run(leader._perform_assignment("r")) == "r"
    assert (leader.asked, leader.handed_out) == (asked, [handed_out])
