"""Plot: the mood of each brand over a history as one picture, with its swings. Small multiples, one panel a brand.

    mood of the last hour with its 95 % interval
    ░░░ a swing from its onset to its end: orange down, blue up; hatched where copies or a few loud accounts speak
    mentions of the last hour, below; pink where more was said than usual

Holds about two thousand points a brand, however long the history: a picture has no room for more.
Knows nothing of how a mood or a swing came about.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from streams.heart.errors import BadSetting
from streams.heart.incident import Step, Swing
from streams.heart.post import from_ms
from streams.moods import Line

WINDOW = "1h"
POINTS = 2_000  # a brand, at least half of it when there are more minutes
PANELS = 24
MINUTE_MS = 60_000
INK, FAINT, GRID = "#2b2b2b", "#8a8a8a", "#e4e4e4"
MOOD = "#3a3a3a"
COLOURS = {"down": "#d55e00", "up": "#0072b2", "volume": "#cc79a7"}  # Okabe and Ito 2008: told apart by every eye
HATCH = {"coordinated": "////", "amplified": "..", "organic": ""}
ARROW = {"down": "▼", "up": "▲"}


class _Point(NamedTuple):
    end_ms: int
    mood: float
    lower: float
    upper: float
    mentions: int


class Curves:
    """The curves of all brands, thinned as they grow. A sink of lines."""

    def __init__(self) -> None:
        self.of: dict[str, list[_Point]] = {}
        self.stride = 1  # minutes

    def take(self, line: Line) -> None:
        """Takes a line, if it is one that will be seen."""
        said = line.reading
        if said.window != WINDOW or line.end_ms // MINUTE_MS % self.stride:
            return
        nan = float("nan")
        mood, lower, upper = (nan if one is None else one for one in (said.mood, said.lower, said.upper))
        points = self.of.setdefault(said.brand, [])
        points.append(_Point(line.end_ms, mood, lower, upper, said.mentions))
        if len(points) > POINTS:
            self._thin()

    def _thin(self) -> None:
        self.stride *= 2
        self.of = {brand: [point for point in points if point.end_ms // MINUTE_MS % self.stride == 0]
                   for brand, points in self.of.items()}


def check(path: Path) -> None:
    """Raises `BadSetting` if there can be no picture."""
    if path.suffix.lower() != ".png":
        raise BadSetting(f"--plot {path}: expected a name that ends in .png")
    if find_spec("matplotlib") is None:
        raise BadSetting(f"--plot {path}: pictures need the extra denyut[plot]: pip install 'denyut[plot]'")
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise BadSetting(f"--plot {path}: {path.parent} is no folder that can be written to")


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def draw(path: Path, curves: Curves, incidents: Sequence[Swing], titles: Mapping[str, str]) -> None:
    """Writes the picture. `incidents`: the last step of each; `titles`: what people call a brand. Raises `BadSetting`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    brands = _shown(curves, incidents)
    across = 1 if len(brands) <= 3 else 2 if len(brands) <= 10 else 3
    down, reach = max(-(-len(brands) // across), 1), _reach(curves)
    style = {"font.size": 8, "text.color": INK, "axes.labelcolor": INK, "xtick.color": FAINT, "ytick.color": FAINT,
             "axes.edgecolor": GRID, "hatch.linewidth": 0.6, "axes.unicode_minus": False}
    with rc_context(style):
        figure = Figure(figsize=(12 if across == 1 else 7 * across, 0.9 + 2.6 * down), dpi=120, layout="constrained")
        outer = figure.add_gridspec(down, across)
        for place, brand in enumerate(brands):
            inner = outer[place // across, place % across].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.02)
            mood, volume = figure.add_subplot(inner[0]), figure.add_subplot(inner[1])
            points = _with_gaps(curves.of[brand], 2 * curves.stride * MINUTE_MS)
            _panel(mood, volume, points, reach, titles.get(brand, brand))
            _mark(mood, volume, [swing for swing in incidents if swing.brand == brand])
        _frame(figure, len(brands), len(curves.of))
        _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    """The picture is there when it is whole; what was there is replaced."""
    part = _part(path)
    try:
        figure.savefig(part, format="png", metadata={"Software": "Denyut"})
        os.replace(part, path)
    except OSError as error:
        raise BadSetting(f"--plot {path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _shown(curves: Curves, incidents: Sequence[Swing]) -> list[str]:
    """The brands that have a panel: where they are too many, those with most swings, then most mentions."""
    swings = {brand: sum(swing.brand == brand for swing in incidents) for brand in curves.of}
    said = {brand: sum(point.mentions for point in points) for brand, points in curves.of.items()}
    first = sorted(curves.of, key=lambda brand: (-swings[brand], -said[brand], brand))[:PANELS]
    return sorted(first)


def _reach(curves: Curves) -> float:
    """How far up and down all panels go: to hold every mood that is known to within half the scale, and all intervals
    but the widest."""
    said = [point for points in curves.of.values() for point in points if point.upper - point.lower < 1]
    ends = sorted(max(abs(point.lower), abs(point.upper)) for point in said)
    need = max([abs(point.mood) for point in said] + ends[int(0.98 * (len(ends) - 1)):][:1], default=0.0)
    return next((step for step in (0.25, 0.5) if need <= step), 1.0)


def _panel(mood: Any, volume: Any, points: Sequence[_Point], reach: float, title: str) -> None:
    when = [_when(point.end_ms) for point in points]
    mood.axhline(0, color=GRID, linewidth=0.8, zorder=1)
    mood.fill_between(when, [p.lower for p in points], [p.upper for p in points], color=MOOD, alpha=0.16, linewidth=0,
                      zorder=2)
    mood.plot(when, [p.mood for p in points], color=MOOD, linewidth=0.9, zorder=3)
    mood.set_ylim(-reach, reach)
    mood.set_yticks([-reach / 2, 0, reach / 2], [f"{-reach / 2:+.2g}", "0", f"{reach / 2:+.2g}"])
    mood.set_title(title, loc="left", fontsize=9, fontweight="bold", color=INK, pad=4)
    volume.fill_between(when, [p.mentions for p in points], color=FAINT, alpha=0.45, linewidth=0, zorder=2)
    volume.set_ylim(bottom=0)
    volume.set_xlim(when[0], max(when[-1], _when(points[0].end_ms + MINUTE_MS)))
    mood.set_xlim(volume.get_xlim())
    _axes(mood, volume)


def _axes(mood: Any, volume: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    locator = AutoDateLocator(minticks=3, maxticks=8)
    volume.xaxis.set_major_locator(locator)
    volume.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    volume.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    mood.tick_params(bottom=False, labelbottom=False, length=2)
    volume.tick_params(length=2)
    for axes in (mood, volume):
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    mood.spines["bottom"].set_visible(False)


def _with_gaps(points: Sequence[_Point], longest_ms: int) -> list[_Point]:
    """The points, with one that is nowhere wherever the brand was silent: a line does not cross a silence."""
    nan = float("nan")
    out: list[_Point] = []
    for point in points:
        if out and point.end_ms - out[-1].end_ms > longest_ms:
            out.append(_Point(out[-1].end_ms + MINUTE_MS, nan, nan, nan, 0))
            out.append(_Point(point.end_ms - MINUTE_MS, nan, nan, nan, 0))
        out.append(point)
    return out


def _mark(mood: Any, volume: Any, incidents: Sequence[Swing]) -> None:
    """Shades the swings of one brand, and says of each how far and whose it is."""
    place = 0
    for swing in incidents:
        begin, end = _when(swing.onset_ms), _when(max(swing.at_ms, swing.onset_ms + MINUTE_MS))
        if swing.series == "volume":
            volume.axvspan(begin, end, color=COLOURS["volume"], alpha=0.35, linewidth=0, zorder=1)
            continue
        colour, word, gone = COLOURS[swing.direction], swing.authenticity, swing.state is Step.WITHDRAWN
        place += 1
        mood.axvspan(begin, end, facecolor=colour, edgecolor=colour, alpha=0.10 if gone else 0.22, linewidth=0,
                     hatch=HATCH.get(word, ""), zorder=0)
        mood.axvline(begin, color=colour, linewidth=0.9, linestyle=":" if gone else "-", zorder=2)
        said = f"{ARROW[swing.direction]} {swing.peak or swing.effect:+.2f} {'withdrawn' if gone else word}"
        # Beside each other they would lie on one another: every second one stands at the foot.
        mood.annotate(said, (begin, 0.97 if place % 2 else 0.04), xycoords=("data", "axes fraction"),
                      xytext=(3, 0), textcoords="offset points", color=colour, fontsize=7,
                      va="top" if place % 2 else "bottom", zorder=5)


def _frame(figure: Any, shown: int, brands: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys: list[Any] = [Line2D([], [], color=MOOD, linewidth=1, label="mood, last hour"),
                       Patch(facecolor=MOOD, alpha=0.16, label="95 % interval"),
                       Patch(facecolor=COLOURS["down"], alpha=0.3, label="swing down"),
                       Patch(facecolor=COLOURS["up"], alpha=0.3, label="swing up"),
                       Patch(facecolor="white", edgecolor=FAINT, hatch=HATCH["amplified"], label="amplified"),
                       Patch(facecolor="white", edgecolor=FAINT, hatch=HATCH["coordinated"], label="coordinated"),
                       Patch(facecolor=FAINT, alpha=0.45, label="mentions, last hour"),
                       Patch(facecolor=COLOURS["volume"], alpha=0.35, label="more said than usual")]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False, fontsize=7.5)
    few = "" if shown == brands else f"; {shown} of {brands} brands"
    figure.suptitle(f"Mood from -1 to +1, mentions an hour; UTC{few}", x=0.005, ha="left", fontsize=8, color=FAINT)


def _when(ms: int) -> datetime:
    return from_ms(ms).replace(tzinfo=None)
