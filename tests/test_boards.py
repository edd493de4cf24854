"""The boards are what their generators make, keep our rules, and ask for nothing that the program does not say."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from deploy.grafana.boards import __main__ as command
from deploy.grafana.boards import ask, lint, made, parts, words
from streams.heart.window import WINDOWS
from streams.metrics import TABLE, WORDS
from tests import board_queries
from tests.board_queries import Query, queries, texts
from tests.promql import metrics_of, series

DEPLOY = Path(__file__).parents[1] / "deploy"
UIDS = {"denyut-brands", "denyut-brand", "denyut-pipeline"}
TARGET = frozenset({"job", "instance"})  # what Prometheus itself says of each series


def recorded() -> set[str]:
    """The series that recording rules make."""
    files = (yaml.safe_load(path.read_text()) for path in (DEPLOY / "prometheus" / "rules").glob("*.rules.yml"))
    return {rule["record"] for file in files for group in file["groups"] for rule in group["rules"] if "record" in rule}


def known() -> dict[str, frozenset[str]]:
    """Every series that a board may ask for: the program's, its process's, and Prometheus' own `up`."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    process = {sample.name: frozenset[str]() for family in registry.collect() for sample in family.samples}
    return {**series(), **process, "up": frozenset()}


def test_the_committed_boards_are_what_the_generators_make() -> None:
    """Nobody edits the JSON: `python -m deploy.grafana.boards` writes it."""
    assert {f"{uid}.json" for uid in UIDS} == {path.name for path in board_queries.FOLDER.iterdir()}
    assert {path: path.read_text(encoding="utf-8") for path in made.files()} == made.files()
    assert 0 == command.main(["--check"])


