"""Compose: what stands in deploy/compose is valid, confined, and speaks of things that exist."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml

from streams.cli import main
from streams.settings import Settings

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE = FOLDER / "compose.yaml"
FAR = FOLDER / "compose.tls.yaml"  # lies over it
TOOLS = ROOT / "build" / "tools" / "compose"
YOURS = "./secrets/"  # made by the person who runs it, never in the repository
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
FORBIDDEN = ("privileged", "cap_add", "network_mode", "pid", "ipc", "userns_mode", "devices")

Stack = Mapping[str, Any]


def parsed(text: str) -> dict[str, Any]:
    """A Compose file as data, its anchors resolved."""
    stack: dict[str, Any] = yaml.safe_load(text)
    return stack


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    """The file as it stands."""
    return parsed(COMPOSE.read_text())


def schema_errors(stack: Stack) -> list[str]:
    """What the schema of Compose files, as check-jsonschema brings it, has against the stack."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    return [error.message for error in Draft202012Validator(_schema()).iter_errors(stack)]


@cache
def _schema() -> Any:
    # Its file and not its program: 0.38 does not start with the click that Faust asks for.
    from importlib.metadata import distribution

    brought = distribution("check-jsonschema").locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    return json.loads(Path(str(brought)).read_text())


class Service(NamedTuple):
    """One service, with what may be held against it."""

    name: str
    said: Stack
    stack: Stack

    @property
    def ends(self) -> bool:
        """Whether it does one thing and ends."""
        return bool(self.said.get("restart") == "on-failure")

    def faults(self) -> Iterator[str]:
        """Every rule that it breaks."""
        for fault in (*self._unconfined(), *self._unhealthy(), *self._unbound(), *self._secrets(), *self._settings()):
            yield f"{self.name}: {fault}"

    def _unconfined(self) -> Iterator[str]:
        wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
        for key, value in wanted.items():
            if self.said.get(key) != value:
                yield f"{key} is {self.said.get(key)}"
        yield from (f"{key} is not capped" for key in ("mem_limit", "pids_limit") if not self.said.get(key))
        yield from (f"{key} is set" for key in FORBIDDEN if key in self.said)
        yield from (f"port {port} is open to all" for port in self.said.get("ports", ())
                    if not str(port).startswith("127.0.0.1:"))
        image = self.said.get("image", "")
        if not re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image):
            yield f"image {image} is no exact version"
        if not set(self.said.get("networks", ())) <= {"inside", "outside"} or "networks" not in self.said:
            yield "its networks are not those of this file"

    def _unhealthy(self) -> Iterator[str]:
        check = self.said.get("healthcheck", {})
        if not self.ends and not check.get("test"):
            yield "nobody asks whether it is healthy"
        waits = self.said.get("depends_on", {})
        if not isinstance(waits, dict):
            yield "depends_on does not say what it waits for"
            return
        for name, how in waits.items():
            other = Service(name, self.stack["services"][name], self.stack)
            wanted = "service_completed_successfully" if other.ends else "service_healthy"
            if how.get("condition") != wanted:
                yield f"waits for {name} to be {how.get('condition')}, not {wanted}"

    def _unbound(self) -> Iterator[str]:
        for mount in self.said.get("volumes", ()):
            source, target, *mode = DEFAULT.sub(r"\1", mount).split(":")
            if not source.startswith((".", "/")):
                if source not in self.stack["volumes"]:
                    yield f"no volume {source}"
                continue
            if mode != ["ro"]:
                yield f"{target} can be written"
            if not source.startswith(YOURS) and not (FOLDER / source).exists():
                yield f"{source} does not exist"
        yield from (f"no secret {name}" for name in self.said.get("secrets", ()) if name not in self.stack["secrets"])

    def _secrets(self) -> Iterator[str]:
        for name, value in self.said.get("environment", {}).items():
            hidden = re.fullmatch(r"\$\{\w+:\?.+\}|/run/secrets/.+", str(value))
            if re.search("PASSWORD|SECRET|TOKEN", name) and not hidden:
                yield f"{name} stands in the file"

    def _settings(self) -> Iterator[str]:
        try:
            Settings.read({name: str(value) for name, value in self.said.get("environment", {}).items()})
        except Exception as error:
            yield str(error)


