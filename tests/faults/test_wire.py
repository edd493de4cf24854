"""TLS, logins and rights on a real broker: who is let in gets through whole, and who is not is told why, once."""

import asyncio
import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from streams import topics
from streams.cursors import Cursors
from streams.feed import Feed, Rules, Ticking
from streams.heart.errors import BadSetting, LostBroker
from streams.knock import keep_knocking, knock
from streams.serve import Health
from streams.settings import Settings
from streams.sources.public import SOURCE
from streams.told import Told
from streams.wire import Wire
from tests.faults.kafka import ROOT, Kafka, Keys, Right
from tests.faults.test_whole_way import (
    PARTITIONS,
    SESSION,
    SHORT_MS,
    Stage,
    Truth,
    Worker,
    _now_ms,
    _send,
    _told,
    _wait,
    _wait_equal,
)

POSTS = 200
# Who may do what: the users that we ship, word for word but for the prefix.
SHIPPED = ROOT / "deploy" / "kafka" / "users-scram.yaml"
COMMANDS = {
    "feed": ("feed", "file", "{posts}"), "score": ("work", "score"), "pulse": ("work", "pulse"),
    "topics": ("topics", "--create"), "tell": ("tell",),
}


def rights(prefix: str) -> dict[str, list[Right]]:
    """User -> what it may do with the topics and groups of a prefix."""
    found = {}
    for user in yaml.safe_load_all(SHIPPED.read_text()):
        acls = user["spec"]["authorization"]["acls"]
        found[user["metadata"]["name"]] = [
            Right(acl["resource"]["type"], acl["resource"]["name"].replace("denyut", prefix, 1),
                  tuple(acl["operations"])) for acl in acls]
    return found


USERS = tuple(rights("denyut"))


class Realm:
    """A broker that knows the users that we ship, and their keys and passwords in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = Keys(folder / "keys")
        self.foreign = Keys(folder / "foreign")
        for user in USERS:
            self.keys.sign(user)
            (folder / f"{user}.password").write_text(f"hush of {user}\n")
        (folder / "wrong.password").write_text("guessed\n")
        (folder / "secret").write_text("0123456789abcdef0123456789abcdef\n")
        self.kafka = Kafka(folder / "kafka", self.keys, {user: f"hush of {user}" for user in USERS})

    def environ(self, user: str, way: str, **other: str) -> dict[str, str]:
        """The settings of a process that comes this way as this user; `other` says otherwise."""
        said = {"BROKERS": self.kafka.tls if way == "mtls" else self.kafka.sasl, "TLS": "on",
                "TLS_CA": str(self.keys.ca), "SECRET_FILE": str(self.folder / "secret"), "HTTP": "127.0.0.1:0",
                "ALERTMANAGER": "http://127.0.0.1:9"}
        if way == "mtls":
            said |= {"TLS_CERT": str(self.folder / "keys" / f"{user}.pem"),
                     "TLS_KEY": str(self.folder / "keys" / f"{user}.key")}
        else:
            said |= {"SASL": way, "USER": user, "PASSWORD_FILE": str(self.folder / f"{user}.password")}
        return {f"DENYUT_{name}": value for name, value in {**said, **other}.items()}

    def settings(self, user: str, way: str, **other: str) -> Settings:
        """The same, read."""
        return Settings.read(self.environ(user, way, **other))

    def allow(self, prefix: str, *users: str) -> None:
        """Gives these users what we ship, and nobody anything else."""
        for user in users or USERS:
            self.kafka.allow(user, rights(prefix)[user])


class Wired(Stage):
    """A stage whose processes each come as the user that we ship for it; the truth is read past all rights."""

    def __init__(self, realm: Realm, folder: Path, way: str) -> None:
        prefix = f"wire-{uuid.uuid4().hex[:8]}"
        self.settings = Settings(brokers=realm.kafka.address, prefix=prefix, sources=(SOURCE,))
        self.brands = self.settings.read_brands()
        self.workers: list[Worker] = []
        self.realm, self.way, self._folder = realm, way, folder
        folder.mkdir(exist_ok=True)

    def create(self) -> None:
        """Topics, made by the user for that, and a feed."""
        said = run("topics", self.environ("topics", PARTITIONS=str(PARTITIONS)))
        assert said.code == 0, said.err
        self.feed = Feed(Settings.read(self.environ("feed")), "public", (SOURCE,), rules=Rules(room=2000))
        self.ticking = Ticking(self.feed, _now_ms)

    def start(self, name: str) -> Worker:
        """One more worker of that kind."""
        worker = Worker(name, self.environ(name), self._folder)
        self.workers.append(worker)
        return worker

    def environ(self, name: str, **other: str) -> dict[str, str]:
        """The settings of one of the processes."""
        own = {"PREFIX": self.settings.prefix, "SOURCES": SOURCE, "SESSION_MS": SESSION}
        return self.realm.environ(f"denyut-{name}", self.way, **own, **other)


class Said:
    """A command that has ended."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        _, err = process.communicate(timeout=120)
        self.code, self.err = process.returncode, err.decode()

    @property
    def refusal(self) -> str:
        """The one line that is for the user; log lines before it do not count."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("denyut: ")]
        assert self.err.splitlines()[-1] == line, self.err
        return line


def begin(command: str, environ: Mapping[str, str], posts: Path | None = None) -> "subprocess.Popen[bytes]":
    """Starts a command with these settings and no others."""
    words = [word.format(posts=posts) for word in COMMANDS[command]]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DENYUT_")}
    return subprocess.Popen([sys.executable, "-P", "-m", "streams.cli", *words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**kept, **environ})


def run(command: str, environ: Mapping[str, str], posts: Path | None = None) -> Said:
    """Runs a command to its end."""
    return Said(begin(command, environ, posts))


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """One broker for all of these."""
    made = Realm(tmp_path_factory.mktemp("realm"))
    with made.kafka:
        yield made


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A file of some posts."""
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(f'{{"id": "{number}", "author": "a", "text": "Kopi Lumora is good", "created_at": '
                            f'"2026-11-25T10:00:00Z"}}\n' for number in range(20)))
    return path


