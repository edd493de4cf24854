"""denyut-brand, for marketers: what moves this brand, how sure is it, and can the figures be trusted now?

Alerts link here with the brand already chosen.
"""

from grafana_foundation_sdk.builders import barchart, stat, statetimeline, table, timeseries

from deploy.grafana.boards import ask, words
from deploy.grafana.boards.parts import (
    COLOURS,
    EVEN,
    FAIR,
    GOOD,
    MOOD,
    NOTICE,
    PLAIN,
    QUIET,
    SERIOUS,
    Ask,
    Board,
    Panel,
    Row,
    Step,
    band,
    bars,
    by_value,
    fixed,
    from_zero,
    grid_of,
    limit,
    lines,
    mapped,
    override,
    painted,
    sorted_by,
    source_variable,
    stacked,
    strip,
    tile,
    unlabelled,
)
from deploy.grafana.boards.words import says

OPEN_ONLY = "Empty while no swing is open."
NO_SWING = "no swing is open"
NO_GROUP = "this brand is in no group"
UNPROMPTED = COLOURS[2]
DASHED = {"fill": "dash", "dash": [8, 6]}
SOURCES = f"denyut_mentions_total{{{ask.BRAND}"


def board() -> Board:
    """The board."""
    return Board(
        uid="denyut-brand",
        title="Denyut: one brand",
        text="One brand: its mood with its interval, what drives a swing of it, who speaks, and how far to trust it.",
        since="now-6h",
        variables=(source_variable(), words.brand_variable(many=False), words.window_variable()),
        marks=words.MARKS,
        others=words.others("denyut-brand", "datasource", "window"),
        rows=(
            Row("$brand now", (*now(), windows().span(24).height(7))),
            Row("Mood", (mood().span(24).height(10), state().span(24).height(6))),
            Row(
                "The open swing",
                (swing().span(24).height(4), drivers().span(15).height(5), effect().span(9).height(5)),
            ),
            Row("What is said", (shares().span(12).height(8), volume().span(12).height(8))),
            Row("Organic against all", (against().span(12).height(8), authentic().span(12).height(8))),
            Row("Without what the brand prompts itself", (*unprompted(), prompted().span(6).height(8))),
            Row("Share of voice", (voice().span(12).height(8), rivals().span(12).height(8))),
            Row("By source", tuple(each.span(8).height(8) for each in by_source())),
            Row("Can it be trusted now", trust()),
        ),
    )


def now() -> tuple[Panel, ...]:
    """The brand in four tiles."""
    every = [Ask(ask.live(ask.figure("denyut_mood", f'window="{window}"')), window) for window in words.WINDOWS]
    return (
        tile(says("State", "none", words.STATE_TEXT, words.GRAVEST), Ask(ask.STATE), steps=PLAIN)
        .mappings(mapped(words.STATES))
        .span(5)
        .height(4),
        tile(says("Mood by window", "none", words.VOTES, words.COLOURS, words.VOLUNTEERS), *every, steps=MOOD)
        .decimals(2)
        .no_value("nothing scored")
        .span(11)
        .height(4),
        smallest().span(4).height(4),
        age().span(4).height(4),
    )


def smallest() -> stat.Panel:
    """What could be seen now."""
    return (
        tile(
            says(
                "Smallest visible swing",
                "none",
                "A change of mood smaller than this could not be told from chance now. The fewer people speak, the",
                "larger it is. Without a figure no swing could be seen: too few votes, or the usual is not known yet.",
            ),
            Ask(ask.of_brand("denyut_smallest_visible_swing")),
            steps=(Step(None, QUIET), Step(0.5, NOTICE)),
        )
        .decimals(2)
        .no_value("none would be seen")
    )


def age() -> stat.Panel:
    """How old the figures are."""
    return tile(
        says(
            "Age of the figures",
            "s",
            "How far the figures are behind the clock; the worst part of all brands'. A few seconds are normal.",
            "Minutes mean that posts are not read: do not draw conclusions.",
        ),
        Ask("max(denyut_watermark_delay_seconds)"),
        steps=(Step(None, QUIET), Step(60, NOTICE), Step(300, SERIOUS)),
    ).decimals(0)


