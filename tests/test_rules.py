"""Rules: what Prometheus is told to tell, proved with Prometheus' own tools of two releases.

Every alert has a file of unit tests (not yet, now, no longer, and all that is said), a runbook page, and edits that its
tests must notice (`tests/rule_mutants.py`).
"""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import click
import promql_parser
import pytest
import yaml

from streams.cli import main
from streams.feed import Rules
from streams.heart.block import BLOCK_MS, KEPT
from streams.heart.watch import COMPLETE
from streams.keeping import TOPICS, named, policy_of
from streams.settings import HOUR_MS, Settings
from tests.programs import ROOT, SUITES, program
from tests.promql import metrics_of, series
from tests.rule_mutants import MUTANTS, RECORDED, Mutant

HERE = ROOT / "deploy" / "prometheus"
RULES = sorted((HERE / "rules").glob("*.rules.yml"))
TESTS = sorted((HERE / "tests").glob("*.test.yml"))
PAGES = ROOT / "deploy" / "runbooks"
BOARDS, RUNBOOKS = "http://localhost:3000/d/", "https://denyut.example/runbooks/"
TARGET = frozenset({"job", "instance"})  # what Prometheus itself says of every series
# Series that other programs serve, with the labels that rules use of them.
OTHERS = {
    "up": frozenset[str](),
    "ALERTS": frozenset({"alertname", "alertstate", "brand", "mutes"}),
    # Every process of ours has these by the client library.
    "process_start_time_seconds": frozenset[str](),
    "process_cpu_seconds_total": frozenset[str](),
    "process_resident_memory_bytes": frozenset[str](),
    "prometheus_rule_evaluation_failures_total": frozenset({"rule_group"}),
    "prometheus_notifications_errors_total": frozenset({"alertmanager"}),
    "prometheus_notifications_alertmanagers_discovered": frozenset[str](),
    "prometheus_config_last_reload_successful": frozenset[str](),
    "alertmanager_config_last_reload_successful": frozenset[str](),
    "alertmanager_notifications_failed_total": frozenset({"integration"}),
}
_QUERY = re.compile(r"query\s+(?:\(printf\s+)?(\"(?:[^\"\\]|\\.)*\")")


def run(suite: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool", suite), *arguments], capture_output=True, text=True, timeout=60,
                          check=False)


@cache
def rules() -> tuple[dict[str, Any], ...]:
    """Every rule of every file."""
    return tuple(rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"]
                 for rule in group["rules"])


ALERTS = sorted({rule["alert"] for rule in rules() if "alert" in rule})


def queries_in(text: str) -> list[str]:
    """The queries in an annotation, their holes filled."""
    found = [yaml.safe_load(said) for said in _QUERY.findall(" ".join(text.split()))]
    return [query.replace("%q", '"kopi"').replace("%s", '{brand="kopi",direction="down"}') for query in found]


def strangers(expr: str) -> list[str]:
    """What an expression names that nobody serves."""
    made = {rule["record"] for rule in rules() if "record" in rule}
    known = series() | OTHERS
    return [f"{name}{sorted(labels - TARGET - known.get(name, frozenset()))}" for name, labels in metrics_of(expr)
            if name not in made and (name not in known or labels - TARGET - known[name])]


@pytest.mark.parametrize("suite", SUITES)
def test_the_rules_are_rules(suite: str) -> None:
    """Both releases read every file, and their lint finds nothing."""
    done = run(suite, "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("suite", SUITES)
def test_the_configuration_is_one(suite: str) -> None:
    """Both releases read it, and find the rules by it."""
    done = run(suite, "check", "config", HERE / "prometheus.yml")
    assert (0, "") == (done.returncode, done.stderr)
    assert [] == [path.name for path in RULES if path.name not in done.stdout]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name.removesuffix(".test.yml"))
