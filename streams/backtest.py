"""Backtest: what Denyut would have said of a history. A file of posts in; every swing out, with its reasons.

    denyut backtest posts.jsonl --brands brands.toml --mood mood.csv --plot mood.png

The same heart as the workers', without Kafka: the same votes, panes and detector, fed in the order in which the posts
arrived. Steps go to standard output, as a table at the end or as JSON lines at once; all else to standard error.
A run that was killed is run again: with `--resume`, what the model said is not asked again, and since rows are read
anew, the output is that of a run that was never killed.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from streams import moods, plot
from streams.heart.brands import Brands
from streams.heart.errors import BadSetting
from streams.heart.incident import Step, Swing, encode
from streams.heart.intake import Asked, Judged, Limits, Scored
from streams.heart.post import from_ms
from streams.heart.tracker import Times
from streams.history import Flawed, Happening, Reader, Wanted, columns, happenings, open_history
from streams.rerun import Rerun, Rules, Tally
from streams.settings import Settings
from streams.told import Incidents
from streams.wording import figures, grounds, is_volume, severity

if TYPE_CHECKING:
    from models.lang import Languages
    from models.ruler import Ruler
    from models.score import Scorer
    from streams.sources.file import Rows

CAUSES = 3  # so many are shown
DAY_MS = 86_400_000
WIDE = 160  # columns of a table that nobody looks at in a terminal
COORDINATED = "coordinated"
COPIES = "≡ copies"  # as on the board
HEAD = ("onset (UTC)", "lasted", "brand", "what", "how far", "why")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for on the command line."""

    posts: Path
    source: str = "file"
    mapping: str = ""
    skip: bool = False
    json_lines: bool = False
    mood: Path | None = None
    plot: Path | None = None
    resume: Path | None = None


class Model:
    """The settings' model, loaded when a text first asks for it; as a score worker has it, and perhaps recorded."""

    def __init__(self, settings: Settings, resume: Path | None, stack: ExitStack) -> None:
        self._settings, self._resume, self._stack = settings, resume, stack
        self._ours: Ruler | None = None
        self._plain: Languages | None = None

    @property
    def name(self) -> str:
        """How the model is called in frames; "": it was never asked."""
        return self._ours.name if self._ours else ""

    def judge(self, text: str, declared: str | None) -> Judged:
        """Which language a text is in, and whether the model may score it."""
        verdict = self._ruler.judge(text, declared)
        return Judged(verdict.lang, verdict.known)

    def language(self, text: str, declared: str | None) -> str:
        """Which language a text is in; no model is needed to say so."""
        if self._plain is None:
            from models.lang import Languages
            from models.score import Card

            self._plain = Languages(Card(name="recorded"))
        return self._plain.judge(text, declared).lang

    def ask(self, texts: Sequence[Asked]) -> list[Scored | None]:
        """One score for each text; None: the model fails on this text alone."""
        from models.score import LABELS

        return [None if one is None else Scored(one.score, LABELS.index(one.label))
                for one in self._ruler.scores(texts)]

    @property
    def _ruler(self) -> "Ruler":
        if self._ours is None:
            import models
            from models.ruler import Ruler
            from streams.recorded import Recorded

            chosen = self._settings
            scorer: Scorer = models.load(chosen.model, threads=chosen.threads, effort=chosen.effort)
            if self._resume is not None:
                scorer = self._stack.enter_context(Recorded(scorer, self._resume, scorer.card.ruler))
            self._ours = Ruler(scorer)
        return self._ours


def run(settings: Settings, wish: Wish) -> int:
    """Runs a history through the heart. Raises `BadSetting` for what only the user can put right."""
    brands, named = settings.read_brands(), columns(wish.mapping)
    _check(settings, wish)
    tomorrow_ms = int(time.time() * 1000) + DAY_MS
    reader = Reader(named, Wanted(wish.source, frozenset(settings.sources), frozenset(brands.names),
                                  settings.read_secret(needed=False), tomorrow_ms))
    tally, incidents, curves = Tally(wish.posts, strict=not wish.skip), Incidents(), plot.Curves()
    with ExitStack() as stack:
        rows = stack.enter_context(closing(open_history(wish.posts, named)))
        model = Model(settings, wish.resume, stack)
        sinks: list[moods.Sink] = [curves] if wish.plot else []
        if wish.mood:
            sinks.append(stack.enter_context(moods.MoodFile(wish.mood)))
        show = stack.enter_context(_bar(wish, rows, tally))
        read = _good(happenings(wish.posts, rows, reader), tally, show)
        for swing in _steps(settings, Parts(brands, model, tally, sinks), read):
            incidents.add(swing)
            if wish.json_lines:
                sys.stdout.write(encode(swing).decode() + "\n")
                sys.stdout.flush()
    found = incidents.latest()
    if not wish.json_lines:
        _table(found, brands)
    told = [*_account(tally, model), *_unheard(settings, tally, reader), _swings(found)]
    sys.stderr.write("\n  ".join(told) + "\n")
    if wish.plot:
        titles = {name: brands.title(name) for name in brands.names}
        plot.draw(wish.plot, curves, found, titles)
    return 0


def _check(settings: Settings, wish: Wish) -> None:
    """What can be known to fail at the end fails at the beginning."""
    if wish.mood:
        moods.MoodFile.check(wish.mood)
    if wish.plot:
        plot.check(wish.plot)
    if wish.source not in settings.sources:
        raise BadSetting(f"--source {wish.source}: expected one of DENYUT_SOURCES={','.join(settings.sources)}")
    taken = {wish.posts.resolve(): "the posts"}
    if settings.brands:
        taken[Path(settings.brands).resolve()] = "the brand file"
    for option, path in (("--mood", wish.mood), ("--plot", wish.plot), ("--resume", wish.resume)):
        if path is not None and (other := taken.setdefault(path.resolve(), option)) != option:
            raise BadSetting(f"{option} {path}: it would overwrite {other}; name another file")


