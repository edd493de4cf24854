"""`denyut doctor`, the command itself, before a real broker: it finds each planted fault, that one and no other."""

import json
import os
import re
import shutil
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import KafkaAdminClient

from models.registry import EMBEDDED
from streams.feed import Feed, Ticking
from streams.keeping import named, policy_of
from streams.settings import Settings
from streams.topics import create
from tests.faults.kafka import Kafka

DENYUT = Path(sysconfig.get_path("scripts")) / "denyut"
_number = count()


@dataclass
class Patient:
    """An installation that is well, with what a test does to it."""

    kafka: Kafka
    folder: Path
    prefix: str = field(default_factory=lambda: f"doctor{next(_number)}")
    said: dict[str, str] = field(default_factory=dict)  # settings, beside those that every patient has
    least_files: int | None = None

    def well(self) -> None:
        """Has topics that nobody changes: all who are well share them."""
        self.prefix = "doctor-well"
        self.topics()

    def topics(self, but: str = "", partitions: int = 3, changed: Mapping[str, str] | None = None) -> None:
        """Makes its own; `but` with another number of partitions, or another policy."""
        settings = Settings(brokers=self.kafka.address, prefix=self.prefix, partitions=3)
        with KafkaAdminClient(bootstrap_servers=self.kafka.address) as admin:
            if changed:
                admin.create_topics({settings.topic(but): {
                    "num_partitions": 3, "replication_factor": 1,
                    "configs": {**policy_of(named(but)), **changed}}}, wait_for_metadata=True)
            create(settings)
            if partitions != 3:
                admin.create_partitions({settings.topic(but): partitions})

    def site(self, name: str, text: str) -> None:
        """Puts a file where Python looks for modules and packages first."""
        path = self.folder / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def file(self, name: str, content: str, mode: int = 0o600) -> str:
        """A file of its own; its path."""
        path = self.folder / name
        path.write_text(content, "utf-8")
        path.chmod(mode)
        return str(path)

    def examine(self) -> tuple[int, list[dict[str, Any]]]:
        """`denyut doctor --json`: the exit code, and the lines."""
        environ = {name: said for name, said in os.environ.items() if not name.startswith("DENYUT_")}
        environ |= {"DENYUT_BROKERS": self.kafka.address, "DENYUT_PREFIX": self.prefix, "DENYUT_HTTP": "127.0.0.1:0",
                    "PYTHONPATH": str(self.folder / "site"), **self.said}
        words = [str(DENYUT), "doctor", "--json"]
        if self.least_files is not None:
            words = ["sh", "-c", f'ulimit -n {self.least_files}; exec "$@"', "sh", *words]
        done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.stdout, done.stderr
        told = json.loads(done.stdout)
        assert told["code"] == done.returncode
        return done.returncode, told["lines"]


def found(lines: list[dict[str, Any]], verdict: str) -> dict[str, str]:
    """What has this verdict -> all that is said of it."""
    out: dict[str, str] = {}
    for line in lines:
        if line["verdict"] == verdict:
            said = f"{line['seen']}; expected {line['expected']}: {line['do']}"
            out[line["what"]] = f"{out.get(line['what'], '')}{said}\n"
    return out


@pytest.fixture
def patient(kafka: Kafka, tmp_path: Path) -> Patient:
    """Well, but for its topics, which the test makes."""
    return Patient(kafka, tmp_path)


def test_a_healthy_system_has_no_fault(patient: Patient) -> None:
    """Nothing but that one broker has one copy of each topic, which is true."""
    patient.well()
    patient.said["DENYUT_SECRET_FILE"] = patient.file("secret", "0123456789abcdef")
    code, lines = patient.examine()
    assert (0, {}) == (code, found(lines, "fault"))
    assert {"copies"} == found(lines, "warning").keys() - {"broker's disk"}
    assert {"settings", "package", "libraries", "open files", "disk", "page", "secrets", "brands", "policy", "broker",
            "topic", "clock", "model"} <= found(lines, "ok").keys()


class Planted(NamedTuple):
    """A fault, and what is to be said of it."""

    name: str
    plant: Callable[[Patient], None]
    what: str
    says: tuple[str, ...]
    code: int = 2


