"""The board: every brand's pulse in a terminal, calm enough to leave open.

    Kopi Lumora     +0.24  ────────────┼─[━●━]───────  ▃▄▅▆▅▄▅▆▇   12  240 1.2k
   ▼ Lajuro         severe   since 14:12 (22 min)  now -0.55, usually -0.02
      412 votes · by chance <1 in 192 weeks · organic · about ongkos 62%, hujan

`render` is a pure function of a `View`; `Board` keeps one on the screen. Nothing needs colour to be understood, and a
board that is not shown on a terminal prints a line now and then instead. Numbers and brand titles only: a view has no
place for a post's text. Knows nothing of Kafka, trackers or clocks: the view says what time it is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from streams import wording
from streams.heart.incident import Standing, Swing
from streams.heart.window import Reading

ABSENT = "—"
SICK = 0.9  # completeness below which no swing is looked for
COORDINATED = "coordinated"
EVERY_S = 10.0  # how often a board without a terminal says something
INCIDENTS = 4  # so many are shown, the open ones first
_WIDE = 80  # cells; below it the curve goes, so that the scale keeps its room


@dataclass(frozen=True, slots=True)
class BrandLine:
    """What is shown of one brand. Shares and ratios are 0 to 1; None is "cannot be said"."""

    name: str
    title: str
    mood: float | None = None  # mean vote, -1 to +1
    lower: float | None = None  # its 95 % interval
    upper: float | None = None
    curve: tuple[float | None, ...] = ()  # recent moods, oldest first
    mentions_1m: int = 0
    mentions_5m: int = 0
    mentions_1h: int = 0
    authors: int | None = None
    organic: float | None = None
    negative: float | None = None
    neutral: float | None = None
    positive: float | None = None
    completeness: float | None = None
    replaying: bool = False
    standing: Standing | None = None  # None: nobody looks for swings

    @classmethod
    def of(cls, title: str, readings: Mapping[str, Reading], *, window: str = "1h",
           curve: Sequence[float | None] = (), replaying: bool = False,
           standing: Standing | None = None) -> "BrandLine":
        """The line of one brand from its readings by window; `window` names the one whose mood is shown."""
        shown = readings[window]
        mentions = {name: reading.mentions for name, reading in readings.items()}
        negative, neutral, positive = (
            n / shown.scored if shown.scored else None for n in (shown.negative, shown.neutral, shown.positive))
        return cls(
            name=shown.brand, title=title, mood=shown.mood, lower=shown.lower, upper=shown.upper, curve=tuple(curve),
            mentions_1m=mentions.get("1m", 0), mentions_5m=mentions.get("5m", 0), mentions_1h=mentions.get("1h", 0),
            authors=shown.authors, organic=shown.organic, negative=negative, neutral=neutral, positive=positive,
            completeness=shown.completeness, replaying=replaying,
            standing=standing)


@dataclass(frozen=True, slots=True)
class PipelineLine:
    """How the machine does. Counts are since the start."""

    posts_per_s: float = 0.0
    scored_per_s: float = 0.0
    freshness_p50_ms: float | None = None  # from a post's arrival to the figure that shows it
    freshness_p95_ms: float | None = None
    lag: int | None = None  # records not yet read
    rejects: int = 0
    late: int = 0
    early: int = 0
    removals: int = 0
    watermark_age_ms: float | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One moment of the board."""

    brands: tuple[BrandLine, ...]
    pipeline: PipelineLine
    window: str = "1h"  # the window of mood, interval, shares, authors and organic ratio
    now_ms: int | None = None  # what the posts' clock shows, UTC
    uptime_s: float = 0.0
    note: str = ""  # one line under the title, such as where the metrics are
    swings: tuple[Swing, ...] = ()  # incidents as they stand, in any order


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What the board draws with."""

    line: str
    zero: str
    bar: str
    mark: str
    levels: str
    absent: str
    rule: str
    dot: str
    down: str  # what a swing does
    up: str
    volume: str
    copies: str
    least: str  # not below


UNICODE = Glyphs(line="─", zero="┼", bar="━", mark="●", levels="▁▂▃▄▅▆▇█", absent=ABSENT, rule="─", dot="·",
                 down="▼", up="▲", volume="◆", copies="≡", least="≥")
ASCII = Glyphs(line="-", zero="|", bar="=", mark="o", levels="_.-=^", absent="-", rule="-", dot="-",
               down="v", up="^", volume="#", copies="=", least=">=")


@dataclass(frozen=True, slots=True)
class _Columns:
    """How wide each column is; a curve of 0 is not shown."""

    title: int
    scale: int
    curve: int

    @classmethod
    def of(cls, width: int, titles: Iterable[str]) -> "_Columns":
        """A share of the room for each: first the title, then scale and curve alike."""
        longest = max((cell_len(t) for t in titles), default=0)
        title = min(max(longest, 8), 14 if width < 100 else 22)
        fixed = 2 + title + 2 + 5 + 2 + 2 + 15  # mark, title, mood, gaps, three counts
        room = max(0, width - fixed - 1)
        if width < _WIDE:
            return cls(title, max(7, (room - 1) // 2 * 2 + 1), 0)
        scale = min(61, (room - 2) * 6 // 10 // 2 * 2 + 1)  # odd, so that 0 has a cell of its own
        return cls(title, scale, min(40, room - scale - 2))


def render(view: View, width: int, *, height: int | None = None, glyphs: Glyphs = UNICODE) -> RenderableType:
    """The board, `width` cells wide; with a `height`, the less important goes first so that it fits."""
    head, brands, foot = _head(view, width, glyphs), _brands(view, width, glyphs), _foot(view, width, glyphs)
    columns = [_column_names(view, width)]
    spare = (height if height is not None else 10**6) - len(head) - len(columns) - len(foot)
    blocks = _fitted(brands, _panel_head(view, width, glyphs), _incidents(view, width, glyphs), spare)
    return Group(*(_cut(line, width) for line in (*head, *columns, *blocks, *foot)))


def summary(view: View) -> str:
    """The board in one line, for a log.

    >>> quiet = BrandLine("lajuro", "Lajuro")
    >>> busy = BrandLine("quovira", "Quovira", mood=0.1, lower=0.05, upper=0.152)
    >>> summary(View((busy, quiet), PipelineLine(posts_per_s=99.6)))
    'Quovira +0.10 [+0.05 to +0.15], Lajuro —; 100 posts/s, 0 rejected'
    """
    said = ", ".join(f"{_plain(b.title)} {_mood(b.mood)}{_interval(b)}{_swinging(b)}"
                     f"{' (replaying)' if b.replaying else ''}" for b in view.brands)
    return f"{said}; {view.pipeline.posts_per_s:.0f} posts/s, {view.pipeline.rejects} rejected"


def scale(line: BrandLine, cells: int, glyphs: Glyphs = UNICODE) -> str:
    """The mood on its scale from -1 to +1. The interval is rounded outwards: never shown smaller than it is.

    >>> scale(BrandLine("a", "A", mood=0.3, lower=0.2, upper=0.4), 21)
    '──────────┼─[●]──────'
    >>> scale(BrandLine("a", "A"), 21)
    '──────────┼──────────'
    """
    row = [glyphs.line] * cells
    row[cells // 2] = glyphs.zero
    if line.mood is not None:
        mark = round(_place(line.mood, cells))
        if line.lower is not None and line.upper is not None:
            # The tiny shift keeps 0.2 at its own cell although (0.2 + 1) / 2 * 20 is a little less than 12.
            low = min(mark, math.floor(_place(line.lower, cells) + 1e-9))
            high = max(mark, math.ceil(_place(line.upper, cells) - 1e-9))
            row[low : high + 1] = glyphs.bar * (high - low + 1)
            row[low], row[high] = "[", "]"
        row[mark] = glyphs.mark
    return "".join(row)


def sparkline(curve: Sequence[float | None], cells: int, glyphs: Glyphs = UNICODE) -> str:
    """The last `cells` moods as heights around their middle, gaps as blanks. Calm weather is drawn flat.

    >>> sparkline([0.0, 0.1, None, 0.2], 6)
    '  ▃▅ ▆'
    """
    shown = list(curve[-cells:]) if cells > 0 else []
    known = [mood for mood in shown if mood is not None]
    if not known:
        return " " * cells
    top = len(glyphs.levels) - 1
    middle = (min(known) + max(known)) / 2
    half = max(0.25, (max(known) - min(known)) / 2)  # half a scale unit high at least: noise is no mountain
    drawn = "".join(" " if m is None else glyphs.levels[round((m - middle + half) / (2 * half) * top)] for m in shown)
    return drawn.rjust(cells)


def count(number: int) -> str:
    """A count in at most five cells.

    >>> [count(n) for n in (7, 9999, 12_345, 999_999, 1_200_000, 387_420_489)]
    ['7', '9999', '12k', '999k', '1.2M', '387M']
    """
    if number < 10_000:
        return str(number)
    if number < 1_000_000:
        return f"{number // 1000}k"
    return f"{number / 1_000_000:.1f}M" if number < 10_000_000 else f"{number // 1_000_000}M"


def _place(mood: float, cells: int) -> float:
    """Where on the scale, in cells from the left."""
    return (max(-1.0, min(1.0, mood)) + 1) / 2 * (cells - 1)


def _mood(mood: float | None, glyphs: Glyphs = UNICODE) -> str:
    return glyphs.absent if mood is None else f"{round(mood, 2) + 0.0:+.2f}"


def _interval(line: BrandLine) -> str:
    if line.mood is None or line.lower is None or line.upper is None:
        return ""
    return f" [{_mood(line.lower)} to {_mood(line.upper)}]"


def _swinging(line: BrandLine) -> str:
    words = _severities(line.standing)
    return f" ({', '.join(f'{name} {word}' for name, word in words)})" if words else ""


def _severities(standing: Standing | None) -> list[tuple[str, str]]:
    """What is open, and how severe it is."""
    if standing is None:
        return []
    of = (("down", standing.down), ("up", standing.up), (COORDINATED, standing.coordinated),
          ("volume", standing.volume))
    return [(name, wording.SEVERITY[severity]) for name, severity in of if severity]


def _share(share: float | None, glyphs: Glyphs) -> str:
    return f"{glyphs.absent:>4}" if share is None else f"{share:4.0%}"


def _span(ms: float | None, glyphs: Glyphs) -> str:
    """A span in its own unit.

    >>> [_span(ms, UNICODE) for ms in (12, 1234, 90_000, 7_200_000, None)]
    ['12 ms', '1.2 s', '1.5 min', '2.0 h', '—']
    """
    if ms is None:
        return glyphs.absent
    if ms < 1000:
        return f"{ms:.0f} ms"
    for unit, size, limit in (("s", 1000, 60_000), ("min", 60_000, 3_600_000)):
        if ms < limit:
            return f"{ms / size:.1f} {unit}"
    return f"{ms / 3_600_000:.1f} h"


def _plain(said: str) -> str:
    """A title as it may be printed: on one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in said)


