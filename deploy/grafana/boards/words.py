"""Words and scales that more than one board uses: mood, states, windows, what every reader should know."""

from grafana_foundation_sdk.builders import dashboard, timeseries

from deploy.grafana.boards import ask
from deploy.grafana.boards.parts import (
    BAD,
    CALM,
    FAIR,
    FILLED,
    GOOD,
    MOOD,
    NOTICE,
    SERIOUS,
    SEVERE,
    Mark,
    P,
    Says,
    choice,
    label_variable,
    override,
    thresholds,
)

BOARDS = {"denyut-brands": "All brands", "denyut-brand": "One brand", "denyut-pipeline": "Pipeline"}
WINDOWS = ("1m", "5m", "1h", "24h")
# Boards open with it: when an alert fires the mean of the last hour still stands where it stood before the swing.
FIRST_WINDOW = "5m"

VOLUNTEERS = "These are people who chose to post in public where Denyut listens: volunteers, not a sample of customers."
INTERVAL = (
    "The interval of 95 % covers sampling error only: few votes make it wide. What the model misreads is not in it."
)
VOTES = "Mood is the mean vote, from -1 to 1. A vote is one author's hour, or one text's, however often it is posted."
COLOURS = "Blue is good, orange is bad, grey lies between -0.2 and 0.2; the darker shades begin at 0.5."
GAP = "A gap means that nothing was scored, or that the figures were a replay and not the present."
LIVE = "Counted as posts became visible; edits and removals do not take anything back here."

STATES: dict[int, tuple[str, str]] = {
    0: ("calm", CALM),
    1: ("▼ down, notice", NOTICE),
    2: ("▼ down, serious", SERIOUS),
    3: ("▼ down, severe", SEVERE),
    11: ("≡ copies, notice", "#E7B9D3"),
    12: ("≡ copies, serious", "#C479A2"),
    13: ("≡ copies, severe", "#8E4A73"),
    21: ("▲ up, notice", "#B5D6F2"),
    22: ("▲ up, serious", FAIR),
    23: ("▲ up, severe", GOOD),
    31: ("◆ loud, notice", "#D3D3A4"),
    32: ("◆ loud, serious", "#B0B06A"),
    33: ("◆ loud, severe", "#84843A"),
}
STATE_TEXT = (
    "▼ mood has turned down, ▲ up; ≡ copies or a few loud accounts make it look so, and the many have not turned; "
    "◆ much more is said than usual, whatever its mood. Notice, serious, severe say how far and how sure."
)
GRAVEST = "One state at a time is shown, the gravest: down, then copies, then up, then loud."

# Annotations: Grafana marks the stretches in which the figure is above 0.
MARKS = (
    Mark("Mood down", f"{ask.DOWN} >= bool 2", BAD, "▼ {{brand}}", "{{brand}}: mood is down, serious or severe."),
    Mark(
        "Coordinated talk",
        f"{ask.COPIES} >= bool 2",
        "#C479A2",
        "≡ {{brand}}",
        "{{brand}}: copies or a few loud accounts; the many have not turned.",
    ),
    Mark("Mood up", f"{ask.UP} >= bool 2", GOOD, "▲ {{brand}}", "{{brand}}: mood is up, serious or severe."),
)


def says(title: str, unit: str, *sentences: str) -> Says:
    """A panel's words, of whole sentences."""
    return Says(title, " ".join(sentences), unit)


def others(uid: str, *kept: str) -> tuple[tuple[str, str], ...]:
    """The other boards, with these variables as they stand: a list by tag would keep all, and one brand is not all.

    >>> others("denyut-brand", "datasource")[0]
    ('All brands', '/d/denyut-brands?var-datasource=${datasource}')
    """
    words = "&".join(f"var-{name}=${{{name}}}" for name in kept)
    return tuple((title, f"/d/{other}?{words}") for other, title in BOARDS.items() if other != uid)


def on_scale(panel: timeseries.Panel) -> timeseries.Panel:
    """Mood over time: always from -1 to 1, so that a small move looks small."""
    return panel.min(-1).max(1).decimals(2).axis_label("bad ← mood → good")


def by_mood(panel: timeseries.Panel, name: str) -> timeseries.Panel:
    """This line is coloured by the mood it shows."""
    panel.thresholds(thresholds(MOOD))
    override(panel, name, color={"mode": "thresholds"}, custom_gradientMode="scheme", custom_lineWidth=3)
    return panel


def painted_mood(panel: P, *columns: str) -> P:
    """These columns are coloured by mood."""
    steps = [{"value": step.at, "color": step.colour} for step in MOOD]
    for column in columns:
        override(
            panel,
            column,
            thresholds={"mode": "absolute", "steps": steps},
            color={"mode": "thresholds"},
            custom_cellOptions=FILLED,
            decimals=2,
        )
    return panel


def window_variable() -> dashboard.CustomVariable:
    """Which window figures are of."""
    return choice("window", "Window", WINDOWS, FIRST_WINDOW)


def brand_variable(*, many: bool) -> dashboard.QueryVariable:
    """Which brands, of those that are followed now."""
    return label_variable("brand", "Brand", "denyut_window_mentions", many=many)