class Parts(NamedTuple):
    """What a run is put together of."""

    brands: Brands
    model: Model
    tally: Tally
    sinks: Sequence[moods.Sink]


def _steps(settings: Settings, parts: Parts, read: Iterable[Happening]) -> Iterator[Swing]:
    limits = Limits(settings.grace_ms, settings.early_ms)
    rules = Rules(parts.brands, frozenset(settings.sources), limits, settings.batch_posts)
    times = Times(settings.delay_ms, settings.grace_ms, settings.early_ms)
    taken = moods.Moods(parts.brands.names, settings.grace_ms, parts.sinks)
    if not parts.sinks:
        yield from Rerun(rules, times, parts.model, parts.tally).play(read)
        return
    rerun = Rerun(rules, times, parts.model, parts.tally, taken.look)
    yield from rerun.play(read)
    taken.end(rerun.tracker)


def _good(read: Iterable[Happening | Flawed], tally: Tally, show: Callable[[], None]) -> Iterator[Happening]:
    """The rows that are something; of the others it is told that they are not."""
    for one in read:
        show()
        if isinstance(one, Flawed):
            tally.note(one)
        else:
            yield one


@contextmanager
def _bar(wish: Wish, rows: "Rows", tally: Tally) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, where somebody looks at it; drawn again at most ten times a second."""
    if not sys.stderr.isatty() or (wish.json_lines and sys.stdout.isatty()):  # the two would write over each other
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    shape = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
             TextColumn("{task.fields[rows]:,} rows"), TimeRemainingColumn())
    drawn_s = float("-inf")
    # Steps go to standard output as it is: rich would send them where the bar is.
    with Progress(*shape, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(wish.posts.name, total=1.0, rows=0)

        def show() -> None:
            nonlocal drawn_s
            now_s = time.monotonic()
            if now_s - drawn_s >= 0.1:
                drawn_s = now_s
                progress.update(task, completed=rows.share, rows=tally.rows)

        yield show


# Telling.


def _account(tally: Tally, model: Model) -> list[str]:
    """What became of the rows."""
    said = [f"{tally.recorded} mentions that came with a score"]
    if tally.asked:
        said.append(f"{tally.asked} scored by {model.name}")
    said += [f"{count} {name}" for name, count in tally.outcomes.items() if count]
    lines = [f"{tally.path}: {tally.rows + tally.bad.total()} rows: {', '.join(said)}, {tally.bad.total()} bad"]
    lines += [f"{count} bad: {reason}; the first is row {tally.first[reason].number}: {tally.first[reason].why}"
              for reason, count in tally.bad.most_common()]
    if tally.recorded and tally.asked:
        lines.append("scores of the file and of the model are two rulers: a brand is not tested where they mix")
    return lines


def _unheard(settings: Settings, tally: Tally, reader: Reader) -> list[str]:
    """Why there may be fewer swings than somebody hoped for."""
    lines = [f"no row has the column {column}, which --map names" for column in sorted(reader.unseen)]
    if not tally.brands:
        file = settings.brands or "the demo's brands; --brands names another file"
        return [*lines, f"no row is about a brand of {file}"]
    known, of = len(tally.known), len(tally.brands)
    return [*lines, f"{known} of {of} brand{' was' if of == 1 else 's were'} known well enough to see a swing: "
                    "that takes 360 minutes with a vote in each"]


def _swings(incidents: Sequence[Swing]) -> str:
    """How many swings there were."""
    gone = sum(swing.state is Step.WITHDRAWN for swing in incidents)
    stand = [swing for swing in incidents if swing.state is not Step.WITHDRAWN]
    volume = sum(is_volume(swing) for swing in stand)
    copied = sum(swing.authenticity == COORDINATED for swing in stand)
    mood = len(stand) - volume - copied
    also = "".join(f", {count} {name}" for name, count in ((COORDINATED, copied), ("withdrawn", gone)) if count)
    return f"{mood} swing{'s' * (mood != 1)} of mood{also}, {volume} of volume"


def _table(incidents: Sequence[Swing], brands: Brands) -> None:
    """Every incident in one row, with its reasons."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not incidents:
        return
    out = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in HEAD:
        table.add_column(name, overflow="fold", no_wrap=name in HEAD[:2])
    for swing in incidents:
        table.add_row(*(Text(cell) for cell in row(swing, brands.title(swing.brand))))
    out.print(table)


def row(swing: Swing, title: str) -> tuple[str, ...]:
    """One incident in cells, as HEAD names them."""
    minutes = f"{(swing.at_ms - swing.onset_ms) // 60_000} min"
    ended = {"": " so far" if swing.is_open else "", "over": ""}.get(swing.ended, f", {swing.ended}")
    what = f"{'▲' if swing.direction == 'up' else '▼'} {swing.series}"
    if swing.authenticity == COORDINATED:
        what = COPIES
    # The first cause and the terms are told with the grounds.
    also = ", ".join(f"{cause.kind} {cause.name}".strip() + f" {cause.share:.0%}"
                     for cause in swing.causes[1:CAUSES] if cause.kind != "term")
    posts = f"see {', '.join(swing.exemplars)}" if swing.exemplars else ""
    return (f"{from_ms(swing.onset_ms):%Y-%m-%d %H:%M}", minutes + ended, title,
            f"{what}, {severity(swing)}", figures(swing),
            "; ".join(filter(None, (*grounds(swing), also and f"also {also}", posts))))
