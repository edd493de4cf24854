"""The stack: the project's own rules and routes, led to this machine; and nothing of it outlives it."""

import doctest
import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from deploy.stack import files, sink
from deploy.stack.files import QUICKER, Sinks, alertmanager, prometheus, quick_rules, quicker
from deploy.stack.sink import Sink, mail_message, printable, web_message
from deploy.stack.stack import CannotStart, Wish, check_ports, greeting, missing_targets, program
from tests.programs import ROOT, SUITES
from tests.programs import program as tool

DEPLOY = ROOT / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.rules.yml"))
SINKS = Sinks("http://127.0.0.1:1", "127.0.0.1:2")
UP_S, END_S = 120.0, 15.0
WAITS = ("for", "keep_firing_for")
WISH = Wish(None, 1, 50.0, 9090, 9093, 9101, "")


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def routed(folder: Path) -> tuple[Any, dict[str, str]]:
    return alertmanager(read("alertmanager/alertmanager.yml"), DEPLOY / "alertmanager" / "templates", folder, SINKS)


def values(node: Any, key: str) -> list[Any]:
    """Every value that stands under this key, at any depth."""
    if isinstance(node, list):
        return [found for one in node for found in values(one, key)]
    if not isinstance(node, dict):
        return []
    return [found for name, one in node.items() for found in ([one] if name == key else values(one, key))]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_only_the_waits_of_a_rule_are_shorter(path: Path) -> None:
    """Without `for` and `keep_firing_for` the files are the same; with them each is a tenth."""
    before, after = (yaml.safe_load(text) for text in (path.read_text("utf-8"), quick_rules(path.read_text("utf-8"))))
    assert len(before["groups"]) > 0
    for group, quick in zip(before["groups"], after["groups"], strict=True):
        for rule, other in zip(group["rules"], quick["rules"], strict=True):
            assert {name: quicker(rule[name]) for name in WAITS if name in rule} == {
                name: other[name] for name in WAITS if name in other}
            assert {name: said for name, said in rule.items() if name not in WAITS} == {
                name: said for name, said in other.items() if name not in WAITS}
        assert {**group, "rules": []} == {**quick, "rules": []}


@pytest.mark.parametrize("module", [files, sink], ids=["files", "sink"])
def test_the_examples_hold(module: ModuleType) -> None:
    """Those in the docstrings."""
    found = doctest.testmod(module)
    assert (0, True) == (found.failed, found.attempted > 0)


@pytest.mark.parametrize("said", ["", "5", "five minutes", "5m30", "-5m"])
def test_a_wait_that_is_no_duration_is_refused(said: str) -> None:
    """Rather than left as it is, or made another."""
    with pytest.raises(ValueError, match="expected a duration"):
        quicker(said)


def test_prometheus_scrapes_this_machine_only(tmp_path: Path) -> None:
    """Each job of the project's file, at the address given, and Alertmanager too; the cluster's label stays."""
    before = read("prometheus/prometheus.yml")
    jobs = [job["job_name"] for job in before["scrape_configs"]]
    config = prometheus(before, tmp_path, {job: f"127.0.0.1:{at}" for at, job in enumerate(jobs, 1)})
    assert {job: [{"targets": [f"127.0.0.1:{at}"]}] for at, job in enumerate(jobs, 1)} == {
        job["job_name"]: job["static_configs"] for job in config["scrape_configs"]}
    assert [] == [name for job in config["scrape_configs"] for name in job if "_sd_" in name]
    assert [[f"127.0.0.1:{jobs.index('alertmanager') + 1}"]] == values(config["alerting"], "targets")
    assert before["global"]["external_labels"] == config["global"]["external_labels"]
    with pytest.raises(KeyError, match="denyut-score"):
        prometheus(before, tmp_path, {"alertmanager": "127.0.0.1:1"})


def test_alertmanager_writes_to_nobody_outside(tmp_path: Path) -> None:
    """Every address that it writes to is the sink's, in the file or in a secret; and every secret's file is made."""
    config, secrets = routed(tmp_path)
    named = [file for key in ("api_url_file", "url_file", "credentials_file", "smtp_auth_password_file")
             for file in values(config, key)]
    assert {str(tmp_path / name) for name in secrets} == set(named)
    assert all(url.startswith(f"{SINKS.web}/") for url in values(config["receivers"], "url"))
    assert {f"{SINKS.web}/{name}" for name in ("slack-marketing", "slack-engineers", "slack-tickets")} == {
        secret for secret in secrets.values() if "://" in secret}
    assert (SINKS.mail, False) == (config["global"]["smtp_smarthost"], config["global"]["smtp_require_tls"])


