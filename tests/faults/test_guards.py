"""What can befall a worker that Faust and aiokafka have no answer to, and what ours is."""

import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kafka import Kafka
from tests.faults.test_pulse_worker import WAIT_S, Worker, free_port, wait
from tests.faults.test_pulse_worker import Stage as Mentions
from tests.faults.test_score_worker import Stage as Posts
from tests.faults.test_score_worker import check

STOP_S = 3.0
LOADED_S = 10.0  # what a machine with other work may add
OUTAGE_S = 15.0  # and the seconds that the broker needs for its start
WORK = """
import asyncio, os, sys, threading, time
from streams import logs
from streams.agents import app, consumer, {kind}
from streams.settings import Settings
logs.setup()
{harm}
sys.exit({kind}.run(Settings.read(os.environ)))
"""
# Done on the consumer's thread a moment after it has begun. `c` is aiokafka's coordinator.
LATER = """
watched = consumer._hear_expulsions
def hurt(c, expulsions):
    if not hasattr(c, "denyut_hears_expulsions"):
        loop = c._closing.get_loop()
        loop.call_soon_threadsafe(loop.call_later, 2, lambda: {what})
    watched(c, expulsions)
consumer._hear_expulsions = hurt
"""


class Hurt(Worker):
    """A worker to which something is done: a line or two of Python, run in it before it starts."""

    def __init__(self, environ: dict[str, str], log: Path, kind: str = "pulse", harm: str = "") -> None:
        self._work = WORK.format(kind=kind, harm=harm)
        super().__init__(environ, free_port(), log)

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it, again after it has ended."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", self._work], env=self._environ, stderr=log)
        return self.process

    def status(self, page: str) -> int:
        """What a page answers with; 0: nothing yet."""
        try:
            with urllib.request.urlopen(self.url + page, timeout=10) as got:  # noqa: S310 - a page of our own
                return int(got.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def lines(self) -> list[str]:
        """All that it has logged."""
        return self._log.read_text().splitlines()

    def memory(self) -> float:
        """What it holds, MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6


@pytest.fixture
def posts(kafka: Kafka, tmp_path: Path) -> Iterator[Posts]:
    """A topic of posts and its workers."""
    made = Posts(kafka, tmp_path)
    yield made
    made.close()


@pytest.fixture
def mentions(kafka: Kafka, tmp_path: Path) -> Iterator[Mentions]:
    """A topic of mentions and its workers."""
    made = Mentions(kafka, tmp_path)
    yield made
    made.close()


HARMS = {
    # Found by the watchdog, or by Faust when it asks the thread for records: whoever is first.
    "the consumer's thread has died|RuntimeError": LATER.format(what="loop.stop()"),
    "the consumer's thread hangs": LATER.format(what="time.sleep(600)") + "app.HANGS = 3",
    "nobody speaks to the group any more": LATER.format(what="c._coordination_task.cancel()"),
    # Said while nobody waits for records, so that Faust hears nothing.
    "the group's coordinator gives up: 'refused'": LATER.format(
        what="(setattr(c._subscription, 'abort_waiters', lambda _: None), c._push_error_to_user(KeyError('refused')))"),
    "ValueError|nothing is read back": "async def no(*_): raise ValueError\npulse.Pulse.catch_up = no",
    "ValueError|no assignment": "def no(*_): raise ValueError\npulse.Pulse.assigned = no",
}
# The loop hangs 3 s after a worker began to conduct.
HANGS = """
from streams import serve
serve.Health.alive = property(lambda self: self.age_s < 2)
watch = app.watch
async def hang(it):
    asyncio.get_running_loop().call_later(3, time.sleep, 600)
    await watch(it)
app.watch = hang
"""


def test_a_worker_that_can_no_longer_work_ends_or_says_that_it_hangs(kafka: Kafka, tmp_path: Path) -> None:
    """Whatever of Faust or aiokafka dies in silence: exit code 1 and its name. A loop that hangs: /livez is 503, and
    SIGTERM is heard all the same.
    """
    stages = [Mentions(kafka, tmp_path) for _ in range(len(HARMS) + 2)]
    hung: list[Hurt] = []
    try:
        hurts = [_hurt(stage, tmp_path / f"{number}.log", harm=harm)
                 for number, (stage, harm) in enumerate(zip(stages, HARMS.values(), strict=False))]
        for kind, stage in zip(("pulse", "score"), stages[-2:], strict=True):
            hung.append(_hurt(stage, tmp_path / f"{kind}.log", kind, HANGS))
        for worker, why in zip(hurts, HARMS, strict=True):
            assert worker.process.wait(WAIT_S) == 1, worker.said()
            assert re.search(f"this worker stops: ({why})", "\n".join(worker.lines())), worker.said()
        for one in hung:
            _hangs(one)
    finally:
        for stage in stages:
            stage.close()


def _hurt(stage: Mentions, log: Path, kind: str = "pulse", harm: str = "") -> Hurt:
    worker = Hurt(stage.environ | {"DENYUT_STOP_MS": f"{STOP_S:.0f}s"}, log, kind, harm)
    stage.workers.append(worker)
    return worker


def _hangs(worker: Hurt) -> None:
    wait(lambda: worker.status("/livez") == 503, worker.said)
    began = time.monotonic()
    assert worker.end(signal.SIGTERM) == 70
    assert STOP_S - 0.1 < time.monotonic() - began < STOP_S + LOADED_S


def test_a_stop_while_the_broker_does_not_answer_has_an_end_and_loses_nothing(posts: Posts) -> None:
    """Connections stay open and silent, in the middle of work: code 70 in time, and the next start does it again."""
    worker = posts.join()
    worker.wait_ready()
    posts.say(0, 500)
    wait(lambda: worker.total("denyut_posts_total") > 0, worker.said)
    with posts.kafka.frozen():
        began = time.monotonic()
        assert worker.end(signal.SIGTERM) == 70
        assert time.monotonic() - began < STOP_S + LOADED_S
    worker.start()
    check(posts)


def test_an_outage_costs_few_lines_and_a_log_that_it_cut_is_read(posts: Posts, tmp_path: Path) -> None:
    """Twenty seconds without a broker: some 25 lines a worker, and one a second at most. The broker comes back with an
    empty disk under the posts: Faust would drop every record below the one it read last.
    """
    workers = [Hurt(posts.environ, tmp_path / f"{kind}.log", kind) for kind in ("score", "pulse")]
    posts.workers += workers  # type: ignore[arg-type]
    for worker in workers:
        worker.wait_ready()
    posts.say(0, 400)
    posts.wait_read()
    began = time.monotonic()
    before = [(len(worker.lines()), worker.memory()) for worker in workers]
    posts.kafka.kill()
    for folder in posts.kafka.folder.glob(f"logs/{posts.prefix}.posts-*"):
        shutil.rmtree(folder)
    time.sleep(OUTAGE_S)  # not for anything: it is what is measured
    posts.kafka.start()
    posts.rejects.clear()
    posts.outcome.rejects.clear()
    posts.say(1000, 100)
    check(posts)
    for worker, (lines, memory) in zip(workers, before, strict=True):
        said = worker.lines()[lines:]
        assert len(said) < 40 + (time.monotonic() - began), said
        assert worker.memory() - memory < 50, "MB"
        assert "never retrieved" not in "".join(said)
    assert "its log was cut" in "".join(workers[0].lines())


def test_two_workers_with_one_name_are_told_so(mentions: Mentions, tmp_path: Path) -> None:
    """They put each other out, once a second and for ever; the name is in the line."""
    mentions.environ["DENYUT_INSTANCE"] = "pod-0"
    workers = [_hurt(mentions, tmp_path / f"{number}.log") for number in range(2)]
    wait(lambda: any("DENYUT_INSTANCE=pod-0" in "".join(worker.lines()) for worker in workers),
         lambda: [worker.said() for worker in workers])