def _cut(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.overflow = "crop"
    line.truncate(width, overflow="crop")
    return line


def _head(view: View, width: int, glyphs: Glyphs) -> list[Text]:
    many = f"{len(view.brands)} brand{'' if len(view.brands) == 1 else 's'}"
    left = Text.assemble(" ", ("Denyut", "bold"), f"  the pulse of {many}, last {view.window}")
    if view.now_ms is not None:
        when = datetime.fromtimestamp(view.now_ms // 1000, UTC).strftime("%a %d %b %Y %H:%M UTC")
        room = width - left.cell_len - 1
        if room > len(when) + 1:
            left.append(when.rjust(room), "dim")
    lines = [left]
    if view.note:
        lines.append(Text(f" {_plain(view.note)}", "dim"))
    return [*lines, _rule(width, glyphs)]


def _rule(width: int, glyphs: Glyphs) -> Text:
    return Text(f" {glyphs.rule * (width - 2)}", "dim")


def _column_names(view: View, width: int) -> Text:
    columns = _Columns.of(width, (b.title for b in view.brands))
    half = columns.scale // 2
    ends = f"{'-1':<{half}}0{'+1':>{columns.scale - half - 1}}"
    curve = f"  {'lately':<{columns.curve}}" if columns.curve else ""
    return Text(f"  {'brand':<{columns.title}}  {'mood':>5}  {ends}{curve}  {'1m':>5}{'5m':>5}{'1h':>5}", "dim")


def _brands(view: View, width: int, glyphs: Glyphs) -> list[list[Text]]:
    columns = _Columns.of(width, (b.title for b in view.brands))
    return [[_pulse(line, columns, glyphs), _detail(line, glyphs)] for line in view.brands]


def _pulse(line: BrandLine, columns: _Columns, glyphs: Glyphs) -> Text:
    """The first line of a brand: whether it swings, title, mood, scale, curve, counts."""
    tone = _tone(line)
    text = Text("", "bold").append(*_mark(line.standing, glyphs))
    text.append(f" {set_cell_size(_plain(line.title), columns.title)}  ")
    text.append(f"{_mood(line.mood, glyphs):>5}  ", tone)
    text.append(scale(line, columns.scale, glyphs), "dim" if line.mood is None else tone)
    if columns.curve:
        text.append(f"  {sparkline(line.curve, columns.curve, glyphs)}", "not bold cyan")
    counts = "".join(f"{count(n):>5}" for n in (line.mentions_1m, line.mentions_5m, line.mentions_1h))
    text.append(f"  {counts}", "not bold")
    return text


def _mark(standing: Standing | None, glyphs: Glyphs) -> tuple[str, str]:
    """One cell that says what is open: mood before copies before volume."""
    names = [name for name, _ in _severities(standing)]
    if "down" in names:
        return glyphs.down, "red"
    if "up" in names:
        return glyphs.up, "green"
    if COORDINATED in names:
        return glyphs.copies, "yellow"
    return (glyphs.volume, "yellow") if names else (" ", "")


def _tone(line: BrandLine) -> str:
    """Colour says nothing that the mark does not; a mood whose interval holds 0 has none."""
    if line.mood is None or line.replaying:
        return "not bold dim"
    if line.lower is not None and line.lower > 0:
        return "not bold green"
    return "not bold red" if line.upper is not None and line.upper < 0 else "not bold"


def _detail(line: BrandLine, glyphs: Glyphs) -> Text:
    """The second line of a brand: shares and trust, or why there is no mood."""
    text = Text("   ", "dim")
    state = _state(line) if _needs_attention(line) or line.mood is None else _swing_state(line, glyphs)
    if line.mood is None:
        return text.append(state)
    shares = ((name, _share(share, glyphs)) for name, share in
              (("neg", line.negative), ("neu", line.neutral), ("pos", line.positive)))
    text.append("  ".join(f"{name}{share}" for name, share in shares))
    authors = glyphs.absent if line.authors is None else count(line.authors)
    text.append(f"   {authors:>5} authors   {_share(line.organic, glyphs).strip():>4} organic   ")
    is_said = _needs_attention(line) or bool(_severities(line.standing))
    return text.append(state, "not dim bold" if is_said else "")


def _needs_attention(line: BrandLine) -> bool:
    return line.replaying or (line.completeness is not None and line.completeness < SICK)


def _without_mood(line: BrandLine) -> str:
    """Why there is no mood."""
    if line.negative is not None:
        return "scored, but nobody here has a vote left in this hour"
    if line.mentions_1h:
        return "counted, not scored: no mention in a language the model knows"
    return "waiting for the first mentions"


def _state(line: BrandLine) -> str:
    """What a reader must know before believing the line."""
    if line.mood is None:
        return f"{'replaying: ' * line.replaying}{_without_mood(line)}"
    if line.replaying:
        return "replaying the past"
    if line.completeness is None:
        return ""
    if line.completeness < SICK:
        return f"only {line.completeness:.0%} heard"
    return f"{line.completeness:.0%} complete"


def _swing_state(line: BrandLine, glyphs: Glyphs) -> str:
    """What swings, or how small a swing would be seen."""
    marks = {"down": glyphs.down, "up": glyphs.up, COORDINATED: f"{glyphs.copies} copies,", "volume": glyphs.volume}
    words = [f"{marks[name]} {word}" for name, word in _severities(line.standing)]
    if words or line.standing is None:
        return " ".join(words) or _state(line)
    if not line.standing.is_ready:
        return "learning the usual"
    return _state(line) if line.standing.smallest is None else f"sees swings {glyphs.least}{line.standing.smallest:.2f}"


def _panel_head(view: View, width: int, glyphs: Glyphs) -> list[Text]:
    """The line over the incidents; nothing where nobody looks for any."""
    standings = [line.standing for line in view.brands if line.standing is not None]
    if not standings and not view.swings:
        return []
    warm = sum(standing.is_ready for standing in standings)
    said = "swings" if view.swings else "swings: none so far"
    if warm < len(standings):
        said += f"; {warm} of {len(standings)} brands are known well enough to see one"
    return [Text(f" {glyphs.rule * 2} {said} {glyphs.rule * width}"[: width - 1], "dim")]


def _incidents(view: View, width: int, glyphs: Glyphs) -> list[list[Text]]:
    """Two lines for each of the latest incidents, the open ones first."""
    titles = {line.name: line.title for line in view.brands}
    columns = _Columns.of(width, titles.values())
    latest = sorted(view.swings, key=lambda swing: (swing.is_open, swing.onset_ms, swing.id), reverse=True)
    return [[_course(swing, view, set_cell_size(_plain(titles.get(swing.brand, swing.brand)), columns.title), glyphs),
             _grounds(swing, width, glyphs)] for swing in latest[:INCIDENTS]]


def _course(swing: Swing, view: View, title: str, glyphs: Glyphs) -> Text:
    """The first line of an incident: what, whose, how severe, since when, now against usual."""
    down = swing.direction == "down"
    mark, tone = (glyphs.down, "red") if down else (glyphs.up, "green")
    if wording.is_volume(swing):
        mark, tone = glyphs.volume, "yellow"
    elif swing.authenticity == COORDINATED:
        mark, tone = glyphs.copies, "yellow"
    text = Text(" ", "" if swing.is_open else "dim").append(mark, tone).append(f" {title}  ", "bold")
    text.append(f"{wording.severity(swing):<7}  ", tone)
    return text.append(f"{wording.course(swing, view.now_ms)}  {wording.figures(swing)}")


def _grounds(swing: Swing, width: int, glyphs: Glyphs) -> Text:
    """The second line of an incident: how sure, who speaks, of what."""
    said = wording.fitted([_plain(one) for one in wording.grounds(swing, is_brief=True)], width - 5, f" {glyphs.dot} ")
    return Text(f"     {said}", "" if swing.is_open else "dim")


def _fitted(brands: list[list[Text]], head: list[Text], incidents: list[list[Text]], room: int) -> list[Text]:
    """As much as `room` lines hold.

    Brands with air, then without, then incidents in one line but for the first, then brands in one line, then fewer
    incidents; at last a count of the brands that are left out.
    """
    airy = [line for block in brands for line in (*block, Text(""))][:-1]
    tight = [line for block in brands for line in block]
    short = [block[0] for block in brands]
    whole = [line for block in incidents for line in block]
    brief = [*whole[:2], *(block[0] for block in incidents[1:])]
    fewer = [whole[:lines] for lines in range(len(whole), -1, -2)]
    for lines, panel in ((airy, whole), (tight, whole), (tight, brief), *((short, some) for some in fewer)):
        if len(lines) + len(head) + len(panel) <= room:
            return [*lines, *head, *panel]
    if len(short) <= room:
        return short
    kept = max(0, room - 1)
    return [*short[:kept], Text(f"   and {len(short) - kept} more", "dim")]


def _foot(view: View, width: int, glyphs: Glyphs) -> list[Text]:
    p = view.pipeline
    items = [f"posts {p.posts_per_s:.0f}/s", f"scored {p.scored_per_s:.0f}/s",
             f"post to figure {_span(p.freshness_p50_ms, glyphs)}, p95 {_span(p.freshness_p95_ms, glyphs)}",
             f"lag {glyphs.absent if p.lag is None else count(p.lag)}",
             f"watermark {_span(p.watermark_age_ms, glyphs)} behind",
             f"rejected {count(p.rejects)}", f"late {count(p.late)}", f"early {count(p.early)}",
             f"removed {count(p.removals)}", *([f"model {_plain(p.model)}"] if p.model else [])]
    legend = ["mood = mean vote, -1 to +1", "bar = 95 % interval", "votes = one per author and hour",
              "1m 5m 1h = mentions", "Ctrl-C ends"]
    return [_rule(width, glyphs), *(Text(t) for t in _flow(items, width, "   ")),
            *(Text(t, "dim") for t in _flow(legend, width, f" {glyphs.dot} "))]


def _flow(items: Sequence[str], width: int, gap: str) -> list[str]:
    """Items side by side, on as few lines as hold them; none is broken."""
    lines: list[str] = []
    for item in items:
        if lines and cell_len(lines[-1]) + cell_len(gap) + cell_len(item) < width:
            lines[-1] += gap + item
        else:
            lines.append(f" {item}")
    return lines


class Board:
    """A view kept on the screen. Entered once; `update` as often as there is news; leaving it gives the screen back.

    On a terminal it takes the whole screen and leaves the last board behind; elsewhere (a pipe, a file, TERM=dumb) it
    prints a `summary` every ten seconds of the view's time and the board at the end. It starts no thread and hence ends
    at once.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._glyphs = UNICODE if (self._console.encoding or "").lower().startswith("utf") else ASCII
        self._live: Live | None = None
        self._last: View | None = None
        self._said_s = -EVERY_S

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False, screen=True)
            self._live.start()
        return self

    def update(self, view: View) -> None:
        """Show this view."""
        self._last = view
        if self._live is not None:
            self._live.update(self._drawn(view, self._console.height), refresh=True)
        elif view.uptime_s - self._said_s >= EVERY_S:
            self._said_s = view.uptime_s
            self._console.print(self._encodable(summary(view)), markup=False, soft_wrap=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> Literal[False]:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._last is not None:
            self._console.print(self._drawn(self._last, None))
        return False

    def _drawn(self, view: View, height: int | None) -> RenderableType:
        return render(view, self._console.width, height=height, glyphs=self._glyphs)

    def _encodable(self, said: str) -> str:
        if self._glyphs is UNICODE:
            return said
        return said.replace(ABSENT, ASCII.absent).encode("ascii", "replace").decode()