def no_broker(patient: Patient) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        patient.said["DENYUT_BROKERS"] = f"127.0.0.1:{probe.getsockname()[1]}"


def topic_missing(patient: Patient) -> None:
    patient.topics()
    with KafkaAdminClient(bootstrap_servers=patient.kafka.address) as admin:
        admin.delete_topics([f"{patient.prefix}.blocks"])


def damaged_model(patient: Patient) -> None:
    patient.well()
    shutil.copytree(EMBEDDED, patient.folder / "model")
    with (patient.folder / "model" / "model.onnx").open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"?")
    patient.said["DENYUT_MODEL"] = str(patient.folder / "model")


def of_a_file(variable: str, content: str) -> Callable[[Patient], None]:
    def plant(patient: Patient) -> None:
        patient.well()
        patient.said[variable] = patient.file("content", content)
    return plant


def of_python(name: str, text: str) -> Callable[[Patient], None]:
    def plant(patient: Patient) -> None:
        patient.well()
        patient.site(name, text)
    return plant


def said(**settings: str) -> Callable[[Patient], None]:
    def plant(patient: Patient) -> None:
        patient.well()
        patient.said |= settings
    return plant


def few_files(patient: Patient) -> None:
    patient.well()
    patient.least_files = 100


# No machine of these tests has a clock or a disk that may be spoiled: Python's own view of them is, in that process.
CLOCK = "import time\n_time = time.time\ntime.time = lambda: _time() {0}\n"
DISK = ("import os\n_statvfs = os.statvfs\n"
        "os.statvfs = lambda path: os.statvfs_result((*_statvfs(path)[:3], 9, 9, *_statvfs(path)[5:10]))\n")
METADATA = "Metadata-Version: 2.1\nName: {0}\nVersion: {1}\n"