def windows() -> table.Panel:
    """A line for each window."""

    def of(name: str) -> str:
        return ask.figure(name, 'window=~".+"', by="brand, window")

    def share(name: str) -> str:
        return ask.live(f"{of(name)} / ({of('denyut_window_scored')} > 0)")

    panel = grid_of(
        says(
            "The four windows",
            "none",
            words.VOTES,
            words.INTERVAL,
            "Plain mood is the mean over all scored mentions, copies and loud accounts included: where it lies far",
            "from the mood, few speak for many. Authors are counted up to one hour.",
        ),
        {"window": "Window"},
        Ask(ask.live(of("denyut_mood")), "Mood"),
        Ask(ask.live(of("denyut_mood_lower")), "95 % from"),
        Ask(ask.live(of("denyut_mood_upper")), "95 % to"),
        Ask(share("denyut_window_score_sum"), "Plain mood"),
        Ask(ask.live(of("denyut_window_votes")), "Votes"),
        Ask(ask.live(of("denyut_window_mentions")), "Mentions"),
        Ask(ask.live(of("denyut_window_authors")), "Authors"),
        Ask(share("denyut_window_negative"), "Negative"),
        Ask(ask.live(of("denyut_organic_ratio")), "Organic"),
    )
    words.painted_mood(panel, "Mood", "Plain mood")
    for column in ("95 % from", "95 % to"):
        override(panel, column, decimals=2)
    for column in ("Votes", "Mentions", "Authors"):
        override(panel, column, unit="locale", decimals=0)
    for column in ("Negative", "Organic"):
        override(panel, column, unit="percentunit", decimals=0)
    return sorted_by(panel, "Mentions")  # a longer window never holds fewer


def mood() -> timeseries.Panel:
    """Mood, its interval, and what was usual before the swing."""
    panel = lines(
        says(
            "Mood with its 95 % interval, last $window at each moment",
            "none",
            words.VOTES,
            words.INTERVAL,
            words.VOLUNTEERS,
            words.GAP,
            "The thin line is the last hour: steadier, and slower to turn. The dashed line is the usual mood that an",
            "open swing is held against.",
        ),
        Ask(ask.live(ask.figure("denyut_mood_lower")), "95 % from"),
        Ask(ask.live(ask.figure("denyut_mood_upper")), "95 % to"),
        Ask(ask.live(ask.figure("denyut_mood")), "mood"),
        Ask(ask.live(ask.figure("denyut_mood", 'window="1h"')), "mood, 1h"),
        Ask(ask.of_brand("denyut_swing_usual"), "usual"),
    )
    words.by_mood(band(panel, "95 % from", "95 % to"), "mood")
    override(panel, "mood, 1h", color=fixed(COLOURS[2]), custom_lineWidth=1)
    override(panel, "usual", color=fixed(EVEN), custom_lineStyle=DASHED)
    return words.on_scale(panel)


def state() -> statetimeline.Panel:
    """Severities, each on a strip of its own."""
    panel = strip(
        says("Severity", "none", words.STATE_TEXT, "While figures are a replay the last live state stays."),
        Ask(ask.DOWN, "▼ down"),
        Ask(ask.UP, "▲ up"),
        Ask(ask.COPIES, "≡ copies"),
        Ask(ask.LOUD, "◆ loud"),
    )
    grades = {at: (text, words.STATES[at][1]) for at, text in enumerate(("calm", "notice", "serious", "severe"))}
    return panel.mappings(mapped(grades))


def swing() -> table.Panel:
    """What the detector says of the open swing."""

    def of(name: str) -> str:
        return ask.of_brand(f"denyut_swing_{name}", by="brand, direction")

    panel = grid_of(
        says(
            "The open swing",
            "none",
            "Mood in the swing's own window against what is usual of the brand, with an interval of 95 % for the",
            "difference. By chance: a calm brand shows the like about once in so many weeks or less often, counted on",
            "made-up posts; the more weeks, the surer.",
            "Authentic: how many votes stand behind the posts, against the brand's usual; 100 % is as authentic as",
            "usual.",
            OPEN_ONLY,
        ),
        {"direction": "Direction"},
        Ask(of("usual"), "Usually"),
        Ask(of("now"), "Now"),
        Ask(of("effect"), "Change"),
        Ask(of("effect_lower"), "95 % from"),
        Ask(of("effect_upper"), "95 % to"),
        Ask(f"1000 * {of('onset_timestamp_seconds')}", "Began"),
        Ask(of("votes"), "Votes"),
        Ask(of("chance_weeks"), "By chance once in"),
        Ask(of("authentic_ratio"), "Authentic"),
    )
    directions = {word: {"text": text} for word, text in (("down", "▼ down"), ("up", "▲ up"))}
    override(panel, "Direction", mappings=[{"type": "value", "options": directions}])
    words.painted_mood(panel, "Usually", "Now")
    for column in ("Change", "95 % from", "95 % to"):
        override(panel, column, decimals=2)
    override(panel, "Began", unit="time:ddd HH:mm")
    override(panel, "Votes", unit="locale", decimals=0)
    override(panel, "By chance once in", unit="suffix: weeks", decimals=0, custom_width=160)
    override(panel, "Authentic", unit="percentunit", decimals=0)
    return panel.no_value(NO_SWING)


