"""The chart: what it renders is valid, safe and meant; what cannot work stops the render and names the keys."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import prod
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any, NamedTuple

import pytest
from helm_python import HelmError

from streams.heart.brands import Brands
from streams.heart.errors import BadSetting
from streams.heart.frame import LABELS
from streams.heart.window import WINDOWS
from streams.keeping import TOPICS
from streams.metrics import PARTS, TABLE
from streams.policy import Policy
from streams.settings import Settings
from streams.sources.push import MAX_BODY
from streams.sources.push_reader import Options
from tests import helm, kube, policy
from tests.helm import CHART, Thing, Values

DEPLOY = CHART.parent
CASES = helm.cases()
EXAMPLES = sorted(CHART.glob("examples/*/"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = helm.values_of(CHART / "values.yaml")
LEAST = helm.values_of(CASES["least"])
# What the chart gives by itself, from values of other names.
OWN = {"brokers", "prefix", "partitions", "replication", "brands", "sources", "secret_file", "http", "instance",
       "stop_ms", "alertmanager", "policy", "plaintext", "tls", "tls_ca", "tls_cert", "tls_key", "sasl", "user",
       "password_file"}


def things_of(name: str) -> list[Thing]:
    return helm.things(helm.render(helm.values_of(CASES[name])))


def only(things: list[Thing], kind: str, end: str = "") -> Thing:
    (found,) = [thing for thing in things if thing["kind"] == kind and thing["metadata"]["name"].endswith(end)]
    return found


def merged(base: Values, over: Values) -> dict[str, Any]:
    """Values over values, as Helm lays files over each other."""
    out = dict(base)
    for name, value in over.items():
        deep = isinstance(value, Mapping) and isinstance(out.get(name), Mapping)
        out[name] = merged(out[name], value) if deep else value
    return out


# What is rendered.


@pytest.mark.parametrize("case", CASES)
def test_lint_finds_nothing(case: str) -> None:
    """Helm's own lint, strict, has no word to say."""
    assert helm.complaints(helm.values_of(CASES[case])) == []


@pytest.mark.parametrize("case", CASES)
def test_what_is_rendered_keeps_every_rule(case: str) -> None:
    """Restricted pods, probes, budgets, walls, monitors, one master for a number, no secret: tests/policy.py."""
    values = helm.values_of(CASES[case])
    assert policy.faults(things_of(case), helm.chart().merge_values(dict(values))) == []


@pytest.mark.parametrize("version", [kube.OLDEST, kube.NEWEST])
def test_kubernetes_takes_it(version: str) -> None:
    """Every object is strictly what the oldest and the newest supported Kubernetes, or its operator, knows."""
    assert [fault for case in CASES for thing in things_of(case) for fault in kube.faults(thing, version)] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_the_golden_render_is_todays(example: Path) -> None:
    """`make chart` writes them anew; the difference is what a review looks at."""
    assert helm.golden(example) == helm.render(helm.values_of(example / "values.yaml"))


@pytest.mark.parametrize(("copy", "source", "pattern"), [
    ("rules", "prometheus/rules", "*.rules.yml"), ("boards", "grafana/dashboards", "*.json"),
])
def test_the_copies_are_the_sources(copy: str, source: str, pattern: str) -> None:
    """Helm reads no file outside the chart; `make chart` copies them."""
    there = {path.name: path.read_text() for path in (DEPLOY / source).glob(pattern)}
    assert there
    assert there == {path.name: path.read_text() for path in (CHART / "files" / copy).iterdir()}


def test_rules_are_prometheus_own_but_for_their_links() -> None:
    """What the operator gets is what promtool has tested; links go where the values say."""
    values = helm.values_of(CASES["monitoring"])
    for path in sorted((CHART / "files" / "rules").iterdir()):
        rule = only(things_of("monitoring"), "PrometheusRule", f"-{path.name.removesuffix('.rules.yml')}")
        text = path.read_text().replace("http://localhost:3000/", values["links"]["boards"])
        text = text.replace("https://denyut.example/runbooks/", f"{values['links']['runbooks']}/")
        assert helm.loaded(text) == [rule["spec"]]
        assert "localhost" not in json.dumps(rule)
        assert "denyut.example" not in json.dumps(rule)


def test_rules_about_prometheus_itself_are_left_out_unless_asked_for() -> None:
    """In a shared Prometheus they would speak for strangers: page our engineers for rules of other teams."""
    own, all_of_them = "denyut-own", {f"denyut-{path.name.removesuffix('.rules.yml')}"
                                      for path in (CHART / "files" / "rules").iterdir()}
    found = {case: {thing["metadata"]["name"] for thing in things_of(case) if thing["kind"] == "PrometheusRule"}
             for case in ("example production", "monitoring")}
    assert {"example production": all_of_them - {own}, "monitoring": all_of_them} == found
    shared = [thing for thing in things_of("example production") if thing["kind"] == "PrometheusRule"]
    assert [] == re.findall(r"\b(?:prometheus|alertmanager)_\w+(?!\w|{[^}]*denyut)", " ".join(
        rule["expr"] for thing in shared for group in thing["spec"]["groups"] for rule in group["rules"]))
    assert own in all_of_them


def test_the_data_source_is_the_one_that_boards_ask_for() -> None:
    """As deploy/grafana provisions it, at an address of yours; not the default, of which a Grafana can have one."""
    (ours,) = helm.loaded(only(things_of("monitoring"), "ConfigMap", "-datasource")["data"]["denyut-prometheus.yaml"])
    (theirs,) = helm.loaded((DEPLOY / "grafana/provisioning/datasources/denyut.yaml").read_text())
    url = helm.values_of(CASES["monitoring"])["boards"]["datasource"]["url"]
    over = {"name": "Denyut", "url": url, "isDefault": False}
    assert {**theirs, "datasources": [{**theirs["datasources"][0], **over}]} == ours
    assert "1" == only(things_of("monitoring"), "ConfigMap", "-datasource")["metadata"]["labels"]["grafana_datasource"]
    assert not [thing for thing in things_of("tell") if thing["kind"] == "ConfigMap"]


def test_the_demo_shows_figures_by_itself() -> None:
    """Topics are made, somebody posts, both workers run; it needs no operator, no secret and one broker."""
    things = things_of("example demo")
    assert {"apps/v1", "batch/v1", "v1", "networking.k8s.io/v1", "policy/v1"} == {one["apiVersion"] for one in things}
    boxes = {thing["metadata"]["name"]: thing["spec"]["template"]["spec"]["containers"][0] for thing in things
             if thing["kind"] in ("Deployment", "StatefulSet", "Job")}
    assert {"denyut-topics": ["topics", "--create"], "denyut-feed-public": ["feed", "public"],
            "denyut-score": ["work", "score"], "denyut-pulse": ["work", "pulse"]} == {
                name: box["args"] for name, box in boxes.items()}
    assert {"name": "DENYUT_REPLICATION", "value": "1"} in boxes["denyut-topics"]["env"]
    assert not [thing for thing in things if "secret" in json.dumps(thing).lower()]


def test_the_alertmanager_of_the_operator_finds_templates_and_secrets() -> None:
    """The README's `sed` turns each path of alertmanager.yml into where the operator puts it."""
    (said,) = re.findall(r"^(sed -e .+?) > alertmanager.yaml", (CHART / "README.md").read_text(), re.S | re.M)
    text = subprocess.run(["sh", "-c", said], cwd=CHART.parents[1], check=True, capture_output=True, text=True).stdout
    (before,), (after,) = helm.loaded((DEPLOY / "alertmanager" / "alertmanager.yml").read_text()), helm.loaded(text)
    assert ["/etc/alertmanager/config/*.tmpl"] == after["templates"]
    files = [re.findall(r"'\w+_file': '([^']+)'", repr(one)) for one in (before, after)]
    assert [path.replace("/secrets/", "/secrets/denyut-messages/") for path in files[0]] == files[1]
    listed = re.findall(r"^\| `([a-z-]+)`", (DEPLOY / "alertmanager/secrets.example/README.md").read_text(), re.M)
    assert {f"/etc/alertmanager/secrets/denyut-messages/{name}" for name in listed} == set(files[1])


