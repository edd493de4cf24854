"""The README is true: its tables are the code's, its commands run and say what it says they say.

So are the pages of more tables that it leads to.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from models.registry import EMBEDDED
from streams.heart.brands import Brands
from streams.heart.errors import BadBrands
from streams.heart.post import Post, decode
from streams.keeping import TOPICS
from streams.settings import Settings
from tests.readme import (
    BENCH,
    HOLDS,
    README,
    SIM,
    alerts_table,
    filled,
    kept_table,
    message,
    metrics_table,
    put,
    settings_table,
)
from tests.sim.baselines import RULES
from tests.sim.streams import PRESETS
from tests.sim.table import MAIN

ROOT = README.parent
TEXT = README.read_text()
SCRIPTS = sysconfig.get_path("scripts")
PAGES = (README, SIM, BENCH)
OTHERS = (ROOT / "streams" / "README.md", ROOT / "deploy" / "chart" / "README.md")


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
    """Settings, metrics, alerts, the message, and how long topics are kept (`python -m tests.readme` writes them)."""
    assert settings_table() in TEXT
    assert alerts_table() in TEXT
    assert message() in TEXT
    assert metrics_table() in TEXT
    assert kept_table() in TEXT
    assert {topic.name for topic in TOPICS} == set(HOLDS)


def between(page: Path, mark: str) -> str:
    """What stands between the marks of a page."""
    (said,) = re.findall(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", page.read_text(), re.DOTALL)
    return str(said)


def test_the_readme_shows_rows_of_all_tables() -> None:
    """The main rows of the swings are those of tests/sim/README.md, from the same run."""
    shown, whole = between(README, "swings").splitlines(), between(SIM, "swings").splitlines()
    rows = [row for row in shown if row.startswith("| ")]
    assert ["preset", *MAIN] == [row.split(" | ")[0].removeprefix("| ") for row in rows]
    assert set(rows) <= set(whole)
    assert between(SIM, "made").strip() == shown[-1]


def test_the_page_of_swings_says_what_its_words_mean() -> None:
    """Every preset and every kind of event has its line; every rule of others stands in the table by its kind."""
    text = SIM.read_text()
    said = re.findall(r"^\| ([\w, -]+) \|", text.partition("## The words")[0], re.MULTILINE)
    lines = {name for line in said for name in line.split(", ")}
    swings = {"down", "up", "amplified"}  # kinds of swing
    assert set() == {*PRESETS, *(kind for one in PRESETS.values() for kind in one.kinds)} - swings - lines
    assert [] == [rule.name for rule in RULES if f"| {rule.name} |" not in between(SIM, "others")]


def test_what_a_gap_does_is_said_alike() -> None:
    """The share of gaps that raise an alert is the same in the README, in streams/README.md and in the table."""
    (share,) = re.findall(r"^\| gap \| gap \| \d+ \| ([\d.]+) ", between(SIM, "silence"), re.MULTILINE)
    assert [] == [page.name for page in (README, ROOT / "streams" / "README.md")
                  if f"{100 * float(share):.1f} %" not in page.read_text()]


def test_the_cards_speed_is_the_cards() -> None:
    """What tests/bench/README.md says of the card stands on it."""
    variants = json.loads((EMBEDDED / "card.json").read_text())["report"]["variants"]
    (shipped,) = (one["posts_per_s"] for one in variants if one["name"] == "shipped")
    assert f"({shipped:g} as shipped)" in BENCH.read_text()


def test_a_figure_needs_its_place(tmp_path: Path) -> None:
    """A table is put between its marks and nowhere else; without them nothing is written."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- /x -->\nb\n")
    put(page, {"x": "new"})
    assert page.read_text() == "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n" == filled(page.read_text(), "x", "new")
    with pytest.raises(ValueError, match="no mark <!-- y -->"):
        put(page, {"x": "lost", "y": "new"})
    assert "lost" not in page.read_text()


def test_the_brand_file_is_one(tmp_path: Path) -> None:
    """The one that is shown is read as workers read theirs, and its number must rise before it is read again."""
    (shown,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "brands.toml"
    path.write_text(shown)
    brands = Settings(brands=str(path)).read_brands()
    assert [one["name"] for one in tomllib.loads(shown)["brand"]] == list(brands.names)
    found = {match.brand for match, _ in brands.match("Ngopi di KOPI SENJA, lalu #kopisenja", "bluesky", 0)}
    assert found == {"kopi-senja"}
    assert "good" in run(f"denyut brands check {path} --strict").stdout
    with pytest.raises(BadBrands, match="numbers only rise"):
        Brands.parse(shown).follows(brands)


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


def links() -> list[tuple[Path, str]]:
    """Every link of every page, with the page."""
    return [(page, link) for page in (*PAGES, *OTHERS)
            for link in sorted(set(re.findall(r"\]\(([^)]+)\)", page.read_text())))]


@pytest.mark.parametrize(("page", "link"), links())
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    """Files that a page links to are there, and so are the headings."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    assert target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if anchor else []
    assert not anchor or anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


NAMED = sorted({path for page in PAGES
                for path in re.findall(r"`((?:streams|tests|models|deploy)/[\w./]+)`", page.read_text())})


@pytest.mark.parametrize("path", NAMED)
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
