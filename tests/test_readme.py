"""The README is true: its tables are the code's, its commands run and say what it says they say."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from streams.heart.post import Post, decode
from tests.readme import README, alerts_table, message, metrics_table, settings_table

ROOT = README.parent
TEXT = README.read_text()
SCRIPTS = sysconfig.get_path("scripts")


def examples() -> list[tuple[str, str]]:
    """(command, what it prints) of every console block; `…` stands for anything."""
    out = []
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, said = part.partition("\n")
            out.append((command, said))
    return out


def run(command: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DENYUT_")}
    environ["PATH"] = f"{SCRIPTS}:{environ['PATH']}"
    return subprocess.run(["bash", "-c", command], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120,
                          check=False)


@pytest.mark.parametrize(("command", "said"), examples(), ids=[command[:40] for command, _ in examples()])
def test_an_example_prints_what_it_says(command: str, said: str) -> None:
    """Every command of the README runs as written and prints what stands below it."""
    done = run(command)
    assert done.returncode == 0, done.stderr
    pattern = "\n".join(".*".join(map(re.escape, line.split("…"))) for line in said.rstrip().split("\n"))
    assert re.fullmatch(pattern, done.stdout.rstrip()), done.stdout


def test_the_tables_are_the_codes() -> None:
    """Settings, metrics, alerts and the message in the README are real (`python -m tests.readme` writes them)."""
    assert settings_table() in TEXT
    assert alerts_table() in TEXT
    assert message() in TEXT
    assert metrics_table() in TEXT


def test_no_place_waits_for_its_figure() -> None:
    """In the README and in runbooks: what stands behind `measured` begins with one, and no name stands for one."""
    figure = r"(?:(?:about|at most|less than|some|under|up to) )?\d|at once"
    unfilled = re.compile(rf"<!-- measured: ([a-z-]+) -->(?!\s?(?:{figure}))"
                          r"|\b(SCOREKILL|PULSEKILL|FREEZE|TERM|BROKER|STORMS)\b")
    pages = [README, *sorted((ROOT / "deploy" / "runbooks").glob("*.md"))]
    assert [] == [f"{page.name}: {one[1] or one[2]}" for page in pages for one in unfilled.finditer(page.read_text())]


def test_the_post_on_the_wire_is_one() -> None:
    """The JSON that a producer is shown is read by the decoder."""
    (shown,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    said = decode(b"bluesky:9f86d081884c7d65", shown.encode(), frozenset({"bluesky"}))
    assert isinstance(said, Post)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", TEXT))))
def test_a_link_leads_somewhere(link: str) -> None:
    """Files that the README links to are there."""
    assert (ROOT / link).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:streams|tests|models|deploy)/[\w./]+)`", TEXT))))
def test_a_named_file_is_there(path: str) -> None:
    """So are those that it names."""
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE))))
def test_a_named_target_can_be_made(target: str) -> None:
    """Every `make` target that the README names is in the Makefile."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_command_has_its_help_at_once() -> None:
    """`denyut VERB --help` answers for every verb, without importing anything heavy."""
    heavy = "numpy onnxruntime transformers faust kafka aiokafka pyarrow rich"
    code = ("import sys, streams.cli\ntry:\n    streams.cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
            f"print([m for m in '{heavy}'.split() if m in sys.modules])")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    for verb in ("demo", "score", "model show", "model check", "model evaluate", "feed file", "feed public",
                 "feed bluesky", "feed mastodon", "feed hackernews", "feed news", "feed push", "work score",
                 "work pulse", "tell", "topics", "brands check", "brands try", "settings", "doctor"):
        assert run(f"denyut {verb} --help").returncode == 0


@pytest.mark.parametrize(("setting", "says"), [
    ("DENYUT_BROKRS=x", "did you mean DENYUT_BROKERS"), ("DENYUT_GRACE_MS=5m", "DENYUT_GRACE_MS"),
    ("DENYUT_THREADS=many", "DENYUT_THREADS"),
])
def test_a_bad_setting_stops_the_start(setting: str, says: str) -> None:
    """It is named, with the nearest that exists; the exit code is 2."""
    done = run(f"{setting} denyut work score")
    assert done.returncode == 2
    assert says in done.stderr


def test_a_bad_brand_file_stops_the_start(tmp_path: Path) -> None:
    """The same for the brand file: key, place, nearest."""
    file = tmp_path / "brands.toml"
    file.write_text('number = 1\npublished = 2026-01-01T00:00:00Z\n[[brand]]\nname = "a"\nanny = ["x"]\n')
    done = run(f"DENYUT_BRANDS={file} denyut work score")
    assert done.returncode == 2
    assert "did you mean any" in done.stderr
