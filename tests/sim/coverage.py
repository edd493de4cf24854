"""Coverage: does the 95 % interval of the hour's mood hold the truth in 95 of 100 hours?

    python -m tests.sim.coverage [--full] [--data FILE] [--first SEED]

Publics made up, author by author (`people`), whose truth is known; and labelled posts, resampled in blocks: a block is
a pseudo-author whose posts are drawn together, and truth is the expected vote of a drawn block. All go the whole way,
as frames through a Tracker, and are read as the board reads them, at the end of every hour.
Beside the share that is covered: the sd of (mood - truth) over the standard error that the interval claims. Above 1 the
interval is too narrow; between 0.90 and 1.08, a normal mood is covered in 97 to 93 of 100 hours.
`--data`: JSON lines, gzipped if so named, with text, label (negative, neutral, positive), source, lang; without it the
demo's reviews are taken. Knows nothing of labelling error: labels are taken at their word.
"""

import argparse
import gzip
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.frame import FLOOR, LABELS, ROW, Frame, Mark, Names, pack
from streams.heart.pane import UNIT, Rows
from streams.heart.tracker import Tracker
from streams.heart.window import Z95, Reading
from tests.sim.judge import Figure, wilson
from tests.sim.people import HOUR, MANNERS, MINUTE_MS, START_MS, People, Public, solved

REVIEWS = Path(__file__).parents[2] / "streams" / "demo" / "reviews.jsonl"
HOUR_MS = HOUR * MINUTE_MS
BAND = (0.93, 0.97)
BRANDS = 48  # many at once, for few hours: they share a tracker's work
FEWEST = 200  # labelled posts that make a population
_NULL = MANNERS["null"]
PUBLICS = {
    "no kinship, no copies": replace(_NULL, kin=0, copied=0),
    "kinship 0.32, no copies": replace(_NULL, copied=0),
    "kinship 0.32, 10 % copies": _NULL,
    "kinship 0.32, 30 % copies": replace(_NULL, copied=0.3),
    "restless, with events": MANNERS["noisy-real"],
    "loud and occasional": MANNERS["loud"],
}
FIRST_DAY = "its first day"
PER_MINUTE = (0.05, 0.2, 1, 5, 30)
DRAWS = (3, 10, 30, 100, 500)  # blocks an hour
FEW = 50  # posts an hour, below which a brand is given a day until it is read


class Hour(NamedTuple):
    """An hour's reading, and what it should have been."""

    group: str
    volume: float
    truth: float
    votes: int
    mood: float
    lower: float
    upper: float
    error: float  # the standard error claimed

    @property
    def is_covered(self) -> bool:
        """Whether the interval holds the truth."""
        return self.lower <= self.truth <= self.upper


def read(frames: Iterable[bytes], brands: Sequence[str], minutes: int = HOUR) -> Iterator[dict[str, Reading]]:
    """The hourly reading of each brand after every so many frames; those without votes are left out."""
    tracker, frames = Tracker(0, 1), iter(frames)
    while some := list(islice(frames, minutes)):
        tracker.apply(some)
        tracker.settle()
        yield {said.brand: said for said in tracker.readings(brands) if said.window == "1h" and said.votes}


def against(truth: float, said: Reading, group: str, volume: float) -> Hour:
    """A reading beside the truth."""
    assert said.mood is not None
    assert said.lower is not None
    assert said.upper is not None
    half = max(said.upper - said.mood, said.mood - said.lower)  # the end that is not held to the scale
    return Hour(group, volume, truth, said.votes, said.mood, said.lower, said.upper, half / Z95)


def of_people(group: str, people: People, unread: int = 0) -> Iterator[Hour]:
    """The hours of a public that was made up. Those of an attack are left out: its votes are not the public's."""
    for at, said in enumerate(read(people.frames(), people.brands)):
        for public in people.publics:
            first = at * HOUR
            if at >= unread and public.name in said and not _is_attacked(public, first):
                yield against(public.truth.mood(first, first + HOUR), said[public.name], group, people.per_minute)