def test_boards_are_grafanas_own() -> None:
    """Each is a ConfigMap of its own, with the label that Grafana's sidecar looks for."""
    found = [thing for thing in things_of("example production") if "grafana_dashboard" in thing["metadata"]["labels"]]
    boards = {name: json.loads(text) for thing in found for name, text in thing["data"].items()}
    assert {path.name: json.loads(path.read_text()) for path in (CHART / "files" / "boards").iterdir()} == boards
    assert {1} == {len(thing["data"]) for thing in found}
    assert {"1"} == {thing["metadata"]["labels"]["grafana_dashboard"] for thing in found}


def test_the_brand_file_arrives_as_it_was_written() -> None:
    """What the values say is what workers read, and it passes."""
    values = helm.values_of(CASES["brands"])
    data = only(things_of("brands"), "ConfigMap", "-brands")["data"]
    assert {values["brands"]["key"]: values["brands"]["file"]} == data
    assert ("kopi-lumora",) == tuple(Brands.parse(data["listening.toml"]).names)


@pytest.mark.parametrize("case", ["live", "example production"])
def test_the_policy_lets_every_live_source_start(case: str, tmp_path: Path) -> None:
    """It is one to the program, and topics are kept as it asks."""
    path = tmp_path / "policy.toml"
    path.write_text(only(things_of(case), "ConfigMap", "-policy")["data"]["policy.toml"])
    entries = Policy.read(Settings(policy=str(path)))
    (posts,) = [{key: str(value) for key, value in topic.policy.items()} for topic in TOPICS if topic.name == "posts"]
    sources = [feed["source"] for feed in helm.values_of(CASES[case])["feeds"]]
    assert len(sources) > 1
    for source in sources:
        assert entries.admit(source, posts).store_text


def test_the_live_example_of_the_readme_starts(tmp_path: Path) -> None:
    """It is rendered, and its policy lets every source in it start."""
    (said,) = re.findall(r"^```yaml\n(sources: .+?)```", (CHART / "README.md").read_text(), re.M | re.S)
    (values,) = helm.loaded(said)
    things = helm.things(helm.render(merged(LEAST, {**values, "secret": SECRET})))
    path = tmp_path / "policy.toml"
    path.write_text(only(things, "ConfigMap", "-policy")["data"]["policy.toml"])
    entries = Policy.read(Settings(policy=str(path)))
    assert [True] * 3 == [entries.entry(feed["source"]).store_text for feed in values["feeds"]]


@pytest.mark.parametrize("said", [
    "[mastodon]", '["mastodon"]', " [ 'mastodon' ] # a", "mastodon = {a = 1}", "mastodon.a = 1",
])
def test_an_entry_may_be_written_as_toml_may_be(said: str) -> None:
    """The chart finds it."""
    assert {"mastodon"} == set(tomllib.loads(said))
    feed = {**FEED, "args": ["feed", "mastodon"], "source": "mastodon"}
    assert "" == refusal({"feeds": [feed], "sources": ["mastodon"], "secret": SECRET, "policy": f"# ours\n{said}\n"})


def test_the_sources_that_need_no_entry_are_the_policys() -> None:
    """Those that we ship, and that ask for nobody's approval."""
    (named,) = re.findall(r'has \$feed\.source \(list ([^)]+)\)', (CHART / "templates" / "guards.yaml").read_text())
    free = {source for source, entry in Policy.read(Settings()).entries.items() if not entry.needs_approval}
    assert free == set(re.findall(r'"(\w+)"', named))


def test_the_way_up_names_what_is_there() -> None:
    """Workload and container that UPGRADING sets an image of; and how long frames stay."""
    page = (CHART / "UPGRADING.md").read_text()
    ((workload, box),) = re.findall(r"kubectl set image statefulset/NAME-(\w+) (\w+)=IMAGE", page)
    pod = only(things_of("least"), "StatefulSet", f"-{workload}")["spec"]["template"]["spec"]
    assert [box] == [one["name"] for one in pod["containers"]]
    (mentions,) = [topic.policy["retention.ms"] for topic in TOPICS if topic.name == "mentions"]
    assert f"no way back for {int(mentions) // 3_600_000} h" in page


def test_a_new_brand_file_restarts_nobody() -> None:
    """Workers re-read it: the pods' templates are the same, so nothing is rolled."""
    values = helm.values_of(CASES["brands"])
    other = merged(values, {"brands": {"file": values["brands"]["file"].replace("number = 3", "number = 4")}})
    assert workloads(helm.render(values)) == workloads(helm.render(other))


def test_a_new_setting_rolls_the_pods() -> None:
    """It stands in the pod's template."""
    other = merged(LEAST, {"settings": {"effort": "exact"}})
    assert workloads(helm.render(LEAST)) != workloads(helm.render(other))


def workloads(manifests: Mapping[str, str]) -> dict[str, str]:
    return {name: manifests[name] for name in ("score.yaml", "pulse.yaml")}


def test_the_longest_names_are_names() -> None:
    """The longest release and the longest feed make names that Kubernetes takes."""
    feed = {**FEED, "name": "f" * 24}
    values = merged(LEAST, {"feeds": [feed], "secret": SECRET, "topics": {"create": True}})
    things = helm.things(helm.render(values, release="r" * 53))
    assert policy.faults(things, helm.chart().merge_values(values)) == []
    with pytest.raises(HelmError, match="feeds/0/name"):
        helm.render(merged(values, {"feeds": [{**feed, "name": "f" * 25}]}))


