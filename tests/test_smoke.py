"""deploy/smoke.sh against stand-ins that speak as Grafana and kubectl do: it notices what is not there."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.loopback import serving

SMOKE = Path(__file__).parents[1] / "deploy" / "smoke.sh"
BOARDS = SMOKE.parent / "grafana" / "dashboards"
KUBECTL = """#!/bin/sh
shift 2
case "$*" in
  "get deployments,statefulsets"*) [ -n "$NOTHING" ] || echo deployment.apps/denyut-score ;;
  "rollout status"*) [ -z "$UNREADY" ] ;;
  "get pods"*) [ -z "$DENIED" ] || exit 1; [ -n "$EMPTY" ] || echo pod/denyut-score-0 ;;
  exec*) shift 5; case "$*" in *"$DUMB"*) [ -z "$DUMB" ] ;; esac ;;
esac
"""


@contextmanager
def grafana(**missing: str) -> Iterator[tuple[str, list[str]]]:
    """Something with the boards and a data source; it lacks, refuses or finds nothing for what is named."""
    asked: list[str] = []

    def answer(path: str, _: bytes) -> tuple[int, bytes]:
        url = urlsplit(path)
        if missing.get("lacks", "\0") in url.path:
            return 404, b""
        if "/dashboards/uid/" in url.path:
            board = json.loads((BOARDS / f"{url.path.rpartition('/')[2]}.json").read_text())
            return 200, json.dumps({"dashboard": board}).encode()
        if not url.path.endswith("/query"):
            return 200, b"{}"
        [expr] = parse_qs(url.query)["query"]
        asked.append(expr)
        found = [] if expr == missing.get("finds_nothing_for") else [{"metric": {}, "value": [0, "1"]}]
        return 400 if missing.get("refuses", "\0") in expr else 200, json.dumps({"data": {"result": found}}).encode()

    with serving(answer) as url:
        yield url, asked


def smoke(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The script, run."""
    return subprocess.run([SMOKE, *words], env={**os.environ, **environ}, capture_output=True, text=True, timeout=120,
                          check=False)


def test_every_expression_of_every_board_is_asked() -> None:
    """With its variables put in, so that Prometheus would understand it."""
    with grafana() as (url, asked):
        done = smoke("grafana", url)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = sum(path.read_text().count('"expr":') for path in BOARDS.glob("*.json"))
    assert len(asked) == wanted + 3
    assert not [expr for expr in asked if "$" in expr]


@pytest.mark.parametrize(("missing", "says"), [
    ({"lacks": "/api/health"}, "does not answer"), ({"lacks": "/datasources/uid/"}, "no data source"),
    ({"lacks": "denyut-brand"}, "no board denyut-brands"), ({"refuses": "denyut_mood_lower"}, "refused: "),
    ({"finds_nothing_for": "count(denyut_mood)"}, "denyut_mood is empty"),
], ids=str)
def test_what_grafana_lacks_is_named(missing: dict[str, str], says: str) -> None:
    """One line, and an exit code that is not 0."""
    with grafana(**missing) as (url, _):
        done = smoke("grafana", url)
    assert done.returncode == 1
    assert says in done.stderr


@pytest.mark.parametrize(("environ", "code", "says"), [
    ({}, 0, "every pod serves its pages"), ({"NOTHING": "1"}, 1, "no release denyut in listening"),
    ({"UNREADY": "1"}, 1, "deployment.apps/denyut-score is not ready"),
    ({"DUMB": "readyz"}, 1, "denyut-score-0: /readyz"), ({"DENIED": "1"}, 1, "the pods cannot be listed"),
    ({"EMPTY": "1"}, 1, "no pod of denyut runs in listening"),
], ids=str)
def test_what_a_cluster_lacks_is_named(environ: dict[str, str], code: int, says: str, tmp_path: Path) -> None:
    """A workload that is not ready, a pod whose page does not answer, no pod, a release that is not there."""
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    done = smoke("cluster", "listening", PATH=f"{tmp_path}:{os.environ['PATH']}", **environ)
    assert done.returncode == code
    assert says in done.stdout + done.stderr


def test_without_words_it_says_how_it_is_called() -> None:
    """Exit code 2, as of every command here."""
    done = smoke()
    assert done.returncode == 2
    assert "smoke.sh grafana URL" in done.stderr
