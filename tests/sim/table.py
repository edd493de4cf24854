"""Tables: what came of the trials, as Markdown, by name.

    swings       false alarms, recall, delay, by preset
    sizes        recall and delay by size and by volume
    silence      what must not raise an alert, or not as organic
    others       the detector beside a z-score and the rules of other makers, on the same streams
    curve        false alarms against recall and delay
    volume       spikes

Square brackets: intervals of 95 %. `README.md` beside this file says what each word in them means.
Knows nothing of how the figures were made.
"""

import math
from collections.abc import Iterable, Sequence

from streams.heart.swing import Knobs
from tests.sim.baselines import RULES
from tests.sim.judge import ATTACKS, Figure, Report
from tests.sim.trial import Outcome, best

SILENT = ("burst", "drift", "outage", "gap", "replay")
MAIN = ("calm", "noisy-real", "thin", "outage")  # the presets that the README shows


def tables(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """All tables that there is something for, by name."""
    found = {"swings": _swings(outcomes), "sizes": _groups(outcomes), "silence": _silence(outcomes),
             "others": _others(outcomes), "curve": _curve(outcomes), "volume": _volume(outcomes)}
    return {name: table for name, table in found.items() if table}


def main_rows(outcomes: Sequence[Outcome]) -> str:
    """Of the table of swings what the README shows."""
    return _swings([outcome for outcome in outcomes if outcome.plan.preset in MAIN])


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(row) for row in rows]
    if not lines:
        return ""
    return "\n".join(f"| {line} |" for line in [" | ".join(head), " | ".join(["---"] * len(head)), *lines]).replace(
        "| --- | " + " | ".join(["---"] * (len(head) - 1)) + " |", "|" + "---|" * len(head))


def _whole(figure: Figure) -> str:
    """A figure in minutes.

    >>> _whole(Figure(9.0, 8.0, math.inf))
    '9 [8, -]'
    """
    return "-" if math.isnan(figure.value) else f"{figure.value:.0f} [{_end(figure.low)}, {_end(figure.high)}]"


def _end(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "-"


def _share(figure: Figure) -> str:
    """A share or a rate, two digits where that says enough.

    >>> _share(Figure(0.0694, 0.033, 0.128)), _share(Figure(0.939, 0.901, 0.963)), _share(Figure(16.6, 15.9, 17.3))
    ('0.069 [0.033, 0.128]', '0.94 [0.90, 0.96]', '16.6 [15.9, 17.3]')
    """
    if math.isnan(figure.value):
        return "-"
    digits = 1 if figure.value >= 10 else 2 if figure.value >= 0.2 else 3
    return f"{figure.value:.{digits}f} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"


def _both(report: Report) -> str:
    return f"{_whole(report.delay())} / {_end(report.delay(0.9).value)}" if report.detectable else "-"


def _swings(outcomes: Sequence[Outcome]) -> str:
    head = ("preset", "brand-weeks", "false alarms a brand-week", "recall", "minutes to the alert, median / p90",
            "above an oracle", "alerts a swing", "closed too early", "onset off by, median / p90")
    return _markdown(head, (_swing_row(outcome) for outcome in outcomes))


def _swing_row(outcome: Outcome) -> tuple[str, ...]:
    report = outcome.found
    row = (outcome.plan.preset, f"{report.weeks:.0f}", _share(report.false_rate()))
    if not report.detectable:
        return (*row, *["-"] * 6)
    again = report.duplicates()
    return (*row, _share(report.recall()), _both(report), _whole(report.above_floor()),
            f"{1 + again.value:.2f}", _share(report.early_clears()),
            f"{_whole(report.onset_error())} / {_end(report.onset_error(0.9).value)}")


def _groups(outcomes: Sequence[Outcome]) -> str:
    """Recall and delay by size and by volume, of the presets that are compared."""
    some = [outcome for outcome in outcomes if outcome.rules]
    groups: list[tuple[str, dict[str, float]]] = []
    if some:
        groups = [(f"swing of {size:.2f}", {"size": size}) for size in (0.10, 0.20, 0.35, 0.60)]
        groups += [(f"{rate:g} posts a minute", {"rate": rate}) for rate in some[0].found.weeks_of]
    head = ("", *(f"{o.plan.preset}: recall, median delay" for o in some))
    return _markdown(head, ((name, *(f"{_share(o.found.recall(**of))}, {_end(o.found.delay(0.5, **of).value)} min"
                                     for o in some)) for name, of in groups))


def _silence(outcomes: Sequence[Outcome]) -> str:
    head = ("preset", "what happens", "events", "raise an alert of votes", "presented as organic", "seen in all posts")
    return _markdown(head, (row for outcome in outcomes for row in _silence_rows(outcome)))


def _silence_rows(outcome: Outcome) -> Iterable[tuple[str, ...]]:
    report, posts = outcome.found, outcome.on_posts
    for kind in (*SILENT, *ATTACKS):
        if cases := report.of(kind):
            is_attack = kind in ATTACKS
            yield (outcome.plan.preset, kind, str(len(cases)), _share(report.raised(kind)),
                   _share(report.as_organic((kind,))) if is_attack else "",
                   _share(posts.raised(kind)) if posts and is_attack else "")


def _others(outcomes: Sequence[Outcome]) -> str:
    head = ("on the same streams", "setting", *(f"{o.plan.preset}: false alarms, recall, delay" for o in outcomes
                                                if o.rules))
    some = [outcome for outcome in outcomes if outcome.rules]
    rows = [("**Denyut**", f"{Knobs().threshold:g}", *(_brief(o.found) for o in some))]
    for rule in RULES:
        if some and rule.name in some[0].rules:
            if rule.usual is not None:
                rows.append((rule.name, f"{rule.usual:g}", *(_brief(o.rules[rule.name][rule.usual]) for o in some)))
            rows.append((rule.name, "best under 0.1", *(_best(o.rules[rule.name]) for o in some)))
    return _markdown(head, rows if some else [])


def _brief(report: Report) -> str:
    delay = report.delay()
    return f"{_share(report.false_rate())}; {_share(report.recall())}; " + (
        "-" if math.isnan(delay.value) else f"{_end(delay.value)} / {_end(report.delay(0.9).value)}")


def _best(reports: dict[float, Report]) -> str:
    found = best(reports)
    return f"at {found[0]:g}: {_brief(found[1])}" if found else "none"


def _curve(outcomes: Sequence[Outcome]) -> str:
    some = [outcome for outcome in outcomes if outcome.curve]
    thresholds = sorted({h for outcome in some for h in outcome.curve})
    head = ("threshold", *(f"{o.plan.preset}: false alarms" + ("; recall; delay" if o.found.detectable else "")
                           for o in some))
    return _markdown(head, ((f"{h:g}", *(_brief(o.curve[h]) if o.found.detectable else _share(o.curve[h].false_rate())
                                         for o in some)) for h in thresholds))


def _volume(outcomes: Sequence[Outcome]) -> str:
    names = ("false alarms a week", "recall", "recall x5 to x10", "recall x10 to x20", "recall x20 to x40")
    head = ("spikes of volume", "bursts", *names, "delay, median / p90")
    rows = []
    for outcome in outcomes:
        if outcome.volume.bursts or outcome.plan.is_null:
            figures = outcome.volume.figures()
            rows.append((outcome.plan.preset, str(len(outcome.volume.bursts)),
                         *(_share(figures[name]) for name in names),
                         f"{_whole(figures['delay'])} / {_end(figures['delay p90'].value)}"))
    return _markdown(head, rows)
