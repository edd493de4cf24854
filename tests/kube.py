"""Kube: whether an object is what Kubernetes, or an operator, takes; strictly, so that a misspelt field is a fault.

Core kinds go by Kubernetes' own schemas (kubernetes-validate), of any release. For the kinds of operators there is
none that refuses unknown fields: `FIELDS` lists those that we use, with what must be there.
Knows nothing of what Denyut wants of its pods.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from kubernetes_validate.utils import schema_contents  # type: ignore[import-untyped]
from referencing import Registry, Resource

OLDEST, NEWEST = "1.30", "1.37"
Thing = dict[str, Any]


def faults(thing: Thing, version: str) -> list[str]:
    """What is wrong with an object, by Kubernetes of that version, or by its operator."""
    spec = FIELDS.get(f"{thing['apiVersion']} {thing['kind']}")
    found = _core(json.dumps(thing, sort_keys=True), version) if spec is None else [*_named(thing), *_fields(
        thing.get("spec"), spec, "spec")]
    return [f"{thing['kind']} {thing['metadata'].get('name')}: {fault}" for fault in found]


# Kubernetes' own.


@cache
def _core(said: str, version: str) -> tuple[str, ...]:
    thing = json.loads(said)
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", thing["apiVersion"])
    try:
        validator = _validator(f"{thing['kind'].lower()}-{group}", version)
    except FileNotFoundError:
        return (f"{thing['apiVersion']} {thing['kind']}: Kubernetes {version} has no such thing",)
    return tuple(f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
                 for error in validator.iter_errors(thing))


@cache
def _validator(kind: str, version: str) -> Any:
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    schema = schema_contents(f"{folder}/{kind}.json", version)
    return Draft202012Validator(schema, registry=_definitions(folder, version))


@cache
def _definitions(folder: str, version: str) -> Registry[Any]:
    resource = Resource.from_contents(schema_contents(f"{folder}/_definitions.json", version))
    return resource @ Registry()


# Operators'.


class OneOf(frozenset[Any]):
    """A value out of these."""


class Map(dict[str, Any]):
    """Any keys, every value a `str`, or what `Map(of=...)` says."""


LABELS = Map(of=str)
_POLICIES = {"stabilizationWindowSeconds": int, "policies!": [{"type!": OneOf({"Pods", "Percent"}), "value!": int,
                                                              "periodSeconds!": int}]}
_SELECTOR = {"matchLabels!": LABELS}
_RULE = {"record": str, "alert": str, "expr!": str, "for": re.compile(r"\d+[smhd]"),
         "keep_firing_for": re.compile(r"\d+[smhd]"), "labels": LABELS, "annotations": LABELS}
_STORAGE = {"type!": OneOf({"jbod"}), "volumes!": [{
    "id!": int, "type!": OneOf({"persistent-claim"}), "size!": re.compile(r"\d+Gi"), "kraftMetadata": OneOf({"shared"}),
    "deleteClaim": bool}]}
_KEDA_KAFKA = {  # all are strings, whatever they mean
    "bootstrapServers!": re.compile(r"[^\s,]+:\d+(, *[^\s,]+:\d+)*"), "version!": re.compile(r"\d+\.\d+\.\d+"),
    "topic!": str, "consumerGroup!": str, "lagThreshold!": re.compile(r"\d+"),
    "offsetResetPolicy!": OneOf({"earliest", "latest"}), "ensureEvenDistributionOfPartitions": OneOf({"true", "false"}),
    "tls": OneOf({"enable", "disable"}), "sasl": OneOf({"none", "plaintext", "scram_sha256", "scram_sha512"})}
_TARGETS = [{"parameter!": OneOf({"ca", "cert", "key", "username", "password"}), "name!": str, "key!": str}]
_OPERATIONS = OneOf({"Read", "Write", "Describe", "Create", "Alter", "Delete", "DescribeConfigs", "AlterConfigs"})

# A name ends with "!" where it must be there.
FIELDS: Mapping[str, Any] = {
    "monitoring.coreos.com/v1 PodMonitor": {
        "selector!": _SELECTOR, "sampleLimit": int,
        "podMetricsEndpoints!": [{
            "port!": str, "path": str, "interval": re.compile(r"\d+s"), "scrapeTimeout": re.compile(r"\d+s"),
            "relabelings": [{"sourceLabels": [str], "targetLabel!": str, "replacement": str}]}]},
    "monitoring.coreos.com/v1 PrometheusRule": {
        "groups!": [{"name!": str, "interval": re.compile(r"\d+[sm]"), "limit": int, "rules!": [_RULE]}]},
    "keda.sh/v1alpha1 ScaledObject": {
        "scaleTargetRef!": {"apiVersion": str, "kind": str, "name!": str},
        "pollingInterval": int, "cooldownPeriod": int, "minReplicaCount": int, "maxReplicaCount": int,
        "fallback": {"failureThreshold!": int, "replicas!": int, "behavior": OneOf({
            "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"})},
        "advanced": {"restoreToOriginalReplicaCount": bool,
                     "horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": _POLICIES, "scaleDown": _POLICIES}}},
        "triggers!": [{"type!": OneOf({"kafka"}), "authenticationRef": {"name!": str}, "metadata!": _KEDA_KAFKA}]},
    "keda.sh/v1alpha1 TriggerAuthentication": {"secretTargetRef": _TARGETS, "configMapTargetRef": _TARGETS},
    "kafka.strimzi.io/v1 Kafka": {
        "kafka!": {
            "version": str, "metadataVersion": str, "config": Map(of=(str, int, bool)),
            "listeners!": [{
                "name!": re.compile(r"[a-z0-9]{1,11}"), "port!": int, "type!": OneOf({"internal"}), "tls!": bool,
                "authentication": {"type!": OneOf({"tls", "scram-sha-512"})},
                "networkPolicyPeers": [{"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR}]}],
            "authorization": {"type!": OneOf({"simple"}), "superUsers": [str]}},
        "entityOperator": {"topicOperator": {}, "userOperator": {}}},
    "kafka.strimzi.io/v1 KafkaNodePool": {
        "replicas!": int, "roles!": [OneOf({"controller", "broker"})], "storage!": _STORAGE,
        "resources": {"requests": LABELS, "limits": LABELS}},
    "kafka.strimzi.io/v1 KafkaTopic": {
        "partitions!": int, "replicas!": int, "config": Map(of=(str, int, float, bool)), "topicName": str},
    "kafka.strimzi.io/v1 KafkaUser": {
        "authentication!": {"type!": OneOf({"tls", "scram-sha-512"})},
        "authorization!": {"type!": OneOf({"simple"}), "acls!": [{
            "resource!": {"type!": OneOf({"topic", "group"}), "name!": str, "patternType": OneOf({"literal"})},
            "operations!": [_OPERATIONS]}]}},
}


def _named(thing: Thing) -> Iterator[str]:
    extra = set(thing) - {"apiVersion", "kind", "metadata", "spec"}
    if extra:
        yield f"unknown {sorted(extra)}"
    yield from _fields(thing["metadata"], {"name!": re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"),
                                           "labels": LABELS, "annotations": LABELS}, "metadata")


def _fields(value: Any, spec: Any, at: str) -> Iterator[str]:
    """Where a value is not as the table says."""
    if isinstance(spec, list):
        if not isinstance(value, list) or not value:
            yield f"{at}={value!r}: expected a list"
            return
        for number, one in enumerate(value):
            yield from _fields(one, spec[0], f"{at}[{number}]")
    elif isinstance(spec, Map):
        for name, one in (value or {}).items():
            yield from _fields(one, spec["of"], f"{at}.{name}")
    elif isinstance(spec, Mapping):
        yield from _object(value, spec, at)
    elif not _fits(value, spec):
        yield f"{at}={value!r}: expected {sorted(spec) if isinstance(spec, OneOf) else spec}"


def _object(value: Any, spec: Mapping[str, Any], at: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{at}={value!r}: expected fields"
        return
    known = {name.rstrip("!"): one for name, one in spec.items()}
    for name in spec:
        if name.endswith("!") and name[:-1] not in value:
            yield f"{at}.{name[:-1]}: missing"
    for name, one in value.items():
        if name in known:
            yield from _fields(one, known[name], f"{at}.{name}")
        else:
            yield f"{at}.{name}: unknown"


def _fits(value: Any, spec: Any) -> bool:
    if isinstance(spec, OneOf):
        return isinstance(value, str) and value in spec
    if isinstance(spec, re.Pattern):
        return isinstance(value, str) and spec.fullmatch(value) is not None
    if spec is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, spec)
