"""The image: what deploy/Dockerfile promises, read out of it. `make image-test` builds and runs it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
IGNORE = DEPLOY / "Dockerfile.dockerignore"
LABELS = ("title", "description", "licenses", "version", "revision", "created", "base.name")
HARDENED = ("--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=",
            "--pids-limit=", "--tmpfs")


class Step(NamedTuple):
    """One instruction of a Dockerfile, its lines joined, and the stage that it belongs to."""

    word: str
    said: str
    stage: int


def steps(text: str) -> list[Step]:
    """A Dockerfile's instructions in order."""
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found: list[Step] = []
    for line in bare.replace("\\\n", " ").splitlines():
        word, _, said = line.strip().partition(" ")
        if word:
            stage = (found[-1].stage if found else 0) + (word == "FROM")
            found.append(Step(word, re.sub(r"\s+", " ", said), stage))
    return found


def faults(text: str) -> Iterator[str]:
    """Every promise of the image that a Dockerfile breaks."""
    every = steps(text)
    last = [step for step in every if step.stage == every[-1].stage]
    yield from _bases(every)
    yield from _brought(every)
    user = [step.said for step in last if step.word == "USER"]
    if not user or not re.fullmatch(r"[1-9]\d{4,}:[1-9]\d{4,}", user[-1]):
        yield f"runs as {user[-1] if user else 'root'}"
    if not any(step.word == "ENV" and "ORT_DISABLE_TELEMETRY=1" in step.said for step in last):
        yield "telemetry is on"
    if ["[\"tini\", \"--\", \"denyut\"]"] != [step.said for step in last if step.word == "ENTRYPOINT"]:
        yield "tini does not start denyut"
    if any(step.word == "HEALTHCHECK" for step in every):
        yield "a HEALTHCHECK, which no verb but a worker can answer"
    labels = " ".join(step.said for step in last if step.word == "LABEL")
    yield from (f"no label {name}" for name in LABELS if f"org.opencontainers.image.{name}=" not in labels)
    if text.splitlines()[0].startswith("# syntax"):
        yield "a frontend is fetched for each build"


def _bases(every: list[Step]) -> Iterator[str]:
    named: set[str] = set()
    for step in every:
        if step.word == "FROM":
            base, *rest = step.said.split()
            if base not in named and base != "debian:trixie-slim":
                yield f"base {base}"
            named |= set(rest[1:])


def _brought(every: list[Step]) -> Iterator[str]:
    for step in every:
        if step.word == "ADD" or (step.word == "RUN" and re.search(r"\b(curl|wget)\b|https?://", step.said)):
            yield f"brings what no package manager has checked: {step.said[:40]}"
        if step.word in {"ARG", "ENV"} and re.search("PIP_|INDEX|CERT|TOKEN|PASSWORD|PROXY", step.said):
            yield f"a secret of the build stays: {step.said[:40]}"
        if step.word == "RUN" and "-m pip " in step.said:
            if "--mount=type=secret,id=pip" not in step.said:
                yield "pip has no way to a private index"
            if "--no-deps" not in step.said and "--constraint deploy/constraints.txt" not in step.said:
                yield "pip installs versions that the tests did not run with"


def test_the_image_keeps_its_promises() -> None:
    """Not root, no telemetry, nothing unchecked brought in, no secret kept, labelled, tini in front."""
    assert [] == list(faults(DOCKERFILE.read_text()))


