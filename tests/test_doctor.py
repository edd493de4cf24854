"""Doctor: how lines, exit codes and clocks are judged; tests/faults/test_doctor.py has the real broker."""

import json
import subprocess
import sys
import tempfile
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import ClusterAuthorizationFailedError

from streams import doctor, doctor_kafka
from streams.doctor import CHECKS, Check, Patient, admitted, examine, fits
from streams.doctor_kafka import Skew, asked, ticked
from streams.findings import Line, Verdict, exit_code
from streams.heart.errors import BrokenPromise
from streams.keeping import named, policy_of
from streams.settings import Settings


def line(verdict: Verdict, *, yours: bool = True) -> Line:
    return Line("x", verdict, "seen", yours=yours)


@pytest.mark.parametrize(("lines", "code"), [
    ([], 0), ([line(Verdict.OK), line(Verdict.WARNING), line(Verdict.SKIPPED)], 0),
    ([line(Verdict.FAULT, yours=False)], 1), ([line(Verdict.FAULT, yours=False), line(Verdict.FAULT)], 2),
    ([line(Verdict.WARNING, yours=False)], 0),
])
def test_the_exit_code_says_whose_move_it_is(lines: Sequence[Line], code: int) -> None:
    """0: nobody's, 2: the user's, 1: not the user's alone."""
    assert code == exit_code(lines)


def test_a_line_says_seen_expected_and_what_to_do() -> None:
    """In this order; what there is not is left out."""
    assert "fault    disk                full; expected room: make some" == str(
        Line("disk", Verdict.FAULT, "full", "room", "make some"))
    assert "ok       disk                /tmp" == str(Line("disk", Verdict.OK, "/tmp"))


def test_every_wrong_setting_is_a_line_and_the_others_are_in_force() -> None:
    """A newcomer mends all of them at once."""
    patient, lines = admitted({"DENYUT_BROKERS": "x", "DENYUT_THREADS": "many", "DENYUT_PREFIX": "mine", "HOME": "/"})
    assert [Verdict.FAULT, Verdict.FAULT] == [one.verdict for one in lines]
    assert (frozenset({"brokers", "threads"}), "mine") == (patient.wrong, patient.settings.prefix)


def test_settings_that_do_not_agree_are_a_fault() -> None:
    """Also where the one that is named is right by itself, or is not set at all."""
    _, lines = admitted({"DENYUT_DELAY_MS": "2h"})
    assert "DENYUT_GRACE_MS" in lines[0].seen
    patient, lines = admitted({"DENYUT_TLS": "on", "DENYUT_SASL": "plain"})  # no user
    assert [Verdict.FAULT] == [one.verdict for one in lines]
    assert "brokers" in patient.wrong


def test_what_hangs_on_a_wrong_setting_is_skipped() -> None:
    """Its default is somebody else's broker."""
    said = {one.what: one for one in examine({"DENYUT_BROKERS": "x", "DENYUT_BRANDS": "/nowhere", "DENYUT_HTTP": "y"})}
    assert Verdict.SKIPPED is said["broker"].verdict
    assert "DENYUT_BROKERS" in said["broker"].seen
    assert Verdict.SKIPPED is said["page"].verdict
    assert (Verdict.FAULT, Verdict.OK) == (said["brands"].verdict, said["model"].verdict)


def test_what_nobody_foresaw_is_one_more_line() -> None:
    """The others go on; whose fault it is nobody knows."""
    def breaks(_: Settings) -> Iterator[Line]:
        yield line(Verdict.OK)
        raise RuntimeError("an accident")

    def promises(settings: Settings) -> Iterator[Line]:
        if settings.brokers:
            raise BrokenPromise("ours")
        yield line(Verdict.OK)

    patient = Patient(Settings())
    first, second = doctor._looked(Check("x", breaks), patient)
    assert (Verdict.OK, Verdict.FAULT, False) == (first.verdict, second.verdict, second.yours)
    assert "RuntimeError: an accident" in second.seen
    assert [False] == [one.yours for one in doctor._looked(Check("x", promises), patient)]


def test_every_setting_that_a_check_needs_is_one() -> None:
    """A misspelt one would never be skipped."""
    assert set() == {name for check in CHECKS for name in check.needs if not hasattr(Settings(), name)}


