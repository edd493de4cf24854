"""The board: true at a glance, inside the width it is given, with or without colour or a terminal."""

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from streams.board import ASCII, Board, BrandLine, PipelineLine, View, render, scale, sparkline, summary
from streams.heart.incident import Cause, Copies, Standing, Step, Swing, Term
from streams.heart.window import Reading
from tests.incidents import ONSET_MS, swing

PIPELINE = PipelineLine(posts_per_s=211.4, scored_per_s=187.0, freshness_p50_ms=420.0, freshness_p95_ms=1234.0, lag=12,
                        rejects=12, late=34, early=2, removals=40, watermark_age_ms=2100.0, model="small 1")
GLAD = BrandLine("kopi-lumora", "Kopi Lumora", mood=0.24, lower=0.19, upper=0.29, curve=(0.1, 0.2, 0.24),
                 mentions_1m=12, mentions_5m=240, mentions_1h=12_345, authors=311, organic=0.94,
                 negative=0.24, neutral=0.36, positive=0.40, completeness=1.0)
SAD = BrandLine("lajuro", "Lajuro", mood=-0.31, lower=-0.4, upper=-0.22, mentions_1h=90, authors=40, organic=0.5,
                negative=0.6, neutral=0.2, positive=0.2, completeness=0.71)
UNSCORED = BrandLine("bank-sagarma", "Bank Sagarma", mentions_1h=12)
SILENT = BrandLine("quovira", "Quovira")
PAST = BrandLine("mi-kriwila", "Mi Kriwila", mood=0.0, lower=-0.1, upper=0.1, replaying=True)
VIEW = View((GLAD, SAD, UNSCORED, SILENT, PAST), PIPELINE, now_ms=1_577_888_400_000, note="a day in six minutes")


WARM = Standing(is_ready=True, smallest=0.23)
FELL = swing(causes=(Cause("term", "ongkos", 0.62),), terms=(Term("ongkos", 7.0, 40), Term("hujan", 4.0, 12)))
COPIED = swing(id="kopi-lumora:down:1", brand="kopi-lumora", authenticity="coordinated", onset_ms=ONSET_MS + 60_000,
               copies=Copies(authentic=0.12, usual_votes_per_post=0.9), terms=())
LOUD = swing(id="lajuro:volume:1", series="volume", direction="up", severity=1, now=11.2, usual=2.4, authenticity="")
OVER = swing(id="quovira:up:1", brand="quovira", direction="up", state=Step.CLOSED, ended="over", peak=0.4,
             onset_ms=ONSET_MS - 200 * 60_000, at_ms=ONSET_MS - 102 * 60_000)
SWINGS = (OVER, LOUD, COPIED, FELL)


def swinging(*swings: Swing) -> View:
    """The five brands with these incidents, Lajuro's and Quovira's as they stand by them."""
    def of(line: BrandLine) -> BrandLine:
        own = [one for one in swings if one.brand == line.name and one.is_open]
        down = max((one.severity for one in own if one.series == "mood" and one.authenticity == "organic"), default=0)
        volume = max((one.severity for one in own if one.series == "volume"), default=0)
        copied = max((one.severity for one in own if one.authenticity == "coordinated"), default=0)
        return replace(line, completeness=None if line.mood is None else 1.0,
                       standing=WARM._replace(down=down, volume=volume, coordinated=copied))

    return replace(VIEW, brands=tuple(map(of, VIEW.brands)), swings=swings, now_ms=ONSET_MS + 22 * 60_000)


def drawn(view: View, width: int = 80, height: int | None = None) -> list[str]:
    """The board's lines as plain text."""
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    console.print(render(view, width, height=height))
    return console.export_text().splitlines()


def lines_of(title: str, view: View = VIEW, width: int = 80) -> tuple[str, str]:
    """A brand's two lines."""
    lines = drawn(view, width)
    at = next(n for n, line in enumerate(lines) if line[2:].startswith(title))
    return lines[at], lines[at + 1]


