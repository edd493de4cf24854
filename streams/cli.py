"""The command line. Each verb is a thin hand: it reads the settings, calls one room and gives back an exit code.

0 done, 1 something failed that no setting explains, 2 yours to mend. Heavy imports stand inside the verbs: `--help`
answers at once.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from models.score import Effort
    from streams.heart.brands import Brands
    from streams.settings import Settings

EFFORTS = ("fast", "balanced", "exact")  # models.score has them as well; importing it here would cost each start
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def answered(verb: Callable[..., int | None]) -> Callable[..., None]:
    """Turns what a verb returns or raises into an exit code, and its error into one line."""
    @wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        from models.score import NoModel
        from streams.heart.errors import BadSetting, DenyutError, LostBroker

        try:
            code = verb(*args, **kwargs) or 0
        except (BadSetting, NoModel) as error:
            click.echo(f"denyut: {error}", err=True)
            code = 2
        except LostBroker as error:
            click.echo(f"denyut: {error}; start Kafka, or correct DENYUT_BROKERS", err=True)
            code = 1
        except DenyutError as error:
            click.echo(f"denyut: {type(error).__name__}: {error}", err=True)
            code = 1
        except BrokenPipeError:  # the reader of our output has gone: nothing more to say
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        sys.exit(code)
    return run


def settings() -> "Settings":
    """The settings, read here and nowhere else."""
    from streams.settings import Settings

    return Settings.read(os.environ)


def version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Prints the version and ends."""
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version as installed

        click.echo(f"denyut {installed('denyut')}")
        context.exit()


@click.group(context_settings=CONTEXT)
@click.option("--version", is_flag=True, callback=version, expose_value=False, is_eager=True, help="Print it and end.")
def main() -> None:
    """Denyut listens: live posts in, the mood of each brand out, with error bars.

    Settings are environment variables, DENYUT_*; `denyut settings` prints them.
    """


@main.command()
@click.option("--for", "seconds", type=click.FloatRange(min=1), metavar="SECONDS",
              help="Stop after so long.  [default: at Ctrl-C]")
@click.option("--headless", is_flag=True, help="No board: progress to stderr, one JSON line to stdout at the end.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which public.")
@click.option("--rate", type=click.FloatRange(min=1, max=2000), default=50.0, show_default=True, help="Posts a second.",
              metavar="POSTS_PER_S")
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write what is sent, as `denyut backtest` reads it.")
@click.option("--port", type=click.IntRange(1, 65_532),
              help="The pages of score, pulse, feed and tell: there and on the next three.  [default: any]")
@answered
def demo(**wish: Any) -> int:
    """The whole pipeline on this machine: a public, a feed, Kafka, both workers, a live board."""
    from streams.demo import Wish, run

    chosen = settings()
    return run(Wish(**wish, model=chosen.model, alertmanager=chosen.alertmanager))


@main.command()
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--json", "json_lines", is_flag=True, help='JSON lines in ({"text": …, "lang"?: …}) and out.')
@click.option("--model", default="", help="A folder, or a Hugging Face name.  [default: the embedded model]")
@click.option("--effort", type=click.Choice(EFFORTS),
              help="Of a model that can answer early: all texts do, the sure ones, or none.  [default: DENYUT_EFFORT]")
@answered
def score(texts: Sequence[str], json_lines: bool, model: str, effort: "Effort | None") -> None:
    """Score texts; without TEXT, lines from stdin."""
    import models
    from models.cli_score import score_lines

    lines = [json.dumps({"text": text}) for text in texts] if json_lines else list(texts)
    chosen = settings()
    scorer = models.load(model or chosen.model, threads=chosen.threads, effort=effort or chosen.effort)
    score_lines(lines or sys.stdin, sys.stdout, scorer, json_lines=json_lines)


@main.group()
def feed() -> None:
    """Put posts onto Kafka."""


@feed.command("file")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", default="file", show_default=True, help="The source that the posts are said to come from.")
@click.option("--map", "mapping", default="", metavar="FIELD=COLUMN,…", help="Which column holds which field.")
@click.option("--speed", default="max", show_default=True, help="as-recorded, a factor such as 60, or max.")
@click.option("--times", type=click.Choice(["keep", "shift"]), default="keep", show_default=True,
              help="Keep the posts' times, or shift them so that the first is now.")
@click.option("--strict", is_flag=True, help="Stop at the first row that is no post.")
@answered
def feed_file(path: Path, **options: Any) -> int:
    """Posts from a file: JSONL, CSV or Parquet."""
    from streams.sources.file import Options, run_file

    chosen = settings()
    _logs(chosen)
    summary = run_file(chosen, path, Options.read(**options))
    click.echo(summary, err=True)
    return int(bool(summary.not_sent))