def test_a_board_that_was_edited_by_hand_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--check compares with what is committed."""
    monkeypatch.setattr(made, "FOLDER", tmp_path)
    assert 1 == command.main(["--check"])
    assert 0 == command.main([])
    assert 0 == command.main(["--check"])
    board = tmp_path / "denyut-brand.json"
    board.write_text(board.read_text(encoding="utf-8").replace("mood", "mud", 1), encoding="utf-8")
    assert 1 == command.main(["--check"])


@pytest.mark.parametrize("uid", sorted(UIDS))
def test_a_board_breaks_no_rule(uid: str) -> None:
    """The rules are those of `lint`."""
    assert [] == lint.faults(texts()[uid])
    assert uid == json.loads(texts()[uid])["uid"]


Board = dict[str, Any]


def panel(board: Board) -> Board:
    """A panel over time that asks for a rate."""
    return next(each for each in lint.panels(board) if "rate(" in each["targets"][0]["expr"])


def variable(board: Board, name: str) -> Board:
    """A variable."""
    return next(each for each in lint.variables(board) if each["name"] == name)


def put(expr: str) -> Callable[[Board], None]:
    """Lets a panel ask this."""
    return lambda board: panel(board)["targets"][0].update(expr=expr)


PLANTED: dict[str, tuple[Callable[[Board], object], str]] = {
    "no uid": (lambda board: board.pop("uid"), "no uid"),
    "no board title": (lambda board: board.update(title=""), "no title"),
    "editable": (lambda board: board.update(editable=True), "editable is not false"),
    "a link in the menu": (
        lambda board: board["links"][0].update(placement="inControlsMenu"),
        "'One brand': placement 'inControlsMenu'",
    ),
    "an annotation in the menu": (
        lambda board: board["annotations"]["list"][0].update(placement="inControlsMenu"),
        "'Mood down': placement 'inControlsMenu'",
    ),
    "one id twice": (lambda board: panel(board).update(id=1), "panel id 1 is missing or not unique"),
    "no id": (lambda board: panel(board).pop("id"), "panel id None is missing or not unique"),
    "no choice of data source": (
        lambda board: board["templating"]["list"].remove(variable(board, "datasource")),
        "no variable datasource",
    ),
    "a fixed data source": (lambda board: panel(board)["datasource"].update(uid="abc"), "data source 'abc'"),
    "a fixed data source of a query": (
        lambda board: panel(board)["targets"][0]["datasource"].update(uid="abc"),
        "data source 'abc'",
    ),
    "a fixed data source of an annotation": (
        lambda board: board["annotations"]["list"][0]["datasource"].update(uid="abc"),
        "data source 'abc'",
    ),
    "a variable asked once": (lambda board: variable(board, "brand").update(refresh=1), "does not refresh"),
    "all as a list": (lambda board: variable(board, "brand").pop("allValue"), "allValue is not .*"),
    "no panel title": (lambda board: panel(board).pop("title"), "no title"),
    "no description": (lambda board: panel(board).update(description=""), "no description"),
    "no unit": (lambda board: panel(board)["fieldConfig"]["defaults"].pop("unit"), "no unit"),
    "no question": (lambda board: panel(board).update(targets=[]), "asks nothing"),
    "a fixed range": (put("sum(rate(denyut_posts_total[5m]))"), "[5m]: expected [$__rate_interval]"),
    "a fixed range of a mean": (put("avg_over_time(denyut_mood[1h])"), "[1h]: expected [$__rate_interval]"),
    "a bare counter": (put("sum(denyut_posts_total)"), "denyut_posts_total: a counter outside rate"),
    "a bare bucket": (
        put("histogram_quantile(0.9, denyut_freshness_seconds_bucket)"),
        "denyut_freshness_seconds_bucket: a counter outside rate",
    ),
    "a counter over time but no rate": (
        put("max_over_time(denyut_posts_total[$__rate_interval])"),
        "denyut_posts_total: a counter outside rate",
    ),
    "mood over time": (put("sum(denyut_mood)"), "denyut_mood: a mood is neither summed nor averaged"),
    "no PromQL": (put("sum by (brand"), "sum by (brand"),
    "on top of each other": (lambda board: panel(board)["gridPos"].update(x=0, y=0), "on top of each other"),
    "outside the grid": (lambda board: panel(board)["gridPos"].update(x=20, w=8), "outside the grid"),
    "a letter twice": (
        lambda board: panel(board)["targets"].append(panel(board)["targets"][0]),
        "two questions of one refId",
    ),
}


@pytest.mark.parametrize("plant", PLANTED)
def test_every_planted_fault_is_found(plant: str) -> None:
    """A board with one fault is told by that fault."""
    # This board has it all: panels of counters, annotations, and a variable that knows All.
    board = json.loads(texts()["denyut-brands"])
    board["panels"].append(json.loads(texts()["denyut-pipeline"])["panels"][3] | {"id": 900, "gridPos": dict(SPACE)})
    assert [] == lint.faults(json.dumps(board))
    edit, fault = PLANTED[plant]
    edit(board)
    found = lint.faults(json.dumps(board))
    assert any(fault in each for each in found), found


SPACE = {"x": 0, "y": 900, "w": 4, "h": 4}


def unknown(asked: Iterable[Query]) -> set[tuple[str, str]]:
    """What is asked for, and is in no table: (metric, labels)."""
    series, rules = known(), recorded()
    named = {found for query in asked for found in metrics_of(query.expr)}
    missing = {(name, "") for name, _ in named if name not in series and name not in rules}
    labels = {
        (name, label) for name, wanted in named if name in series for label in wanted - series[name] - TARGET
    }  # a rule's labels are its own business
    return missing | labels


def test_boards_ask_only_for_what_the_program_says() -> None:
    """Every metric of every expression stands in the table of metrics, with those labels, or is made by a rule."""
    assert set() == unknown(queries())


def test_a_misspelt_metric_or_label_is_found() -> None:
    """The test above can fail."""
    wrong = Query("", "", 'max by (brand, windw) (denyut_mood{brand=~".+"}) > denyut_mod', may_be_empty=False)
    assert {("denyut_mood", "windw"), ("denyut_mod", "")} == unknown([wrong])


def test_boards_ask_for_words_that_exist() -> None:
    """A label that takes its values from a list of the program is only asked for values of that list."""
    matched = {
        (label, value)
        for query in queries()
        for label, value in lint.matched(query.expr)
        if label in WORDS and not set(value) & set(".+*|")
    }
    assert {("direction", "down"), ("sentiment", "negative"), ("outcome", "tick")} <= matched
    assert set() == {(label, value) for label, value in matched if value not in WORDS[label]}
    assert tuple(WINDOWS) == words.WINDOWS


def test_boards_open_with_the_window_that_turns_with_a_swing() -> None:
    """With an hour's mean the marketers' alert would look wrong: it fires long before that mean has turned."""
    opened = [
        variable(json.loads(texts()[uid]), "window")["current"]["value"] for uid in ("denyut-brands", "denyut-brand")
    ]
    assert ["5m", "5m"] == opened


def bars(board: Board) -> list[Board]:
    """The panels that tell how much came together in each step."""
    return [
        each
        for each in lint.panels(board)
        if each["fieldConfig"]["defaults"].get("custom", {}).get("drawStyle") == "bars"
    ]


def test_counts_of_events_are_whole() -> None:
    """A scrape comes a little early or late, and makes an event 1.02; only time that was spent may be a fraction."""
    asked = [target["expr"] for each in bars(json.loads(texts()["denyut-pipeline"])) for target in each["targets"]]
    assert len(asked) > 8
    broken = {name for expr in asked if "round(" not in expr for name, _ in metrics_of(lint.spoken(expr))}
    assert {"denyut_recovery_seconds_sum", "denyut_source_gap_seconds_total"} == broken


def test_a_bar_is_of_its_step() -> None:
    """An increase over $__rate_interval would also hold the scrape before: a quarter too much of one-minute steps."""
    asked = [target["expr"] for each in bars(json.loads(texts()["denyut-pipeline"])) for target in each["targets"]]
    assert [] == [expr for expr in asked if "increase(" in expr]
    assert len(asked) == sum("* $__interval_ms / 1000" in expr for expr in asked)
    every = [expr for text in texts().values() for _, expr in board_queries.asked(json.loads(text))]
    [in_sight] = [expr for expr in every if "increase(" in expr]
    assert in_sight.count("[$__range]") == in_sight.count("increase(") == 1


def test_a_mark_names_its_brand() -> None:
    """All brands' marks stand on one panel: whoever points at one must read whose it is."""
    found = [mark for uid in ("denyut-brands", "denyut-brand") for mark in lint.marks(json.loads(texts()[uid]))]
    assert 6 == len(found)
    for mark in found:
        assert "{{brand}}" in mark["titleFormat"], mark["name"]
        assert "{{brand}}" in mark["textFormat"], mark["name"]