def faults(stack: Stack) -> list[str]:
    """Every rule that any service breaks."""
    return [fault for name, said in stack["services"].items() for fault in Service(name, said, stack).faults()]


def test_the_file_follows_compose_s_schema(stack: Stack) -> None:
    """Every key is one that Compose knows, where Compose expects it."""
    assert [] == schema_errors(stack)


def test_a_misspelt_key_is_noticed() -> None:
    """The schema is strict: a key of a service that does not exist is an error."""
    (error,) = schema_errors(parsed(COMPOSE.read_text().replace("    mem_limit: 2g", "    mem_limt: 2g")))
    assert "mem_limt" in error


def test_every_service_is_confined_and_asked_for_its_health(stack: Stack) -> None:
    """Read-only, without rights, on this machine's loopback alone, pinned, healthy before others start."""
    assert [] == faults(stack)


PLANTED = (
    ("  read_only: true\n", "", "read_only is None"),
    ("cap_drop: [ALL]", "cap_drop: [NET_RAW]", "cap_drop is ['NET_RAW']"),
    ('security_opt: ["no-new-privileges:true"]', "security_opt: []", "security_opt is []"),
    ("  pids_limit: 512\n", "", "pids_limit is not capped"),
    ("    mem_limit: 2g\n", "", "prometheus: mem_limit is not capped"),
    ("    mem_limit: 2g\n", "    mem_limit: 2g\n    privileged: true\n", "prometheus: privileged is set"),
    ('"127.0.0.1:3000:3000"', '"3000:3000"', "grafana: port 3000:3000 is open to all"),
    ('"127.0.0.1:9092:9092"', '"0.0.0.0:9092:9092"', "kafka: port 0.0.0.0:9092:9092 is open to all"),
    ("prom/prometheus:v3.5.3", "prom/prometheus:latest", "prometheus: image prom/prometheus:latest is no exact"),
    ("prom/alertmanager:v0.33.1", "prom/alertmanager", "alertmanager: image prom/alertmanager is no exact version"),
    ("      test: [CMD, bash, -c,", "      tests: [CMD, bash, -c,", "kafka: nobody asks whether it is healthy"),
    ("prometheus: {condition: service_healthy}", "prometheus: {condition: service_started}",
     "grafana: waits for prometheus to be service_started"),
    ("topics: {condition: service_completed_successfully}", "topics: {condition: service_healthy}",
     "score: waits for topics to be service_healthy"),
    ("../prometheus/rules:/etc", "../prometheus/rulez:/etc", "prometheus: ../prometheus/rulez does not exist"),
    ("/etc/denyut:ro", "/etc/denyut", "pulse: /etc/denyut can be written"),
    ("- prometheus:/prometheus", "- prometheuz:/prometheus", "prometheus: no volume prometheuz"),
    ("secrets: [ids.key]", "secrets: [id.key]", "feed: no secret id.key"),
    ("DENYUT_POLICY: ", "DENYUT_POLICIES: ", "bluesky: DENYUT_POLICIES: no such setting"),
    ("DENYUT_SOURCES: demo,", "DENYUT_SOURCES: Demo,", "score: DENYUT_SOURCES='Demo,file,bluesky'"),
    ("${GRAFANA_PASSWORD:?say one in deploy/compose/.env}", "admin", "GF_SECURITY_ADMIN_PASSWORD stands in the file"),
    ("DENYUT_BROKERS: kafka", "DENYUT_BROKER: kafka", "score: DENYUT_BROKER: no such setting"),
    ("DENYUT_HTTP: 0.0.0.0:9100", "DENYUT_HTTP: 9100", "score: DENYUT_HTTP='9100'"),
    ("  DENYUT_PLAINTEXT: allow", "  #", "score: DENYUT_TLS=off: kafka:19092 is not this machine"),
)


@pytest.mark.parametrize(("old", "new", "expected"), PLANTED, ids=[fault for _, _, fault in PLANTED])
def test_a_planted_fault_is_noticed(old: str, new: str, expected: str) -> None:
    """One edit that breaks a rule is found, and the service is named."""
    text = COMPOSE.read_text()
    assert old in text
    assert any(expected in fault for fault in faults(parsed(text.replace(old, new))))