@feed.command("public")
@click.option("--rate", type=click.FloatRange(min=1, max=2000), default=50.0, show_default=True, help="Posts a second.",
              metavar="POSTS_PER_S")
@click.option("--seed", type=int, help="Which public.  [default: another one each time]")
@click.option("--for", "seconds", type=click.FloatRange(min=1), metavar="SECONDS",
              help="Stop after so long.  [default: at Ctrl-C]")
@answered
def feed_public(**wish: Any) -> int:
    """The demo's invented public, live, until it is told to stop; it serves /metrics as workers do."""
    from streams.aired import Wish, run

    chosen = settings()
    _logs(chosen)
    tally = run(chosen, Wish(**wish))
    sent = ", ".join(f"{count} {kind}s" for kind, count in sorted(tally.sent.items()))
    click.echo(f"sent {sent or 'nothing'}", err=True)
    return int(bool(tally.not_sent))


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def live(default: str) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """What the feeds of live sources have in common: their options, and that they stay until told to stop."""
    def decorate(verb: Callable[..., int | None]) -> Callable[..., None]:
        run = answered(verb)
        for option in reversed((
            click.option("--source", default=default, show_default=True, help="Under which its posts are counted."),
            click.option("--brands", type=_FILE, metavar="FILE", help="The brand file.  [default: DENYUT_BRANDS]"),
            click.option("--everything", is_flag=True, help="Also posts that name no brand."),
            click.option("--for", "seconds", type=click.FloatRange(min=1), metavar="SECONDS",
                         help="Stop after so long.  [default: at Ctrl-C]"),
        )):
            run = option(run)
        return run
    return decorate


def _listen(make: Callable[[str], Any], source: str, brands: Path | None, everything: bool,
            seconds: float | None) -> int:
    """Listens to what `make` makes, under this name."""
    from dataclasses import replace

    from streams.listen import Wish, run

    chosen = settings()
    chosen = replace(chosen, brands=str(brands or chosen.brands))
    _logs(chosen)
    tally = run(chosen, lambda: make(source), Wish(everything, seconds))
    sent = ", ".join(f"{count} {kind}s" for kind, count in sorted(tally.sent.items()))
    click.echo(f"sent {sent or 'nothing'}", err=True)
    return int(bool(tally.not_sent))


@feed.command("bluesky")
@click.option("--url", default="", help="Of a Jetstream server.  [default: a public one]")
@click.option("--wire", type=click.Choice(["auto", "v1", "v2"]), default="auto", show_default=True,
              help="Which of Jetstream's two wires it speaks.")
@click.option("--zstd-dictionary", default="", metavar="FILE", help="Its messages come compressed with this one.")
@live("bluesky")
def feed_bluesky(url: str, wire: str, zstd_dictionary: str, **common: Any) -> int:
    """Public posts of Bluesky, live: a Jetstream server's stream, with edits, removals and accounts that leave."""
    from streams.sources.bluesky import Options
    from streams.sources.bluesky_reader import Bluesky

    options = Options.read(url=url, wire=wire, zstd_dictionary=zstd_dictionary)
    return _listen(lambda name: Bluesky(name, options), **common)


@feed.command("mastodon")
@click.option("--server", required=True, metavar="URL", help="Of a server that has allowed it.")
@click.option("--token-file", type=_FILE, required=True, metavar="FILE", help="A user's token with read:statuses.")
@click.option("--stream", default="public", show_default=True, help="Or public:local, public:remote, hashtag.")
@click.option("--tag", default="", metavar="NAME", help="Of --stream hashtag.")
@click.option("--wire", type=click.Choice(["auto", "sse", "websocket"]), default="auto", show_default=True,
              help="How it streams; GoToSocial by websocket alone.")
@click.option("--pages", default="50", show_default=True, metavar="N", help="Of 40 posts each, at most, to fill a gap.")
@live("mastodon")
def feed_mastodon(token_file: Path, **options: Any) -> int:
    """Public posts that a Mastodon or GoToSocial server sees, live."""
    from streams.sources.mastodon_reader import Mastodon
    from streams.sources.mastodon_server import Options

    chosen = {name: options.pop(name) for name in ("server", "stream", "tag", "wire", "pages")}
    wish = Options.read(token_file=str(token_file), **chosen)
    return _listen(lambda name: Mastodon(name, wish), **options)


@feed.command("hackernews")
@click.option("--url", default="", help="Of the API.  [default: the public one]")
@live("hackernews")
def feed_hackernews(url: str, **common: Any) -> int:
    """Stories and comments of Hacker News, as they come."""
    from streams.sources.hackernews import HackerNews, Options

    options = Options.read(url=url)
    return _listen(lambda name: HackerNews(name, options), **common)