def test_with_the_rights_that_we_ship_every_post_reaches_the_pages(realm: Realm, tmp_path: Path) -> None:
    """Topics, feed, both workers and tell, each as its own user and with no more rights: the slow recount's figures.

    By certificate, by SCRAM and by PLAIN: three stages beside each other, for they mostly wait.
    """
    with contextlib.ExitStack() as stack:
        stages = [Wired(realm, tmp_path / way, way) for way in ("mtls", "scram-sha-512", "plain")]
        for stage in stages:
            stack.callback(stage.close)
            realm.allow(stage.settings.prefix)
            stage.create()
            stage.start("score")
            stage.start("pulse")
        with contextlib.ExitStack() as ticking:
            for stage in stages:
                ticking.enter_context(stage.ticking)
            for number, stage in enumerate(stages):
                stage.wait_shared()
                _send(stage, _told(number, POSTS, SHORT_MS), {})
            for stage in stages:
                stage.wait_counted()
        for stage in stages:
            _counted(stage)


def _counted(stage: Wired) -> None:
    """All that was sent is on the pages, and nobody was denied what belongs to its work."""
    truth = Truth.of(stage)
    assert truth.outcomes["matched"] > POSTS / 4
    _wait_equal(stage, truth)
    with Told(Settings.read(stage.environ("tell"))) as told:
        assert told.catch_up(60.0), told.latest()
    feed = Settings.read(stage.environ("feed"))
    with contextlib.closing(Cursors(feed, SOURCE)) as cursors:
        cursors.write({"": "17"})
        assert cursors.read() == {"": "17"}
    assert all(topics.policy(feed, name)["cleanup.policy"] for name in ("posts", "cursors"))
    for word in ("uthorization", "is not proven"):
        assert word not in stage.said(), stage.said()