@pytest.mark.parametrize(("version", "wanted", "good"), [
    ("0.14.0", "==0.14.0", True), ("0.14", "==0.14.0", True), ("0.12.0", "==0.14.0", False),
    ("3.0.12", "<3.1,>=3.0.12", True), ("3.0.9", "<3.1,>=3.0.12", False), ("3.1", "<3.1,>=3.0.12", False),
    ("1.0+local", ">=1.0", True), ("1", "", True),
])
def test_versions_are_compared_by_number(version: str, wanted: str, good: bool) -> None:
    """Not as text: 12 is more than 9."""
    assert good is fits(version, wanted)


@pytest.mark.parametrize(("least", "most", "surely"), [(-10, 10, 0), (1900, 2100, 1900), (-5100, -4900, 4900)])
def test_a_skew_is_only_what_is_sure(least: int, most: int, surely: int) -> None:
    """What lies between two looks may be anything between them."""
    assert surely == Skew(least, most, "x").surely_ms


def test_a_skew_says_who_is_ahead() -> None:
    """Of whom, and how sure that is."""
    assert "x is 2.00 s ahead of this machine (within 0.10 s)" == str(Skew(1900, 2100, "x"))
    assert "x is 5.00 s behind this machine (within 0.10 s)" == str(Skew(-5100, -4900, "x"))


Last = namedtuple("Last", "offset timestamp")


class Broker:
    """Of two leaders; each look shows the next of `looks`: what stands last in the two partitions."""

    def __init__(self, looks: Sequence[tuple[Last, Last]] = (), quorum: Callable[[], Any] | None = None) -> None:
        self._looks = list(looks)
        self.describe_metadata_quorum = quorum

    def describe_topics(self, _: Sequence[str]) -> list[dict[str, Any]]:
        return [{"partitions": [{"partition_index": at, "leader_id": at + 1} for at in (0, 1)]}]

    def list_partition_offsets(self, asked_for: dict[Any, Any]) -> dict[Any, Last]:
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return dict(zip(asked_for, look, strict=True))


def test_the_next_record_of_each_leader_shows_its_clock() -> None:
    """A record that stood there before says nothing: nobody knows how old it is."""
    #        look   0        1                 2
    # broker 1   7@5000   8@101000
    # broker 2   3@4000   3@4000            4@97000          our clock: 100 s, and a little more each time
    now = iter(99.9 + 0.1 * step for step in range(100))
    looks = [(Last(7, 5000), Last(3, 4000)), (Last(8, 101_000), Last(3, 4000)), (Last(8, 101_000), Last(4, 97_000))]
    one, two = ticked(Broker(looks), "denyut.posts", clock=lambda: next(now))
    assert ("broker 1", "broker 2") == (one.who, two.who)
    assert [800, 1100, -3400, -3100] == [round(ms) for ms in (one.least_ms, one.most_ms, two.least_ms, two.most_ms)]


def test_without_a_new_record_nothing_is_known() -> None:
    """However near the last one's time is to ours."""
    assert [] == ticked(Broker([(Last(7, 5000), Last(3, 5000))]), "denyut.posts", clock=lambda: 5.0, wait_s=0.05)


def test_the_leader_of_the_quorum_says_what_time_it_is() -> None:
    """It is caught up with itself, always; followers are not."""
    voters = [{"replica_id": 1, "last_caught_up_timestamp": 1}, {"replica_id": 2, "last_caught_up_timestamp": 7000}]
    said = {"topics": [{"partitions": [{"leader_id": 2, "current_voters": voters}]}]}
    now = iter((9.75, 10.0))
    assert [Skew(-3000, -2750, "controller 2")] == asked(Broker(quorum=lambda: said), clock=lambda: next(now))


def test_who_may_not_ask_the_quorum_is_told_what_would_do() -> None:
    """A warning: the start does not hang on it."""
    def refuses() -> Any:
        raise ClusterAuthorizationFailedError()

    (said,) = doctor_kafka._skew(Broker(quorum=refuses), Settings(), {})
    assert (Verdict.WARNING, True) == (said.verdict, "Describe on the cluster" in said.do)
    (said,) = doctor_kafka._skew(Broker(quorum=lambda: {"topics": []}), Settings(), {})
    assert Verdict.WARNING is said.verdict


