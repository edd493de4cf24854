"""Policy: what Denyut wants of everything that its chart makes, whatever the values; each rule yields its faults.

A rule takes all objects of a render, because most of them are about two: a pod and its network policy, a scaler and
what it scales. Knows nothing of Helm, or of what a field may be called (tests/kube.py does).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import combinations
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from streams.cli import main as denyut
from streams.heart.errors import BadSetting
from streams.settings import Settings

Thing = dict[str, Any]
MIB = 1024 * 1024
STEADY = ("score", "pulse")  # kinds of which there are several pods
PULLS = ("bluesky", "mastodon", "hackernews", "news")  # feeds that go out to what they listen to
TOKENS = "/etc/denyut/secrets"
WIRE = "/etc/denyut/kafka"
KEDA = {"": "none", "plain": "plaintext", "scram-sha-256": "scram_sha256", "scram-sha-512": "scram_sha512"}
Files = dict[str, tuple[str, str, str]]  # a file -> secret or configMap, its name, the key in it


class Workload(NamedTuple):
    """Something that makes pods, and the one container in them."""

    thing: Thing
    labels: Mapping[str, str]
    pod: Thing
    box: Thing

    @property
    def component(self) -> str:
        """Its label: score, pulse, feed, tell or topics."""
        return self.labels["app.kubernetes.io/component"]

    @property
    def env(self) -> dict[str, str]:
        """Its environment; what is filled in by Kubernetes is the field's name."""
        return {one["name"]: one["value"] if "value" in one else one["valueFrom"]["fieldRef"]["fieldPath"]
                for one in self.box["env"]}


@dataclass(frozen=True)
class Render:
    """All objects of a render, and the values that they come from."""

    things: list[Thing]
    values: Mapping[str, Any]

    def of(self, *kinds: str) -> list[Thing]:
        """Those of some kinds."""
        return [thing for thing in self.things if thing["kind"] in kinds]

    @cached_property
    def workloads(self) -> list[Workload]:
        """All that make pods."""
        found = []
        for thing in self.of("Deployment", "StatefulSet", "Job"):
            template = thing["spec"]["template"]
            (box,) = template["spec"]["containers"]
            found.append(Workload(thing, template["metadata"]["labels"], template["spec"], box))
        return found

    @property
    def lasting(self) -> list[Workload]:
        """Those that go on for ever."""
        return [one for one in self.workloads if one.thing["kind"] != "Job"]


def faults(things: Iterable[Thing], values: Mapping[str, Any]) -> list[str]:
    """Every fault, with the rule that finds it."""
    render = Render(list(things), values)
    return [f"{rule.__name__}: {fault}" for rule in RULES for fault in rule(render)]


# Pods.


def restricted(render: Render) -> Iterator[str]:
    """As Kubernetes' restricted profile asks, and a root that cannot be written."""
    for one in render.workloads:
        safe, box = one.pod.get("securityContext", {}), one.box.get("securityContext", {})
        asked = {
            "runAsNonRoot": safe.get("runAsNonRoot") is True and safe.get("runAsUser") == 10001,
            "seccomp": safe.get("seccompProfile") == {"type": "RuntimeDefault"},
            "escalation": box.get("allowPrivilegeEscalation") is False,
            "root": box.get("readOnlyRootFilesystem") is True,
            "capabilities": box.get("capabilities") == {"drop": ["ALL"]},
            "token": one.pod.get("automountServiceAccountToken") is False,
            "links": one.pod.get("enableServiceLinks") is False,
            "host": not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(one.pod),
        }
        yield from (f"{one.component}: {name}" for name, good in asked.items() if not good)


def accounts(render: Render) -> Iterator[str]:
    """A pod has an account of its own, without a token."""
    ours = {thing["metadata"]["name"]: thing for thing in render.of("ServiceAccount")}
    for one in render.workloads:
        account = ours.get(one.pod.get("serviceAccountName", ""))
        if account is None or account.get("automountServiceAccountToken") is not False:
            yield f"{one.component}: {one.pod.get('serviceAccountName')}"


def resources(render: Render) -> Iterator[str]:
    """Memory is limited, CPU asked for and not limited."""
    for one in render.workloads:
        said = one.box.get("resources", {})
        if set(said.get("limits", {})) != {"memory"} or not {"cpu", "memory"} <= set(said.get("requests", {})):
            yield f"{one.component}: {said}"