@pytest.mark.parametrize(("other", "words"), [
    ({"PASSWORD_FILE": "{folder}/wrong.password"}, "refuses the login by scram-sha-256"),
    ({"TLS_CA": "{folder}/foreign/ca.pem"}, "DENYUT_TLS_CA: the certificate of"),
    ({"TLS": "off", "TLS_CA": "", "SASL": "", "USER": "", "PASSWORD_FILE": ""}, "speaks TLS; expected DENYUT_TLS=on"),
])
def test_who_is_not_let_in_is_told_why_in_one_line(
    realm: Realm, posts: Path, other: dict[str, str], words: str
) -> None:
    """Every process that talks to Kafka ends with code 2 and names the setting; none tries again."""
    other = {name: value.format(folder=realm.folder) for name, value in other.items()}
    begun = [begin(command, realm.environ("denyut-feed", "scram-sha-256", **other), posts) for command in COMMANDS]
    for process in begun:
        said = Said(process)
        assert said.code == 2, said.err
        assert words in said.refusal
        assert "Traceback" not in said.err, said.err


def test_every_mismatch_names_its_setting(realm: Realm) -> None:
    """What one side says and the other does not understand, whichever it is."""
    keys, folder = realm.keys.ca.parent, realm.folder
    realm.foreign.sign("denyut-feed")
    foreign = {"TLS_CERT": f"{folder}/foreign/denyut-feed.pem", "TLS_KEY": f"{folder}/foreign/denyut-feed.key"}
    no_login = {"SASL": "", "USER": "", "PASSWORD_FILE": ""}
    for way, other, words in [
        ("mtls", {"TLS_CERT": "", "TLS_KEY": ""}, "DENYUT_TLS_CERT: .* refuses us, who have no certificate"),
        ("plain", {"USER": "nobody"}, "DENYUT_USER=nobody: .* refuses the login by plain"),
        ("scram-sha-512", {"USER": "nobody"}, "DENYUT_USER=nobody: .* refuses the login by scram-sha-512"),
        ("mtls", foreign, "DENYUT_TLS_CERT: .* refuses our certificate"),
        ("mtls", {"BROKERS": realm.kafka.tls.replace("127.0.0.1", "localhost")}, "DENYUT_TLS_CA: .*localhost"),
        ("mtls", {"BROKERS": realm.kafka.address}, "DENYUT_TLS=on: .* speaks plain text"),
        ("mtls", {"BROKERS": realm.kafka.sasl}, "DENYUT_SASL is empty: .* takes plain, scram-sha-256, scram-sha-512"),
        ("plain", {"BROKERS": realm.kafka.address}, "DENYUT_TLS=on: .* speaks plain text"),
        ("plain", {"BROKERS": realm.kafka.tls, "TLS_CERT": f"{keys}/denyut-feed.pem",
                   "TLS_KEY": f"{keys}/denyut-feed.key"}, "DENYUT_SASL=plain: .* takes no login"),
        ("scram-sha-512", {**no_login, "TLS": "off", "TLS_CA": ""}, "DENYUT_TLS=off: .* speaks TLS"),
    ]:
        with pytest.raises(BadSetting, match=words):
            knock(Wire.of(realm.settings("denyut-feed", way, **other)))


def test_who_is_away_is_waited_for_and_one_of_many_will_do(realm: Realm) -> None:
    """Nobody at an address is no refusal; neither is silence."""
    with pytest.raises(LostBroker, match="Connection refused"):
        knock(Wire.of(realm.settings("denyut-feed", "mtls", BROKERS="127.0.0.1:1")))
    knock(Wire.of(realm.settings("denyut-feed", "mtls", BROKERS=f"127.0.0.1:1,{realm.kafka.tls}")))
    with realm.kafka.frozen(), pytest.raises(LostBroker, match="no answer"):
        knock(Wire.of(realm.settings("denyut-feed", "plain")), patience_s=0.5)