@pytest.mark.parametrize("width", [40, 60, 79, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Whatever the width and however long a title, nothing wraps."""
    long = BrandLine("long", "Kedai Kopi yang Namanya Panjang Sekali 株式会社", mood=0.9, lower=0.8, upper=1.0,
                     mentions_1h=9**9)
    console = Console(width=10_000, file=io.StringIO(), record=True)  # so that it is not the console that cuts
    console.print(render(View((*VIEW.brands, long), PIPELINE, now_ms=0, note="n" * 300), width))
    assert max(cell_len(line) for line in console.export_text().splitlines()) <= width


def test_eighty_columns_tell_everything() -> None:
    """Mood, shares, people, trust and counts of a brand stand in its two lines."""
    first, second = lines_of("Kopi Lumora")
    assert "+0.24" in first
    assert re.search(r"12\s+240\s+12k$", first)
    for said in ("neg 24%", "neu 36%", "pos 40%", "311 authors", "94% organic", "100% complete"):
        assert said in second
    whole = "\n".join(drawn(VIEW))
    for said in ("posts 211/s", "scored 187/s", "420 ms, p95 1.2 s", "lag 12", "rejected 12", "late 34", "early 2",
                 "removed 40", "watermark 2.1 s behind", "model small 1", "mood = mean vote, -1 to +1",
                 "bar = 95 % interval", "votes = one per author and hour", "Wed 01 Jan 2020 14:20 UTC",
                 "a day in six minutes"):
        assert said in whole


def test_five_brands_fit_the_smallest_usual_terminal() -> None:
    """80 by 24 holds five brands with all that is said of them."""
    lines = drawn(VIEW, 80, height=24)
    assert len(lines) <= 24
    assert sum("authors" in line for line in lines) == 3


@pytest.mark.parametrize("height", [24, 20, 16, 13])
def test_a_low_terminal_loses_the_least_important_first(height: int) -> None:
    """Air goes first, then second lines, then brands, which are counted."""
    lines = drawn(VIEW, 80, height=height)
    assert len(lines) <= height
    assert any("Kopi Lumora" in line for line in lines)
    if sum(b.title in "\n".join(lines) for b in VIEW.brands) < 5:
        assert any(re.search(r"and \d more", line) for line in lines)


def test_absent_mood_is_a_dash_and_an_empty_scale() -> None:
    """No figure is not zero: there is a dash, no mark, and the reason."""
    for title, reason in (("Quovira", "waiting for the first mentions"), ("Bank Sagarma", "counted, not scored")):
        first, second = lines_of(title)
        assert re.search(rf"{title}\s+—  ─+┼─+", first)
        assert "●" not in first
        assert reason in second


@pytest.mark.parametrize("replaying", [False, True])
def test_what_was_scored_without_a_vote_is_not_called_unknown(replaying: bool) -> None:
    """A copy, or an author's second mention, has no vote, and the one that has may be older than the hour."""
    reading = Reading("lajuro", "1h", 3, 0, 1, 1, 1, 0.0, 0, None, None, None, 1.0, 1, 1.0)
    line = BrandLine.of("Lajuro", {"1h": reading}, replaying=replaying)
    _, second = lines_of("Lajuro", View((line,), PipelineLine()))
    assert f"{'replaying: ' * replaying}scored, but nobody here has a vote left in this hour" in second


def test_replaying_and_sick_sources_are_said_in_words() -> None:
    """What may not be believed says so without colour."""
    assert "replaying the past" in lines_of("Mi Kriwila")[1]
    assert "only 71% heard" in lines_of("Lajuro")[1]


#    -1                  0                  +1
#     0    2    4    6    8   10   12   14   16
@pytest.mark.parametrize(("mood", "lower", "upper", "expected"), [
    (0.0, -0.25, 0.25, "──────[━●━]──────"),
    (0.5, 0.25, 0.75, "────────┼─[━●━]──"),
    (-1.0, -1.0, -0.75, "●━]─────┼────────"),
    (1.0, 1.0, 1.0, "────────┼───────●"),
    (0.125, 0.124, 0.126, "────────[●]──────"),  # rounded outwards, never to nothing
    (0.125, 0.125, 0.125, "────────┼●───────"),
])
def test_interval_stands_in_the_right_cells(mood: float, lower: float, upper: float, expected: str) -> None:
    """Seventeen cells, an eighth each: brackets at the cells that hold the ends, the mark at the mood's own."""
    assert scale(BrandLine("a", "A", mood, lower, upper), 17) == expected


def test_readings_make_a_line() -> None:
    """What the tracker reads becomes what is shown: mood of one window, counts of three, shares of the scored."""
    def reading(window: str, mentions: int) -> Reading:
        return Reading("lajuro", window, mentions, abstained=2, negative=1, neutral=1, positive=2, score_sum=0.5,
                       votes=3, mood=0.25, lower=0.0, upper=0.5, organic=0.75, authors=3, completeness=1.0)

    readings = {window: reading(window, n) for window, n in (("1m", 1), ("5m", 5), ("1h", 6), ("24h", 9))}
    line = BrandLine.of("Lajuro", readings, window="5m", curve=(0.1,))
    assert line == BrandLine("lajuro", "Lajuro", 0.25, 0.0, 0.5, (0.1,), 1, 5, 6, 3, 0.75, 0.25, 0.25, 0.5, 1.0)


def test_nothing_scored_makes_no_shares() -> None:
    """Abstained mentions are counted; there is nothing to have a share of."""
    empty = Reading("lajuro", "1h", 2, 2, 0, 0, 0, 0.0, 0, None, None, None, None, 2, 1.0)
    line = BrandLine.of("Lajuro", {"1h": empty})
    assert (line.mentions_1h, line.mood, line.negative, line.organic) == (2, None, None, None)


def test_no_interval_no_brackets() -> None:
    """A mood without an interval is a mark alone."""
    assert scale(BrandLine("a", "A", mood=0.5), 17) == "────────┼───●────"


def test_scale_on_the_board_stands_under_its_ends() -> None:
    """The column's -1, 0 and +1 name the first, the zero and the last cell."""
    for width in (60, 80, 121):
        lines = drawn(VIEW, width)
        names = next(line for line in lines if line.startswith("  brand"))
        empty = lines_of("Quovira", width=width)[0]
        start, end = empty.index("─"), empty.rindex("─")
        assert names[start : start + 2] == "-1"
        assert names[empty.index("┼")] == "0"
        assert names[end - 1 : end + 1] == "+1"


def test_curve_is_flat_in_calm_weather_and_keeps_gaps() -> None:
    """Noise is no mountain; a missing moment is a blank; only the newest that fit are shown."""
    assert len(set(sparkline([0.10, 0.11, 0.10, 0.12], 4))) <= 2
    assert sparkline([-0.5, 0.5], 2) == "▁█"
    assert sparkline([0.5, None, 0.5], 3)[1] == " "
    assert sparkline([1.0, 0.0, 0.0], 2) == sparkline([0.0, 0.0], 2)
    assert sparkline([], 3) == "   "


def test_zero_is_never_minus_zero() -> None:
    """A mood of -0.001 reads +0.00."""
    assert "+0.00" in lines_of("A", View((BrandLine("a", "A", mood=-0.001),), PIPELINE))[0]


def test_titles_are_not_markup() -> None:
    """A title with brackets or line ends stays one plain line."""
    view = View((BrandLine("a", "[red]A[/red]\nB"),), PIPELINE)
    assert any("[red]A[/red]" in line for line in drawn(view, 120))


def test_ascii_terminals_get_ascii() -> None:
    """The same board without a single character beyond ASCII, footer included."""
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(render(VIEW, 80, glyphs=ASCII))
    text = console.export_text()
    assert text.isascii()
    assert "[o]" in text


@pytest.fixture
def terminal() -> Callable[..., tuple[io.StringIO, Console]]:
    """A console of a given kind, and what was written to it."""
    def made(**kind: object) -> tuple[io.StringIO, Console]:
        out = io.StringIO()
        return out, Console(file=out, width=80, height=24, _environ={"TERM": "xterm"}, **kind)  # type: ignore[arg-type]
    return made


def test_terminal_is_given_back(terminal: Callable[..., tuple[io.StringIO, Console]]) -> None:
    """On a terminal the board takes the other screen, and returns it with a last board, also after Ctrl-C."""
    out, console = terminal(force_terminal=True)

    def interrupted() -> None:
        with Board(console) as board:
            board.update(VIEW)
            board.update(VIEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    written = out.getvalue()
    assert written.count("\x1b[?1049h") == written.count("\x1b[?1049l") == 1
    assert written.rindex("Kopi Lumora") > written.rindex("\x1b[?1049l")
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # the cursor is seen again


def test_pipe_gets_a_line_now_and_then(terminal: Callable[..., tuple[io.StringIO, Console]]) -> None:
    """Without a terminal: one summary each ten seconds of the view's time, the board at the end, no control codes."""
    out, console = terminal(force_terminal=False)
    with Board(console) as board:
        for second in range(25):
            board.update(View(VIEW.brands, PIPELINE, uptime_s=float(second)))
        assert out.getvalue().count("\n") == 3
    assert "\x1b" not in out.getvalue()
    assert "bar = 95 % interval" in out.getvalue()


def test_no_color_keeps_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes the colours and nothing else."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True)
    console.print(render(VIEW, 80))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", out.getvalue())
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in out.getvalue().splitlines()] == [
        line.rstrip() for line in drawn(VIEW)]


def test_summary_is_one_line() -> None:
    """For logs: every brand with its interval, and whether it is replaying."""
    said = summary(VIEW)
    assert "\n" not in said
    assert "Lajuro -0.31 [-0.40 to -0.22]" in said
    assert "Mi Kriwila +0.00 [-0.10 to +0.10] (replaying)" in said


def panel(view: View, width: int = 80, height: int | None = None) -> list[str]:
    """The lines from the one over the incidents to the foot."""
    lines = drawn(view, width, height)
    begin = next((n for n, line in enumerate(lines) if re.match(r" ── swings", line)), len(lines))
    rules = [n for n, line in enumerate(lines) if re.match(r" ─+$", line.rstrip()) and n > begin]
    return lines[begin : rules[0]] if rules else []


def test_a_swing_is_told_beside_its_brand_and_below() -> None:
    """A mark and a word at the brand; below since when, now against usual, how sure, who speaks and of what."""
    first, second = lines_of("Lajuro", swinging(FELL))
    assert first.startswith("▼ Lajuro")
    assert second.rstrip().endswith("▼ serious")
    _, course, grounds = panel(swinging(FELL))
    assert re.fullmatch(r" ▼ Lajuro +serious  since 14:12 \(22 min\)  now -0.55, usually \+0.18", course.rstrip())
    for said in ("59 votes", "by chance <1 in 192 weeks", "organic", "about ongkos 62%"):
        assert said in grounds


def test_a_campaign_is_no_swing_of_its_brand() -> None:
    """Coordinated: a mark of its own, the word, and how much of it is authentic; the mood is not said to fall."""
    first, second = lines_of("Kopi Lumora", swinging(COPIED))
    assert first.startswith("≡ Kopi Lumora")
    assert second.rstrip().endswith("≡ copies, serious")
    _, course, grounds = panel(swinging(COPIED))
    assert course.startswith(" ≡ Kopi Lumora")
    assert "coordinated (12% authentic)" in grounds
    assert "▼" not in "".join(drawn(swinging(COPIED)))


def test_what_is_over_stands_below_what_is_open() -> None:
    """Open incidents come first, the latest of them on top; no more than four are shown, whatever there was."""
    many = (*SWINGS, *(replace_onset(OVER, n) for n in range(1, 9)))
    lines = panel(swinging(*many))
    marks = [line[1] for line in lines[1::2]]
    assert marks == ["≡", "◆", "▼", "▲"]
    assert "over after 98 min" in lines[7]
    assert "peak +0.58, usually +0.18" in lines[7]


def replace_onset(of: Swing, days_before: int) -> Swing:
    """The same incident, days earlier."""
    back_ms = days_before * 86_400_000
    return swing(id=f"{of.id}/{days_before}", brand=of.brand, state=of.state, ended=of.ended, at_ms=of.at_ms - back_ms,
                 onset_ms=of.onset_ms - back_ms)


def test_calm_brands_say_how_small_a_swing_would_be_seen() -> None:
    """The smallest visible swing of a warm brand; one that is still learned says so, above all of them how many."""
    cold = replace(VIEW, brands=(replace(GLAD, standing=WARM), replace(SAD, completeness=1.0, standing=Standing())))
    assert "sees swings ≥0.23" in lines_of("Kopi Lumora", cold)[1]
    assert "learning the usual" in lines_of("Lajuro", cold)[1]
    head, = panel(cold)
    assert "swings: none so far; 1 of 2 brands" in head


def test_where_nobody_looks_for_swings_none_are_spoken_of() -> None:
    """Without standings and incidents the board has no panel."""
    assert not any("swing" in line for line in drawn(VIEW))


@pytest.mark.parametrize("height", [50, 30, 24, 20, 16, 13])
@pytest.mark.parametrize("swings", [SWINGS, SWINGS[2:], SWINGS[3:], ()])
def test_incidents_fit_a_low_terminal(height: int, swings: tuple[Swing, ...]) -> None:
    """Whatever the height, no line too many, and no brand gives way to an incident."""
    lines = drawn(swinging(*swings), 80, height)
    assert len(lines) <= height
    if height >= 16:
        assert all(any(line[2:].startswith(brand.title) for line in lines) for brand in VIEW.brands)


def test_the_smallest_usual_terminal_tells_four_incidents() -> None:
    """80 by 24: five brands, and four incidents with their grounds."""
    lines = panel(swinging(*SWINGS), 80, 24)
    assert len(lines) == 9
    assert sum("votes ·" in line or "mentions ·" in line for line in lines) == 4


@pytest.mark.parametrize("width", [40, 60, 79, 80, 100, 200])
def test_no_incident_is_wider_than_the_terminal(width: int) -> None:
    """Phrases that do not fit are left out."""
    console = Console(width=10_000, file=io.StringIO(), record=True)
    console.print(render(swinging(*SWINGS), width))
    assert max(cell_len(line) for line in console.export_text().splitlines()) <= width


def test_incidents_in_ascii() -> None:
    """Marks and all, without a character beyond ASCII."""
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(render(swinging(*SWINGS), 80, glyphs=ASCII))
    text = console.export_text()
    assert text.isascii()
    assert re.search(r"^ v Lajuro", text, re.MULTILINE)


def test_summary_names_what_is_open() -> None:
    """For logs: the brand that swings says how, and how severely."""
    assert "Lajuro -0.31 [-0.40 to -0.22] (down serious, volume notice)" in summary(swinging(*SWINGS))