def test_everything_that_is_measured_is_on_a_board() -> None:
    """What nobody is shown is forgotten."""
    shown = {name for query in queries() for name, _ in metrics_of(query.expr)}
    forms = {row.name: {row.name, f"{row.name}_bucket", f"{row.name}_sum", f"{row.name}_count"} for row in TABLE}
    assert set() == {name for name, names in forms.items() if not names & shown}


def test_moods_are_never_summed_and_replays_never_shown() -> None:
    """Mood and its interval are taken by `max by`, without the brands whose figures are a replay."""
    moods = [query for query in queries() if lint.MOODS & {name for name, _ in metrics_of(query.expr)}]
    assert len(moods) > 15
    assert 6 == len(lint.MOODS)
    for query in moods:
        assert query.expr.startswith("max by (brand"), query
        assert "unless on (brand) max by (brand) (denyut_replaying) == 1" in query.expr, query


def test_few_questions_may_be_empty() -> None:
    """Only those that are about an open swing, or about what can be seen while few speak or the usual is unknown."""
    calm = {(query.board, query.place.rpartition(" ")[0]) for query in queries() if query.may_be_empty}
    assert {
        ("denyut-brand", "How far mood has moved"),
        ("denyut-brand", "Mood with its 95 % interval, last $window at each moment"),
        ("denyut-brand", "Organic and authentic talk"),
        ("denyut-brand", "Smallest visible swing"),
        ("denyut-brand", "The open swing"),
        ("denyut-brand", "What drives it"),
    } == calm
    assert ask.MAY_BE_ABSENT <= {row.name for row in TABLE}


def test_no_variable_of_grafana_reaches_prometheus() -> None:
    """Every question is replaced wholly, and the brands are those asked for."""
    asked = queries(brand="quovira")
    assert [] == [query for query in asked if "$" in query.expr]
    assert any('brand=~"quovira"' in query.expr for query in asked)
    assert {"variable brand", "annotation Mood down"} <= {query.place for query in asked}


def test_a_panel_of_one_brand_bears_no_marks_of_the_others() -> None:
    """Annotations are of all brands that are chosen: they stay off the panel that is repeated for each of them."""
    board = json.loads(texts()["denyut-brands"])
    repeated = {each["id"] for each in lint.panels(board) if each.get("repeat")}
    assert len(repeated) == 1
    for mark in lint.marks(board):
        assert {each["id"] for each in lint.panels(board)} - repeated == set(mark["filter"]["ids"]), mark["name"]
        assert not mark["filter"]["exclude"]


def test_provisioning_names_the_data_source_and_the_folder_that_boards_use() -> None:
    """Grafana finds the boards' data source by its uid, and the boards in files nobody can edit."""
    sources, boards = (
        yaml.safe_load((DEPLOY / "grafana" / "provisioning" / kind / "denyut.yaml").read_text())
        for kind in ("datasources", "dashboards")
    )
    [source], [provider] = sources["datasources"], boards["providers"]
    assert parts.SOURCE_UID == source["uid"]
    assert ("prometheus", True, False) == (source["type"], source["isDefault"], source["editable"])
    for text in texts().values():
        assert source["uid"] == variable(json.loads(text), "datasource")["current"]["value"]
    assert ("Denyut", "denyut", False, True) == tuple(
        provider[key] for key in ("folder", "folderUid", "allowUiUpdates", "disableDeletion")
    )