def ours(stack: Stack) -> dict[str, Stack]:
    """The services that run Denyut."""
    return {name: said for name, said in stack["services"].items() if said["image"].startswith("denyut:")}


def test_the_image_is_of_this_version(stack: Stack) -> None:
    """Tag and label are the project's version, and the build finds its Dockerfile."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for said in ours(stack).values():
        assert f"denyut:{version}" == said["image"]
        assert {"VERSION": version} == said["build"]["args"]
        assert (FOLDER / said["build"]["context"] / said["build"]["dockerfile"]).is_file()


def test_every_command_is_a_verb_of_the_program(stack: Stack) -> None:
    """What a service is told to do, `denyut` can do, with those options."""
    for name, said in ours(stack).items():
        args, verb = list(said["command"]), main
        while args and isinstance(verb, click.Group):
            found = verb.commands.get(args.pop(0))
            assert found is not None, f"{name}: denyut {' '.join(said['command'])}"
            verb = found  # type: ignore[assignment]
        options = {one for parameter in verb.params for one in parameter.opts}
        assert set(args) <= options, name


def test_what_is_asked_for_in_env_is_in_its_example() -> None:
    """Every variable that the file takes from outside stands in .env.example, and no other."""
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text() + FAR.read_text()))
    offered = set(re.findall(r"^#?(\w+)=", (FOLDER / ".env.example").read_text(), re.MULTILINE))
    assert asked == offered


def test_the_parts_find_each_other(stack: Stack) -> None:
    """Prometheus scrapes every process of ours on the port it serves, and all name brokers and Alertmanager alike."""
    services = stack["services"]
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    scraped = {one["names"][0]: one["port"] for job in prometheus["scrape_configs"]
               for one in job.get("dns_sd_configs", ())}
    serving = {name: (called(name, said), int(said["environment"]["DENYUT_HTTP"].split(":")[1]))
               for name, said in ours(stack).items() if not Service(name, said, stack).ends}
    assert set(serving.values()) == set(scraped.items())
    assert set(scraped) < set(serving)
    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert {"kafka:19092"} == {said["environment"]["DENYUT_BROKERS"] for said in ours(stack).values()}
    assert "INSIDE://kafka:19092" in advertised
    (target,) = prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert f"http://{target}" == services["tell"]["environment"]["DENYUT_ALERTMANAGER"]
    assert target.split(":")[0] in services


def called(name: str, said: Stack) -> str:
    """By which name Prometheus finds a service: its alias inside, where it has one."""
    inside = said["networks"]["inside"] if isinstance(said["networks"], dict) else {}
    (found,) = inside.get("aliases", [name])
    return str(found)


def test_the_workers_reach_nothing_outside(stack: Stack) -> None:
    """Whoever handles posts is on a network that leads nowhere, but for the feed of a live source."""
    assert stack["networks"]["inside"]["internal"]
    out = {name for name, said in ours(stack).items() if set(said["networks"]) != {"inside"}}
    assert {"bluesky"} == out == {name for name, said in ours(stack).items() if "profiles" in said}


def test_a_live_source_is_listened_to_only_where_it_is_asked_for(stack: Stack) -> None:
    """By its profile; it hides ids with your key, and the score workers count what it sends."""
    said = stack["services"]["bluesky"]
    assert ["live"] == said["profiles"]
    assert "/run/secrets/ids.key" == said["environment"]["DENYUT_SECRET_FILE"]
    assert ["ids.key"] == said["secrets"]
    assert faults_of_sources(stack) == []


def faults_of_sources(stack: Stack) -> list[str]:
    """Who does not count what the feed of a live source sends: service and source."""
    heard = [said["command"][1] for said in ours(stack).values() if said["command"][0] == "feed" and "profiles" in said]
    assert heard
    return [f"{name}: {source}" for name, said in ours(stack).items() for source in heard
            if source not in said["environment"]["DENYUT_SOURCES"].split(",")]


def test_a_source_beside_bluesky_must_be_one_that_counts() -> None:
    """As the file says: without its name in DENYUT_SOURCES no worker would take a post of it."""
    text = COMPOSE.read_text()
    assert "like `bluesky` below, and their names go into DENYUT_SOURCES" in text
    more = text.replace("command: [feed, bluesky]", "command: [feed, news]")
    assert {"score: news", "pulse: news"} <= set(faults_of_sources(parsed(more)))
    assert [] == faults_of_sources(parsed(more.replace("demo,file,bluesky", "demo,file,news")))


def test_a_process_is_stopped_later_than_it_stops(stack: Stack) -> None:
    """Compose kills a worker only when its own time to stop is over."""
    (grace,) = {said["stop_grace_period"] for said in ours(stack).values()}
    assert int(grace.removesuffix("s")) * 1000 > Settings().stop_ms


def mounted(stack: Stack, service: str) -> dict[str, Path]:
    """Where the files of this repository lie in a service: target -> source."""
    pairs = (DEFAULT.sub(r"\1", mount).split(":")[:2] for mount in stack["services"][service]["volumes"])
    return {target: (FOLDER / source).resolve() for source, target in pairs if source.startswith(".")}


def test_prometheus_and_alertmanager_find_what_their_files_name(stack: Stack) -> None:
    """Rules and templates are named relative to a configuration that is mounted where the command says."""
    for service, key in (("prometheus", "rule_files"), ("alertmanager", "templates")):
        places = mounted(stack, service)
        (config,) = [one.removeprefix("--config.file=") for one in stack["services"][service]["command"]
                     if one.startswith("--config.file=")]
        for pattern in yaml.safe_load(places[config].read_text())[key]:
            folder = str(Path(config).parent / Path(pattern).parent)
            assert list(places[folder].glob(Path(pattern).name)), f"{service}: {pattern}"


def test_alertmanager_s_secrets_are_mounted(stack: Stack) -> None:
    """Every secret file that its configuration names lies in the folder that a person fills."""
    named = re.findall(r"_file: (\S+)", (ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    assert named
    assert {"/etc/alertmanager/secrets"} == {str(Path(one).parent) for one in named}
    assert "/etc/alertmanager/secrets" in mounted(stack, "alertmanager")


def test_grafana_finds_its_boards_and_prometheus(stack: Stack) -> None:
    """The folder that provisioning names is mounted and holds the home board; the data source is the service."""
    places = mounted(stack, "grafana")
    provisioning = places["/etc/grafana/provisioning"]
    (boards,) = [provider["options"]["path"] for path in provisioning.glob("dashboards/*.y*ml")
                 for provider in yaml.safe_load(path.read_text())["providers"]]
    home = Path(stack["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert Path(boards) == home.parent
    assert (places[boards] / home.name).is_file()
    (source,) = [one for path in provisioning.glob("datasources/*.y*ml")
                 for one in yaml.safe_load(path.read_text())["datasources"]]
    assert DEFAULT.sub(r"\1", source["url"]) == "http://prometheus:9090"


def test_kafka_is_the_version_that_the_tests_run_with(stack: Stack) -> None:
    """The image's tag is the version of the broker of tests/faults."""
    (tested,) = re.findall(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>(.+)</version>",
                           (ROOT / "tests" / "faults" / "pom.xml").read_text())
    assert f"apache/kafka:{tested}" == stack["services"]["kafka"]["image"]