PLANTED = (
    ("USER 10001:10001", "USER denyut", "runs as denyut"),
    ("USER 10001:10001", "USER 0:0", "runs as 0:0"),
    ("USER 10001:10001\n", "", "runs as root"),
    ("ORT_DISABLE_TELEMETRY=1 ", "ORT_DISABLE_TELEMETRY=0 ", "telemetry is on"),
    ('ENTRYPOINT ["tini", "--", "denyut"]', "ENTRYPOINT denyut", "tini does not start denyut"),
    ("EXPOSE 9100", "HEALTHCHECK CMD denyut doctor", "a HEALTHCHECK"),
    ("org.opencontainers.image.licenses=", "licenses=", "no label licenses"),
    ("FROM debian:trixie-slim", "FROM debian:latest", "base debian:latest"),
    ("COPY README.md LICENSE ./", "ADD https://denyut.example/models.tar /", "brings what no package manager"),
    ("WORKDIR /src", "RUN curl -O https://denyut.example/x.sh", "brings what no package manager"),
    ("ARG SOURCE_DATE_EPOCH", "ARG PIP_INDEX_URL", "a secret of the build stays"),
    ("--mount=type=secret,id=pip,target=/etc/pip.conf ", "", "pip has no way to a private index"),
    ("--constraint deploy/constraints.txt ", "", "versions that the tests did not run with"),
    ("# Denyut in one image", "# syntax=docker/dockerfile:1\n# Denyut in one image", "a frontend is fetched"),
)


@pytest.mark.parametrize(("old", "new", "expected"), PLANTED, ids=[f"{fault}-{new[:12]}" for _, new, fault in PLANTED])
def test_a_planted_fault_is_noticed(old: str, new: str, expected: str) -> None:
    """One edit that breaks a promise is found."""
    text = DOCKERFILE.read_text()
    assert old in text
    assert any(expected in fault for fault in faults(text.replace(old, new)))


def hadolint(text: str) -> str:
    """What hadolint has against a Dockerfile, with our configuration."""
    done = subprocess.run([Path(sys.executable).with_name("hadolint"), "--no-color", "--config",
                           DEPLOY / "hadolint.yaml", "-"], input=text, capture_output=True, text=True, timeout=60,
                          check=False)
    assert (done.returncode == 0) == (done.stdout == ""), done.stderr
    return done.stdout


def test_hadolint_has_nothing_against_it() -> None:
    """Clean, style included; the one rule that is ignored has its reason in hadolint.yaml."""
    assert "" == hadolint(DOCKERFILE.read_text())


@pytest.mark.parametrize(("old", "new", "rule"), [
    ("--no-install-recommends python3 tini", "python3 tini", "DL3015"),
    ("FROM debian:trixie-slim", "FROM debian", "DL3006"),
    ("WORKDIR /src", "WORKDIR src", "DL3000"),
    ('="$CREATED"', '=""', "DL3051"),
])
def test_hadolint_s_configuration_still_looks(old: str, new: str, rule: str) -> None:
    """A fault that hadolint knows is reported with our configuration."""
    text = DOCKERFILE.read_text()
    assert old in text
    assert rule in hadolint(text.replace(old, new, 1))


def test_what_is_copied_exists_and_is_let_through() -> None:
    """The builder is given exactly what the Dockerfile copies: every other file of the tree stays here."""
    copied = {source for step in steps(DOCKERFILE.read_text()) if step.word == "COPY" and "--from=" not in step.said
              for source in step.said.split()[:-1]}
    lines = [line for line in IGNORE.read_text().splitlines() if line and not line.startswith("#")]
    let_through = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" == lines[0]
    assert copied == let_through - {"deploy"}
    assert lines.index("!deploy") < lines.index("deploy/*") < lines.index("!deploy/constraints.txt")
    assert all((ROOT / source).exists() for source in copied)


def test_the_packages_are_a_layer_of_their_own() -> None:
    """Before they are installed only the two files that name versions are copied, so code does not make them anew."""
    every = steps(DOCKERFILE.read_text())
    (at,) = [number for number, step in enumerate(every) if "--requirement" in step.said]
    assert ["pyproject.toml ./", "deploy/constraints.txt deploy/"] == [step.said for step in every[:at]
                                                                      if step.word == "COPY"]


def test_the_image_is_run_as_hardened_as_it_is_said() -> None:
    """`make image-test` takes away the network, the root's writability, capabilities, new privileges and memory."""
    script = (DEPLOY / "image-test.sh").read_text()
    (flags,) = re.findall(r"^hardened=\((.*?)\)\n", script, re.MULTILINE | re.DOTALL)
    assert [] == [flag for flag in HARDENED if flag not in flags]
    subprocess.run(["bash", "-n", DEPLOY / "image-test.sh"], check=True, timeout=10)
