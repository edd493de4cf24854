"""What panels are made of: colours, kinds of panel, a grid that fills itself.

Colours are told apart by people who do not see red and green: orange is bad, blue is good, grey is neither; what is
grave is darker too, and is always said in words as well.
Knows nothing of Denyut's metrics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = c.DataSourceRef(type_val="prometheus", uid="${datasource}")
SOURCE_UID = "denyut-prometheus"  # of the provisioned data source
GRID = 24

BAD, POOR, EVEN, FAIR, GOOD = "#B9470A", "#E58E3C", "#828C99", "#5E9FDC", "#2369B5"
NOTICE, SERIOUS, SEVERE = "#F5C55C", "#E27F2D", "#A63A0A"
QUIET = "#5F6B7A"
CALM = "rgba(140, 150, 163, 0.22)"  # hardly there, on dark and on light
# For words of a fixed list; Okabe and Ito's order, made readable on dark and on light.
COLOURS = ("#3B8FD6", "#E69F00", "#1FA58A", "#CC79A7", "#7FC4EE", "#C8500A", "#B9A400", "#8C96A3")


class Step(NamedTuple):
    """From this value on (None: from below), this colour."""

    at: float | None
    colour: str


MOOD = (Step(None, BAD), Step(-0.5, POOR), Step(-0.2, EVEN), Step(0.2, FAIR), Step(0.5, GOOD))
SIGN = (Step(None, BAD), Step(0.0, GOOD))
FILLED = {"type": "color-background", "mode": "basic"}  # a table's cell
PLAIN = (Step(None, QUIET),)


class Ask(NamedTuple):
    """A question, and the name of its answer: of a line, or of a column."""

    expr: str
    name: str = ""


class Says(NamedTuple):
    """A panel's title, what it tells and what it does not, and its unit."""

    title: str
    text: str
    unit: str


class Panel(Protocol):
    """What the SDK's panels have in common."""

    def build(self) -> d.Panel: ...
    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def datasource(self, datasource: c.DataSourceRef) -> Self: ...
    def with_target(self, target: prometheus.Dataquery) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...


P = TypeVar("P", bound=Panel)


def thresholds(steps: Sequence[Step]) -> dashboard.ThresholdsConfig:
    """Colours by value."""
    made = [d.Threshold(value=step.at, color=step.colour) for step in steps]
    return dashboard.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps(made)


def by_value() -> dashboard.FieldColor:
    """Coloured by thresholds."""
    return dashboard.FieldColor().mode(d.FieldColorModeId.THRESHOLDS)


def fixed(colour: str) -> dict[str, str]:
    """One colour, as overrides want it."""
    return {"mode": "fixed", "fixedColor": colour}


def _query(ask: Ask, place: int, *, instant: bool, is_table: bool) -> prometheus.Dataquery:
    query = prometheus.Dataquery().ref_id(chr(ord("A") + place)).expr(ask.expr).datasource(SOURCE)
    if ask.name:
        query.legend_format(ask.name)
    query.format(PromQueryFormat.TABLE if is_table else PromQueryFormat.TIME_SERIES)
    return query.instant() if instant else query.range()


def _told(panel: P, says: Says, asks: Sequence[Ask], *, instant: bool = False, is_table: bool = False) -> P:
    panel.title(says.title).description(says.text).unit(says.unit).datasource(SOURCE)
    for place, ask in enumerate(asks):
        panel.with_target(_query(ask, place, instant=instant, is_table=is_table))
    return panel


def override(panel: P, name: str, **properties: object) -> P:
    """Other properties for the series or the column of this name; `custom_x` is `custom.x`, and `x` may be `color`."""
    values = [d.DynamicConfigValue(key.replace("custom_", "custom."), value) for key, value in properties.items()]
    return panel.override_by_name(name, values)  # type: ignore[attr-defined,no-any-return]  # every panel has it


def painted(panel: P, colours: Mapping[str, str]) -> P:
    """These series in these colours."""
    for name, colour in colours.items():
        override(panel, name, color=fixed(colour))
    return panel