def test_an_alert_says_what_and_when(suite: str, path: Path) -> None:
    """Not yet, now, no longer, and the whole text, in both releases."""
    done = run(suite, "test", "rules", path)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_before_during_and_after(alert: str) -> None:
    """Its file expects it at one time with all its labels and annotations, and expects nothing at another."""
    tests = yaml.safe_load((HERE / "tests" / f"{alert}.test.yml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    assert {alert} == {check["alertname"] for check in checks}
    expected = [check["exp_alerts"] for check in checks]
    assert any(expected)
    assert alert == "DenyutWatchdog" or not all(expected)  # that one always fires
    (said,) = {frozenset(rule["annotations"]) for rule in rules() if rule.get("alert") == alert}
    assert {said} == {frozenset(one["exp_annotations"]) for alerts in expected for one in alerts}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.of}: {mutant.old[:40]} -> {mutant.new[:40]}")
def test_an_edit_of_a_rule_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    """The unit tests of the alert fail once this is changed. (That they do not before is tested above.)"""
    done = judged(tmp_path, mutant.of, edited(mutant))
    assert 1 == done.returncode, done.stdout
    assert "exp:" in done.stdout + done.stderr, "it failed for another reason than what it expected"


@pytest.mark.parametrize("mutant", RECORDED, ids=lambda one: f"{one.record}: {one.old[:40]} -> {one.new[:40]}")
def test_an_edit_of_what_is_recorded_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    """So do the tests of a rule that boards ask for and no alert is computed from."""
    test = (HERE / "tests" / f"{mutant.of}.test.yml").read_text()
    (file,) = yaml.safe_load(test)["rule_files"]
    done = proved(tmp_path, test, changed((HERE / "tests" / file).read_text(), f"- record: {mutant.record}\n", mutant))
    assert 1 == done.returncode, done.stdout


def test_every_recorded_rule_of_the_boards_has_tests() -> None:
    """Those that stand in no alert's expression are in a file of tests of their own."""
    asked = " ".join(rule["expr"] for rule in rules())
    named = {rule["record"] for rule in rules() if "record" in rule and rule["record"] not in asked}
    own = " ".join(path.read_text() for path in TESTS if path.name.removesuffix(".test.yml") not in ALERTS)
    assert {"brand:denyut_share_of_voice:ratio"} < named
    assert set() == {name for name in named if name not in own}


def test_every_alert_has_an_edit_that_is_noticed() -> None:
    """No alert is left out of the mutants."""
    assert ALERTS == sorted({mutant.of for mutant in MUTANTS})


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_whom_what_where_and_what_to_do(alert: str) -> None:
    """Severity, team, summary, description, a board that is linked the way the chart can replace, a runbook page."""
    for rule in (rule for rule in rules() if rule.get("alert") == alert):
        labels, says = rule["labels"], rule["annotations"]
        assert labels["severity"] in {"critical", "warning", "info", "none"}
        assert labels["team"] in {"marketing", "engineers"}
        assert labels.get("mutes") in {None, "brands"}
        assert says["summary"]
        assert says["description"].endswith((".", "{{ end }}."))
        assert f"{RUNBOOKS}{alert}.md" == says["runbook_url"]
        board = says["dashboard_url"].removeprefix(BOARDS)
        assert board in {"denyut-pipeline", "denyut-brand?var-brand={{ $labels.brand }}"}


def test_only_the_detector_speaks_to_marketing() -> None:
    """Two alerts are theirs; what mutes them is an engineer's, critical, there before a brand's alert ends, and stays
    while workers read their state back."""
    assert ["DenyutCoordinatedTalk", "DenyutMoodDown"] == sorted(
        rule["alert"] for rule in rules() if rule.get("labels", {}).get("team") == "marketing")
    muting = [rule for rule in rules() if rule.get("labels", {}).get("mutes")]
    assert {("critical", "engineers")} == {(rule["labels"]["severity"], rule["labels"]["team"]) for rule in muting}
    (kept,) = {promql_parser.parse_duration(rule["keep_firing_for"]) for rule in rules()
               if rule.get("labels", {}).get("team") == "marketing"}
    assert [] == [rule["alert"] for rule in muting if promql_parser.parse_duration(rule["for"]) >= kept]
    assert {"3m"} == {rule["keep_firing_for"] for rule in muting}


def test_engineers_are_told_of_the_completeness_that_the_detector_needs() -> None:
    """Below it no swing is found, so somebody must know."""
    (rule,) = [rule for rule in rules() if rule.get("alert") == "DenyutCompletenessLow"]
    assert f"count(min by (brand) (denyut_completeness_ratio) < {COMPLETE}) > 0" == rule["expr"]
    assert f" less than {100 * COMPLETE:.0f} % " in rule["annotations"]["description"]


def test_groups_are_named_as_ours() -> None:
    """DenyutRuleFailures knows them by the name, and so tells them from a neighbour's."""
    groups = [group["name"] for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    assert [] == [name for name in groups if not name.startswith("denyut-")]
    (counted,) = [rule["expr"] for rule in rules() if rule.get("alert") == "DenyutRuleFailures"]
    assert '{rule_group=~".+;denyut-.+"}' in counted


def test_what_watches_prometheus_and_alertmanager_can_be_left_out() -> None:
    """Their series stand in own.rules.yml alone, but for that of our own rules."""
    theirs = re.compile(r"\b(?:prometheus|alertmanager)_(?!rule_evaluation_failures)\w+")
    found = {path.name for path in RULES for group in yaml.safe_load(path.read_text())["groups"]
             for rule in group["rules"] if theirs.search(rule["expr"])}
    assert {"own.rules.yml"} == found


def test_every_page_has_an_alert_and_every_alert_a_page() -> None:
    """A runbook page is called like its alert; the one other page is told below."""
    assert [*ALERTS, "recovery"] == sorted(path.stem for path in PAGES.glob("*.md"))


def test_rules_name_only_what_is_served() -> None:
    """Each metric and label in an expression or in an annotation's query is the program's, or made by a rule, or
    Prometheus' own."""
    asked = [rule["expr"] for rule in rules()]
    asked += [query for rule in rules() for said in rule.get("annotations", {}).values() for query in queries_in(said)]
    assert len(asked) > len(rules()) + 10  # the annotations' own were found
    assert [] == sorted({stranger for expr in asked for stranger in strangers(expr)})


def test_recording_rules_are_named_after_what_they_are() -> None:
    """level:metric:operation."""
    named = [rule["record"] for rule in rules() if "record" in rule]
    assert named
    assert [] == [name for name in named if not re.fullmatch(r"(brand|fleet|pipeline):denyut_[a-z_]+:[a-z0-9_]+", name)]


@pytest.mark.parametrize("page", sorted(PAGES.glob("Denyut*.md")), ids=lambda path: path.stem)
def test_a_runbook_page_helps(page: Path) -> None:
    """It has its five parts, three checks, and what it says to ask exists."""
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert ["What it means", "What you see", "First three checks", "How to mend it", "When it is false"] == re.findall(
        r"^## (.+)$", text, re.MULTILINE)
    assert 3 <= len(re.findall(r"^[123]\. ", text, re.MULTILINE))
    assert [] == not_there(text)


def not_there(text: str) -> list[str]:
    """What a page says to ask or to run, and nobody serves or knows; a page without a query is not one of ours."""
    queries = re.findall(r"```promql\n(.+?)```", text, re.DOTALL)
    assert queries
    told = [line for block in re.findall(r"```sh\n(.+?)```", text, re.DOTALL) for line in block.splitlines()]
    return [*(stranger for query in queries for line in separate(query) for stranger in strangers(line)),
            *(line for line in told if line.startswith("denyut ") and not is_command(line.split()[1:]))]


def separate(queries: str) -> list[str]:
    """Queries that stand below one another; a line that is set in goes on with the one before it."""
    return re.split(r"\n(?=\S)", queries.strip())


def test_the_page_of_recoveries_names_only_what_is_there() -> None:
    """Its queries, commands, alerts, links within it and topics exist, and the numbers that it says are the code's."""
    text = (PAGES / "recovery.md").read_text()
    assert [] == not_there(text)
    assert set() == set(re.findall(r"\bDenyut[A-Z]\w+", text)) - set(ALERTS)
    headings = {re.sub(r"[^a-z ]", "", one.lower()).replace(" ", "-")
                for one in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    assert set() == set(re.findall(r"\]\(#([a-z-]+)\)", text)) - headings
    assert {f"denyut.{topic.name}" for topic in TOPICS} == set(re.findall(r"`(denyut\.[a-z]+)`", text))
    hours = {(name, key): int(policy_of(named(name))[key]) / HOUR_MS for name, key in (
        ("posts", "min.compaction.lag.ms"), ("posts", "retention.ms"), ("mentions", "retention.ms"),
        ("blocks", "retention.ms"))}
    assert [12, 7 * 24, 26, 14 * 24] == list(hours.values())
    settings = Settings()
    assert (HOUR_MS, 10_000, 1) == (settings.grace_ms, settings.session_ms, settings.replication)
    assert (10_000, 120_000) == (Rules().room, Rules().delivery_ms)
    assert (600_000, 3) == (BLOCK_MS, KEPT)


def test_every_row_of_the_table_of_failures_says_everything() -> None:
    """What is lost, how long, what is seen, what is done: no cell is empty, and no measured place is named twice."""
    text = (PAGES / "recovery.md").read_text()
    table = text.partition("| what happens |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) >= 20
    cells = {row: [cell.strip() for cell in row.strip("|").split("|")] for row in table}
    assert [] == [row for row, each in cells.items() if 5 != len(each) or not all(each)]
    names = re.findall(r"<!-- measured: ([a-z-]+) -->", text)
    assert len(names) == len(set(names))


def is_command(words: list[str]) -> bool:
    """Whether `denyut` has this verb, and this verb that one."""
    command: click.Command = main
    for word in words:
        if not isinstance(command, click.Group):
            break
        if word not in command.commands:
            return False
        command = command.commands[word]
    return not isinstance(command, click.Group)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_stands_by_itself(alert: str, tmp_path: Path) -> None:
    """Its unit tests pass without the other alerts, so a mutant among its own rules alone fails for its edit."""
    (text,) = [path.read_text() for path in RULES if f"- alert: {alert}\n" in path.read_text()]
    done = judged(tmp_path, alert, text)
    assert 0 == done.returncode, done.stdout


def edited(mutant: Mutant) -> str:
    """The file of an alert, with the edit."""
    (text,) = [path.read_text() for path in RULES if f"- alert: {mutant.of}\n" in path.read_text()]
    return changed(text, f"- record: {mutant.record}\n" if mutant.record else f"- alert: {mutant.of}\n", mutant)


def changed(text: str, name: str, mutant: Mutant) -> str:
    """A file of rules with the edit in the rules of this name."""
    blocks = re.split(r"(?=^ +- (?:alert|record|name): )", text, flags=re.MULTILINE)
    found = [block for block in blocks if name in block]
    assert 1 == sum(block.count(mutant.old) for block in found), "not exactly once"
    return "".join(block.replace(mutant.old, mutant.new) if block in found else block for block in blocks)


def judged(folder: Path, alert: str, text: str) -> subprocess.CompletedProcess[str]:
    """The unit tests of one alert against these rules; those of other alerts are left out, to be quick."""
    whole = yaml.safe_load(text)
    wanted = [rule for group in whole["groups"] for rule in group["rules"] if rule.get("alert") == alert]
    for rule in wanted:  # it grows meanwhile, by what each is computed from
        wanted += [made for group in whole["groups"] for made in group["rules"]
                   if made not in wanted and made.get("record", "none") in str(rule)]
    for group in whole["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule in wanted]
    test = (HERE / "tests" / f"{alert}.test.yml").read_text()
    return proved(folder, test, yaml.safe_dump(whole))


def proved(folder: Path, test: str, text: str) -> subprocess.CompletedProcess[str]:
    """A file of unit tests against these rules in place of its own."""
    (file,) = yaml.safe_load(test)["rule_files"]
    (folder / "tests").mkdir(parents=True)
    (folder / "rules").mkdir()
    (folder / "tests" / "one.test.yml").write_text(test)
    (folder / "tests" / file).write_text(text)
    return run("bookworm", "test", "rules", folder / "tests" / "one.test.yml")