@pytest.mark.broker
def test_kafka_s_own_start_accepts_the_environment(stack: Stack, tmp_path: Path) -> None:
    """The class that the image starts with makes a server.properties of it, in an empty folder, and formats the log."""
    from tests.faults.kafka import jars

    for name in ("defaults", "mounted", "config"):
        (tmp_path / name).mkdir()
    empty = "Configuration:\n  Appenders: {Console: {name: OUT}}\n  Loggers: {Root: {level: INFO}, Logger: []}\n"
    for name, text in (("server.properties", ""), ("log4j2.yaml", empty), ("tools-log4j2.yaml", empty)):
        (tmp_path / "defaults" / name).write_text(text)
    said = {name: str(value) for name, value in stack["services"]["kafka"]["environment"].items()}
    folders = ("--default-configs-dir", "defaults", "--mounted-configs-dir", "mounted", "--final-configs-dir", "config")
    done = subprocess.run(
        ["java", "-cp", f"{jars()}/*", "kafka.docker.KafkaDockerWrapper", "setup", *folders], cwd=tmp_path, text=True,
        env={"PATH": os.environ["PATH"]} | said | {"KAFKA_LOG_DIRS": str(tmp_path / "data")}, timeout=60,
        capture_output=True, check=False)
    assert (0, True) == (done.returncode, (tmp_path / "data" / "meta.properties").exists()), done.stdout + done.stderr
    made = (tmp_path / "config" / "server.properties").read_text()
    assert "advertised.listeners=INSIDE://kafka:19092,OUTSIDE://localhost:9092" in made


