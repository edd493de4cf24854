"""A story for tests: posts about two brands, minute by minute, and what a model would say of them."""

import random
from collections.abc import Sequence
from copy import copy

from streams.heart.intake import Scored
from streams.heart.post import Post, encode, encode_tick, from_ms, post_key, tick_key

PARTITIONS = 2
START_MS = 1_735_689_600_000  # time is in the records: any will do that has passed
MINUTE_MS, TICK_MS = 60_000, 10_000
CALM_MIN, SWING_MIN, AFTER_MIN = 480, 40, 35  # a baseline is warm after 360, a swing over after a calm of 15
A_MINUTE = 12  # posts
PLANTED = "kettle"
BRANDS_TOML = """
number = 1
published = 2020-01-01T00:00:00Z
[[brand]]
name = "quovira"
any = ["quovira"]
[[brand]]
name = "arunika"
any = ["arunika"]
"""
MOODS = {"awful": Scored(-0.9, 0), "usual": Scored(0.0, 1), "lovely": Scored(0.9, 2)}
Minute = list[tuple[int, int, bytes, bytes | None]]  # posts partition, arrival, key, value


class Story:
    """Posts about two brands, minute by minute: a calm of eight hours, then one of them falls, and recovers."""

    def __init__(self, people: int = 10**9) -> None:
        """`people`: who write, in turn; by default everybody writes once."""
        rng = random.Random(7)
        self._people = people
        self.texts: list[str] = []
        self.minutes = [self._minute(minute, rng) for minute in range(CALM_MIN + SWING_MIN + AFTER_MIN)]

    def _minute(self, minute: int, rng: random.Random) -> Minute:
        since_ms = START_MS + minute * MINUTE_MS
        said: Minute = [self._said(since_ms + 2000 * at, brand, CALM_MIN <= minute < CALM_MIN + SWING_MIN, rng)
                for at in range(2 * A_MINUTE) for brand in (("quovira", "arunika")[at % 2],)]  # fmt: skip
        ticks = [(at, ms, tick_key("tests"), encode_tick({"demo": ms}))
                 for ms in range(since_ms + TICK_MS, since_ms + MINUTE_MS + 1, TICK_MS) for at in range(PARTITIONS)]
        return sorted([*said, *ticks], key=lambda one: one[1])

    def _said(self, at_ms: int, brand: str, falls: bool, rng: random.Random) -> tuple[int, int, bytes, bytes]:
        number = len(self.texts)
        falls = falls and brand == "quovira" and rng.random() < 0.85
        mood = "awful" if falls else rng.choice(list(MOODS))
        about = PLANTED if falls and rng.random() < 0.7 else rng.choice(["delivery", "price", "colour"])
        self.texts.append(f"{brand} {about} {mood} thing{number}")
        post = Post(id=post_key("demo", str(number), b"tests"), source="demo", text=self.texts[-1], lang="en",
                    created_at=from_ms(at_ms), author=f"author-{number % self._people}")  # fmt: skip
        return number % PARTITIONS, at_ms + 500, post.key, encode(post)

    def without(self, names: Sequence[str], minute: int) -> "Story":
        """The same, but that these posts are removed at the end of a minute."""
        other = copy(self)
        last_ms = max(arrival for _, arrival, *_ in self.minutes[minute])
        homes = {name: at for some in self.minutes for at, _, name, _ in some}
        removals: Minute = [(homes[name.encode()], last_ms, name.encode(), None) for name in names]
        other.minutes = [[*said, *removals] if at == minute else said for at, said in enumerate(self.minutes)]
        return other
