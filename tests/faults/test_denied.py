"""A user who may not ask everything: what nobody can prove is a warning that names the right, and the start goes on."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.agents.probe import wait_for_topics
from streams.keeping import TOPICS
from streams.settings import Settings
from streams.topics import partitions, policy
from streams.wire import Wire
from tests.faults.kafka import Kafka, Keys, Right

USER, PASSWORD = "denyut-shy", "what it is called by"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A broker that knows one user, who may read and write every topic and ask how none of them is kept."""
    folder = tmp_path_factory.mktemp("denied")
    keys = Keys(folder / "keys")
    with Kafka(folder / "kafka", keys, users={USER: PASSWORD}) as kafka:
        kafka.create_topics(3)
        kafka.allow(USER, [Right("topic", f"denyut.{topic.name}", ("Read", "Write")) for topic in TOPICS])
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o600)
        yield {"DENYUT_BROKERS": kafka.sasl, "DENYUT_TLS": "on", "DENYUT_TLS_CA": str(keys.ca),
               "DENYUT_SASL": "scram-sha-512", "DENYUT_USER": USER, "DENYUT_PASSWORD_FILE": str(folder / "password")}


def doctor(said: dict[str, str]) -> tuple[int, list[dict[str, Any]], str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DENYUT_")}
    words = [sys.executable, "-P", "-m", "streams.cli", "doctor", "--json"]
    done = subprocess.run(words, capture_output=True, text=True,
                          env=environ | {"DENYUT_HTTP": "127.0.0.1:0"} | said, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout)["lines"], done.stdout + done.stderr


def test_a_start_goes_on_and_says_which_right_is_missing(
    secure: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Feeds and workers: a log line for each topic that nobody can prove."""
    settings = Settings.read(secure)
    assert 3 == partitions(settings)
    assert {} == policy(settings, "posts")
    assert 1 == caplog.text.count("DescribeConfigs")
    caplog.clear()
    assert 3 == asyncio.run(wait_for_topics(Wire.of(settings), ["denyut.posts", "denyut.mentions"]))
    assert 2 == caplog.text.count("give this user DescribeConfigs on the topic")


def test_the_doctor_says_which_rights_are_missing(secure: dict[str, str]) -> None:
    """Warnings, and exit code 0: nothing is known to be wrong."""
    code, lines, _ = doctor(secure)
    warned = [f"{line['seen']} {line['do']}" for line in lines if line["verdict"] == "warning"]
    assert 0 == code, [line for line in lines if line["verdict"] == "fault"]
    assert len(TOPICS) == sum("DescribeConfigs on the topic" in said for said in warned)
    assert any("Describe on the cluster" in said for said in warned)
    (door,) = [line["seen"] for line in lines if line["what"] == "broker"]
    assert f"lets us in, SASL_SSL, SCRAM-SHA-512 as {USER}" in door


def test_the_doctor_finds_a_wrong_password(secure: dict[str, str], tmp_path: Path) -> None:
    """It is the user's to mend, and is said nowhere."""
    path = tmp_path / "password"
    path.write_text("not-the-password")
    path.chmod(0o600)
    code, lines, said = doctor(secure | {"DENYUT_PASSWORD_FILE": str(path)})
    faults = [line for line in lines if line["verdict"] == "fault"]
    assert (2, ["broker"]) == (code, [line["what"] for line in faults])
    assert "DENYUT_PASSWORD_FILE" in faults[0]["seen"]
    assert "not-the-password" not in said
