"""denyut-brands, for marketers: how does every brand stand now, and where should I look?"""

from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries

from deploy.grafana.boards import ask, words
from deploy.grafana.boards.parts import (
    EVEN,
    FAIR,
    FILLED,
    NOTICE,
    POOR,
    QUIET,
    SERIOUS,
    Ask,
    Board,
    Row,
    Step,
    band,
    grid_of,
    lines,
    link,
    mapped,
    override,
    sorted_by,
    source_variable,
    stacked,
    strip,
    tile,
    unlabelled,
    words_for,
)
from deploy.grafana.boards.words import says

_KEPT = "var-window=${window}&var-datasource=${datasource}&${__url_time_range}"
TO_BRAND = f"/d/denyut-brand?var-brand=${{__field.labels.brand}}&{_KEPT}"
FROM_CELL = f"/d/denyut-brand?var-brand=${{__value.raw}}&{_KEPT}"
NAME = "{{brand}}"


def board() -> Board:
    """The board."""
    return Board(
        uid="denyut-brands",
        title="Denyut: all brands",
        text="The mood of every brand now, how it came to be, and which of them has swung.",
        since="now-6h",
        variables=(source_variable(), words.brand_variable(many=True), words.window_variable()),
        marks=words.MARKS,
        others=words.others("denyut-brands", "datasource", "window"),
        rows=(
            Row("Now", (*(each.span(4).height(4) for each in (*swung(), *quality())), now().span(24).height(9))),
            Row("Swings", (swings().span(24).height(7),)),
            Row("Mood over time", (side_by_side().span(24).height(9),)),
            Row("How much is said", (volume().span(12).height(8), voice().span(12).height(8))),
            Row("Share of voice by group", (groups().span(24).height(8),)),
            Row("Each brand, with its 95 % interval", (each_brand().span(8).height(7),)),
        ),
    )


def swung() -> tuple[stat.Panel, ...]:
    """How many brands need a look, and why."""
    some = (Step(None, QUIET), Step(1, SERIOUS))
    return (
        tile(
            says(
                "Mood down",
                "none",
                "Brands whose public mood has turned down, and the swing is still open. From a notice on; marketing is",
                "told from serious on.",
            ),
            Ask(ask.how_many(f"{ask.DOWN} > 0")),
            steps=some,
        ),
        tile(
            says(
                "Mood up",
                "none",
                "Brands whose public mood has turned up, and the swing is still open. From a notice on; marketing gets",
                "no message of it.",
            ),
            Ask(ask.how_many(f"{ask.UP} > 0")),
            steps=(Step(None, QUIET), Step(1, FAIR)),
        ),
        tile(
            says(
                "Coordinated talk",
                "none",
                "Brands where copies or a few loud accounts look like a swing. The many have not turned: treat it as",
                "a campaign, not as opinion. From a notice on; marketing is told from serious on.",
            ),
            Ask(ask.how_many(f"{ask.COPIES} > 0")),
            steps=(Step(None, QUIET), Step(1, "#C479A2")),
        ),
        tile(
            says("Louder than usual", "none", "Brands about which much more is said than usual, whatever its mood."),
            Ask(ask.how_many(f"{ask.LOUD} > 0")),
            steps=(Step(None, QUIET), Step(1, NOTICE)),
        ),
    )


def quality() -> tuple[stat.Panel, ...]:
    """How far the figures can be trusted."""
    return (
        tile(
            says(
                "Still learning",
                "none",
                "Brands whose usual mood is not known yet: their figures count, but no swing of them can be seen. It",
                "takes 360 minutes in which somebody speaks.",
            ),
            Ask(ask.how_many(f"{ask.of_brand('denyut_swing_ready')} == 0")),
            steps=(Step(None, QUIET), Step(1, NOTICE)),
        ),
        tile(
            says(
                "Age of the figures",
                "s",
                "How far the figures are behind the clock; the worst part of them. A few seconds are normal. Minutes",
                "mean that posts are not read: do not draw conclusions.",
            ),
            Ask("max(denyut_watermark_delay_seconds)"),
            steps=(Step(None, QUIET), Step(60, NOTICE), Step(300, SERIOUS)),
        ).decimals(0),
    )


def now() -> table.Panel:
    """One line for each brand."""
    panel = grid_of(
        says(
            "All brands, last $window",
            "none",
            words.VOTES,
            words.INTERVAL,
            words.VOLUNTEERS,
            words.COLOURS,
            "Share of voice is among the brands chosen above. Organic is the share of scored mentions that repeat",
            "nobody's text. Negative is a share of scored mentions, copies and loud accounts included, so it may lie",
            "far from Mood; where Organic is low, trust Mood. Click a brand for its own board.",
        ),
        {"brand": "Brand"},
        Ask(ask.STATE, "State"),
        Ask(ask.live(ask.figure("denyut_mood")), "Mood"),
        Ask(ask.live(ask.figure("denyut_mood_lower")), "95 % from"),
        Ask(ask.live(ask.figure("denyut_mood_upper")), "95 % to"),
        Ask(ask.live(ask.figure("denyut_window_votes")), "Votes"),
        Ask(ask.MENTIONS, "Mentions"),
        Ask(ask.VOICE, "Share of voice"),
        Ask(ask.live(ask.share("denyut_window_negative")), "Negative"),
        Ask(ask.live(ask.figure("denyut_organic_ratio")), "Organic"),
    )
    return sorted_by(dressed(panel), "Mood")