def test_a_policy_that_is_not_ours_to_know_is_a_warning() -> None:
    """It names the permission."""
    (said,) = doctor_kafka._kept(Settings(), named("posts"), 12, {})
    assert (Verdict.WARNING, True) == (said.verdict, "DescribeConfigs" in said.seen)


def test_a_replay_wants_the_feeds_times() -> None:
    """DENYUT_CLOCK and a topic by the broker's clock do not fit together; nor do the wall clock and a replay's."""
    replay = Settings(clock="1577836800000@1795586400000x240")
    said = list(doctor_kafka._kept(replay, named("posts"), 12, policy_of(named("posts"))))
    assert ["message.timestamp.type=LogAppendTime", "retention.ms=604800000 (7d)"] == [
        one.seen.removeprefix("denyut.posts has ") for one in said]
    (good,) = doctor_kafka._kept(replay, named("posts"), 1, policy_of(named("posts"), replay=True))
    assert "denyut.posts: 1 partition, kept as promised" == good.seen
    said = list(doctor_kafka._kept(Settings(), named("posts"), 1, policy_of(named("posts"), replay=True)))
    assert ["message.timestamp.type=CreateTime", "retention.ms=-1 (for ever)"] == [
        one.seen.removeprefix("denyut.posts has ") for one in said]


class Copies:
    """Topics with these copies, and those of them that are in step."""

    def __init__(self, copies: int, in_step: int) -> None:
        self._part = {"replica_nodes": [*range(copies)], "isr_nodes": [*range(in_step)]}

    def describe_topics(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return [{"name": name, "partitions": [self._part]} for name in names]


@pytest.mark.parametrize(("copies", "in_step", "least", "says"), [
    (3, 3, "2", ["ok 3 or more of each topic, all in step"]),
    (1, 1, "1", ["warning 1 topics have 1 of each record"]),
    (3, 3, "1", ["warning denyut.posts: min.insync.replicas=1"]),
    (3, 2, "2", ["warning denyut.posts: copies are behind or away"]),
])
def test_copies_are_counted(copies: int, in_step: int, least: str, says: list[str]) -> None:
    """Few copies, one that is enough, or one that is away: warnings, for it works all the same."""
    found = doctor_kafka._copies(Copies(copies, in_step), Settings(), {"posts": {"min.insync.replicas": least}})
    assert says == [f"{one.verdict} {one.seen}" for one in found]


def test_a_folder_that_cannot_be_written_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is free there."""
    def refuses(**_: Path) -> Any:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", refuses)
    (said,) = doctor._disk(Settings())
    assert (Verdict.FAULT, f"{tmp_path}: Read-only file system") == (said.verdict, said.seen)


def test_a_secret_in_the_place_of_its_path_is_not_repeated() -> None:
    """Whoever puts the password where its file belongs finds it in no output."""
    for secret in ("hunter2hunter2", "hunter2" * 2000):
        for settings in (Settings(password_file=secret), Settings(tls_key=secret), Settings(secret_file=secret)):
            said = next(iter(doctor._secrets(settings)))
            assert (Verdict.FAULT, False) == (said.verdict, "hunter2" in str(said))


def test_a_model_that_is_not_here_is_not_brought() -> None:
    """A look is no download."""
    (said,) = doctor._model(Settings(model="nobody/nothing-that-exists"))
    assert (Verdict.WARNING, True) == (said.verdict, "is not on this machine" in said.seen)


def test_the_command_without_kafka_still_says_everything_else() -> None:
    """As a newcomer meets it: one fault, exit code 1, and JSON for machines."""
    done = subprocess.run([sys.executable, "-P", "-m", "streams.cli", "doctor", "--json"], capture_output=True,
                          env={"DENYUT_BROKERS": "127.0.0.1:1", "DENYUT_HTTP": "127.0.0.1:0"}, timeout=60, check=False)
    told = json.loads(done.stdout)
    assert (1, 1) == (done.returncode, told["code"])
    assert {"broker"} == {one["what"] for one in told["lines"] if one["verdict"] == "fault"}
    assert {"what", "verdict", "seen", "expected", "do", "yours"} == told["lines"][0].keys()
