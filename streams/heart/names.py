"""Names: the numbers under which a tracker keeps brands, sources, languages, models and rules.

Frames bring their own numbers; a tracker gives every name one of its own, in the order in which it is first met.
Numbers mean nothing outside their tracker.
Knows nothing of what is named.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Index:
    """Names and their numbers, in the order in which they were first met."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = list(names)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def number(self, name: str) -> int:
        """The number of a name, a new one if need be."""
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number

    def numbers(self, names: Sequence[str]) -> Ints:
        """The numbers of several names, new ones if need be."""
        known = self._numbers
        return np.array([known[name] if name in known else self.number(name) for name in names], np.int64)

    def known(self, names: Iterable[str]) -> Ints:
        """The numbers of those names that have one."""
        return np.array([self._numbers[name] for name in names if name in self._numbers], np.int64)
