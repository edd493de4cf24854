"""Health: how complete a figure is. Silence is not calm.

A feed's tick says until when each of its sources was listened to without a gap. A pane that closes is *sick* for a
source if no tick that arrived before it closed reached its end; what is said later changes nothing. A brand's
completeness is the share of its usual scored mentions whose source was healthy.
Knows nothing of votes, moods or clocks.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.heart.frame import Health
from streams.heart.packed import pack, unpack
from streams.heart.pane import DAY_PANES, MINUTE, PANE_MS, end_ms

Ints = npt.NDArray[np.int64]
_HALVED_DAILY = 0.5 ** (1 / DAY_PANES)


class _Said(NamedTuple):
    ticks: dict[str, list[tuple[int, int]]]
    until: dict[str, int]
    heard: dict[str, int]
    sick: dict[str, list[int]]


class _Weights(NamedTuple):
    pane: int | None
    weight: dict[int, float]


class Wellness:
    """Which panes are sick for which source, decided as panes close."""

    def __init__(self) -> None:
        self._ticks: dict[str, list[tuple[int, int]]] = {}
        self._until: dict[str, int] = {}
        self._heard: dict[str, int] = {}  # when a source was last named by a tick
        self._sick: dict[str, set[int]] = {}

    def update(self, health: Iterable[Health]) -> None:
        """Takes ticks in any order."""
        for said in health:
            heappush(self._ticks.setdefault(said.source, []), (said.arrival_ms, said.until_ms))

    def close(self, pane: int, delay_ms: int) -> None:
        """Judges a pane that closes now; panes close in order."""
        for source, ticks in self._ticks.items():
            while ticks and ticks[0][0] < end_ms(pane) + delay_ms:
                self._heard[source], until = heappop(ticks)
                self._until[source] = max(until, self._until.get(source, -1))
            if self._until.get(source, end_ms(pane)) < end_ms(pane):
                self._sick.setdefault(source, set()).add(pane)
        if pane % MINUTE == MINUTE - 1:
            for source, panes in list(self._sick.items()):
                self._sick[source] = {sick for sick in panes if sick > pane - DAY_PANES}
            self._retire()

    def _retire(self) -> None:
        """A source that no tick has named for a day, while others were, is not listened to any more."""
        newest = max(self._heard.values(), default=0)
        for source in [source for source, heard in self._heard.items() if newest - heard > DAY_PANES * PANE_MS]:
            del self._heard[source], self._until[source]
            self._sick.pop(source, None)

    def is_anybody_sick(self) -> bool:
        """Whether any source has a sick pane within the last day."""
        return any(self._sick.values())

    def sick(self, first: int, after: int) -> frozenset[str]:
        """The sources that were sick in one of the panes [first, after)."""
        return frozenset(source for source, panes in self._sick.items() if any(first <= pane < after for pane in panes))

    def share(self, source: str, first: int, after: int) -> float:
        """The share of the panes [first, after) in which the source was healthy."""
        sick = self._sick.get(source)
        if not sick or after <= first:
            return 1.0
        return 1.0 - sum(first <= pane < after for pane in sick) / (after - first)

    def snapshot(self) -> bytes:
        """The state as bytes; the same state gives the same bytes."""
        ticks = {source: sorted(ticks) for source, ticks in self._ticks.items()}  # sorted is a heap as well
        sick = {source: sorted(panes) for source, panes in self._sick.items()}
        return pack(_Said(ticks, self._until, self._heard, sick))

    @classmethod
    def restore(cls, data: bytes) -> "Wellness":
        """The one that made a snapshot. Raises `BrokenPromise` for other bytes."""
        wellness = cls()
        wellness._ticks, wellness._until, wellness._heard, sick = unpack(data, _Said)
        wellness._sick = {source: set(panes) for source, panes in sick.items()}
        return wellness


class UsualSources:
    """How a brand's mentions usually divide over the sources: those sealed, forgotten by half each day."""

    def __init__(self) -> None:
        self._weight: dict[int, float] = {}
        self._pane: int | None = None

    def seal(self, pane: int, by_source: tuple[Ints, Ints]) -> None:
        """Takes a sealed pane's counts: keys brand * 256 + source, and how many."""
        fade = _HALVED_DAILY ** (pane - (pane if self._pane is None else self._pane))
        self._pane = pane
        if fade < 1.0:
            self._weight = {key: weight * fade for key, weight in self._weight.items()}
        for key, count in zip(*by_source, strict=True):
            self._weight[int(key)] = self._weight.get(int(key), 0.0) + float(count)

    def shares(self, unsealed: Iterable[tuple[Ints, Ints]]) -> dict[int, dict[int, float]]:
        """Brand -> source -> weight, with what is not sealed yet."""
        out: dict[int, dict[int, float]] = {}
        for key, weight in self._weight.items():
            out.setdefault(key >> 8, {})[key & 255] = weight
        for keys, counts in unsealed:
            for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
                of = out.setdefault(key >> 8, {})
                of[key & 255] = of.get(key & 255, 0.0) + count
        return out

    def snapshot(self) -> bytes:
        """The state as bytes; the same state gives the same bytes."""
        return pack(_Weights(self._pane, self._weight))

    @classmethod
    def restore(cls, data: bytes) -> "UsualSources":
        """The one that made a snapshot. Raises `BrokenPromise` for other bytes."""
        usual = cls()
        usual._pane, usual._weight = unpack(data, _Weights)
        return usual