@feed.command("news")
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--list", "listed", type=_FILE, metavar="FILE", help="More of them, one a line.")
@click.option("--every", default="5m", show_default=True, metavar="SPAN", help="How often each is read, at least 1m.")
@live("news")
def feed_news(urls: Sequence[str], listed: Path | None, every: str, **common: Any) -> int:
    """Feeds: RSS, Atom, JSON Feed. What is in them when they are first read is not news."""
    from streams.sources.news_reader import News, Options

    options = Options.read(urls=urls, listed=listed, every=every)
    return _listen(lambda name: News(name, options), **common)


@feed.command("push")
@click.option("--listen", "address", default="127.0.0.1:8181", show_default=True, metavar="HOST:PORT",
              help="Where senders find it, at /v1/posts.")
@click.option("--keys", type=_FILE, required=True, metavar="FILE", help="TOML: a [[key]] each: id, sender, secret.")
@live("push")
def feed_push(address: str, keys: Path, **common: Any) -> int:
    """Posts that others send us: signed requests, answered when Kafka has them."""
    from streams.sources.push_reader import Options, Push

    options = Options(keys, address)
    return _listen(lambda name: Push(name, options), **common)


@main.command()
@click.argument("posts", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--brands", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="The brand file.  [default: DENYUT_BRANDS]")
@click.option("--map", "mapping", default="", metavar="FIELD=COLUMN,…", help="Which column holds which field.")
@click.option("--source", default="file", show_default=True, help="The source of rows that name none.")
@click.option("--model", default="", help="For rows without a score.  [default: DENYUT_MODEL]")
@click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
              help="At a row that is no post: stop, or count it and pass it by.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON line for each step of a swing, as in denyut.swings.")
@click.option("--mood", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write what the windows said, each minute: .csv or .parquet.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw it: .png.")
@click.option("--resume", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Record scores here, and do not ask again for those that are.")
@answered
def backtest(posts: Path, brands: Path | None, model: str, on_error: str, **options: Any) -> int:
    """Every swing in a file of old posts, with its reasons; without Kafka."""
    from dataclasses import replace

    from streams.backtest import Wish, run

    chosen = settings()
    chosen = replace(chosen, brands=str(brands or chosen.brands), model=model or chosen.model)
    _logs(chosen)
    return run(chosen, Wish(posts=posts, skip=on_error == "skip", **options))


@main.group()
def work() -> None:
    """Run a worker: it joins its group, works until it is told to stop, and serves /metrics."""


@work.command("score")
@answered
def work_score() -> int:
    """Score posts: denyut.posts in, denyut.mentions out."""
    from streams.agents.score import run

    return run(_at_the_door())


@work.command("pulse")
@answered
def work_pulse() -> int:
    """Count mentions and show the mood: denyut.mentions in, /metrics out."""
    from streams.agents.pulse import run

    return run(_at_the_door())


@main.command()
@answered
def tell() -> int:
    """Tell Alertmanager the reasons of the swings that it alerts on; without it, messages have numbers only."""
    from streams.tell import run

    return run(_at_the_door())


@main.command()
@click.option("--create", is_flag=True, help="Create those that are missing.")
@answered
def topics(create: bool) -> None:
    """The topics and their policies."""
    from streams.keeping import TOPICS, policy_of
    from streams.topics import create as make

    chosen = settings()
    replay = bool(chosen.clock)
    if create:
        _logs(chosen)
        for made in make(chosen, replay=replay):
            for differs in made.differs:
                click.echo(f"denyut: {made.topic} was there, with {differs}", err=True)
    for topic in TOPICS:
        click.echo(chosen.topic(topic.name))
        for name, value in policy_of(topic, replay=replay).items():
            click.echo(f"    {name}={value}")


@main.group()
def brands() -> None:
    """Brand files."""


@brands.command("check")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--against", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The file that runs now.")
@click.option("--text", help="Also say which brands this text names.")
@click.option("--source", default="", help="The source that the text is said to come from.")
@click.option("--strict", is_flag=True, help="A warning is a failure: exit code 1.")
@click.option("--cost", "with_cost", is_flag=True, help="Also say what matching costs on this machine.")
@answered
def brands_check(path: Path, against: Path | None, text: str | None, source: str, strict: bool, with_cost: bool) -> int:
    """Check a brand file before it is published: what cannot be, and what can hardly be meant."""
    from streams import tryout

    checked = _read(path, against)
    click.echo(f"{path}: number {checked.number}, {len(checked.names)} brands, {len(checked.file.brand)} rules: good")
    findings = tryout.check(checked, tryout.scored(settings().model))
    tryout.show_findings(findings, click.echo)
    if with_cost:
        click.echo(tryout.cost(checked))
    if text is not None:
        import time

        named = checked.match(text, source, int(time.time() * 1000))
        click.echo(", ".join(match.brand for match, _ in named) or "no brand")
    return int(strict and not all(one.is_note for one in findings))


@brands.command("try")
@click.argument("path", type=_FILE)
@click.argument("posts", type=_FILE)
@click.option("--map", "mapping", default="", metavar="FIELD=COLUMN,…", help="Which column holds which field.")
@click.option("--source", default="", help="The source that the posts are said to come from.  [default: any]")
@click.option("--json", "as_json", is_flag=True, help="The numbers as one JSON object, without any text.")
@answered
def brands_try(path: Path, posts: Path, mapping: str, source: str, as_json: bool) -> None:
    """Try a brand file on a file of posts: what each brand would get, and what only just, or just not.

    Nothing is sent. Each brand's latest rule is tried, as if it had always held.
    """
    from streams import tryout

    outcome = tryout.try_file(_read(path), tryout.Wish(posts, mapping, source))
    if as_json:
        click.echo(tryout.as_json(outcome))
    else:
        tryout.show(outcome, click.echo)


@main.group("model")
def model_() -> None:
    """Look at a model, prove it, measure it on labelled posts of yours."""


@model_.command("show")
@click.option("--model", default="", help="A folder, or a Hugging Face name.  [default: DENYUT_MODEL]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as card.json has it.")
@answered
def model_show(model: str, as_json: bool) -> None:
    """The card: what it is, what it learnt from, how good it is in each language, where it is weak."""
    from models.cli_model import shown, shown_json

    click.echo((shown_json if as_json else shown)(model or settings().model))


@model_.command("check")
@click.option("--model", default="", help="A folder, or a Hugging Face name.  [default: DENYUT_MODEL]")
@answered
def model_check(model: str) -> None:
    """Its checksum, and a few answers that are known beforehand."""
    from models.cli_model import check

    check(model or settings().model, sys.stdout)


@model_.command("evaluate")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="", help="A folder, or a Hugging Face name.  [default: DENYUT_MODEL]")
@click.option("--effort", type=click.Choice(EFFORTS), help="As in denyut score.  [default: DENYUT_EFFORT]")
@click.option("--text", default="text", show_default=True, metavar="COLUMN", help="What was said.")
@click.option("--label", default="label", show_default=True, metavar="COLUMN",
              help="What it was: negative, neutral, positive, or the like.")