def listed(panel: P, words: Sequence[str]) -> P:
    """The series of a fixed list, each in its own colour, the same on every panel that has the list."""
    return painted(panel, {word: COLOURS[place % len(COLOURS)] for place, word in enumerate(words)})


def _legend(mode: c.LegendDisplayMode = c.LegendDisplayMode.LIST) -> common.VizLegendOptions:
    return common.VizLegendOptions().show_legend(True).display_mode(mode).placement(c.LegendPlacement.BOTTOM)


def lines(says: Says, *asks: Ask) -> timeseries.Panel:
    """Values over time."""
    tooltip = common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING)
    return (
        _told(timeseries.Panel(), says, asks)
        .color_scheme(dashboard.FieldColor().mode(d.FieldColorModeId.PALETTE_CLASSIC))
        .line_width(2)
        .fill_opacity(0)
        .show_points(c.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(_legend())
        .tooltip(tooltip)
    )


def unlabelled(panel: timeseries.Panel) -> timeseries.Panel:
    """Without a legend: the title, or the panels beside it, say what the lines are."""
    return panel.legend(common.VizLegendOptions().show_legend(False).display_mode(c.LegendDisplayMode.HIDDEN))


def from_zero(says: Says, *asks: Ask) -> timeseries.Panel:
    """Values over time that are never negative, filled a little."""
    return lines(says, *asks).min(0).fill_opacity(8)


def now_and_then(says: Says, *asks: Ask) -> timeseries.Panel:
    """What is measured minutes apart, as dots: most steps have no value, so there is nothing to draw a line through."""
    dots = from_zero(says, *asks).draw_style(c.GraphDrawStyle.POINTS)
    return dots.show_points(c.VisibilityMode.ALWAYS).point_size(5).fill_opacity(0)


def stacked(says: Says, *asks: Ask) -> timeseries.Panel:
    """Parts of a sum over time."""
    stack = common.StackingConfig().mode(c.StackingMode.NORMAL).group("A")
    return lines(says, *asks).min(0).stacking(stack).line_width(1).fill_opacity(45)


def counts(says: Says, *asks: Ask) -> timeseries.Panel:
    """How often something happened, a bar a minute at most: of shorter steps the ranges overlap, and bars repeat."""
    stack = common.StackingConfig().mode(c.StackingMode.NORMAL).group("A")
    bars = lines(says, *asks).draw_style(c.GraphDrawStyle.BARS).stacking(stack)
    return bars.min(0).axis_soft_max(1).decimals(0).line_width(0).fill_opacity(75).interval("1m")


def band(panel: timeseries.Panel, lower: str, upper: str, colour: str = EVEN) -> timeseries.Panel:
    """Fills between these two series: an interval."""
    override(panel, lower, custom_lineWidth=0, custom_fillOpacity=0, color=fixed(colour))
    return override(
        panel, upper, custom_lineWidth=0, custom_fillOpacity=22, custom_fillBelowTo=lower, color=fixed(colour)
    )


def limit(panel: timeseries.Panel, *steps: Step) -> timeseries.Panel:
    """Draws a dashed line where it becomes bad."""
    style = common.GraphThresholdsStyleConfig().mode(c.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(thresholds(steps)).thresholds_style(style)


def tile(says: Says, *asks: Ask, steps: Sequence[Step] = PLAIN) -> stat.Panel:
    """A number now, coloured by value."""
    now = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    return (
        _told(stat.Panel(), says, asks, instant=True)
        .reduce_options(now)
        .color_scheme(by_value())
        .thresholds(thresholds(steps))
        .color_mode(c.BigValueColorMode.BACKGROUND_SOLID)
        .graph_mode(c.BigValueGraphMode.NONE)
        .text_mode(c.BigValueTextMode.VALUE if len(asks) == 1 else c.BigValueTextMode.VALUE_AND_NAME)
        .justify_mode(c.BigValueJustifyMode.CENTER)
        .orientation(c.VizOrientation.VERTICAL)
    )


def strip(says: Says, *asks: Ask) -> statetimeline.Panel:
    """A coloured strip over time for each series: reads well for many. Coloured by words: value mappings."""
    return (
        _told(statetimeline.Panel(), says, asks)
        # With a fixed colour the legend tells the words and their colours; with thresholds it would tell numbers.
        .color_scheme(dashboard.FieldColor().mode(d.FieldColorModeId.FIXED).fixed_color(CALM))
        .merge_values(True)
        .show_value(c.VisibilityMode.NEVER)
        .row_height(0.85)
        .fill_opacity(90)
        .line_width(0)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(c.TooltipDisplayMode.SINGLE))
        .per_page(20)
    )


def grid_of(says: Says, keys: Mapping[str, str], *asks: Ask) -> table.Panel:
    """A table now: a column for each label of `keys` (label -> its title), then one for each named question."""
    named = {f"Value #{chr(ord('A') + place)}": ask.name for place, ask in enumerate(asks)}
    if len(asks) == 1:
        named = {"Value": asks[0].name}
    order = {column: place for place, column in enumerate([*keys, *named])}
    unseen = {
        "Time": True,
        "brand": "brand" not in keys,
        **{column: True for column, name in named.items() if not name},
    }
    organise = {"excludeByName": unseen, "indexByName": order, "renameByName": {**keys, **named}}
    return (
        _told(table.Panel(), says, [Ask(ask.expr) for ask in asks], instant=True, is_table=True)
        .color_scheme(by_value())
        .thresholds(thresholds(PLAIN))
        .with_transformation(d.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(d.DataTransformerConfig(id_val="organize", options=organise))
        .show_header(True)
    )


def sorted_by(panel: table.Panel, column: str, *, down: bool = False) -> table.Panel:
    """The rows in the order of this column."""
    return panel.sort_by([common.TableSortByFieldState().display_name(column).desc(down)])


def bars(says: Says, ask: Ask, label: str, words: Mapping[str, str]) -> barchart.Panel:
    """A bar now for each value of `label`, from zero to either side; `words` are their names."""
    organise = {
        "excludeByName": {"Time": True},
        "indexByName": {label: 0, "Value": 1},
        "renameByName": {"Value": ask.name},
    }
    panel = (
        _told(barchart.Panel(), says, [Ask(ask.expr)], instant=True, is_table=True)
        .with_transformation(d.DataTransformerConfig(id_val="organize", options=organise))
        .x_field(label)
        .orientation(c.VizOrientation.HORIZONTAL)
        .show_value(c.VisibilityMode.ALWAYS)
        .color_scheme(by_value())
        .thresholds(thresholds(SIGN))
        .bar_width(0.7)
        .fill_opacity(85)
        .line_width(0)
        .legend(common.VizLegendOptions().show_legend(False).display_mode(c.LegendDisplayMode.HIDDEN))
    )
    return override(
        panel, label, mappings=[{"type": "value", "options": {word: {"text": says} for word, says in words.items()}}]
    )


def words_for(texts: Mapping[int, tuple[str, str]]) -> list[dict[str, object]]:
    """Whole numbers told as a text in a colour, as overrides want it."""
    options = {
        str(number): {"text": text, "color": colour, "index": place}
        for place, (number, (text, colour)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def mapped(texts: Mapping[int, tuple[str, str]]) -> list[d.ValueMapping]:
    """The same, as panels want it."""
    options = {
        str(number): d.ValueMappingResult(text=text, color=colour, index=place)
        for place, (number, (text, colour)) in enumerate(texts.items())
    }
    return [d.ValueMap(options=options)]


def link(title: str, url: str) -> dashboard.DashboardLink:
    """A link behind a value, or above a board."""
    return dashboard.DashboardLink(title).url(url)


# Variables. All are asked again when the time range changes: brands come and go.


def source_variable() -> dashboard.DatasourceVariable:
    """Which Prometheus; the provisioned one unless another is chosen."""
    current = d.VariableOption(selected=True, text="Prometheus", value=SOURCE_UID)
    return dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus").current(current)


def label_variable(label: str, title: str, metric: str, *, many: bool) -> dashboard.QueryVariable:
    """The values of a label. For all of them `.*` is asked, not a list: a list of 500 is one huge expression."""
    query = f"label_values({metric}, {label})"
    variable = (
        dashboard.QueryVariable(label)
        .label(title)
        .datasource(SOURCE)
        .query({"query": query, "refId": "Values"})
        .definition(query)
        .refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(d.VariableSort.ALPHABETICAL_ASC)
        .multi(many)
    )
    if many:
        every = d.VariableOption(selected=True, text="All", value="$__all")
        return variable.include_all(True).all_value(".*").current(every)
    return variable.include_all(False)


def choice(name: str, title: str, values: Sequence[str], first: str) -> dashboard.CustomVariable:
    """One of a fixed list."""
    options = [d.VariableOption(selected=value == first, text=value, value=value) for value in values]
    current = d.VariableOption(selected=True, text=first, value=first)
    return dashboard.CustomVariable(name).label(title).values(",".join(values)).options(options).current(current)


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of time on every panel over time: while `expr` is above 0."""

    name: str
    expr: str
    colour: str
    title: str
    text: str


def _annotation(mark: Mark, places: Sequence[d.Panel | d.RowPanel]) -> dashboard.AnnotationQuery:
    query = dashboard.AnnotationQuery().name(mark.name).datasource(SOURCE).enable(True).icon_color(mark.colour)
    # A mark is of every brand that is chosen, and a repeated panel is of one: it would bear the others' marks.
    shown = [place.id_val for place in places if isinstance(place, d.Panel) and not place.repeat]
    filtered = dashboard.AnnotationPanelFilter().exclude(False).ids([number for number in shown if number is not None])
    if len(shown) < sum(isinstance(place, d.Panel) for place in places):
        query.filter(filtered)
    return query.expr(mark.expr).step("60s").title_format(mark.title).text_format(mark.text).tag_keys("brand")


class Row(NamedTuple):
    """A heading and the panels below it; they fill the grid from the left."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A board before it is laid out."""

    uid: str
    title: str
    text: str
    since: str  # the time range that it opens with
    variables: tuple[Any, ...]  # builders of one interface that the SDK does not name
    marks: tuple[Mark, ...]
    others: tuple[tuple[str, str], ...]  # title and address of the boards that one goes to from here
    rows: tuple[Row, ...]

    def build(self) -> d.Dashboard:
        """The dashboard, with every panel on the grid and numbered."""
        places = laid_out(self.rows)
        made = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.text)
            .tags(["denyut"])
            .readonly()
            .time(self.since, "now")
            .refresh("30s")
            .timezone("browser")
            .tooltip(d.DashboardCursorSync.CROSSHAIR)
            .variables(list(self.variables))
            .annotations([_annotation(mark, places) for mark in self.marks])
            .links([link(title, url).keep_time(True) for title, url in self.others])
            .build()
        )
        made.panels = list(places)
        return made


def laid_out(rows: Sequence[Row]) -> list[d.Panel | d.RowPanel]:
    """Headings and panels from top to bottom, numbered; a panel that does not fit goes to the next line."""
    placed: list[d.Panel | d.RowPanel] = []
    top = 0
    for row in rows:
        heading = d.RowPanel(title=row.title, id_val=len(placed) + 1, grid_pos=d.GridPos(h=1, w=GRID, x=0, y=top))
        placed.append(heading)
        top, left, tallest = top + 1, 0, 0
        for panel in (each.build() for each in row.panels):
            size = panel.grid_pos
            assert size is not None, f"{panel.title}: no size"
            if left + size.w > GRID:
                top, left, tallest = top + tallest, 0, 0
            panel.grid_pos = d.GridPos(h=size.h, w=size.w, x=left, y=top)
            panel.id_val = len(placed) + 1
            placed.append(panel)
            left, tallest = left + size.w, max(tallest, size.h)
        top += tallest
    return placed