def _is_attacked(public: Public, first: int) -> bool:
    return any(event.kind == "attack" and event.on < first + HOUR and first < event.end for event in public.events)


class Span(NamedTuple):
    """How many hours to run, and how many of them to leave unread: a brand of few posts is known after a day."""

    hours: int
    unread: int

    @classmethod
    def of(cls, an_hour: float) -> "Span":
        """By the posts an hour."""
        return cls(30, 24) if an_hour < FEW else cls(14, 2)


class Blocks(NamedTuple):
    """Labelled posts in blocks: `values` one block after the other, `begins` where each begins, `sizes` how many."""

    name: str
    values: npt.NDArray[np.int64]  # -1, 0, 1
    begins: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, name: str, values: npt.NDArray[np.int64], rng: np.random.Generator, kin: float) -> "Blocks":
        """Blocks of one to many posts, two thirds of the posts in blocks of more than one; the posts of a block are as
        alike as `kin` says (correlation within blocks).
        """
        sizes = 1 + rng.geometric(0.55, len(values)) * (rng.random(len(values)) < 0.38)
        sizes = sizes[:np.searchsorted(np.cumsum(sizes), len(values))]
        begins = np.cumsum(sizes) - sizes
        values, noise = rng.permutation(values)[:int(sizes.sum())], rng.standard_normal(int(sizes.sum()))

        def mixed(sd: float) -> npt.NDArray[np.int64]:  # neighbours are alike, the less so the more noise there is
            return values[np.argsort(values + sd * noise)]

        order = rng.permutation(len(sizes))
        sd = solved(lambda sd: kin - correlation(mixed(sd), begins, sizes), 1e-3, 50)
        return cls(name, mixed(sd), begins[order], sizes[order])

    @property
    def truth(self) -> float:
        """The expected vote. Of k posts that are strewn over an hour, on both sides of the author's own full hour,
        2k/(k + 1) votes are to be expected, each a random one of them.
        """
        weight = 2 * self.sizes / (self.sizes + 1)
        totals = np.add.reduceat(self.values, np.sort(self.begins))[np.argsort(np.argsort(self.begins))]
        return float(weight @ (totals / self.sizes) / weight.sum())

    def rows(self, rng: np.random.Generator, blocks: float, hour: int) -> Rows:
        """About so many blocks, drawn with replacement, each as a new author, in one hour."""
        drawn = rng.integers(0, len(self.sizes), rng.poisson(blocks))
        sizes = self.sizes[drawn]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        place = within + np.repeat(self.begins[drawn], sizes)
        rows = np.zeros(len(place), ROW)
        for name in ("id", "dup"):
            rows[name] = rng.integers(0, 2**64, len(rows), np.uint64)
        rows["author"] = np.repeat(rng.integers(0, 2**64, len(drawn), np.uint64), sizes)
        rows["event"] = rows["arrival"] = START_MS + hour * HOUR_MS + rng.integers(0, HOUR_MS, len(rows))
        rows["label"], rows["score"] = self.values[place] + 1, self.values[place] * UNIT
        return rows


