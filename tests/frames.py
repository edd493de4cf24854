"""Frames for tests: mentions written straight into the mentions topic, and how many of them should be shown."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.heart.frame import FLOOR, ROW, Frame, Mark, Names, pack, partition_of, used
from streams.heart.pane import Rows


@dataclass
class Mentions:
    """Makes frames as a score worker would: one for every partition at each call, marks in all of them."""

    brands: Sequence[str]
    partitions: int
    seed: int = 1
    said: Counter[str] = field(default_factory=Counter)  # brand -> mentions
    negative: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._count = 0
        self._home = np.array([partition_of(brand, self.partitions) for brand in self.brands])

    def of(self, partition: int) -> list[str]:
        """The brands that are counted in a partition."""
        return [brand for brand, home in zip(self.brands, self._home, strict=True) if home == partition]

    def frames(self, count: int, now_ms: int) -> dict[int, bytes]:
        """`count` mentions of random brands, said within the last second; partition -> frame."""
        rows = np.zeros(count, ROW)
        rows["id"] = np.arange(self._count, self._count + count) + (self.seed << 40)
        rows["author"], rows["dup"] = rows["id"] * 3 + 1, rows["id"] * 5 + 2
        rows["event"] = now_ms - self._random.integers(0, 1000, count)
        rows["arrival"], rows["offset"] = now_ms, np.arange(self._count, self._count + count)
        rows["brand"] = self._random.integers(0, len(self.brands), count)
        rows["label"] = self._random.integers(0, 3, count)
        rows["score"] = (rows["label"].astype(int) - 1) * 5000
        self._count += count
        self.said.update(self.brands[brand] for brand in rows["brand"])
        self.negative.update(self.brands[brand] for brand in rows["brand"][rows["label"] == 0])
        return {partition: self._frame(rows, partition, now_ms) for partition in range(self.partitions)}

    def _frame(self, rows: Rows, partition: int, now_ms: int) -> bytes:
        mine = rows[self._home[rows["brand"]] == partition]
        mine["brand"], brands = used(mine["brand"], list(self.brands))
        marks = tuple(Mark(of, now_ms) for of in range(self.partitions))
        names = Names(brands, ("demo",), ("id",), ("tests",), ("always",))
        return pack(Frame(names, mine, np.zeros(0, FLOOR), marks))
