"""Kafka: a real Apache Kafka for tests and benches, one node (KRaft), started from Maven's jars.

    with Kafka(tmp_path) as kafka:
        kafka.create_topics(partitions=12)
        ... kafka.address ...
        kafka.kill()                # as a power cut would
        kafka.start()               # the same port, the same data

Needs Java 17 and Maven; as root on Debian they are installed. The jars (43 MB) are fetched once, into build/kafka/lib.
Knows nothing of Denyut but the settings that its topics are made from.
"""

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
POM = Path(__file__).with_name("pom.xml")
LIB = ROOT / "build" / "kafka" / "lib"
PACKAGES = {"java": "openjdk-17-jre-headless", "mvn": "maven"}
JVM = ("-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
PROBE = "denyut-test-probe"
READY_S = 60.0  # a start takes 2 s, one after a kill 5 s; a busy machine longer
STOP_S = 10.0

# Short sessions, so that a killed broker may serve again after 3 s and tests may let a worker die within seconds.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/logs
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=67108864
"""


class NoKafka(Exception):
    """This machine cannot run the broker; the message says what to install."""


class Kafka:
    """One broker with its port and its folder, both kept over restarts. Not yet started when made."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the broker's own; it is made where it does not exist."""
        self.folder = folder
        self.port, self._controller = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients find it: host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Returns when a record has been written. Call it from a thread that stays: the broker ends with it.

        Raises `NoKafka`, or `RuntimeError` with the broker's last words.
        """
        assert not self.running, "already started"
        lib = jars()
        if not (self.folder / "server.properties").exists():
            self._format(lib)
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_with_us(), "java", *JVM, "-cp", f"{lib}/*", "kafka.Kafka", str(self.folder / "server.properties")],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Ends it in order, as an upgrade would; kills it when it takes longer than 10 s."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """Ends it with SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, it neither answers nor ends: connections stay open and silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def create_topics(self, partitions: int = 12, prefix: str = "denyut") -> None:
        """Makes Denyut's topics."""
        from streams.settings import Settings
        from streams.topics import create

        create(Settings(brokers=self.address, partitions=partitions, prefix=prefix))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _format(self, lib: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        said = PROPERTIES.format(port=self.port, controller=self._controller, folder=self.folder)
        properties.write_text(said, "utf-8")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        _run(["java", *JVM, "-cp", f"{lib}/*", "kafka.tools.StorageTool", "format", "-t", cluster,
              "-c", str(properties), "--ignore-formatted"])

    def _wait(self) -> None:
        until = time.monotonic() + READY_S
        while not self._answers():
            if not self.running or time.monotonic() > until:
                last = (self.folder / "broker.log").read_text("utf-8", "replace").splitlines()[-20:]
                raise RuntimeError("\n".join([f"Kafka did not start; {self.folder / 'broker.log'} ends:", *last]))
            time.sleep(0.1)  # another process' readiness can only be asked for

    def _answers(self) -> bool:
        """Whether a record can be written: a connection alone proves nothing."""
        from kafka import KafkaAdminClient, KafkaProducer
        from kafka.errors import KafkaError, TopicAlreadyExistsError

        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()  # quicker to say no than a client is
        except OSError:
            return False
        near = {"bootstrap_servers": self.address, "bootstrap_timeout_ms": 500, "request_timeout_ms": 5000}
        once = {"enable_idempotence": False, "max_block_ms": 5000, "delivery_timeout_ms": 6000}
        try:
            with KafkaAdminClient(**near) as admin, contextlib.suppress(TopicAlreadyExistsError):
                admin.create_topics({PROBE: {"num_partitions": 1, "replication_factor": 1}})
            with KafkaProducer(**near, **once) as producer:
                producer.send(PROBE, b"?").get(6)
        except (KafkaError, OSError, TimeoutError):
            return False
        return True


def jars() -> Path:
    """The folder with the broker's jars, filled on first use. Raises `NoKafka`."""
    _need("java")
    if not LIB.exists():
        _need("mvn")
        LIB.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=LIB.parent) as folder:
            _run(["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime",
                  f"-DoutputDirectory={folder}/lib"])
            with contextlib.suppress(OSError):  # somebody else was quicker
                os.rename(f"{folder}/lib", LIB)
    return LIB


def _need(program: str) -> None:
    if shutil.which(program):
        return
    package = PACKAGES[program]
    if shutil.which("apt-get") and os.geteuid() == 0:
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
            _run(["apt-get", *words], {"DEBIAN_FRONTEND": "noninteractive"})
    if not shutil.which(program):
        raise NoKafka(f"the broker of these tests needs `{program}`: install {package} "
                      f"(Java 17 or later and Maven), or leave these tests out with `-m 'not broker'`")


def _run(words: list[str], environ: dict[str, str] | None = None) -> None:
    done = subprocess.run(words, env=os.environ | (environ or {}), stdin=subprocess.DEVNULL, capture_output=True,
                          check=False)
    if done.returncode:
        last = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()[-5:]
        raise NoKafka(f"`{' '.join(words[:3])} …` ended with {done.returncode}: {' / '.join(last)}")


def _with_us() -> list[str]:
    """What makes the broker end with the thread that started it, however that one ends (Linux)."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def _free_ports() -> tuple[int, int]:
    """Two ports that are free now. They are kept over restarts: clients remember them."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