def correlation(values: npt.NDArray[np.int64], begins: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> float:
    """The correlation of two posts of one block, each block counting once."""
    x = values - values.mean()
    sums, squares = np.add.reduceat(x, begins), np.add.reduceat(x * x, begins)
    several = sizes > 1
    pairs = (sums**2 - squares)[several] / (sizes * (sizes - 1))[several]
    return float(pairs.mean() / x.var())


def populations(path: Path) -> dict[str, npt.NDArray[np.int64]]:
    """Labels as -1, 0, 1, by source and language; the small ones are left out."""
    found: dict[str, list[int]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            post = json.loads(line)
            label = LABELS.index(post.get("label") or post["lean"]) - 1
            found[" ".join((post.get("source", path.stem), post.get("lang", "")))].append(label)
    return {name: np.array(labels) for name, labels in found.items() if len(labels) >= FEWEST}


def of_blocks(group: str, publics: Sequence[Blocks], volume: float, hours: Span, seed: int) -> Iterator[Hour]:
    """The hours of labelled posts, drawn again block by block; `volume` blocks an hour of each public."""
    rng = np.random.default_rng([seed, 3])
    names = Names(tuple(public.name for public in publics), ("labelled",), ("und",), ("labels",), ("any",))

    def frames() -> Iterator[bytes]:
        for hour in range(hours.hours):
            rows = [public.rows(rng, volume, hour) for public in publics]
            for number, part in enumerate(rows):
                part["brand"] = number
            mark = Mark(0, START_MS + (hour + 1) * HOUR_MS - 1)
            yield pack(Frame(names, np.concatenate(rows), np.zeros(0, FLOOR), (mark,)))

    for at, said in enumerate(read(frames(), names.brand, minutes=1)):
        for public in publics:
            if at >= hours.unread and public.name in said:
                yield against(public.truth, said[public.name], group, volume)


class Row(NamedTuple):
    """One line of the table: the hours of a group and a volume, in sums."""

    hours: int
    votes: float
    covered: int
    spread: float

    @classmethod
    def of(cls, hours: Sequence[Hour]) -> "Row":
        """What these hours say together."""
        ratio = [(hour.mood - hour.truth) / hour.error for hour in hours]
        return cls(len(hours), sum(hour.votes for hour in hours) / len(hours), sum(hour.is_covered for hour in hours),
                   math.sqrt(sum(one * one for one in ratio) / len(ratio)))

    @property
    def share(self) -> Figure:
        """The share of hours whose interval holds the truth."""
        return wilson(self.covered, self.hours)


def is_near(share: Figure) -> bool:
    """Whether chance could make this share of a coverage between 93 and 97 %."""
    return share.high >= BAND[0] and share.low <= BAND[1]


def table(hours: Iterable[Hour]) -> Iterator[str]:
    """The table, in Markdown, line by line as the hours come."""
    yield "| public | volume | votes/h | hours | covered | sd of error / claimed | |"
    yield "|---|---|---|---|---|---|---|"
    for (group, volume), some in groupby(hours, key=lambda hour: (hour.group, hour.volume)):
        row = Row.of(list(some))
        word = "" if BAND[0] <= row.share.value <= BAND[1] else "perhaps outside" if is_near(row.share) else "outside"
        yield f"| {group} | {volume:g} | {row.votes:.1f} | {row.hours} | {row.share} | {row.spread:.3f} | {word} |"


def measure(seeds: Sequence[int], brands: int, path: Path) -> Iterator[Hour]:
    """All groups and volumes, for each seed some hours of so many brands."""
    names = [f"brand {at}" for at in range(brands)]
    for (group, manner), volume, seed in product(PUBLICS.items(), PER_MINUTE, seeds):
        hours, unread = Span.of(volume * HOUR)
        yield from of_people(group, People(seed, names, volume, manner, hours), unread)
    for volume, seed in product(PER_MINUTE[:3], seeds):
        yield from of_people(FIRST_DAY, People(seed, names, volume, _NULL, 12), 1)
    for kin, volume, seed in product((0.0, 0.32), DRAWS, seeds):
        publics = labelled(path, kin, brands, seed)
        yield from of_blocks(f"labelled posts, kinship {kin:g}", publics, volume, Span.of(volume), seed)


def labelled(path: Path, kin: float, least: int, seed: int) -> list[Blocks]:
    """Every population of labelled posts as a public, each so often that there are enough of them."""
    rng = np.random.default_rng([seed, 4])
    found = populations(path)
    times = -(-least // len(found))
    return [Blocks.of(f"{name} {at}", values, rng, kin) for name, values in found.items() for at in range(times)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Does the interval of 95 % hold the truth?")
    parser.add_argument("--full", action="store_true", help="eight seeds, not one: about half an hour")
    parser.add_argument("--data", type=Path, default=REVIEWS, help="labelled posts, JSON lines")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + (8 if asked.full else 1))
    for line in table(measure(seeds, BRANDS, asked.data)):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