PARTS = {
    "mood": "mood has moved within the sources",
    "mix": "sources have other shares than usual",
    "baseline": "the day itself is unusual",
}


def drivers() -> barchart.Panel:
    """The change, split."""
    return (
        bars(
            says(
                "What drives it",
                "none",
                "The change split exactly in three; the bars add up to it. Mood has moved within the sources: whether",
                "the same people write there is not known. Sources have other shares than usual: one of them says",
                "more of all, another less. The day itself is unusual: its mean lies off the brand's long level. A",
                "split is no proof of a cause.",
                OPEN_ONLY,
            ),
            Ask(ask.of_brand("denyut_swing_part", by="kind"), "change of mood"),
            "kind",
            PARTS,
        )
        .decimals(2)
        .no_value(NO_SWING)
    )


def effect() -> timeseries.Panel:
    """How the change grew."""
    panel = (
        lines(
            says(
                "How far mood has moved",
                "none",
                "Mood of the swing's window less the usual, with an interval of 95 %, from step to step of the swing.",
                "As long as the band does not touch zero, it is more than chance.",
                OPEN_ONLY,
            ),
            Ask(ask.of_brand("denyut_swing_effect_lower"), "95 % from"),
            Ask(ask.of_brand("denyut_swing_effect_upper"), "95 % to"),
            Ask(ask.of_brand("denyut_swing_effect"), "change"),
        )
        .axis_soft_min(-0.5)
        .axis_soft_max(0.5)
        .decimals(2)
        .no_value(NO_SWING)
    )
    return painted(band(unlabelled(panel), "95 % from", "95 % to"), {"change": SERIOUS})


def shares() -> timeseries.Panel:
    """Negative, neutral, positive."""
    rest = (
        f"1 - ({ask.figure('denyut_window_negative')} + {ask.figure('denyut_window_positive')})"
        f" / ({ask.figure('denyut_window_scored')} > 0)"
    )
    panel = stacked(
        says(
            "Negative, neutral, positive, last $window at each moment",
            "percentunit",
            "Of the mentions that have a mood, copies and loud accounts included: mood above counts votes. Posts in",
            "a language that the model is not good enough in have no mood and are left out.",
        ),
        Ask(ask.live(ask.share("denyut_window_negative")), "negative"),
        Ask(ask.live(rest), "neutral"),
        Ask(ask.live(ask.share("denyut_window_positive")), "positive"),
    ).max(1)
    return painted(panel, {"negative": SERIOUS, "neutral": EVEN, "positive": GOOD})


def volume() -> timeseries.Panel:
    """How many, of what."""
    panel = from_zero(
        says(
            "How much is said, last $window at each moment",
            "short",
            "Mentions: posts that name the brand. Scored: those that have a mood. Votes: one for each author's hour",
            "and each text's; the interval rests on them. Authors are counted up to one hour, so not with the window",
            "of a day.",
        ),
        Ask(ask.live(ask.figure("denyut_window_mentions")), "mentions"),
        Ask(ask.live(ask.figure("denyut_window_scored")), "scored"),
        Ask(ask.live(ask.figure("denyut_window_votes")), "votes"),
        Ask(ask.live(ask.figure("denyut_window_authors")), "authors"),
    )
    return painted(panel, dict(zip(("mentions", "scored", "votes", "authors"), COLOURS, strict=False)))


def against() -> timeseries.Panel:
    """Votes against all posts."""
    plain = f"{ask.figure('denyut_window_score_sum')} / ({ask.figure('denyut_window_scored')} > 0)"
    panel = lines(
        says(
            "Mood of votes, and of all posts",
            "none",
            "Votes give each author and each text one voice an hour; all posts count every copy. Where the lines",
            "part, few accounts or one text speak for many: look at the share beside.",
        ),
        Ask(ask.live(ask.figure("denyut_mood")), "votes"),
        Ask(ask.live(plain), "all posts"),
    )
    painted(panel, {"votes": FAIR, "all posts": SERIOUS})
    return words.on_scale(override(panel, "all posts", custom_lineStyle=DASHED))