def test_a_brands_link_opens_its_board() -> None:
    """From all brands one comes to one brand, by the variable that its board has."""
    links = [part for part in texts()["denyut-brands"].split('"') if "var-brand=" in part]
    assert len(links) >= 3
    for link in links:
        assert link.startswith("/d/denyut-brand?var-brand=${__"), link
        assert link.endswith("&var-window=${window}&var-datasource=${datasource}&${__url_time_range}"), link
    assert "brand" == variable(json.loads(texts()["denyut-brand"]), "brand")["name"]


def test_from_each_board_one_goes_to_the_others_with_the_same_data_source() -> None:
    """And with the window, where there is one; never with brands: one brand is not all."""
    for uid, text in texts().items():
        board = json.loads(text)
        names = {each["name"] for each in lint.variables(board)} - {"brand"}
        to = {}
        for each in board["links"]:
            assert each["keepTime"], each["title"]
            url = urlsplit(each["url"])
            to[url.path.removeprefix("/d/")] = parse_qs(url.query)
        assert {other: {f"var-{name}": [f"${{{name}}}"] for name in names} for other in UIDS - {uid}} == to


def test_a_process_is_told_from_those_of_other_jobs() -> None:
    """One host, or one pod's name, may stand for a worker of either job."""
    board = json.loads(texts()["denyut-pipeline"])
    by_process = [
        target for each in lint.panels(board) for target in each["targets"] if "by (job, instance)" in target["expr"]
    ]
    lines = [target["legendFormat"] for target in by_process if target["format"] == "time_series"]
    assert ["{{job}} {{instance}}"] * 5 == lines


def test_a_quiet_minute_raises_no_alarm() -> None:
    """A tile of nothing has the colour of its first step, and a word."""
    board = json.loads(texts()["denyut-pipeline"])
    quiet = {
        each["title"]: each["fieldConfig"]["defaults"]
        for each in lint.panels(board)
        if each["title"] in ("Fresh within 60 s", "Post to figure, p95")
    }
    assert {"no mentions"} == {each["noValue"] for each in quiet.values()}
    assert {parts.QUIET} == {each["thresholds"]["steps"][0]["color"] for each in quiet.values()}
    steps = quiet["Fresh within 60 s"]["thresholds"]["steps"]
    assert [(0, parts.SERIOUS), (0.99, parts.QUIET)] == [(step["value"], step["color"]) for step in steps[1:]]
    assert len(quiet) == 2


def test_share_of_voice_of_a_group_is_what_rules_record() -> None:
    """A group spans workers: boards ask for what was recorded, of the window that is chosen, and never add it up."""
    asked = [query for query in queries() if "share_of_voice" in query.expr]
    assert {"denyut-brand", "denyut-brands"} == {query.board for query in asked}
    assert {name for name in recorded() if "share_of_voice" in name} == {
        name for query in asked for name, _ in metrics_of(query.expr)
    }
    for query in asked:
        assert query.expr.startswith("max by ("), query
        assert query.expr.count('window=~"1h"') == query.expr.count("share_of_voice"), query


def test_a_board_without_a_live_source_says_so() -> None:
    """A strip of none is no strip of one that is not connected."""
    board = json.loads(texts()["denyut-pipeline"])
    [connected] = [each for each in lint.panels(board) if each["title"] == "Connected"]
    assert "label_replace(vector(-1)" in connected["targets"][0]["expr"]
    [mapping] = connected["fieldConfig"]["defaults"]["mappings"]
    assert {"-1": "no live source", "0": "not connected", "1": "connected"} == {
        value: told["text"] for value, told in mapping["options"].items()
    }


def test_a_replay_is_no_part_of_the_whole() -> None:
    """Shares of voice add up to 1 also while a brand is read back."""
    whole = ask.VOICE.partition("sum(")[2]
    assert "unless on (brand) max by (brand) (denyut_replaying) == 1" in whole


def told(uid: str, title: str) -> str:
    """What a panel says of itself."""
    [said] = [each["description"] for each in lint.panels(json.loads(texts()[uid])) if each["title"].startswith(title)]
    return str(said)


def test_a_group_without_shares_is_explained() -> None:
    """Boards say when rules record none: nobody speaks, or a brand of the group is away."""
    one, all_of_them = told("denyut-brand", "Share of voice in its"), told("denyut-brands", "Share of voice by group")
    assert "or a brand of the group is a replay, or not shown." in one
    assert "or of which a brand is a replay, or not shown, is not here." in all_of_them


def test_a_connection_that_failed_counts_as_one_that_ended() -> None:
    """The panel says what the program counts."""
    [row] = [row for row in TABLE if row.name == "denyut_source_reconnects_total"]
    assert row.meaning.endswith("ended or failed")
    assert "ended or could not be made" in told("denyut-pipeline", "Connections ended or failed")