FAULTS = [
    Planted("no broker", no_broker, "broker", ("no Kafka broker answers at 127.0.0.1", "start it"), code=1),
    Planted("topic missing", topic_missing, "topic", (".blocks is not there", "topics --create")),
    Planted("wrong partitions", lambda it: it.topics("blocks", partitions=4), "partitions",
            (".posts has 3", ".blocks has 4")),
    Planted("wrong policy", lambda it: it.topics("posts", changed={"retention.ms": "1209600000"}), "topic",
            ("retention.ms=1209600000 (14d)", "at most 604800000 (7d)", "kafka-configs.sh")),
    Planted("damaged model", damaged_model, "model", ("SHA-256 is", "its card says")),
    Planted("broken brands", of_a_file("DENYUT_BRANDS", "number = 1\n[[brand]]\nanny = 1\n"), "brands",
            ("did you mean any",)),
    Planted("secret missing", said(DENYUT_SECRET_FILE="/nowhere/secret"), "secrets",
            ("DENYUT_SECRET_FILE: no such file",)),
    Planted("secret short", of_a_file("DENYUT_SECRET_FILE", "short"), "secrets", ("5 bytes, expected at least 16",)),
    Planted("clock ahead", of_python("sitecustomize.py", CLOCK.format("+ 5")), "clock",
            ("behind this machine", "at most 2 s", "chrony")),
    Planted("clock behind", of_python("sitecustomize.py", CLOCK.format("- 5")), "clock", ("ahead of this machine",)),
    Planted("disk full", of_python("sitecustomize.py", DISK), "disk", ("free", "256 MB or more", "make room")),
    Planted("another streams", of_python("streamy-1.0.dist-info/METADATA", METADATA.format("streamy", "1.0")),
            "package", ("`streams` is shipped by streamy too", "uninstall streamy")),
    Planted("old aiokafka", of_python("aiokafka-0.12.0.dist-info/METADATA", METADATA.format("aiokafka", "0.12.0")),
            "libraries", ("aiokafka is 0.12.0", "==0.14.0", "pip install")),
    Planted("unknown setting", said(DENYUT_BROKRS="x"), "settings", ("did you mean DENYUT_BROKERS",)),
    Planted("broken policy", of_a_file("DENYUT_POLICY", "mine = 3"), "policy", ("[mine]",)),
    Planted("few files", few_files, "open files", ("up to 100", "1024")),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_planted_fault_is_found_and_no_other(patient: Patient, fault: Planted) -> None:
    """One kind of line is a fault, it says what was seen and what to do, and the exit code says whose move it is."""
    fault.plant(patient)
    if fault.name == "another streams":
        patient.site("streamy-1.0.dist-info/top_level.txt", "streams\n")
    code, lines = patient.examine()
    faults = found(lines, "fault")
    assert {fault.what} == faults.keys(), faults
    assert [] == [words for words in fault.says if words not in faults[fault.what]], faults
    assert fault.code == code


@contextmanager
def listener(answer: bytes) -> Iterator[int]:
    """Somebody on a port who answers every connection with the same bytes, whatever he is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    line.settimeout(1)
                    try:
                        line.recv(1000)
                        line.sendall(answer)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_wrong_port_is_found(patient: Patient) -> None:
    """Somebody is there and is no Kafka: the port is the user's to correct."""
    with listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        patient.said["DENYUT_BROKERS"] = f"127.0.0.1:{port}"
        code, lines = patient.examine()
    faults = found(lines, "fault")
    assert (2, {"broker"}) == (code, {*faults})
    assert "answers otherwise than Kafka" in faults["broker"]
    assert {"topics"} == found(lines, "skipped").keys()


def test_one_dead_address_of_two_is_found(patient: Patient) -> None:
    """The other lets us in, and what is behind it is looked at all the same."""
    patient.well()
    no_broker(patient)
    dead = patient.said["DENYUT_BROKERS"]
    patient.said["DENYUT_BROKERS"] = f"{dead},{patient.kafka.address}"
    code, lines = patient.examine()
    assert (1, {"broker"}) == (code, {*found(lines, "fault")})
    assert dead in found(lines, "fault")["broker"]
    assert {"broker", "topic", "clock"} <= found(lines, "ok").keys()


def test_a_port_that_somebody_else_has_is_found(patient: Patient) -> None:
    """A page of ours on it would be none."""
    patient.well()
    with listener(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi") as port:
        patient.said["DENYUT_HTTP"] = f"127.0.0.1:{port}"
        code, lines = patient.examine()
    assert (2, {"page"}) == (code, {*found(lines, "fault")})


def test_a_secret_that_everybody_may_read_is_a_warning(patient: Patient) -> None:
    """It works, and somebody should know."""
    patient.well()
    patient.said["DENYUT_SECRET_FILE"] = patient.file("secret", "0123456789abcdef", 0o644)
    code, lines = patient.examine()
    assert (0, {}) == (code, found(lines, "fault"))
    assert "chmod o-rwx" in found(lines, "warning")["secrets"]


def test_a_tick_shows_the_clock_of_its_broker(patient: Patient) -> None:
    """While a feed ticks no right to ask the cluster is needed, and a fault is found by the tick as well."""
    patient.well()
    settings = Settings(brokers=patient.kafka.address, prefix=patient.prefix)
    with Feed(settings, "test", ["demo"]) as feed, Ticking(feed, lambda: int(time.time() * 1000)):
        code, lines = patient.examine()
        assert (0, True) == (code, found(lines, "ok")["clock"].startswith("broker 1 is"))
        patient.site("sitecustomize.py", CLOCK.format("+ 5"))
        code, lines = patient.examine()
    assert 2 == code
    assert re.match(r"broker 1 is [45]\.\d\d s behind this machine", found(lines, "fault")["clock"])


def test_a_clock_that_differs_by_less_than_the_guard_is_none(patient: Patient) -> None:
    """A second is what a watermark can bear."""
    patient.well()
    patient.site("sitecustomize.py", CLOCK.format("+ 1"))
    code, lines = patient.examine()
    assert (0, True) == (code, "behind this machine" in found(lines, "ok")["clock"])


def test_it_writes_nothing(patient: Patient) -> None:
    """Neither a topic nor a record: whoever looks at a system in trouble does not change it."""
    patient.well()

    def state() -> Any:
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(bootstrap_servers=patient.kafka.address)
        try:
            topics = sorted(consumer.topics())
            return topics, consumer.end_offsets([TopicPartition(name, at) for name in topics
                                                 for at in consumer.partitions_for_topic(name) or ()])
        finally:
            consumer.close()

    before = state()
    assert 0 == patient.examine()[0]
    assert before == state()