def dressed(panel: table.Panel) -> table.Panel:
    """Its columns with their units and colours."""
    override(panel, "Brand", links=[{"title": "Open ${__value.raw}", "url": FROM_CELL}])
    override(panel, "State", mappings=words_for(words.STATES), custom_cellOptions=FILLED)
    words.painted_mood(panel, "Mood")
    for column in ("95 % from", "95 % to"):
        override(panel, column, decimals=2)
    for column in ("Votes", "Mentions"):
        override(panel, column, unit="locale", decimals=0)
    for column, colour in (("Share of voice", EVEN), ("Negative", POOR), ("Organic", FAIR)):
        override(panel, column, unit="percentunit", **measured(colour))
    return panel


def measured(colour: str) -> dict[str, object]:
    """A share, drawn as a bar in its cell."""
    return {
        "decimals": 0,
        "min": 0,
        "max": 1,
        "color": {"mode": "fixed", "fixedColor": colour},
        "custom_cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
    }


def swings() -> statetimeline.Panel:
    """How each brand stood."""
    panel = strip(
        says(
            "State of each brand",
            "none",
            words.STATE_TEXT,
            words.GRAVEST,
            "While figures are a replay the last live state stays.",
        ),
        Ask(ask.STATE, NAME),
    )
    return panel.mappings(mapped(words.STATES)).data_links([link("Open ${__field.labels.brand}", TO_BRAND)])


def side_by_side() -> timeseries.Panel:
    """Mood as lines."""
    panel = lines(
        says(
            "Mood side by side, last $window at each moment",
            "none",
            words.VOTES,
            words.GAP,
            "Two lines may differ by chance: below, each brand is drawn with its interval. Shaded stretches are",
            "serious or severe swings; point at the mark below one, and it names the brand.",
        ),
        Ask(ask.live(ask.figure("denyut_mood")), NAME),
    )
    return words.on_scale(panel).data_links([link("Open ${__field.labels.brand}", TO_BRAND)])


def volume() -> timeseries.Panel:
    """Mentions."""
    return stacked(
        says(
            "Mentions, last $window at each moment",
            "short",
            "How many posts named each brand, in every language, edits and removals already taken into account. Much",
            "talk is neither good nor bad.",
        ),
        Ask(ask.MENTIONS, NAME),
    )


def voice() -> timeseries.Panel:
    """Share of voice."""
    return stacked(
        says(
            "Share of voice",
            "percentunit",
            "Each brand's part of the mentions of the brands chosen above, nobody else's. It moves when the others",
            "speak less, too.",
            words.VOLUNTEERS,
        ),
        Ask(ask.VOICE, NAME),
    ).max(1)


def groups() -> table.Panel:
    """Share of voice among those that the brand file compares."""

    def of(record: str) -> str:
        return ask.voice(record, by="group, brand")

    panel = grid_of(
        says(
            "Share of voice by group, last $window",
            "percentunit",
            "Each brand's part among the brands of its group, as the brand file groups them, also those that are not",
            "chosen above. Of votes: each author and each text once an hour, with an interval.",
            words.INTERVAL,
            "A group in which nobody speaks, or of which a brand is a replay, or not shown, is not here.",
        ),
        {"group": "Group", "brand": "Brand", "title": "Called"},
        Ask(of(ask.VOTE_VOICE), "Of votes"),
        Ask(of(f"{ask.VOTE_VOICE}_lower"), "95 % from"),
        Ask(of(f"{ask.VOTE_VOICE}_upper"), "95 % to"),
        Ask(of(ask.GROUP_VOICE), "Of mentions"),
        Ask(f'max by (group, brand, title) (denyut_brand_info{{{ask.BRAND},group!=""}})'),
    )
    override(panel, "Brand", links=[{"title": "Open ${__value.raw}", "url": FROM_CELL}])
    for column in ("95 % from", "95 % to"):
        override(panel, column, decimals=0)
    for column, colour in (("Of votes", FAIR), ("Of mentions", EVEN)):
        override(panel, column, **measured(colour))
    return sorted_by(panel.no_value("no brand is in a group"), "Group")


def each_brand() -> timeseries.Panel:
    """Mood and interval, a panel for each brand that is chosen; Grafana draws those that are in sight."""
    panel = lines(
        says("$brand", "none", words.VOTES, words.INTERVAL, words.GAP),
        Ask(ask.live(ask.figure("denyut_mood_lower")), "95 % from"),
        Ask(ask.live(ask.figure("denyut_mood_upper")), "95 % to"),
        Ask(ask.live(ask.figure("denyut_mood")), "mood"),
    )
    words.by_mood(band(unlabelled(panel), "95 % from", "95 % to"), "mood")
    return words.on_scale(panel).axis_label("").repeat("brand").repeat_direction("h").max_per_row(3)
