"""Make: the whole recipe in small, from a base to a card, on openly licensed rows. No figure here means anything."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytestmark = pytest.mark.torch

import models  # noqa: E402  # torch may be missing
from models.recipes.make import Plan, begin, steps  # noqa: E402
from models.registry import EMBEDDED  # noqa: E402
from tests.smoke import made  # noqa: E402

ROOT = Path(__file__).parent.parent


def command(plan: Plan) -> list[str]:
    return [sys.executable, "-m", "models.recipes.make", "--data", plan.data, "--out", plan.out,
            "--source", plan.source, "--limit", str(plan.limit), "--name", plan.name]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A recipe that was run once, as a user would."""
    folder = tmp_path_factory.mktemp("make")
    source, data = made(folder)
    plan = Plan(data=str(data), out=str(folder / "out"), source=str(source), limit=96, name="tiny-1")
    subprocess.run(command(plan), cwd=ROOT, check=True)
    return plan


def test_every_step_leaves_what_shows_that_it_is_done(plan: Plan) -> None:
    """From the base to the card."""
    assert [] == [name for name, shown_by, _ in steps(plan) if not shown_by.exists()]


def test_the_result_is_a_model_like_the_embedded_one(plan: Plan) -> None:
    """It loads by its folder, proves its digest, scores, and its card says how it was made."""
    scorer = models.load(plan.out + "/model")
    (score,) = scorer.score(["Pelayanannya ramah"])
    assert score.negative + score.neutral + score.positive == pytest.approx(1)
    assert scorer.card.name == "tiny-1"
    assert scorer.card.late
    assert scorer.card.normalised
    made_of = {path.name for path in Path(plan.out, "model").iterdir()}
    assert {path.name for path in EMBEDDED.iterdir()} <= made_of
    report = json.loads(Path(plan.out, "model", "card.json").read_text())["report"]
    assert report["making"]["hours"] >= 0
    assert report["making"]["knobs"]["limit"] == 96
    assert plan.data not in json.dumps(report)
    assert {"tweeteval-en", "smsa-id", "nusax-id"} <= set(report["cells"])
    assert {"shipped", "12 layers"} <= {one["name"] for one in report["variants"]}


def test_a_run_that_was_stopped_goes_on(plan: Plan) -> None:
    """Of what is there nothing is made again; what is missing comes back the same."""
    out = Path(plan.out)
    before = {path: path.read_bytes() for path in (out / "model" / "model.onnx", out / "student" / "model.pt")}
    for gone in ("model", "chosen", "compared", "done"):
        path = out / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = subprocess.run(command(plan), cwd=ROOT, check=True, capture_output=True, text=True)
    assert "student: done before" in done.stdout
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(("turned", "says"), [
    ({"serve": "8"}, "--serve 8: expected two of --student"), ({"student": "4,5,8"}, "some of --teacher"),
    ({"teacher": "8,4"}, "layers that rise"), ({"inner": 4096}, "--inner up to 1536"),
    ({"data": "/nowhere"}, "expected labelled.jsonl.gz there"), ({"student_lr": 1.0}, "was begun with --student_lr"),
])
def test_a_plan_that_cannot_be_stops_before_anything_is_made(plan: Plan, turned: dict[str, Any], says: str) -> None:
    """An hour of training must not end in a wrong knob, nor weights get the card of another plan."""
    with pytest.raises(SystemExit, match=says):
        begin(replace(plan, **turned))


def test_a_knob_that_does_not_exist_stops_it(plan: Plan) -> None:
    """Before anything is made."""
    done = subprocess.run([*command(plan), "--twin", "3"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode
    assert "--twin: not a knob" in done.stderr