def authentic() -> timeseries.Panel:
    """How much of it is organic."""
    panel = (
        lines(
            says(
                "Organic and authentic talk",
                "percentunit",
                "Organic: the share of scored mentions that repeat nobody's text. Authentic, only while a swing is",
                "open: how many votes stand behind the posts, against the brand's usual; 100 % is as usual.",
                "Quoting a slogan is a copy too: low is a reason to look, not a verdict.",
            ),
            Ask(ask.live(ask.figure("denyut_organic_ratio")), "organic"),
            Ask(ask.of_brand("denyut_swing_authentic_ratio"), "authentic, open swing"),
        )
        .min(0)
        .max(1)
    )
    return painted(panel, {"organic": GOOD, "authentic, open swing": "#C479A2"})


def unprompted() -> tuple[timeseries.Panel, ...]:
    """Mood and votes, of all talk and of that which the brand did not prompt."""
    moods = lines(
        says(
            "All talk and unprompted talk",
            "none",
            "Unprompted: neither by the brand's own accounts, nor in answer to them, nor with the tag of a campaign of",
            "its own, as far as the brand file names them. Where the lines part, the brand hears its own echo.",
            words.INTERVAL,
            words.GAP,
        ),
        Ask(ask.live(ask.figure("denyut_mood_lower")), "all, 95 % from"),
        Ask(ask.live(ask.figure("denyut_mood_upper")), "all, 95 % to"),
        Ask(ask.live(ask.figure("denyut_unprompted_mood_lower")), "unprompted, 95 % from"),
        Ask(ask.live(ask.figure("denyut_unprompted_mood_upper")), "unprompted, 95 % to"),
        Ask(ask.live(ask.figure("denyut_mood")), "all talk"),
        Ask(ask.live(ask.figure("denyut_unprompted_mood")), "unprompted talk"),
    )
    band(moods, "all, 95 % from", "all, 95 % to")
    band(moods, "unprompted, 95 % from", "unprompted, 95 % to", UNPROMPTED)
    votes = from_zero(
        says(
            "Votes",
            "short",
            "What the two moods rest on: votes of all talk, and of what the brand did not prompt.",
        ),
        Ask(ask.live(ask.figure("denyut_window_votes")), "all talk"),
        Ask(ask.live(ask.figure("denyut_unprompted_votes")), "unprompted talk"),
    )
    for panel in (moods, votes):
        painted(panel, {"all talk": EVEN, "unprompted talk": UNPROMPTED})
    return words.on_scale(moods).span(12).height(8), votes.span(6).height(8)


def prompted() -> timeseries.Panel:
    """How much of it is the brand's own."""
    panel = (
        lines(
            says(
                "Prompted share",
                "percentunit",
                "Of the mentions, those that the brand prompted itself. None for ever: the brand file may name no",
                "accounts and no tags of its own.",
            ),
            Ask(
                ask.live(
                    f"{ask.figure('denyut_window_prompted')} / ({ask.figure('denyut_window_mentions')} > 0)",
                ),
                "prompted",
            ),
        )
        .min(0)
        .max(1)
    )
    return painted(panel, {"prompted": NOTICE})


def voice() -> timeseries.Panel:
    """The brand's part of what is said of its group."""
    panel = (
        lines(
            says(
                "Share of voice in its group, last $window at each moment",
                "percentunit",
                "The brand's part among the brands of its group, as the brand file groups them: of the votes, with",
                "their interval, and of all mentions. Where mentions lie far above votes, few say much.",
                words.INTERVAL,
                "A gap: nobody spoke, or a brand of the group is a replay, or not shown.",
            ),
            Ask(ask.voice(f"{ask.VOTE_VOICE}_lower"), "95 % from"),
            Ask(ask.voice(f"{ask.VOTE_VOICE}_upper"), "95 % to"),
            Ask(ask.voice(ask.VOTE_VOICE), "of votes"),
            Ask(ask.voice(ask.GROUP_VOICE), "of mentions"),
        )
        .min(0)
        .max(1)
        .no_value(NO_GROUP)
    )
    painted(band(panel, "95 % from", "95 % to"), {"of votes": FAIR, "of mentions": SERIOUS})
    return override(panel, "of mentions", custom_lineStyle=DASHED)


def rivals() -> timeseries.Panel:
    """Everybody in the group."""
    window = f"{{{ask.WINDOW}}}"
    group = f"max by (group) ({ask.VOTE_VOICE}{{{ask.BRAND},{ask.WINDOW}}})"
    return (
        stacked(
            says(
                "All brands of its group",
                "percentunit",
                "Who has which part of the votes about the group that this brand is in. It moves when the others",
                "speak less, too.",
                words.VOLUNTEERS,
            ),
            Ask(f"max by (brand, group) ({ask.VOTE_VOICE}{window}) and on (group) {group}", "{{brand}}"),
        )
        .max(1)
        .no_value(NO_GROUP)
    )