def test_only_the_pace_of_a_route_is_another(tmp_path: Path) -> None:
    """Receivers, matchers, groups, repeats, the wait of a group and what is muted are the project's own."""
    before, (after, _) = read("alertmanager/alertmanager.yml"), routed(tmp_path)
    assert [quicker(span) for span in values(before, "group_interval")] == values(after, "group_interval")
    assert len(values(before, "group_interval")) > 1

    def rest(node: Any) -> str:
        return re.sub(r'"group_interval": "\w+"', "", json.dumps(node))

    assert rest(before["route"]) == rest(after["route"])
    assert before["inhibit_rules"] == after["inhibit_rules"]
    assert before["time_intervals"] == after["time_intervals"]
    assert [one["name"] for one in before["receivers"]] == [one["name"] for one in after["receivers"]]
    for key in ("title", "text", "headers", "html", "to", "send_resolved"):
        assert values(before["receivers"], key) == values(after["receivers"], key)


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_written_is_good(suite: str, tmp_path: Path) -> None:
    """Both releases' own checkers say so."""
    for path in RULES:
        (tmp_path / path.name).write_text(quick_rules(path.read_text("utf-8")), "utf-8")
    jobs = [job["job_name"] for job in read("prometheus/prometheus.yml")["scrape_configs"]]
    scraped = prometheus(read("prometheus/prometheus.yml"), tmp_path, dict.fromkeys(jobs, "127.0.0.1:1"))
    config, secrets = routed(tmp_path)
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    for name, said in (("prometheus.yml", scraped), ("alertmanager.yml", config)):
        (tmp_path / name).write_text(yaml.safe_dump(said))
    for checker, *words in (("promtool", "check", "config", "prometheus.yml"),
                            ("amtool", "check-config", "alertmanager.yml")):
        done = subprocess.run([tool(checker, suite), *words], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_port_that_is_taken_is_named() -> None:
    """With whose it would have been, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"\Aport {port} of prometheus cannot be had .*--prometheus\Z"):
            check_ports({"prometheus": port})
        with pytest.raises(CannotStart, match=rf"\Aport {port} of denyut-feed cannot be had .*--pages\Z"):
            check_ports({"denyut-feed": port})
    check_ports({"prometheus": port})


def test_ports_that_cannot_be_are_refused() -> None:
    """One for two, and one that is no port."""
    ports = WISH._replace(alertmanager=9103).ports()
    with pytest.raises(CannotStart, match=r"\Aport 9103 would be that of alertmanager and of another"):
        check_ports({name: port for name, port in ports.items() if port == 9103})
    with pytest.raises(CannotStart, match="beyond 65535"):
        check_ports({"denyut-tell": 65_536})


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that fetches it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CannotStart, match=r"\Ano prometheus in build/tools/sid: run deploy/tools/debian.sh sid "):
        program("prometheus", "sid")
    assert tool("prometheus", "bookworm") == program("prometheus", "")


def test_targets_that_are_not_up_are_missing() -> None:
    """One that was never scraped is as one that is down."""
    answer = {"data": {"activeTargets": [{"labels": {"job": "a"}, "health": "up"},
                                         {"labels": {"job": "b"}, "health": "unknown"}]}}
    assert ["b", "c"] == missing_targets(json.dumps(answer).encode(), {"a": 1, "b": 2, "c": 3})
    assert ["a"] == missing_targets(None, {"a": 1})


def test_the_greeting_says_what_is_quicker_and_when_to_look() -> None:
    """All six addresses, the crisis after less than two minutes, its message before three."""
    said = greeting(WISH)
    assert all(f"http://127.0.0.1:{port}" in said for port in WISH.ports().values())
    crisis_min, message_min = (float(found) for found in re.findall(r"about ([\d.]+) minutes", said))
    assert 1.5 <= crisis_min < message_min <= 3
    assert f"divided by {QUICKER}" in said


SLACK = {"attachments": [{"title": "Kopi: mood has turned down", "text": "How far: a &lt; b\n\nWhy: \x1b[2Jx\n",
                          "title_link": "http://localhost:3000/d/denyut-brand?var-brand=kopi"}]}


def test_a_slack_message_is_framed_and_says_whose_it_is() -> None:
    """Its title, its lines and its link, as a person would read them, and nothing that a terminal obeys."""
    said = web_message("/slack-marketing", json.dumps(SLACK).encode())
    head, *body = said.strip().splitlines()
    assert "to marketing, by Slack" in head
    assert ["│ Kopi: mood has turned down", "│ How far: a < b", "│ Why: [2Jx",
            "│ http://localhost:3000/d/denyut-brand?var-brand=kopi"] == body[:-1]
    assert "\x1b" not in said
    assert "ab" == printable("a\x07\x9b\u202eb")


def test_the_watchdog_is_not_told_and_the_pager_is() -> None:
    """It rings every few minutes; a page is one line for each alert."""
    hook = {"status": "firing", "alerts": [{"labels": {"alertname": "DenyutPipelineDown"},
                                            "annotations": {"summary": "No score worker runs"}}]}
    assert "" == web_message("/watchdog", json.dumps(hook).encode())
    said = web_message("/engineers-critical", json.dumps(hook).encode())
    assert "│ firing: DenyutPipelineDown: No score worker runs" in said
    assert "pager" in said


def test_a_mail_is_framed() -> None:
    """Its receiver, its subject, its text."""
    said = mail_message(b"To: marketing@denyut.example\r\nSubject: Kopi: over\r\n\r\nBoard: http://x\r\n")
    assert "to marketing@denyut.example, by mail" in said
    assert ["│ Subject: Kopi: over", "│ ", "│ Board: http://x"] == said.strip().splitlines()[1:-1]


def test_the_sink_takes_mail_and_hooks_and_refuses_the_rest() -> None:
    """By the real protocols; what is no message is refused and nothing is said."""
    heard: list[str] = []
    with Sink(heard.append) as open_:
        host, port = open_.sinks.mail.split(":")
        with smtplib.SMTP(host, int(port), timeout=10) as mail:
            mail.sendmail("denyut@denyut.example", "a@denyut.example", "To: a\r\nSubject: one\r\n\r\n.two\r\n")
        for body in (b"", b"[]", b"nothing", b'{"attachments": 1}'):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(f"{open_.sinks.web}/slack-marketing", body, timeout=10)  # noqa: S310
        urllib.request.urlopen(f"{open_.sinks.web}/slack-marketing", json.dumps(SLACK).encode(), timeout=10).close()  # noqa: S310
    assert [True, False] == ["Subject: one" in said and "│ .two" in said for said in heard]


class Running:
    """The stack in a process of its own, at ports that were free, with what it prints."""

    def __init__(self, *options: str) -> None:
        self.ports = free_ports()
        named = [word for name, port in self.ports.items() for word in (f"--{name}", str(port))]
        self.process = subprocess.Popen(
            [sys.executable, DEPLOY / "stack" / "stack.py", *named, *options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as out:
            self.lines += (line.rstrip("\n") for line in out)

    def said(self) -> str:
        return "\n".join(self.lines)

    def wait_up(self) -> None:
        self.wait(lambda: "Ctrl-C ends all of it." in self.said())

    def wait(self, until: Any, most_s: float = UP_S) -> None:
        give_up = time.monotonic() + most_s
        while not until():
            assert time.monotonic() < give_up, self.said()
            time.sleep(0.1)  # another process can only be asked

    def get(self, name: str, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=10) as answer:
            return answer.read()

    def having(self, word: bytes) -> list[int]:
        """Those of its processes that were started with this word."""
        return [pid for pid in family(self.process.pid) if word in _words(pid)]

    def end(self) -> int:
        """The exit code; it must end in time."""
        code = self.process.wait(END_S)
        self.join()
        return code

    def join(self) -> None:
        """Until all that it said has been read."""
        self._reader.join(10)


def free_ports() -> dict[str, int]:
    """Ports that are free now; `pages` is the first of four."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        found = {"prometheus": one.getsockname()[1], "alertmanager": other.getsockname()[1]}
    for first in range(21_000 + os.getpid() % 9_000, 32_000, 4):
        try:
            for port in range(first, first + 4):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return {**found, "pages": first}
    raise AssertionError("no four ports in a row are free")


def processes() -> dict[int, tuple[int, str, str]]:
    """Of every process that runs: its parent, its name, and when it began."""
    found: dict[int, tuple[int, str, str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text("utf-8", "replace").partition("(")[2].rpartition(")")
        except OSError:
            continue
        words = rest.split()
        if words[0] != "Z":
            found[int(path.parent.name)] = int(words[1]), name, words[19]
    return found


def family(of: int) -> dict[int, tuple[int, str, str]]:
    """Everything that a process has started, and what that has."""
    every, found = processes(), {of}
    while more := {pid for pid, (parent, *_) in every.items() if parent in found} - found:
        found |= more
    return {pid: every[pid] for pid in found - {of}}


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def left(before: Mapping[int, tuple[int, str, str]]) -> list[str]:
    """The names of those that still run."""
    every = processes()
    return [name for pid, (_, name, began) in before.items() if pid in every and every[pid][1:] == (name, began)]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stack puts its folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@contextmanager
def running(*options: str) -> Iterator[Running]:
    stack = Running(*options)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.process.terminate()
        stack.process.wait(30)
        stack.join()


@pytest.mark.slow
def test_all_is_up_and_ctrl_c_ends_all_of_it(temporary: Path) -> None:
    """Prometheus has every target and every rule, Alertmanager is ready; then nothing is left, no file either."""
    with running("--rate", "20") as stack:
        stack.wait_up()
        targets = json.loads(stack.get("prometheus", "/api/v1/targets?state=active"))["data"]["activeTargets"]
        assert set(WISH.ports()) == {one["labels"]["job"] for one in targets}
        assert {"up"} == {one["health"] for one in targets}
        loaded = json.loads(stack.get("prometheus", "/api/v1/rules"))["data"]["groups"]
        written = [group["name"] for path in RULES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
        assert sorted(written) == sorted(group["name"] for group in loaded)
        assert b"OK" in stack.get("alertmanager", "/-/ready").upper()
        assert b"<title>Prometheus" in stack.get("prometheus", "/"), "its own pages, where somebody clicks"
        address = f"http://127.0.0.1:{stack.ports['alertmanager']}/api/v2/alerts"
        stack.wait(lambda: [{"url": address}] == json.loads(
            stack.get("prometheus", "/api/v1/alertmanagers"))["data"]["activeAlertmanagers"])
        started = family(stack.process.pid)
        assert len(started) >= 5, "two programs, the demo, its two workers"
        stack.process.send_signal(signal.SIGINT)
        assert stack.end() == 0, stack.said()
        assert [] == left(started)
        assert "ending all of it" == stack.lines[-1]
    assert [] == list(temporary.iterdir())


@pytest.mark.slow
def test_when_one_of_it_ends_all_of_it_ends(temporary: Path) -> None:
    """It is named, with the folder of the logs, which stays; the workers of a demo that was killed end as well."""
    with running() as stack:
        stack.wait(lambda: len(stack.having(b"work")) == 2)
        started = family(stack.process.pid)
        demo, = stack.having(b"demo")
        os.kill(demo, signal.SIGKILL)
        stack.wait(lambda: stack.process.poll() is not None)
        assert stack.end() == 1, stack.said()
        assert "stack: demo ended with code -9" in stack.said()
        assert [] == left(started)
        folder, = temporary.iterdir()
        assert (folder / "demo.log").exists()


@pytest.mark.slow
def test_nothing_outlives_a_stack_that_is_killed(temporary: Path) -> None:  # noqa: ARG001
    """kill -9 tells nobody; each of its processes is told by the system, and ends."""
    with running("--rate", "20") as stack:
        stack.wait_up()
        started = family(stack.process.pid)
        stack.process.kill()
        stack.wait(lambda: not left(started))


def test_a_port_that_is_taken_stops_the_start() -> None:
    """One line, exit code 2, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([sys.executable, DEPLOY / "stack" / "stack.py", "--prometheus", port], text=True,
                              capture_output=True, timeout=60, check=False)
    assert (2, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert f"port {port} of prometheus cannot be had" in done.stderr
