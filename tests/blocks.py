"""The topic of blocks in memory, for tests: what stands in it, and deliveries that fail when a test says so."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence

from streams.heart.block import Place
from streams.heart.errors import LostBroker
from streams.replay import Chunk


class Blocks:
    """See `streams.agents.keeper.Topic`. `fails`: so many deliveries do; `dies_after`: after so many all do."""

    def __init__(self, partitions: int) -> None:
        self.of: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        self.sent: list[tuple[int, bytes, bytes | None]] = []
        self.fails = 0
        self.dies_after: int | None = None

    async def read(self, partitions: Collection[int], wanted: Callable[[], bool]) -> AsyncIterator[Chunk]:
        for partition in sorted(partitions):
            held = self.of[partition]
            if wanted():
                yield Chunk(partition, tuple(held.values()), len(held), True, tuple(held), (0,) * len(held))

    async def send(self, partition: int, key: bytes, value: bytes | None) -> None:
        if self.fails or self.dies_after == 0:
            self.fails = max(self.fails - 1, 0)
            raise LostBroker("gone")
        if self.dies_after:
            self.dies_after -= 1
        self.sent.append((partition, key, value))
        if value is None:
            self.of[partition].pop(key, None)
        else:
            self.of[partition][key] = value

    def kinds(self, partition: int) -> Sequence[str]:
        """The kinds of the records that stand, sorted."""
        places = (Place.of(key) for key in self.of[partition])
        return sorted(place.kind for place in places if place is not None)