@pytest.fixture(scope="module")
def docker_compose() -> Path:
    """Compose itself, out of Debian's packages; it needs no engine to read a file."""
    found = TOOLS / "usr" / "bin" / "docker-compose"
    if not found.exists():
        subprocess.run([ROOT / "deploy" / "tools" / "debian.sh", "forky", TOOLS, "docker-compose"], check=True,
                       timeout=600)
    return found


def config(program: Path, *over: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `docker-compose config` makes of the file, and what lies over it, with nothing of this machine's .env."""
    files = [word for path in (COMPOSE, *over) for word in ("--file", path)]
    return subprocess.run([program, "--env-file", os.devnull, *files, "config", "--format", "json"],
                          env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | variables,
                          capture_output=True, text=True, timeout=60, check=False)


def test_compose_itself_reads_the_file(docker_compose: Path, stack: Stack) -> None:
    """It resolves every service, and mounts a brand folder of one's own."""
    done = config(docker_compose, GRAFANA_PASSWORD="said", BRANDS_FOLDER="/srv/brands", COMPOSE_PROFILES="live")
    assert (0, "") == (done.returncode, done.stderr)
    services = json.loads(done.stdout)["services"]
    assert set(stack["services"]) == set(services)
    assert "/srv/brands" in {mount["source"] for mount in services["score"]["volumes"]}
    assert ["feed"] == services["bluesky"]["networks"]["inside"]["aliases"]
    calm = config(docker_compose, GRAFANA_PASSWORD="said")
    assert set(stack["services"]) - {"bluesky"} == set(json.loads(calm.stdout)["services"])


def test_without_a_password_compose_stops_and_says_where(docker_compose: Path) -> None:
    """No default password: the message names the variable and the file."""
    done = config(docker_compose)
    assert done.returncode != 0
    assert "GRAFANA_PASSWORD" in done.stderr
    assert "deploy/compose/.env" in done.stderr


def test_a_kafka_elsewhere_takes_the_place_of_this_one(docker_compose: Path, stack: Stack) -> None:
    """With compose.tls.yaml no Kafka runs here, and every process of ours reaches the other over TLS, as its user."""
    said = {"GRAFANA_PASSWORD": "said", "BROKERS": "kafka.example:9094", "KAFKA_USER": "denyut"}
    done = config(docker_compose, FAR, COMPOSE_PROFILES="live", **said)
    assert (0, "") == (done.returncode, done.stderr)
    services = json.loads(done.stdout)["services"]
    assert set(stack["services"]) - {"kafka"} == set(services)
    assert "kafka" not in {name for one in services.values() for name in one.get("depends_on", {})}
    for name in ours(stack):
        settings = Settings.read(services[name]["environment"])
        assert ("kafka.example:9094", "on", "refuse", "scram-sha-512", "denyut") == (
            settings.brokers, settings.tls, settings.plaintext, settings.sasl, settings.user), name
        files = {f"/run/secrets/{one['source']}" for one in services[name]["secrets"]}
        assert {settings.tls_ca, settings.password_file} <= files, name
        assert "outside" in services[name]["networks"], name


@pytest.mark.parametrize("missing", ["BROKERS", "KAFKA_USER"])
def test_without_its_address_or_its_user_compose_stops(docker_compose: Path, missing: str) -> None:
    """The message names the variable and the file."""
    said = {"GRAFANA_PASSWORD": "said", "BROKERS": "kafka.example:9094", "KAFKA_USER": "denyut"}
    del said[missing]
    done = config(docker_compose, FAR, **said)
    assert done.returncode != 0
    assert missing in done.stderr
    assert "deploy/compose/.env" in done.stderr