@pytest.mark.parametrize("release", ["kopi.senja", "denyut.prod", f"{'r' * 29}.r"])
def test_a_release_may_have_a_dot_in_its_name(release: str) -> None:
    """Helm takes it; the name of a Service is one label of DNS, and so are the names that pods are found under."""
    feed = {**FEED, "name": "f" * 24}
    things = helm.things(helm.render(merged(LEAST, {"feeds": [feed], "secret": SECRET}), release=release))
    named = [thing["metadata"]["name"] for thing in things if thing["kind"] in ("Service", "StatefulSet", "Deployment")]
    assert [name for name in named if not re.fullmatch("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)] == []
    assert any(thing["kind"] == "Service" for thing in things)


def test_a_large_number_is_written_out() -> None:
    """A number of YAML is a float to Helm, which would write 1000000 as 1e+06."""
    env = {one["name"]: one.get("value") for one in
           only(things_of("settings"), "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert ("100000", "900000", "2") == (env["DENYUT_BATCH_POSTS"], env["DENYUT_FLUSH_BYTES"], env["DENYUT_THREADS"])


def test_a_workers_own_setting_goes_before_that_of_all() -> None:
    """score.settings lies over settings; others keep that of all."""
    env = {thing["metadata"]["name"]: {one["name"]: one.get("value") for one in
                                       thing["spec"]["template"]["spec"]["containers"][0]["env"]}
           for thing in things_of("settings") if thing["kind"] in ("Deployment", "StatefulSet")}
    assert "fast" == env["denyut-score"]["DENYUT_EFFORT"]
    assert "exact" == env["denyut-pulse"]["DENYUT_EFFORT"]


# What may be said.


def objects(schema: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every object in the schema."""
    if isinstance(schema, Mapping):
        if schema.get("type") == "object":
            yield at, schema
        for name, one in schema.items():
            yield from objects(one, f"{at}.{name}")


def test_the_schema_is_closed() -> None:
    """Every object refuses keys that it does not know; labels alone are anybody's words."""
    assert [".$defs.labels"] == [at for at, one in objects(SCHEMA) if one.get("additionalProperties") is not False]


def levels(values: Values, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place in the defaults where a key can stand, but for labels."""
    yield at
    for name, value in values.items():
        if isinstance(value, Mapping) and not re.search("[Ll]abels|podAnnotations|nodeSelector", name):
            yield from levels(value, (*at, name))


@pytest.mark.parametrize("at", list(levels(DEFAULTS)), ids=".".join)
def test_an_unknown_key_is_an_error(at: tuple[str, ...]) -> None:
    """At every level, and the message names it."""
    over: dict[str, Any] = {"no-such-key": 1}
    for name in reversed(at):
        over = {name: over}
    with pytest.raises(HelmError, match="no-such-key"):
        helm.render(merged(LEAST, over))


@pytest.mark.parametrize(("over", "names"), [
    ({"feeds": [{"name": "a", "args": ["feed", "public"], "source": "demo", "ports": 1}]}, "ports"),
    ({"feeds": [{"name": "a", "args": ["feed", "push"], "source": "push", "port": 9100}]}, "feeds/0/port"),
    ({"feeds": [{"name": "a", "args": ["feed", "push"], "source": "push", "ingress": [{"podLabels": {"a": "b"}}]}]},
     "feeds/0/ingress/0"),
    ({"feeds": [{"name": "a", "args": ["feed", "push"], "source": "push", "ingress": [{
        "cidr": "10.0.0.0/8", "namespaceLabels": {"a": "b"}}]}]}, "feeds/0/ingress/0"),
    ({"feeds": [{"name": "a", "args": ["feed", "push"], "source": "push", "ingress": [{"namespaceLabels": {}}]}]},
     "feeds/0/ingress/0/namespaceLabels"),
    ({"feeds": [{"name": "a", "args": ["feed", "push"], "source": "push", "secrets": [{
        "secret": "a", "key": "b", "path": "../b"}]}]}, "feeds/0/secrets/0/path"),
    ({"feeds": [{"name": "a", "args": ["feed", "push"], "source": "push", "secrets": [{
        "secret": "", "key": "b", "path": "b"}]}]}, "feeds/0/secrets/0/secret"),
    ({"feeds": [{"name": "a", "args": ["work", "score"], "source": "demo"}]}, "feeds/0/args/0"),
    ({"score": {"resources": {"limits": {"memory": "1Gi", "cpu": "1"}}}}, "cpu"),
    ({"score": {"replicas": "3"}}, "score/replicas"),
    ({"score": {"replicas": 0}}, "score/replicas"),
    ({"score": {"keda": {"minReplicas": 0}}}, "minReplicas"),
    ({"score": {"keda": {"lagThreshold": 7630}}}, "lagThreshold"),
    ({"kafka": {"brokers": "kafka"}}, "brokers"),
    ({"kafka": {"sasl": {"password": "hush"}}}, "password"),
    ({"kafka": {"sasl": {"mechanism": "SCRAM"}}}, "kafka/sasl/mechanism"),
    ({"kafka": {"sasl": {"user": "a b"}}}, "kafka/sasl/user"),
    ({"kafka": {"tls": {"certSecret": "/etc/tls"}}}, "kafka/tls/certSecret"),
    ({"kafka": {"tls": {"caKey": "../ca.crt"}}}, "kafka/tls/caKey"),
    ({"score": {"kafka": {"password": "hush"}}}, "password"),
    ({"score": {"keda": {"authentication": "tls"}}}, "authentication"),
    ({"feeds": [{"name": "a", "args": ["feed", "public"], "source": "demo", "kafka": {"mechanism": "plain"}}]},
     "mechanism"),
    ({"settings": {"password_file": "a"}}, "password_file"),
    ({"settings": {"effort": "quick"}}, "effort"),
    ({"settings": {"delay_ms": "30 apples"}}, "delay_ms"),
    ({"settings": {"brokers": "a:1"}}, "brokers"),
    ({"image": {"digest": "0123"}}, "digest"),
    ({"tell": {"alertmanager": "alertmanager:9093"}}, "alertmanager"),
    ({"tell": {"alertmanager": "http://a:9093,b:9093"}}, "alertmanager"),
    ({"tell": {"egress": [{"cidr": "10.0.0.0/8"}]}}, "tell/egress/0"),
    ({"podLabels": {"app.kubernetes.io/component": "a"}}, "podLabels"),
    ({"podLabels": {"app.kubernetes.io/instance": "a"}}, "podLabels"),
    ({"podLabels": {"denyut/feed": "a"}}, "podLabels"),
    ({"podMonitor": {"labels": {"helm.sh/chart": "a"}}}, "podMonitor/labels"),
    ({"prometheusRule": {"labels": {"app.kubernetes.io/name": "a"}}}, "prometheusRule/labels"),
    ({"boards": {"labels": {"grafana_dashboard": "0"}}}, "boards/labels"),
    ({"sources": []}, "sources"),
    ({"tolerations": [{"keys": "a"}]}, "keys"),
])
def test_a_value_of_the_wrong_kind_is_an_error(over: Values, names: str) -> None:
    """The schema says where."""
    with pytest.raises(HelmError, match=names):
        helm.render(merged(LEAST, over))


@pytest.mark.parametrize(("said", "ports"), [
    ("http://alertmanager:9093", {9093}), ("http://alertmanager", {80}), ("https://alertmanager/am/", {443}),
    ("https://alertmanager:8443/am", {8443}), ("http://[::1]", {80}), ("http://[::1]:9093", {9093}),
    ("http://a:9093 , https://b/c:1", {9093, 443}), ("http://a:09093", {9093}),
])
def test_an_address_that_the_program_takes_is_one_of_the_chart(said: str, ports: set[int]) -> None:
    """Of Alertmanager; and a policy lets `denyut tell` go to its port, that of the scheme where none is said."""
    assert Settings.read({"DENYUT_ALERTMANAGER": said}).alertmanager
    values = merged(LEAST, {"tell": {**TELL, "alertmanager": said}})
    wall = only(helm.things(helm.render(values)), "NetworkPolicy", "-tell")
    assert ports | {53, 9093} == {port["port"] for way in wall["spec"]["egress"] for port in way["ports"]}


@pytest.mark.parametrize("said", ["alertmanager:9093", "ftp://a:1", "http://anna:secret@a:1", "http://a:1?b", "http://a,"])
def test_an_address_that_the_program_refuses_is_refused_by_the_chart(said: str) -> None:
    """At the render, not when the pod starts."""
    with pytest.raises(BadSetting):
        Settings.read({"DENYUT_ALERTMANAGER": said})
    with pytest.raises(HelmError, match="tell/alertmanager"):
        helm.render(merged(LEAST, {"tell": {**TELL, "alertmanager": said}}))


def test_a_scrape_may_hold_a_thousand_brands() -> None:
    """One pulse worker may be all that is left: every series of each brand, of 12 sources, and those of the process."""
    many = {"brand": 1, "window": len(WINDOWS), "direction": 2, "kind": len(PARTS), "sentiment": len(LABELS),
            "source": 12, "title": 1, "group": 1}
    brand = sum(prod(many[label] for label in row.labels) for row in TABLE if "brand" in row.labels)
    assert f"1,000 brands x (104 + 4 x 12 sources) = {1000 * brand:,}" in (CHART / "values.yaml").read_text()
    assert 1.5 * 1000 * brand < DEFAULTS["pulse"]["sampleLimit"]


def test_a_feed_may_hold_what_is_pushed() -> None:
    """All requests that may be in hand, each as it came and as it was read, fit in its limit twice over."""
    most = Options(keys=Path("keys")).in_hand
    told = f"{most} x {MAX_BODY // 1_000_000} x 2 = {2 * most * MAX_BODY // 1_000_000} MB"
    assert [1, 1] == [(CHART / name).read_text().count(told) for name in ("values.yaml", "README.md")]
    assert "512Mi" == DEFAULTS["feed"]["resources"]["limits"]["memory"]
    assert 2 * 2 * most * MAX_BODY + 60e6 < 512 * 2**20


def test_the_day_of_sums_is_what_was_measured() -> None:
    """By the README's figure; a quarter either way, because that is measured anew."""
    table = (CHART.parents[1] / "README.md").read_text()
    (measured,) = re.findall(r"\| 24 h of sealed minutes of 1,000 busy brands \| [^|]+ \| (\d+) MB \|", table)
    (said,) = re.findall(r"1,000 busy brands: (\d+) MB of sealed minutes", (CHART / "values.yaml").read_text())
    assert abs(int(said) / int(measured) - 1) < 0.25


FEED = {"name": "a", "args": ["feed", "public"], "source": "demo"}
BLUESKY: Mapping[str, Any] = {"name": "a", "args": ["feed", "bluesky"], "source": "bluesky"}
SENDERS = [{"namespaceLabels": {"kubernetes.io/metadata.name": "gateway"}}]
PUSH: Mapping[str, Any] = {
    "name": "a", "args": ["feed", "push", "--listen", "0.0.0.0:9180", "--keys", "/etc/denyut/secrets/keys"],
    "source": "push", "port": 9180, "secrets": [{"secret": "a", "key": "b", "path": "keys"}], "ingress": SENDERS}
SECRET = {"existingSecret": "a"}
TELL = {"enabled": True, "alertmanager": "http://alertmanager:9093"}
LINKS = {"boards": "https://grafana.example", "runbooks": "https://wiki.example"}
NOWHERE = {"monitoring": {"namespaceLabels": {"kubernetes.io/metadata.name": None}}}
PLAIN = {"plaintext": True, "tls": {"enabled": False}}
SCRAM = {"sasl": {"mechanism": "scram-sha-512"}}
ALL = {"mechanism": "scram-sha-512", "user": "all", "passwordSecret": "all"}
ILLEGAL: Mapping[tuple[str, str], Values] = {
    ("score.keda.enabled", "score.hpa.enabled"): {"score": {"keda": {"enabled": True}, "hpa": {"enabled": True}}},
    ("score.replicas", "score.keda.enabled"): {"score": {"replicas": 2, "keda": {"enabled": True}}},
    ("score.replicas", "score.hpa.enabled"): {"score": {"replicas": 2, "hpa": {"enabled": True}}},
    ("score.keda.minReplicas", "score.keda.maxReplicas"):
        {"score": {"keda": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}},
    ("score.hpa.minReplicas", "score.hpa.maxReplicas"):
        {"score": {"hpa": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}},
    ("score.keda.maxReplicas", "topics.partitions"): {"score": {"keda": {"enabled": True, "maxReplicas": 13}}},
    ("score.hpa.maxReplicas", "topics.partitions"): {"score": {"hpa": {"enabled": True, "maxReplicas": 13}}},
    ("score.replicas", "topics.partitions"): {"score": {"replicas": 13}},
    ("pulse.replicas", "topics.partitions"): {"pulse": {"replicas": 13}},
    ("score.hpa.enabled", "score.resources.requests.cpu"):
        {"score": {"hpa": {"enabled": True}, "resources": {"requests": {"cpu": None}}}},
    ("kafka.tls.enabled and", "kafka.plaintext: one of them"): {"kafka": {"tls": {"enabled": False}}},
    ("kafka.tls.enabled and", "kafka.plaintext: which"): {"kafka": {"plaintext": True}},
    ("kafka.tls.caSecret and", "kafka.tls.caConfigMap: which"):
        {"kafka": {"tls": {"caSecret": "a", "caConfigMap": "a"}}},
    ("kafka.tls.caSecret, caConfigMap or certSecret", "kafka.tls.enabled: they"):
        {"kafka": {"plaintext": True, "tls": {"enabled": False, "caConfigMap": "a"}}},
    ("kafka.sasl.mechanism=plain", "kafka.tls.enabled: a password"):
        {"kafka": {**PLAIN, "sasl": {"mechanism": "plain", "user": "a", "passwordSecret": "a"}}},
    ("kafka.sasl.user or passwordSecret", "kafka.sasl.mechanism: they"): {"kafka": {"sasl": {"user": "a"}}},
    ("score.kafka and", "kafka.sasl.mechanism=scram-sha-512"): {"kafka": SCRAM},
    ("pulse.kafka.user and", "pulse.kafka.passwordSecret"):
        {"kafka": {"sasl": ALL}, "pulse": {"kafka": {"user": "a"}}},
    ("tell.kafka.user=a", "kafka.sasl.mechanism: it"): {"tell": {"kafka": {"user": "a", "passwordSecret": "a"}}},
    ("topics.kafka.certSecret=a", "kafka.tls.enabled: it"): {"kafka": PLAIN, "topics": {"kafka": {"certSecret": "a"}}},
    ("brands.file and", "brands.existingConfigMap: which"): {"brands": {"file": "number = 1"}},
    ("demo", "brands.existingConfigMap: the demo"): {"demo": True},
    ("brands.file and", "brands.existingConfigMap: one of them"): {"brands": {"existingConfigMap": ""}},
    ("feeds[0].args=feed public", "secret.existingSecret"): {"feeds": [FEED]},
    ("feeds[0].args=feed bluesky and", "secret.existingSecret"):
        {"feeds": [BLUESKY], "sources": ["bluesky"], "demo": True, "brands": {"existingConfigMap": ""}},
    ("policy", "feeds"): {"policy": "commercial = false"},
    ("feeds[0].args=feed mastodon", "policy"): {
        "feeds": [{**FEED, "args": ["feed", "mastodon"], "source": "mastodon"}], "sources": ["mastodon"],
        "secret": SECRET, "policy": "# [mastodon]\n[mastodon2]\nterms = '[mastodon]'\n"},
    ("feeds[0].source=reviews", "policy"): {
        "feeds": [{**BLUESKY, "args": ["feed", "bluesky", "--source", "reviews"], "source": "reviews"}],
        "sources": ["reviews"], "secret": SECRET},
    ("feeds[0].args=feed bluesky --source=sky", "feeds[0].source=bluesky"):
        {"feeds": [{**BLUESKY, "args": ["feed", "bluesky", "--source=sky"]}], "sources": ["bluesky"], "secret": SECRET},
    ("feeds[0].port=9180", "feeds[0].args=feed bluesky: nobody"):
        {"feeds": [{**BLUESKY, "port": 9180, "ingress": SENDERS}], "sources": ["bluesky"], "secret": SECRET},
    ("feeds[0].args=feed push", "feeds[0].port: senders"): {
        "feeds": [{key: PUSH[key] for key in ("name", "args", "source", "secrets")}], "sources": ["push"],
        "secret": SECRET},
    ("feeds[0].port=9181", "feeds[0].args=feed push"): {
        "feeds": [{**PUSH, "port": 9181}], "sources": ["push"], "secret": SECRET},
    ("feeds[0].ingress", "networkPolicy.enabled"): {
        "feeds": [{**PUSH, "ingress": []}], "sources": ["push"], "secret": SECRET},
    ("feeds[0].ingress", "feeds[0].port=none"): {"feeds": [{**FEED, "ingress": SENDERS}], "secret": SECRET},
    ("feeds[0].secrets.path=a", "feeds[0].secrets: two"): {
        "feeds": [{**FEED, "secrets": [{"secret": "a", "key": "a", "path": "a"}] * 2}], "secret": SECRET},
    ("feeds[0].args: /etc/denyut/secrets/keys", "feeds[0].secrets"): {
        "feeds": [{**PUSH, "secrets": []}], "sources": ["push"], "secret": SECRET},
    ("feeds[0].source=demo", "sources=other"): {"feeds": [FEED], "sources": ["other"], "secret": SECRET},
    ("feeds[0].name", "feeds[1].name"): {"feeds": [FEED, FEED], "secret": SECRET},
    ("feeds[0].args=feed file posts.csv", "feeds[0].name=a"):
        {"feeds": [{**FEED, "args": ["feed", "file", "posts.csv"]}], "secret": SECRET},
    ("feeds[0].args=feed public --for=60", "feeds[0].name=a"):
        {"feeds": [{**FEED, "args": ["feed", "public", "--for=60"]}], "secret": SECRET},
    ("feeds[0].args=feed public", "feeds[0].source=other"):
        {"feeds": [{**FEED, "source": "other"}], "sources": ["demo", "other"], "secret": SECRET},
    ("tell.enabled", "tell.alertmanager"): {"tell": {"enabled": True}},
    ("tell.egress", "tell.enabled"): {"tell": {"egress": [{"cidr": "10.0.0.0/8", "port": 443}]}},
    ("tell.alertmanager", "tell.enabled: it would"): {"tell": {"alertmanager": "http://alertmanager:9093"}},
    ("terminationGracePeriodSeconds=30", "stopSeconds=30"): {"stopSeconds": 30},
    ("prometheusRule.enabled", "links.boards"):
        {"prometheusRule": {"enabled": True}, "tell": TELL, "links": {"runbooks": "https://wiki.example"}},
    ("prometheusRule.enabled", "links.runbooks"):
        {"prometheusRule": {"enabled": True}, "tell": TELL, "links": {"boards": "https://grafana.example"}},
    ("prometheusRule.enabled", "podMonitor.enabled"):
        {"prometheusRule": {"enabled": True}, "tell": TELL, "links": LINKS},
    ("prometheusRule.own", "prometheusRule.enabled"): {"prometheusRule": {"own": True}},
    ("prometheusRule.enabled", "tell.enabled"): {"prometheusRule": {"enabled": True}, "links": LINKS},
    ("podMonitor.enabled", "networkPolicy.monitoring.namespaceLabels"):
        {"podMonitor": {"enabled": True}, "networkPolicy": NOWHERE},
    ("tell.enabled", "networkPolicy.monitoring.namespaceLabels"): {"tell": TELL, "networkPolicy": NOWHERE},
    ("networkPolicy.kafka.cidr", "podLabels"):
        {"networkPolicy": {"kafka": {"cidr": "10.0.0.0/8", "podLabels": {"a": "b"}}}},
}


def refusal(over: Values, folder: Path = CHART) -> str:
    """What the chart says to values that cannot work; "": it takes them."""
    try:
        helm.render(merged(LEAST, over), folder)
    except HelmError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("names", ILLEGAL, ids=" + ".join)
def test_an_illegal_combination_names_the_two_keys(names: tuple[str, str]) -> None:
    """The render stops, with one line that begins with both."""
    said = [line for line in refusal(ILLEGAL[names]).splitlines() if all(name in line for name in names)]
    assert 1 == len(said), refusal(ILLEGAL[names])


def test_the_defaults_alone_are_refused_kindly() -> None:
    """Nobody installs the demo's brands, or sends posts in plain text, by mistake: the chart asks."""
    for said in ("brands.file and brands.existingConfigMap", "kafka.tls.enabled and kafka.plaintext"):
        with pytest.raises(HelmError, match=re.escape(said)):
            helm.render({})


EVERYBODY: Values = {
    "score": {"keda": {"enabled": True}}, "tell": TELL, "topics": {"create": True}, "secret": SECRET,
    "feeds": [FEED, {**FEED, "name": "b"}]}
WHERE = ("score.kafka", "score.keda.kafka", "pulse.kafka", "tell.kafka", "topics.kafka", "feeds[0].kafka",
         "feeds[1].kafka")


def lines_with(said: str, words: str) -> list[str]:
    """Where each line begins that has these words."""
    return [line.split()[0] for line in said.splitlines() if words in line]


def test_everybody_must_log_in_where_anybody_does() -> None:
    """With passwords, each process that there is needs a user, and so does KEDA; one of all will do for all."""
    said = refusal(merged(EVERYBODY, {"kafka": SCRAM}))
    assert sorted(WHERE) == sorted(lines_with(said, "and kafka.sasl.mechanism=scram-sha-512: no user"))
    assert ["score.kafka", "pulse.kafka"] == lines_with(refusal({"kafka": SCRAM}), "no user")
    assert "" == refusal(merged(EVERYBODY, {"kafka": {"sasl": ALL}}))
    half = {**EVERYBODY, "kafka": {"sasl": {**ALL, "passwordSecret": ""}}}
    assert len(WHERE) == len(lines_with(refusal(half), "no passwordSecret"))


@pytest.mark.parametrize("at", [*WHERE, "feed.kafka"])
@pytest.mark.parametrize(("login", "words"), [
    ({"user": "a"}, "a user of its own has a password of its own"),
    ({"passwordSecret": "a"}, "a user of its own has a password of its own"),
    ({"passwordKey": "a"}, "a user of its own has a password of its own"),
    ({"user": "a", "passwordSecret": "a"}, "kafka.sasl.mechanism: it would not be used"),
    ({"certSecret": "a"}, "kafka.tls.enabled: it would not be used"),
])
def test_a_login_that_would_not_be_used_is_refused_wherever_it_is_said(at: str, login: Values, words: str) -> None:
    """Half of one, and one that no broker would be shown; the line names the place."""
    over: dict[str, Any] = {"kafka": login}
    if at.startswith("feeds"):
        feeds = [dict(feed) for feed in EVERYBODY["feeds"]]
        feeds[int(at[6])] |= over
        over = {"feeds": feeds}
    else:
        for name in reversed(at.split(".")[:-1]):
            over = {name: over}
    said = refusal(merged(merged(EVERYBODY, {"kafka": PLAIN}), over))
    (where,) = lines_with(said, words)
    assert where.startswith(f"{at}.")


@pytest.mark.parametrize("user", ["denyut-feed", "$ConnectionString", "a:b@c", "a,b", "a=b", "a b", "a" * 201])
def test_a_user_that_the_program_takes_is_one_of_the_chart(user: str) -> None:
    """And one that it refuses is refused at the render."""
    said = {"DENYUT_TLS": "on", "DENYUT_SASL": "plain", "DENYUT_PASSWORD_FILE": "a", "DENYUT_USER": user}
    try:
        taken = bool(Settings.read(said))
    except BadSetting:
        taken = False
    assert taken == (refusal({"kafka": {"sasl": {**ALL, "user": user}}}) == "")


def test_no_secret_is_in_what_is_rendered() -> None:
    """Not in a variable, an argument or a ConfigMap: the values name secrets, and cannot hold one."""
    for case in CASES:
        for thing in things_of(case):
            assert "Secret" != thing["kind"]
            assert "secretKeyRef" not in json.dumps(thing)
    words = {name for _, one in objects(SCHEMA) for name in one.get("properties", {})}
    assert not words & {"password", "secretValue", "key_pem", "token"}


def test_another_user_rolls_its_pods_and_no_others() -> None:
    """The name stands in the template of the one that it is for."""
    values = helm.values_of(CASES["users"])
    other = merged(values, {"pulse": {"kafka": {"user": "another"}}})
    before, after = helm.render(values), helm.render(other)
    assert ["pulse.yaml"] == [name for name in before if before[name] != after[name]]


def test_every_value_is_described() -> None:
    """`# name -- what it means` above every value, and of nothing that is not there."""
    said = set(re.findall(r"^ *# ([A-Za-z.]+) -- ", (CHART / "values.yaml").read_text(), re.MULTILINE))
    whole = ("resources", "settings", "Labels", "labels", "Annotations", "nodeSelector")

    def leaves(values: Values, at: str = "") -> Iterator[str]:
        for name, value in values.items():
            if isinstance(value, Mapping) and value and not name.endswith(whole):
                yield from leaves(value, f"{at}{name}.")
            else:
                yield f"{at}{name}"
    assert set(leaves(DEFAULTS)) == said
    assert helm.table() in (CHART / "README.md").read_text()


def test_every_setting_of_the_program_can_be_set() -> None:
    """Those of the schema and those that the chart itself gives are all that the program has, and no more."""
    known = {one.name for one in fields(Settings)}
    free = set(SCHEMA["$defs"]["settings"]["properties"])
    given = {one["name"].removeprefix("DENYUT_").lower()
             for case in CASES for name, text in helm.render(helm.values_of(CASES[case])).items()
             if name.endswith(".yaml") for thing in helm.loaded(text)
             if thing["kind"] in ("Deployment", "StatefulSet", "Job")
             for one in thing["spec"]["template"]["spec"]["containers"][0]["env"] if one["name"].startswith("DENYUT_")}
    assert known == free | OWN
    assert given == known, "a setting that no case of ci/ sets is never seen"


def test_the_threshold_of_lag_is_what_was_measured() -> None:
    """Ten seconds of one pod's work, by the README's figure; a quarter either way, because that is measured anew."""
    table = (CHART.parents[1] / "README.md").read_text()
    measured = int(re.findall(r"\| ([\d,]+) posts/s against [\d,]+ texts/s", table)[0].replace(",", ""))
    said = int(DEFAULTS["score"]["keda"]["lagThreshold"])
    assert abs(said / (10 * measured) - 1) < 0.25
    assert f"= {said:,} posts" in (CHART / "values.yaml").read_text()


def test_the_chart_is_of_this_release() -> None:
    """The image that it asks for is the program of this tree."""
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]
    assert project["version"] == helm.chart().metadata["appVersion"]


# Kafka by Strimzi.


def strimzi(name: str) -> list[Thing]:
    return helm.loaded((DEPLOY / "kafka" / f"{name}.yaml").read_text())


# What each process does with Kafka: tests/faults/test_wire.py runs them all with these rights, and no more.
RIGHTS = {
    "feed": {"posts": "Read, Write, DescribeConfigs", "mentions": "Describe",
             "cursors": "Read, Write, DescribeConfigs"},
    "score": {"posts": "Read, DescribeConfigs", "mentions": "Write, DescribeConfigs",
              "rejects": "Write, DescribeConfigs", "-score": "Read"},
    "pulse": {"mentions": "Read, DescribeConfigs", "posts": "Read, DescribeConfigs",
              "swings": "Read, Write, DescribeConfigs", "blocks": "Read, Write, DescribeConfigs", "-pulse": "Read"},
    "tell": {"swings": "Read"},
    "topics": dict.fromkeys((topic.name for topic in TOPICS), "Create, Describe, DescribeConfigs"),
    "keda": {"posts": "Describe", "-score": "Describe"},
}


@pytest.mark.parametrize("file", ["kafka", "topics", "users-tls", "users-scram"])
def test_strimzi_takes_it(file: str) -> None:
    """Every field is one of Strimzi's API v1."""
    found = strimzi(file)
    assert found
    assert [fault for thing in found for fault in kube.faults(thing, kube.NEWEST)] == []
    assert all(thing["metadata"].get("labels") == {"strimzi.io/cluster": "denyut"}
               for thing in found if thing["kind"] != "Kafka")


def test_topics_are_the_programs() -> None:
    """Partitions and policies of every topic, to the letter."""
    fleet = Settings(replication=3)
    expected = {fleet.topic(topic.name): {
        "partitions": fleet.partitions if topic.many else 1, "replicas": fleet.replication,
        "config": {**topic.policy, "min.insync.replicas": 2}} for topic in TOPICS}
    assert expected == {thing["metadata"]["name"]: thing["spec"] for thing in strimzi("topics")}


@pytest.mark.parametrize(("file", "kind"), [("users-tls", "tls"), ("users-scram", "scram-sha-512")])
def test_a_process_may_do_what_it_does_and_no_more(file: str, kind: str) -> None:
    """One user each, rights by exact names."""
    found, prefixes = {}, {"topic": "denyut.", "group": "denyut"}
    for user in strimzi(file):
        assert {"type": kind} == user["spec"]["authentication"]
        found[user["metadata"]["name"].removeprefix("denyut-")] = {
            acl["resource"]["name"].removeprefix(prefixes[acl["resource"]["type"]]): ", ".join(acl["operations"])
            for acl in user["spec"]["authorization"]["acls"]}
    assert RIGHTS == found


def test_the_table_of_rights_is_the_files_own() -> None:
    """One line for each user and thing, in the README of deploy/kafka."""
    rows = re.findall(r"^\| `denyut-(\w+)` \| (topic|group) `denyut[.]?([\w-]+)` \| ([\w, ]+) \|$",
                      (DEPLOY / "kafka" / "README.md").read_text(), re.MULTILINE)
    said = {(user, name, may) for user, _, name, may in rows}
    assert {(user, name, may) for user, every in RIGHTS.items() for name, may in every.items()} == said
    assert all((kind == "group") == name.startswith("-") for _, kind, name, _ in rows)


def test_groups_are_the_programs() -> None:
    """Users and KEDA name the groups that the workers are in."""
    from streams.agents.app import pulse_app, score_app

    assert "denyut-score" == score_app(Settings()).conf.id
    assert "denyut-pulse" == pulse_app(Settings()).conf.id


def test_nobody_comes_in_without_a_name_or_in_plain_text() -> None:
    """Every listener speaks TLS and asks who is there; nobody is above the rights that a user has."""
    kafka = only(strimzi("kafka"), "Kafka")["spec"]["kafka"]
    assert {"tls": "tls", "scram": "scram-sha-512"} == {one["name"]: one["authentication"]["type"]
                                                        for one in kafka["listeners"] if one["tls"]}
    assert 2 == len(kafka["listeners"])
    assert {"type": "simple"} == kafka["authorization"]


@pytest.mark.parametrize(("example", "listener", "file"), [
    ("strimzi-tls", "tls", "users-tls"), ("keda", "scram", "users-scram"),
])
def test_the_examples_with_strimzi_meet_it(example: str, listener: str, file: str) -> None:
    """Their addresses, their users and their labels are those of deploy/kafka; everybody logs in as itself."""
    cluster = only(strimzi("kafka"), "Kafka")
    ports = {one["name"]: one["port"] for one in cluster["spec"]["kafka"]["listeners"]}
    values = helm.chart().merge_values(dict(helm.values_of(CASES[f"example {example}"])))
    name = cluster["metadata"]["name"]
    assert f"{name}-kafka-bootstrap:{ports[listener]}" == values["kafka"]["brokers"]
    assert f"{name}-kafka-bootstrap.{helm.NAMESPACE}.svc:{ports[listener]}" == values["score"]["keda"]["brokers"]
    assert f"{name}-cluster-ca-cert" == values["kafka"]["tls"]["caSecret"]
    users = {one["metadata"]["name"] for one in strimzi(file)}
    logins = {"score": values["score"], "pulse": values["pulse"], "keda": values["score"]["keda"]}
    logins |= ({"feed": values["feed"]} if values["feeds"] else {}) | (
        {"tell": values["tell"]} if values["tell"]["enabled"] else {})
    said = {of: set(one["kafka"].values()) for of, one in logins.items()}
    assert {of: {f"{name}-{of}"} for of in logins} == said
    assert set.union(*said.values()) <= users
    assert values["networkPolicy"]["kafka"]["podLabels"].get("strimzi.io/cluster", name) == name


def test_the_default_address_is_that_of_the_example() -> None:
    """Who applies deploy/kafka as it is need not name the brokers: they are met by certificates."""
    assert helm.values_of(CASES["example strimzi-tls"])["kafka"]["brokers"] == DEFAULTS["kafka"]["brokers"]


# Whether these tests would notice.


class Fault(NamedTuple):
    """One edit of a template: `good` becomes `bad`."""

    file: str
    good: str
    bad: str


FAULTS = (
    Fault("_pod.tpl", "runAsNonRoot: true", "runAsNonRoot: false"),
    Fault("_pod.tpl", "runAsUser: 10001", "runAsUser: 0"),
    Fault("_pod.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    Fault("_pod.tpl", "capabilities: {drop: [ALL]}", "capabilities: {drop: [NET_RAW]}"),
    Fault("_pod.tpl", "seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}"),
    Fault("_pod.tpl", "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    Fault("_pod.tpl", "enableServiceLinks: false", "enableServiceLinks: true"),
    Fault("_pod.tpl", "enableServiceLinks:", "enableServiceLink:"),
    Fault("_pod.tpl", "emptyDir: {sizeLimit: 64Mi}", "emptyDir: {}"),
    Fault("_pod.tpl", "defaultMode: 0440\n        items", "defaultMode: 0444\n        items"),
    Fault("_pod.tpl", "defaultMode: 0440\n        sources:\n          {{- . |", "sources:\n          {{- . |"),
    Fault("_pod.tpl", "mountPath: /etc/denyut/kafka,", "mountPath: /etc/denyut/wire,"),
    Fault("_pod.tpl", '(include "denyut.kafka.env" . | fromJson)', "(dict)"),
    Fault("_kafka.tpl", '"DENYUT_PLAINTEXT" "allow"', '"DENYUT_PLAINTEXT" "refuse"'),
    Fault("_kafka.tpl", "{{- if $kafka.plaintext }}", "{{- if true }}"),
    Fault("_kafka.tpl", '"DENYUT_TLS" "on"', '"DENYUT_TLS" "off"'),
    Fault("_kafka.tpl", '"/etc/denyut/kafka/ca.crt"', '"/etc/ssl/ca.crt"'),
    Fault("_kafka.tpl", "/etc/denyut/kafka/client.key", "/etc/denyut/kafka/client.crt"),
    Fault("_kafka.tpl", '"DENYUT_SASL" $kafka', '"DENYUT_SASL" "plain" "was" $kafka'),
    Fault("_kafka.tpl", '"DENYUT_USER" $login.user', '"DENYUT_USER" $kafka.sasl.user'),
    Fault("_kafka.tpl", '"/etc/denyut/kafka/password"', "$login.passwordSecret"),
    Fault("_kafka.tpl", "$login.passwordKey | quote", "$kafka.sasl.passwordKey | quote"),
    Fault("_kafka.tpl", "name: {{ $login.passwordSecret", "name: {{ $kafka.sasl.passwordSecret"),
    Fault("_kafka.tpl", "{{- with $login.certSecret }}", "{{- with $kafka.tls.certSecret }}"),
    Fault("_kafka.tpl", "key: {{ $kafka.tls.keyKey", "key: {{ $kafka.tls.certKey"),
    Fault("_kafka.tpl", "- configMap:", "- secret:"),
    Fault("_kafka.tpl", '"pulse" (list $v.pulse.kafka)', '"pulse" (list $v.score.kafka)'),
    Fault("_kafka.tpl", '"tell" (list $v.tell.kafka)', '"tell" list'),
    Fault("_kafka.tpl", '"topics" (list $v.topics.kafka)', '"topics" list'),
    Fault("_kafka.tpl", "($own.kafka | default dict) $v.feed.kafka", "$v.feed.kafka ($own.kafka | default dict)"),
    Fault("_kafka.tpl", "(list $v.score.keda.kafka $v.score.kafka)", "(list $v.score.kafka)"),
    Fault("_kafka.tpl", "(list $v.score.keda.kafka $v.score.kafka)", "(list $v.score.keda.kafka)"),
    Fault("_pod.tpl", "mountPath: /etc/denyut/brands,", "mountPath: /etc/denyut/brands, subPath: brands.toml,"),
    Fault("_pod.tpl", '"ORT_DISABLE_TELEMETRY" "1"', '"ORT_DISABLE_TELEMETRY" "0"'),
    Fault("_pod.tpl", '"DENYUT_HTTP" "0.0.0.0:9100"', '"DENYUT_HTTP" "127.0.0.1:9100"'),
    Fault("_pod.tpl", '"DENYUT_STOP_MS"', '"DENYUT_STOP"'),
    Fault("_pod.tpl", '(printf "%ds" (int64 $values.stopSeconds))', '"1h"'),
    Fault("_pod.tpl", '{{- if eq .component "feed" }}{{ .root', '{{- if true }}{{ .root'),
    Fault("_pod.tpl", '{{- if eq .component "pulse" }}', '{{- if eq .component "score" }}'),
    Fault("_pod.tpl", "{{- if .job -}}\n{{- else if $brands.existingConfigMap", "{{- if $brands.existingConfigMap"),
    Fault("_pod.tpl", "livenessProbe:\n  httpGet: {path: /livez", "livenessProbe:\n  httpGet: {path: /readyz"),
    Fault("_pod.tpl", "failureThreshold: 60", "failureThreshold: 6"),
    Fault("_names.tpl", "denyut/feed: {{ . | quote }}", "denyut/a-feed: {{ $.component }}"),
    Fault("score.yaml", "{{- if not (or $it.keda.enabled $it.hpa.enabled) }}", "{{- if true }}"),
    Fault("score.yaml", "maxUnavailable: 0", "maxUnavailable: 1"),
    Fault("score.yaml", "kind: Deployment, name: {{ include \"denyut.fullname\" . }}-score}\n  pollingInterval",
          "kind: Deployment, name: {{ include \"denyut.fullname\" . }}-scorer}\n  pollingInterval"),
    Fault("score.yaml", "{{ $it.keda.lagThreshold | quote }}", "{{ $it.keda.lagThreshold }}"),
    Fault("score.yaml", 'ensureEvenDistributionOfPartitions: "true"', 'ensureEvenDistribution: "true"'),
    Fault("score.yaml", 'printf "%s-score"', 'printf "%s-scores"'),
    Fault("score.yaml", 'printf "%s.posts"', 'printf "%s.mentions"'),
    Fault("score.yaml", "progressDeadlineSeconds: 600", "progressDeadline: 600"),
    Fault("score.yaml", "pollingInterval: 15", "pollInterval: 15"),
    Fault("score.yaml", "minReplicaCount: {{", "minReplicasCount: {{"),
    Fault("score.yaml", "secretTargetRef:\n    {{- with $wire.tls.caSecret }}\n    - {parameter: ca, name",
          "secretTargetRef:\n    {{- with $wire.tls.caSecret }}\n    - {parameter: ca, secret"),
    Fault("score.yaml", "{parameter: key, name", "{parameter: tlsKey, name"),
    Fault("score.yaml", "{parameter: password, name: {{ $login", "{parameter: username, name: {{ $login"),
    Fault("score.yaml", "username: {{ $login.user | quote }}", "username: {{ $wire.sasl.user | quote }}"),
    Fault("score.yaml", '"scram-sha-512" "scram_sha512"', '"scram-sha-512" "scram_sha256"'),
    Fault("score.yaml", '"component" "keda") | fromJson', '"component" "score") | fromJson'),
    Fault("score.yaml", "{{- if $proof }}\n      auth", "{{- if $wire.sasl.mechanism }}\n      auth"),
    Fault("score.yaml", "tls: enable", "tls: disable"),
    Fault("score.yaml", "stabilizationWindowSeconds: 600", "stabilizationWindowSeconds: 60"),
    Fault("score.yaml", "{{- if $it.hpa.enabled }}", "{{- if or $it.hpa.enabled $it.keda.enabled }}"),
    Fault("pulse.yaml", "podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady"),
    Fault("pulse.yaml", "kind: StatefulSet", "kind: Deployment"),
    Fault("pulse.yaml", "  serviceName:", "  service:"),
    Fault("_pod.tpl", "timeoutSeconds: 3", "timeoutSecond: 3"),
    Fault("_pod.tpl", "whenUnsatisfiable: ScheduleAnyway", "whenUnsatisfiable: Whatever"),
    Fault("_pod.tpl", "topologyKey: {{ . }}", "topologyKey: a-{{ . }}"),
    Fault("_pod.tpl", "name: {{ . | quote }}", "name: {{ . }}"),
    Fault("feeds.yaml", "type: Recreate", "type: RollingUpdate"),
    Fault("feeds.yaml", "replicas: 1", "replicas: 2"),
    Fault("feeds.yaml", "{{- if .port }}", "{{- if true }}"),
    Fault("feeds.yaml", "targetPort: push", "targetPort: metrics"),
    Fault("feeds.yaml", '  selector:\n    {{- include "denyut.selector" $here',
          '  selector:\n    {{- include "denyut.selector" (dict "root" $ "component" "feed")'),
    Fault("_pod.tpl", "containerPort: {{ . }}", "containerPort: 9180, hostPort: {{ . }}"),
    Fault("_pod.tpl", "defaultMode: 0440\n        sources", "defaultMode: 0444\n        sources"),
    Fault("_pod.tpl", "mountPath: /etc/denyut/secrets,", "mountPath: /etc/denyut/tokens,"),
    Fault("_pod.tpl", "name: {{ .secret | quote }}", "name: {{ .key | quote }}"),
    Fault("_pod.tpl", "mountPath: /etc/denyut/policy,", "mountPath: /etc/denyut/rules,"),
    Fault("_pod.tpl", '{{- if and (eq .component "feed") .root.Values.policy }}', "{{- if .root.Values.policy }}"),
    Fault("_pod.tpl", "sha256sum $values.policy", 'sha256sum "policy"'),
    Fault("configmaps.yaml", "  policy.toml: |", "  policies.toml: |"),
    Fault("networkpolicy.yaml", '{{- if and (not (hasKey $feed "egress")) $listens.to', "{{- if and $listens.to"),
    Fault("networkpolicy.yaml", '$listens.to (ne $listens.to "push")', '(eq $listens.to "push")'),
    Fault("networkpolicy.yaml", "port: {{ $feed.port }}", "port: 9100"),
    Fault("networkpolicy.yaml", "except: {{ toJson . }}", "except: []"),
    Fault("networkpolicy.yaml", "- ipBlock:\n            cidr: {{ .cidr }}", "- ipBlock:\n            cidr: 0.0.0.0/0"),
    Fault("tell.yaml", "DENYUT_ALERTMANAGER", "DENYUT_ALERTMANAGERS"),
    Fault("tell.yaml", '(list "tell")', '(list "told")'),
    Fault("accounts.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    Fault("pdb.yaml", "maxUnavailable: 1", "minAvailable: 1"),
    Fault("pdb.yaml", "AlwaysAllow", "IfHealthyBudget"),
    Fault("pdb.yaml", 'list "score" "pulse"', 'list "score"'),
    Fault("networkpolicy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]"),
    Fault("networkpolicy.yaml", "- ports: [{port: 9100, protocol: TCP}]\n      from:", "- from:"),
    Fault("networkpolicy.yaml", "- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]\n", "- {}\n"),
    Fault("networkpolicy.yaml", '{{- if eq $component "tell" }}', '{{- if eq $component "told" }}'),
    Fault("networkpolicy.yaml", 'include "denyut.site.port" (trim .)', '"9093"'),
    Fault("networkpolicy.yaml", "{{- with $.Values.tell.egress }}", "{{- with list }}"),
    Fault("networkpolicy.yaml", "cidr: {{ .cidr }}\n        {{- with", "cidr: 10.0.0.0/32\n        {{- with"),
    Fault("topics.yaml", "kind: NetworkPolicy", "kind: NetworkPolicies"),
    Fault("podmonitor.yaml", "replacement: denyut-{{ $component }}", "replacement: {{ $component }}"),
    Fault("podmonitor.yaml", "sampleLimit:", "samplesLimit:"),
    Fault("podmonitor.yaml", "targetLabel: job", "targetLabels: job"),
    Fault("prometheusrule.yaml", "| trim | nindent 2", '| replace "expr:" "expression:" | trim | nindent 2'),
)


def noticed(folder: Path) -> str:
    """The first fault of an edited chart that the tests above would find; "": none."""
    for path in CASES.values():
        values = helm.values_of(path)
        try:
            things = helm.things(helm.render(values, folder))
        except HelmError as error:
            return str(error)
        found = policy.faults(things, helm.chart(folder).merge_values(dict(values)))
        found += [fault for thing in things for fault in kube.faults(thing, kube.NEWEST)]
        if found:
            return found[0]
    return ""


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """A copy of the chart."""
    return Path(copytree(CHART, tmp_path / "denyut", ignore=ignore_patterns("examples", "ci")))


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{one.file} {one.bad[:40]}" for one in FAULTS])
def test_a_planted_fault_is_noticed(fault: Fault, edited: Path) -> None:
    """Each template is edited once; some rule, or Kubernetes' schema, must say so."""
    path = edited / "templates" / fault.file
    text = path.read_text()
    assert fault.good in text
    path.write_text(text.replace(fault.good, fault.bad))
    assert noticed(edited)


GUARDS = re.findall(r'append \$wrong \(?(?:printf )?"([^"]+)"', (CHART / "templates" / "guards.yaml").read_text())


@pytest.mark.parametrize("message", GUARDS, ids=[said.split(":")[0] for said in GUARDS])
def test_no_guard_is_idle(message: str, edited: Path) -> None:
    """Each line of templates/guards.yaml is there for some combination above: without it one would be taken."""
    path = edited / "templates" / "guards.yaml"
    text = path.read_text()
    (line,) = [one for one in text.splitlines() if f'"{message}"' in one]
    path.write_text(text.replace(line, "{{- $_ := 0 -}}"))
    assert any(not all(map(refusal(over, edited).__contains__, names)) for names, over in ILLEGAL.items())