@click.option("--lang", metavar="COLUMN", help="The declared language.  [default: lang, where there is one]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@answered
def model_evaluate(path: Path, model: str, effort: "Effort | None", as_json: bool, **columns: Any) -> None:
    """How good a model is on labelled posts, JSON lines or CSV, by language and by their column `source`."""
    import models
    from models.cli_model import BadFile, Columns, evaluated, told
    from streams.heart.errors import BadSetting

    chosen = settings()
    scorer = models.load(model or chosen.model, threads=chosen.threads, effort=effort or chosen.effort)
    try:
        found = evaluated(path, Columns(**columns), scorer)
    except BadFile as error:
        raise BadSetting(str(error)) from error
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(found))
    else:
        click.echo(told(found))


@main.command("settings")
@answered
def show_settings() -> None:
    """Every setting: its name, its value now, and what it means."""
    for row in settings().rows():
        click.echo(f"{row.name}={row.value}")
        click.echo(f"    {row.meaning}" + ("" if row.value == row.default else f" [default: {row.default or 'empty'}]"))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: code, and every line as an object.")
@answered
def doctor(as_json: bool) -> int:
    """What is wrong with this installation, a line each, and what to do: settings, files, Kafka, clock, model."""
    from streams.doctor import examine
    from streams.findings import exit_code

    lines = []
    for line in examine(os.environ):
        lines.append(line)
        if not as_json:
            click.echo(line)
    code = exit_code(lines)
    if as_json:
        click.echo(json.dumps({"code": code, "lines": [line._asdict() for line in lines]}, ensure_ascii=False))
    return code


def _read(path: Path, against: Path | None = None) -> "Brands":
    """A brand file, which may have to follow another. Raises `BadBrands`, naming the file that is wrong."""
    from streams.heart.brands import Brands
    from streams.heart.errors import BadBrands

    old = None if against is None else _read(against)
    try:
        read = Brands.parse(path.read_text(encoding="utf-8"))
        if old is not None:
            read.follows(old)
    except UnicodeDecodeError:
        raise BadBrands(f"{path}: not UTF-8") from None
    except BadBrands as error:
        raise BadBrands(f"{path}: {error}") from None
    return read


def _at_the_door() -> "Settings":
    """The settings of a process that stays. It needs no secret; but one that is named and not there is a mistake that
    somebody should hear of now, and not when the first feed starts."""
    chosen = settings()
    _logs(chosen)
    if chosen.secret_file:
        chosen.read_secret()
    return chosen


def _logs(chosen: "Settings") -> None:
    from streams import logs

    logs.setup(chosen.log_level)
    logs.end_discreetly()


if __name__ == "__main__":
    main()