def volumes(render: Render) -> Iterator[str]:
    """No claim, no part of the host; /tmp is bounded; what is given is read only and a whole folder."""
    for one in render.workloads:
        kinds = {"emptyDir", "configMap", "secret", "projected"}
        yield from (f"{one.component}: {one_volume}" for one_volume in one.pod["volumes"]
                    if not (set(one_volume) - {"name"}) <= kinds)
        yield from (f"{one.component}: {volume}" for volume in one.pod["volumes"]
                    if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"))
        yield from (f"{one.component}: secret for all" for volume in one.pod["volumes"]
                    for kind in {"secret", "projected"} & set(volume) if volume[kind].get("defaultMode") != 0o440)
        for mount in one.box["volumeMounts"]:
            if "subPath" in mount or (mount["mountPath"] != "/tmp" and mount.get("readOnly") is not True):
                yield f"{one.component}: {mount}"
        if "/tmp" not in [mount["mountPath"] for mount in one.box["volumeMounts"]]:
            yield f"{one.component}: nothing may be written"
        if "volumeClaimTemplates" in one.thing["spec"]:
            yield f"{one.component}: claims"


def probes(render: Render) -> Iterator[str]:
    """Slow to call a start failed, liveness by the heartbeat alone, readiness by all; the pages can be reached."""
    for one in render.lasting:
        paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
        for name, path in paths.items():
            if one.box.get(name, {}).get("httpGet") != {"path": path, "port": "metrics"}:
                yield f"{one.component}: {name}"
        start = one.box.get("startupProbe", {})
        if start.get("failureThreshold", 0) * start.get("periodSeconds", 10) < 300:
            yield f"{one.component}: killed before the model is loaded"
        port = _feed(one, render.values).get("port")
        pushed = [{"name": "push", "containerPort": port}] if port else []
        if one.box.get("ports") != [{"name": "metrics", "containerPort": 9100}, *pushed] \
                or one.env.get("DENYUT_HTTP") != "0.0.0.0:9100":
            yield f"{one.component}: pages"


def environment(render: Render) -> Iterator[str]:
    """The program takes every setting; no secret is in the environment; nothing is sent to anybody."""
    for one in render.workloads:
        if any("value" not in said and set(said["valueFrom"]) != {"fieldRef"} for said in one.box["env"]) \
                or "envFrom" in one.box:
            yield f"{one.component}: not a plain value"
            continue
        if one.env.get("ORT_DISABLE_TELEMETRY") != "1" or one.env.get("HF_HUB_OFFLINE") != "1":
            yield f"{one.component}: telemetry"
        if len(one.env) != len(one.box["env"]):
            yield f"{one.component}: a variable twice"
        try:
            settings = Settings.read(one.env)
        except BadSetting as error:
            yield f"{one.component}: {error}"
            continue
        if settings.stop_ms >= one.pod["terminationGracePeriodSeconds"] * 1000:
            yield f"{one.component}: killed while it stops"
        mounted = [mount["mountPath"] for mount in one.box["volumeMounts"]]
        files = settings.brands, settings.secret_file, settings.policy
        yield from (f"{one.component}: {path} is in no volume" for path in files
                    if path and path.rpartition("/")[0] not in mounted)
        if bool(settings.secret_file) != (one.component == "feed" and bool(render.values["secret"]["existingSecret"])):
            yield f"{one.component}: the key for ids is for feeds alone"
        if bool(settings.brands) != (one.component != "topics" and not render.values["demo"]):
            yield f"{one.component}: brands"
        if bool(settings.policy) != (one.component == "feed" and bool(render.values["policy"])):
            yield f"{one.component}: policy"


def tokens(render: Render) -> Iterator[str]:
    """The files that a feed is given, each out of the secret that the values name, and every one that it is told of."""
    for one in render.lasting:
        given = _projected(one, TOKENS)
        asked = {said["path"]: ("secret", said["secret"], said["key"])
                 for said in _feed(one, render.values).get("secrets", [])}
        if given != asked:
            yield f"{one.component}: {sorted(given)}, not {sorted(asked)}"
        if bool(asked) != (TOKENS in [mount["mountPath"] for mount in one.box["volumeMounts"]]):
            yield f"{one.component}: files that nobody sees"
        told = {word.removeprefix(f"{TOKENS}/") for word in one.box["args"] if word.startswith(f"{TOKENS}/")}
        yield from (f"{one.component}: no file {name}" for name in sorted(told - set(given)))


def hidden(render: Render) -> Iterator[str]:
    """What must not be seen is a file: no variable and no argument holds more than its path."""
    for one in render.workloads:
        for name, value in one.env.items():
            if name.startswith("DENYUT_") and name.endswith(("_FILE", "_KEY", "_CERT", "_CA")):
                if not value.startswith("/etc/denyut/"):
                    yield f"{one.component}: {name}={value}"
            elif any(word in name for word in ("PASSWORD", "SECRET", "TOKEN", "KEY")):
                yield f"{one.component}: {name}"


def wire(render: Render) -> Iterator[str]:
    """Kafka is reached as the values say, by the login of each process, with the files that its settings name."""
    kafka = render.values["kafka"]
    for one in render.workloads:
        login, files = _login(render.values, *_logins(one, render.values)), _projected(one, WIRE)
        asked: Files = {}
        if kafka["tls"]["enabled"]:
            for name, kind in (("caSecret", "secret"), ("caConfigMap", "configMap")):
                asked |= {"ca.crt": (kind, kafka["tls"][name], kafka["tls"]["caKey"])} if kafka["tls"][name] else {}
            for name, key in (("client.crt", "certKey"), ("client.key", "keyKey")):
                asked |= {name: ("secret", login["certSecret"], kafka["tls"][key])} if login["certSecret"] else {}
        if kafka["sasl"]["mechanism"]:
            asked["password"] = "secret", login["passwordSecret"], login["passwordKey"]
        if files != asked:
            yield f"{one.component}: {files}, not {asked}"
        said = {
            "PLAINTEXT": kafka["plaintext"] and "allow", "TLS": kafka["tls"]["enabled"] and "on",
            "SASL": kafka["sasl"]["mechanism"], "USER": kafka["sasl"]["mechanism"] and login["user"]} | {
            name: file in asked and f"{WIRE}/{file}" for name, file in (
                ("TLS_CA", "ca.crt"), ("TLS_CERT", "client.crt"), ("TLS_KEY", "client.key"),
                ("PASSWORD_FILE", "password"))}
        yield from (f"{one.component}: DENYUT_{name}={one.env.get(f'DENYUT_{name}')}, not {value}"
                    for name, value in said.items() if one.env.get(f"DENYUT_{name}", "") != (value or ""))


def policies(render: Render) -> Iterator[str]:
    """The policy is the values' own, and another one rolls the feeds and nobody else."""
    said = render.values["policy"]
    texts = [thing["data"]["policy.toml"] for thing in render.of("ConfigMap") if "policy.toml" in thing["data"]]
    if texts != ([said.strip() + "\n"] if said else []):
        yield f"{texts}"
    for one in render.workloads:
        noted = one.thing["spec"]["template"]["metadata"].get("annotations", {}).get("denyut/policy")
        if noted != (sha256(said.encode()).hexdigest() if said and one.component == "feed" else None):
            yield f"{one.component}: {noted}"


def services(render: Render) -> Iterator[str]:
    """Who pushes finds the one feed that listens, on its port; nobody else is called by a name."""
    found = {thing["metadata"]["name"]: thing["spec"] for thing in render.of("Service")}
    for one in render.lasting:
        port, name = _feed(one, render.values).get("port"), one.thing["metadata"]["name"]
        if one.component != "pulse" and bool(port) != (name in found):
            yield f"{name}: a service, and port {port}"
        elif port and not (found[name]["selector"] == one.thing["spec"]["selector"]["matchLabels"] and found[name][
                "ports"] == [{"name": "push", "port": port, "targetPort": "push"}]):
            yield f"{name}: {found[name]}"


def verbs(render: Render) -> Iterator[str]:
    """A container is told a verb that `denyut` has."""
    for one in render.workloads:
        at: Any = denyut
        for word in one.box["args"]:
            if not isinstance(at, click.Group):
                break
            at = at.commands.get(word)
        if at is None or isinstance(at, click.Group):
            yield f"{one.component}: denyut {' '.join(one.box['args'])}"


def kinds(render: Render) -> Iterator[str]:
    """A feed is never two; a score worker never fewer than before; a pulse worker is a member by its pod's name."""
    for one in render.lasting:
        spec = one.thing["spec"]
        if one.component in ("feed", "tell") and not (spec.get("replicas") == 1
                                                      and spec.get("strategy") == {"type": "Recreate"}):
            yield f"{one.component}: may be two for a while"
        if one.component == "score" and spec["strategy"]["rollingUpdate"] != {"maxSurge": 1, "maxUnavailable": 0}:
            yield "score: fewer during a release"
        if one.component == "pulse" and not (one.thing["kind"] == "StatefulSet"
                                             and spec["podManagementPolicy"] == "Parallel"
                                             and one.env.get("DENYUT_INSTANCE") == "metadata.name"):
            yield "pulse: not a static member"
        if one.component != "pulse" and "DENYUT_INSTANCE" in one.env:
            yield f"{one.component}: a member of what?"


def selectors(render: Render) -> Iterator[str]:
    """A workload selects its own pods and nobody else's."""
    for one in render.lasting:
        selects = one.thing["spec"]["selector"]["matchLabels"]
        if not selects.items() <= one.labels.items():
            yield f"{one.component}: not its own pods"
    for one, other in combinations(render.lasting, 2):
        if one.thing["spec"]["selector"]["matchLabels"].items() <= other.labels.items():
            yield f"{one.thing['metadata']['name']} selects {other.thing['metadata']['name']}"


def spread(render: Render) -> Iterator[str]:
    """Workers of a kind do not share a zone or a node where they need not."""
    for one in render.lasting:
        asked = render.values["topologySpread"] if one.component in STEADY else []
        said = one.pod.get("topologySpreadConstraints", [])
        good = all(_covers(constraint["labelSelector"], one) and constraint["maxSkew"] == 1
                   and constraint["whenUnsatisfiable"] == "ScheduleAnyway" for constraint in said)
        if [constraint["topologyKey"] for constraint in said] != asked or not good:
            yield f"{one.component}: {said}"


# What stands beside them.


def budgets(render: Render) -> Iterator[str]:
    """A drain takes one worker of a kind at a time, and a sick one at once."""
    for one in render.lasting:
        found = [thing["spec"] for thing in render.of("PodDisruptionBudget") if _covers(thing["spec"]["selector"], one)]
        if len(found) != (one.component in STEADY and render.values["pdb"]["enabled"]):
            yield f"{one.component}: {len(found)} budgets"
        for spec in found:
            if spec.get("maxUnavailable") != 1 or spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
                yield f"{one.component}: {spec}"


def walls(render: Render) -> Iterator[str]:
    """Into a pod come a scrape and what is pushed; out of it go names, Kafka, and what its task asks for."""
    for one in render.workloads:
        found = [thing["spec"] for thing in render.of("NetworkPolicy") if _covers(thing["spec"]["podSelector"], one)]
        if not render.values["networkPolicy"]["enabled"]:
            if found:
                yield f"{one.component}: policies where none are wanted"
            continue
        if not any(set(spec["policyTypes"]) == {"Ingress", "Egress"} for spec in found):
            yield f"{one.component}: open"
        doors = [door for spec in found for door in spec.get("ingress", [])]
        entered = [*([9100] if one.component != "topics" else []), *([port] if (port := _feed(
            one, render.values).get("port")) else [])]
        if [door.get("ports") for door in doors] != [[{"port": port, "protocol": "TCP"}] for port in entered]:
            yield f"{one.component}: ingress {doors}"
        if not all(peer.get("namespaceSelector", {}).get("matchLabels") for door in doors[:1] for peer in door["from"]):
            yield f"{one.component}: anybody may scrape"
        if [_peer(said) for said in _feed(one, render.values).get("ingress", [])] != [
                peer for door in doors[1:] for peer in door["from"]]:
            yield f"{one.component}: not the senders {doors[1:]}"
        ways = [way for spec in found for way in spec.get("egress", [])]
        ports = {port["port"] for way in ways for port in way.get("ports", [])}
        if not all(way.get("ports") for way in ways) or ports != {53} | _ports(one, render.values):
            yield f"{one.component}: egress to {ports}"
        blocks = [(peer["ipBlock"], port["port"]) for way in ways for port in way.get("ports", [])
                  for peer in way.get("to", []) if "ipBlock" in peer]
        asked = [({key: way[key] for key in ("cidr", "except") if way.get(key)}, way["port"])
                 for way in _egress(one, render.values)]
        if not all(way in blocks for way in asked):
            yield f"{one.component}: no way to {blocks}"
        labels = render.values["networkPolicy"]["monitoring"]["namespaceLabels"]
        if one.component == "tell" and [{"namespaceSelector": {"matchLabels": labels}}] not in [
                way.get("to") for way in ways]:
            yield "tell: not every Alertmanager"


def monitors(render: Render) -> Iterator[str]:
    """Every process is scraped by one monitor, under the job that rules and boards know."""
    for one in render.lasting:
        found = [thing["spec"] for thing in render.of("PodMonitor") if _covers(thing["spec"]["selector"], one)]
        if len(found) != render.values["podMonitor"]["enabled"]:
            yield f"{one.component}: {len(found)} monitors"
        for spec in found:
            (end,) = spec["podMetricsEndpoints"]
            if end.get("relabelings") != [
                    {"targetLabel": "job", "replacement": f"denyut-{one.component}"},
                    {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"}]:
                yield f"{one.component}: {end.get('relabelings')}"
            asked = (end.get("port"), end.get("path"), end.get("interval")) == ("metrics", "/metrics", "15s")
            if not asked or not spec.get("sampleLimit"):
                yield f"{one.component}: {spec}"


def scalers(render: Render) -> Iterator[str]:
    """One master for the number of pods; never none of them; at most one a partition."""
    found = render.of("HorizontalPodAutoscaler", "ScaledObject")
    if len(found) > 1:
        yield "two scalers"
    for one in render.lasting:
        target = {"apiVersion": "apps/v1", "kind": one.thing["kind"], "name": one.thing["metadata"]["name"]}
        scaled = any(thing["spec"]["scaleTargetRef"] == target for thing in found)
        if scaled == ("replicas" in one.thing["spec"]):
            yield f"{one.component}: replicas {one.thing['spec'].get('replicas')}"
        if one.component == "score" and scaled != bool(found):
            yield "score: not what is scaled"
    for thing in found:
        spec = thing["spec"]
        least = spec.get("minReplicas", spec.get("minReplicaCount", 0))
        most = spec.get("maxReplicas", spec.get("maxReplicaCount", 100))
        if not 1 <= least <= most <= render.values["topics"]["partitions"]:
            yield f"{least} to {most} pods"
        behavior = spec.get("behavior") or spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        if behavior["scaleDown"] != {"stabilizationWindowSeconds": 600,
                                     "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}]}:
            yield f"down: {behavior['scaleDown']}"


def lag(render: Render) -> Iterator[str]:
    """KEDA asks for the lag of the score workers' own group, evenly, as the values say that Kafka is reached."""
    prefix, kafka, keda = render.values["kafka"]["prefix"], render.values["kafka"], render.values["score"]["keda"]
    for thing in render.of("ScaledObject"):
        (trigger,) = thing["spec"]["triggers"]
        said = trigger["metadata"]
        asked = {"topic": f"{prefix}.posts", "consumerGroup": f"{prefix}-score", "offsetResetPolicy": "earliest",
                 "ensureEvenDistributionOfPartitions": "true", "lagThreshold": keda["lagThreshold"],
                 "bootstrapServers": keda["brokers"] or kafka["brokers"],
                 "tls": "enable" if kafka["tls"]["enabled"] else None, "sasl": KEDA[kafka["sasl"]["mechanism"]]}
        yield from (f"{name}={said.get(name)}" for name, value in asked.items() if said.get(name) != value)
        login = _login(render.values, keda["kafka"], render.values["score"]["kafka"])
        keys = _proofs(kafka, login, f"{thing['metadata']['name'].removesuffix('-score')}-keda")
        found = {one["metadata"]["name"]: one["spec"] for one in render.of("TriggerAuthentication")}
        spec = found.get(trigger.get("authenticationRef", {}).get("name"), {})
        given = {one["parameter"]: (kind, one.get("name"), one["key"]) for kind in ("secret", "configMap")
                 for one in spec.get(f"{kind}TargetRef", [])}
        if given != keys or len(found) != bool(keys):
            yield f"KEDA shows {given}, not {keys}"
        names = {one["metadata"]["name"]: one["data"].get("username") for one in render.of("ConfigMap")}
        if "username" in keys and names.get(keys["username"][1]) != login["user"]:
            yield f"KEDA is not {login['user']}"


def secrets(render: Render) -> Iterator[str]:
    """None is rendered: they are yours, and named."""
    yield from (thing["metadata"]["name"] for thing in render.of("Secret"))


def sizes(render: Render) -> Iterator[str]:
    """A name is a label of DNS; a ConfigMap holds at most 1 MiB; no two objects share a kind and a name."""
    seen = set()
    for thing in render.things:
        name = thing["metadata"]["name"]
        if len(name) > 63 or (thing["kind"], name) in seen:
            yield f"{thing['kind']} {name}"
        seen.add((thing["kind"], name))
        if thing["kind"] == "ConfigMap" and sum(len(text.encode()) for text in thing["data"].values()) > MIB:
            yield f"{name}: too large"


RULES: tuple[Callable[[Render], Iterator[str]], ...] = (
    restricted, accounts, resources, volumes, probes, environment, tokens, hidden, wire, policies, services, verbs,
    kinds, selectors, spread, budgets, walls, monitors, scalers, lag, secrets, sizes)


def _covers(selector: Mapping[str, Any], workload: Workload) -> bool:
    return bool(selector["matchLabels"].items() <= workload.labels.items())


def _ports(one: Workload, values: Mapping[str, Any]) -> set[int]:
    """Where its task asks it to go."""
    ports = {int(broker.rpartition(":")[2]) for broker in values["kafka"]["brokers"].split(",")}
    if one.component == "tell":
        sites = [urlsplit(site.strip()) for site in values["tell"]["alertmanager"].split(",")]
        ports |= {site.port or {"http": 80, "https": 443}[site.scheme] for site in sites}
    return ports | {way["port"] for way in _egress(one, values)}


def _egress(one: Workload, values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Where else, by the values."""
    if one.component == "tell":
        return list(values["tell"]["egress"])
    feed = _feed(one, values)
    return list(feed.get("egress", values["feed"]["egress"] if feed and feed["args"][1] in PULLS else []))


def _projected(one: Workload, path: str) -> Files:
    """The files that lie in a folder of a pod, when they are put together out of several things."""
    (name,) = [mount["name"] for mount in one.box["volumeMounts"] if mount["mountPath"] == path] or [""]
    return {item["path"]: (kind, source[kind]["name"], item["key"]) for volume in one.pod["volumes"]
            if volume["name"] == name for source in volume["projected"]["sources"] for kind in source
            for item in source[kind]["items"]}


def _logins(one: Workload, values: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Where a login of its own may be said, the nearest first."""
    own = _feed(one, values).get("kafka", {})
    return [own, values[one.component]["kafka"]]


def _login(values: Mapping[str, Any], *levels: Mapping[str, str]) -> dict[str, str]:
    """Each part as the nearest says it, else as that of all."""
    every = values["kafka"]["sasl"] | {"certSecret": values["kafka"]["tls"]["certSecret"]}
    return {key: next((level[key] for level in levels if level.get(key)), every[key])
            for key in ("user", "passwordSecret", "passwordKey", "certSecret")}


def _proofs(kafka: Mapping[str, Any], login: Mapping[str, str], own: str) -> Files:
    """What KEDA must have to be let in, by its own words; its name lies in a ConfigMap `own`."""
    tls, found = kafka["tls"], {}
    if tls["caSecret"] or tls["caConfigMap"]:
        kind = "secret" if tls["caSecret"] else "configMap"
        found["ca"] = kind, tls["caSecret"] or tls["caConfigMap"], tls["caKey"]
    if login["certSecret"]:
        found |= {"cert": ("secret", login["certSecret"], tls["certKey"]),
                  "key": ("secret", login["certSecret"], tls["keyKey"])}
    if kafka["sasl"]["mechanism"]:
        found |= {"password": ("secret", login["passwordSecret"], login["passwordKey"]),
                  "username": ("configMap", own, "username")}
    return found


def _feed(one: Workload, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the values say of a feed; nothing of others."""
    named = {feed["name"]: feed for feed in values["feeds"]} if one.component == "feed" else {}
    found: Mapping[str, Any] = named.get(one.labels.get("denyut/feed", ""), {})
    return found


def _peer(said: Mapping[str, Any]) -> dict[str, Any]:
    """A sender, as a network policy says it."""
    if "cidr" in said:
        return {"ipBlock": dict(said)}
    names = {"namespaceLabels": "namespaceSelector", "podLabels": "podSelector"}
    return {names[key]: {"matchLabels": value} for key, value in said.items()}