def by_source() -> tuple[timeseries.Panel, ...]:
    """What each source says; shares over 15 minutes at least: a small source says little in less."""

    def speed(more: str = "") -> str:
        return f"sum by (source) (rate({SOURCES}{more}}}[$__rate_interval]))"

    scored = speed(',sentiment!="abstained"')
    negative, positive = (speed(f',sentiment="{word}"') for word in ("negative", "positive"))
    name = "{{source}}"
    return (
        stacked(
            says("Mentions a minute", "short", "Where the posts that name the brand come from.", words.LIVE),
            Ask(f"60 * {speed()}", name),
        ).interval("5m"),
        lines(
            says(
                "Negative share",
                "percentunit",
                "Of each source's mentions that have a mood.",
                words.LIVE,
                "A source with few posts jumps about.",
            ),
            Ask(f"{negative} / {scored}", name),
        )
        .min(0)
        .max(1)
        .interval("15m"),
        words.on_scale(
            lines(
                says(
                    "Positive less negative",
                    "none",
                    "Each source's share of positive posts less that of negative ones, every post counted once: near",
                    "to mood, and not the same.",
                    words.LIVE,
                ),
                Ask(f"({positive} - {negative}) / {scored}", name),
            ).interval("15m")
        ).axis_label(""),
    )


def trust() -> tuple[Panel, ...]:
    """Whether the pulse itself is well."""
    complete = (
        lines(
            says(
                "Completeness",
                "percentunit",
                "The share of the brand's usual mentions whose source was heard, last 5 minutes. Below 90 % no swing",
                "is looked for, and the figures stand for part of the public only.",
            ),
            Ask(ask.of_brand("denyut_completeness_ratio"), "complete"),
        )
        .min(0)
        .max(1)
        .color_scheme(by_value())
    )
    limit(complete, Step(None, SERIOUS), Step(0.9, GOOD))
    return (
        *(each.span(8).height(7) for each in (complete, fresh(), visible())),
        *(each.span(8).height(4) for each in (*readiness(), reached())),
    )


def reached() -> stat.Panel:
    """How far the log has come."""
    return tile(
        says(
            "The figures are of",
            "time:HH:mm:ss",
            "How far time has come by the posts and ticks that were read. In a demo it has a calendar of its own.",
        ),
        Ask(f"1000 * {ask.of_brand('denyut_watermark_timestamp_seconds')}"),
    )


def fresh() -> timeseries.Panel:
    """How soon figures show what was said."""
    panel = from_zero(
        says(
            "From a post to its figure",
            "suffix: s",  # in minutes the ticks would read 1.33
            "How long posts of all brands took from being written to being shown: half of them less than the lower",
            "line, 95 % less than the upper one. The dashed line is the objective: 99 % within 60 s.",
        ),
        Ask(ask.quantile(0.5, "denyut_freshness_seconds"), "half"),
        Ask(ask.quantile(0.95, "denyut_freshness_seconds"), "95 %"),
    ).axis_soft_max(60)
    limit(panel, Step(None, "transparent"), Step(60, SERIOUS))
    return painted(panel, {"half": EVEN, "95 %": GOOD})


def visible() -> timeseries.Panel:
    """What could be seen then."""
    return (
        from_zero(
            says(
                "Smallest visible swing",
                "none",
                "A change of mood smaller than this could not be told from chance then. It falls while many speak and",
                "rises at night. Without a line no swing could be seen: too few votes, or the usual was not known.",
            ),
            Ask(ask.of_brand("denyut_smallest_visible_swing"), "smallest visible"),
        )
        .axis_soft_max(0.5)
        .decimals(2)
    )


def readiness() -> tuple[stat.Panel, ...]:
    """Whether a swing would be seen, and whether this is the present. Grey is well."""
    return (
        tile(
            says(
                "Usual mood",
                "none",
                "Whether the brand's usual mood is known. While it is being learnt no swing of the brand can be seen;",
                "it takes 360 minutes in which somebody speaks.",
            ),
            Ask(ask.of_brand("denyut_swing_ready")),
        ).mappings(mapped({0: ("being learnt", NOTICE), 1: ("known", QUIET)})),
        tile(
            says(
                "Figures",
                "none",
                "Live, or a replay of the past after a stop; severities then stay as they were.",
            ),
            Ask(ask.of_brand("denyut_replaying")),
        ).mappings(mapped({0: ("live", QUIET), 1: ("replay", NOTICE)})),
    )