def test_a_feed_that_may_not_write_ends_and_says_so(realm: Realm, posts: Path) -> None:
    """The counting worker's user may read posts and no more: exit code 2, one line, every record accounted for."""
    prefix = f"denied-{uuid.uuid4().hex[:8]}"
    realm.kafka.create_topics(PARTITIONS, prefix)
    realm.allow(prefix, "denyut-pulse")
    environ = realm.environ("denyut-pulse", "scram-sha-512", PREFIX=prefix)
    said = run("feed", environ, posts)
    assert said.code == 2, said.err
    assert f"DENYUT_USER=denyut-pulse may not write {prefix}.posts" in said.refusal
    feed = Feed(Settings.read(environ), "file", ("file",))
    handed = 0
    with contextlib.suppress(BadSetting):
        for happening in _told(6, POSTS, SHORT_MS):
            feed.send(happening)
            handed += 1
    with pytest.raises(BadSetting, match="may not write"):
        feed.flush(60.0)
    feed.close()
    assert feed.tally == ({}, {"timeout": handed}, 0)


def test_a_worker_that_may_not_read_ends_and_says_so(realm: Realm, tmp_path: Path) -> None:
    """Without its right on posts a score worker would wait for ever for what never comes: exit code 2, and one line."""
    stage = Wired(realm, tmp_path, "scram-sha-512")
    prefix = stage.settings.prefix
    realm.allow(prefix, "denyut-topics")
    realm.kafka.allow("denyut-score", [one for one in rights(prefix)["denyut-score"] if one.name != f"{prefix}.posts"])
    realm.kafka.allow("denyut-score", [Right("topic", f"{prefix}.posts", ("Describe", "DescribeConfigs"))])
    assert run("topics", stage.environ("topics")).code == 0
    said = run("score", stage.environ("score"))
    assert said.code == 2, said.err
    assert f"DENYUT_USER=denyut-score may not read {prefix}.posts" in said.refusal
    stops = said.err[said.err.index("this worker stops"):]
    assert "Traceback" not in stops, stops


def test_what_a_worker_may_not_write_waits_until_it_may(realm: Realm, tmp_path: Path) -> None:
    """A score worker without its right on mentions says so and acks nothing; given the right, it delivers all."""
    stage = Wired(realm, tmp_path, "scram-sha-512")
    prefix, mine = stage.settings.prefix, rights(stage.settings.prefix)
    realm.allow(prefix, "denyut-topics", "denyut-feed", "denyut-pulse")
    mentions = f"{prefix}.mentions"
    realm.kafka.allow("denyut-score", [one for one in mine["denyut-score"] if one.name != mentions])
    realm.kafka.allow("denyut-score", [Right("topic", mentions, ("Describe", "DescribeConfigs"))])
    stage.create()
    try:
        score = stage.start("score")
        with stage.ticking:
            _send(stage, _told(7, POSTS, SHORT_MS), {})
            _wait(lambda: f"{mentions} was not delivered (TopicAuthorizationFailed" in score.said(), score.said)
            realm.kafka.allow("denyut-score", [one for one in mine["denyut-score"] if one.name == mentions])
            stage.start("pulse")
            stage.wait_shared()
            stage.wait_counted()
        _wait_equal(stage, Truth.of(stage))
    finally:
        stage.close()


def test_a_password_that_changes_is_noticed_and_the_new_one_taken_by_a_new_start(realm: Realm) -> None:
    """While the broker refuses us a worker is not ready; once the files hold what it lets in, the worker ends."""
    settings = realm.settings("denyut-tell", "scram-sha-512")
    path, health = Path(settings.password_file), Health("login")

    async def work() -> None:
        job = asyncio.create_task(keep_knocking(Wire.of(settings), health, lambda: Wire.of(settings), every_s=0.05))
        await _until(lambda: health.ready)
        realm.kafka.change_password("denyut-tell", "another")
        await _until(lambda: not health.ready)
        assert not job.done()
        path.write_text("another\n")
        await asyncio.wait_for(job, 60.0)

    before = path.read_text()
    try:
        with pytest.raises(BadSetting, match=r"refuses the login by scram-sha-512 .* start again"):
            asyncio.run(work())
    finally:
        path.write_text(before)
        realm.kafka.change_password("denyut-tell", before.strip())
    assert health.missing() == {"login": "the broker refuses us"}


async def _until(holds: Callable[[], bool]) -> None:
    """Waits until something holds, for a minute at most."""
    async with asyncio.timeout(60.0):
        while not holds():
            await asyncio.sleep(0.02)
