"""Kafka: a real Apache Kafka for tests and benches, one node (KRaft), started from Maven's jars.

    with Kafka(tmp_path) as kafka:
        kafka.create_topics(partitions=12)
        ... kafka.address ...
        kafka.kill()                # as a power cut would
        kafka.start()               # the same port, the same data

    with Kafka(tmp_path, Keys(tmp_path / "keys"), users={"denyut-feed": "its password"}) as kafka:
        ... kafka.tls ...           # certificates on both sides
        ... kafka.sasl ...          # TLS, and a login by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
        kafka.allow("denyut-feed", rights)

By the address in plain text everybody may do everything; by the other two a user may do what was allowed, and no more.
Needs Java 17 and Maven (and openssl, for keys); as root on Debian they are installed. The jars (43 MB) are fetched
once, into build/kafka/lib.
Knows nothing of Denyut but the settings that its topics are made from.
"""

import base64
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

ROOT = Path(__file__).resolve().parents[2]
POM = Path(__file__).with_name("pom.xml")
LIB = ROOT / "build" / "kafka" / "lib"
PACKAGES = {"java": "openjdk-17-jre-headless", "mvn": "maven", "openssl": "openssl"}
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

# Users are called the same whether they come with a certificate or with a password.
SECURE = """\
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},TLS://127.0.0.1:{tls},SASL://127.0.0.1:{sasl}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},TLS://127.0.0.1:{tls},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,SASL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location={keys}/broker.both.pem
ssl.truststore.type=PEM
ssl.truststore.location={keys}/ca.pem
listener.name.tls.ssl.client.auth=required
listener.name.tls.ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/,DEFAULT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.scram-sha-256.sasl.jaas.config={scram} required;
listener.name.sasl.scram-sha-512.sasl.jaas.config={scram} required;
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {plain};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


class NoKafka(Exception):
    """This machine cannot run the broker; the message says what to install."""


class Keys:
    """An authority of its own, and certificates that it has signed, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        """Makes the authority: `ca`."""
        _need("openssl")
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "ca.pem"
        self._openssl("req", "-x509", "-subj", "/CN=an authority", "-keyout", "ca.key", "-out", "ca.pem", *_NEW_KEY)

    def sign(self, name: str, *, host: str = "127.0.0.1") -> tuple[Path, Path]:
        """A certificate and its key, for a user of that name, or for a broker at that address."""
        self._openssl("req", "-x509", "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{host}", *_NEW_KEY,
                      "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        (self._folder / f"{name}.both.pem").write_bytes(key.read_bytes() + cert.read_bytes())
        return cert, key

    def _openssl(self, *words: str) -> None:
        _run(["openssl", *words], folder=self._folder)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Right(NamedTuple):
    """What a user may do with one thing; the words are Kafka's."""

    kind: str  # topic, group, cluster
    name: str
    operations: tuple[str, ...]  # Read, Write, DescribeConfigs, …


class Kafka:
    """One broker with its ports and its folder, kept over restarts. Not yet started when made."""

    def __init__(self, folder: Path, keys: Keys | None = None, users: Mapping[str, str] | None = None, *,
                 compacts: bool = True) -> None:
        """`folder` is the broker's own; it is made where it does not exist. With `keys` it also speaks TLS, and `users`
        (name -> password, without quotes) may log in. One that does not compact leaves every record where it is."""
        self._compacts = compacts
        self.folder = folder
        self._keys, self._users = keys, dict(users or {})
        self.port, self._controller, self._tls, self._sasl = _free_ports(4)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients find it: host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def tls(self) -> str:
        """Where clients with a certificate find it."""
        return f"127.0.0.1:{self._tls}"

    @property
    def sasl(self) -> str:
        """Where clients with a password find it."""
        return f"127.0.0.1:{self._sasl}"

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

    def allow(self, user: str, rights: Iterable[Right]) -> None:
        """Gives a user rights, from every host."""
        from kafka import KafkaAdminClient
        from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

        acls = [ACL(f"User:{user}", "*", ACLOperation[_enum(operation)], ACLPermissionType.ALLOW,
                    ResourcePattern(ResourceType[_enum(right.kind)], right.name))
                for right in rights for operation in right.operations]
        with KafkaAdminClient(bootstrap_servers=self.address) as admin:
            done = admin.create_acls(acls)
        assert not done["failed"], done["failed"]

    def change_password(self, user: str, password: str) -> None:
        """From now on this is what SCRAM asks of a user; connections that are there go on."""
        from kafka import KafkaAdminClient
        from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

        with KafkaAdminClient(bootstrap_servers=self.address) as admin:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                done = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, mechanism, password)])
                assert not any(done.values()), done

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _format(self, lib: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        said = PROPERTIES.format(port=self.port, controller=self._controller, folder=self.folder)
        if not self._compacts:
            said += "log.cleaner.enable=false\n"
        words = []
        if self._keys is not None:
            self._keys.sign("broker")
            plain = " ".join(f'user_{user}="{password}"' for user, password in self._users.items())
            said += SECURE.format(port=self.port, controller=self._controller, tls=self._tls, sasl=self._sasl,
                                  keys=self._keys.ca.parent, plain=plain, scram=SCRAM)
            words = [word for user, password in self._users.items() for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
                     for word in ("--add-scram", f"{mechanism}=[name={user},password={password}]")]
        properties.write_text(said, "utf-8")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        _run(["java", *JVM, "-cp", f"{lib}/*", "kafka.tools.StorageTool", "format", "-t", cluster,
              "-c", str(properties), "--ignore-formatted", *words])

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


def _run(words: list[str], environ: dict[str, str] | None = None, folder: Path | None = None) -> None:
    done = subprocess.run(words, env=os.environ | (environ or {}), stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, cwd=folder)
    if done.returncode:
        last = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()[-5:]
        raise NoKafka(f"`{' '.join(words[:3])} …` ended with {done.returncode}: {' / '.join(last)}")


def _with_us() -> list[str]:
    """What makes the broker end with the thread that started it, however that one ends (Linux)."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def _enum(said: str) -> str:
    """A word of Kafka's as a client writes it.

    >>> _enum("DescribeConfigs")
    'DESCRIBE_CONFIGS'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", said).upper()


def _free_ports(count: int) -> list[int]:
    """Ports that are free now. They are kept over restarts: clients remember them."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
