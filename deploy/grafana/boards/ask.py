"""Questions to Prometheus that more than one panel asks.

A brand lives on one worker at a time, and for a scrape or two after a move on two: hence `max by`, and never a sum or a
mean of moods. A replay is not the present: its figures are left out, and a line has a gap there.
"""

BRAND = 'brand=~"$brand"'
WINDOW = 'window=~"$window"'

# Gauges that are there only while a swing is open, and the smallest swing, which is there only once a brand's usual is
# known and while enough people speak: a panel of theirs is rightly empty on a calm day, and says so. Everything else
# must have data.
MAY_BE_ABSENT = frozenset({
    "denyut_swing_usual",
    "denyut_swing_now",
    "denyut_swing_effect",
    "denyut_swing_effect_lower",
    "denyut_swing_effect_upper",
    "denyut_swing_onset_timestamp_seconds",
    "denyut_swing_votes",
    "denyut_swing_chance_weeks",
    "denyut_swing_part",
    "denyut_swing_authentic_ratio",
    "denyut_smallest_visible_swing",
})  # fmt: skip


def live(expr: str) -> str:
    """Without the brands whose figures are a replay.

    >>> live("max by (brand) (denyut_mood)")
    'max by (brand) (denyut_mood) unless on (brand) max by (brand) (denyut_replaying) == 1'
    """
    return f"{expr} unless on (brand) max by (brand) (denyut_replaying) == 1"


def figure(name: str, window: str = WINDOW, by: str = "brand") -> str:
    """A gauge of a window, of the brands that are chosen.

    >>> figure("denyut_mood", 'window="5m"')
    'max by (brand) (denyut_mood{brand=~"$brand",window="5m"})'
    """
    return f"max by ({by}) ({name}{{{BRAND},{window}}})"


def of_brand(name: str, by: str = "brand", **labels: str) -> str:
    """A gauge of a brand, of the brands that are chosen.

    >>> of_brand("denyut_swing_severity", direction="down")
    'max by (brand) (denyut_swing_severity{brand=~"$brand",direction="down"})'
    """
    matchers = ",".join([BRAND, *(f'{label}="{value}"' for label, value in labels.items())])
    return f"max by ({by}) ({name}{{{matchers}}})"


DOWN = of_brand("denyut_swing_severity", direction="down")
UP = of_brand("denyut_swing_severity", direction="up")
COPIES = of_brand("denyut_coordinated_severity")
LOUD = of_brand("denyut_volume_severity")

# One number says how a brand stands, the gravest first: 1 to 3 down, 11 to 13 copies, 21 to 23 up, 31 to 33 loud;
# 0 is calm.
# The workers hold severities at their live values in a replay, so nothing is left out here.
STATE = f"({DOWN} > 0) or (10 + ({COPIES} > 0)) or (20 + ({UP} > 0)) or (30 + ({LOUD} > 0)) or (0 * {DOWN})"

MENTIONS = live(figure("denyut_window_mentions"))

# Share of voice: a brand's mentions among those of all the brands that are chosen. A brand whose figures are a replay
# is left out of the whole as well: shares add up to 1.
VOICE = f"({MENTIONS}) / on () group_left () (sum({MENTIONS}) > 0)"


# Share of voice in the group that the brand file puts a brand in: recorded by rules, since a group spans workers.
GROUP_VOICE = "brand:denyut_share_of_voice:ratio"
VOTE_VOICE = "brand:denyut_share_of_voice_votes:ratio"


def voice(record: str, by: str = "brand") -> str:
    """What a rule recorded of the brands that are chosen; replays are left out by the rule.

    >>> voice(GROUP_VOICE)
    'max by (brand) (brand:denyut_share_of_voice:ratio{brand=~"$brand",window=~"$window"})'
    """
    return f"max by ({by}) ({record}{{{BRAND},{WINDOW}}})"


def share(name: str, by: str = "brand") -> str:
    """A part of the scored mentions of a window, 0 to 1."""
    return f"{figure(name, by=by)} / ({figure('denyut_window_scored', by=by)} > 0)"


def how_many(expr: str) -> str:
    """How many brands it holds for; none is a true figure too."""
    return f"count({expr}) or vector(0)"


def rate(name: str, by: str = "", matchers: str = "") -> str:
    """How fast a counter runs, summed over workers; no series yet is no event yet.

    >>> rate("denyut_tokens_total")
    'sum(rate(denyut_tokens_total[$__rate_interval])) or vector(0)'
    >>> rate("denyut_up", "job").partition(" or ")[0]
    'sum by (job) (rate(denyut_up[$__rate_interval]))'
    >>> rate("denyut_up", "job").partition(" or ")[2]
    'on () label_replace(vector(0), "job", "none", "", "")'
    """
    selector = f"{name}{{{matchers}}}" if matchers else name
    if not by:
        return f"sum(rate({selector}[$__rate_interval])) or vector(0)"
    return or_none(f"sum by ({by}) (rate({selector}[$__rate_interval]))", by.partition(",")[0])


def or_none(expr: str, label: str, value: int = 0) -> str:
    """Where there is no series, one that is called none.

    >>> or_none("up", "job", -1)
    'up or on () label_replace(vector(-1), "job", "none", "", "")'
    """
    return f'{expr} or on () label_replace(vector({value}), "{label}", "none", "", "")'


def happened(name: str, by: str = "") -> str:
    """How often it happened in each step of the picture, as a whole number.

    A rate times the step, and no increase: $__rate_interval is a scrape longer than a step, and extrapolation fills it,
    so that of one-minute steps each would be a quarter too high.

    >>> happened("denyut_floors_total")
    'round((sum(rate(denyut_floors_total[$__rate_interval])) or vector(0)) * $__interval_ms / 1000)'
    """
    return f"round({in_a_step(f'({rate(name, by)})')})"


def in_a_step(speed: str) -> str:
    """How much comes together in each step of the picture, at so much a second."""
    return f"{speed} * $__interval_ms / 1000"


def happened_most(name: str, by: str) -> str:
    """The five values of a label that it happened to most, without those it never did; and all together, always."""
    each = f"round({in_a_step(f'sum by ({by}) (rate({name}[$__rate_interval]))')})"  # first: so the parts add up to all
    return f'topk(5, {each} > 0) or label_replace(sum({each}) or vector(0), "{by}", "all", "", "")'


def happened_in_sight(name: str, by: str) -> str:
    """How often it happened in the whole time that the board shows.

    >>> happened_in_sight("denyut_rejects_total", "reason").partition(" or ")[0]
    'round(sum by (reason) (increase(denyut_rejects_total[$__range]))'
    """
    every = rate(name, by).replace("rate(", "increase(").replace("$__rate_interval", "$__range")
    return f"round({every})"


def quantile(of: float, name: str, by: str = "") -> str:
    """A quantile of a histogram, over all workers; or for each value of a label."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({of}, sum by ({labels}) (rate({name}_bucket[$__rate_interval])))"


def mean(name: str) -> str:
    """The mean of what a histogram saw."""
    return f"sum(rate({name}_sum[$__rate_interval])) / sum(rate({name}_count[$__rate_interval]))"
