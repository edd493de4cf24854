"""A swing to show and to read, for the tests that do not care how it was found."""

from typing import Any

import msgspec

from streams.heart.incident import Step, Swing

ONSET_MS = 1_577_887_920_000  # 2020-01-01 14:12 UTC

_SWING = Swing(
    id="lajuro:down:26298132", step=0, state=Step.OPENED, series="mood", brand="lajuro", direction="down", severity=2,
    at_ms=ONSET_MS + 8 * 60_000, onset_ms=ONSET_MS, onset_from_ms=ONSET_MS - 120_000, onset_to_ms=ONSET_MS + 60_000,
    window_min=5, now=-0.55, usual=0.18, effect=-0.73, lower=-0.95, upper=-0.51, z=-6.8, votes=59, mentions=63,
    authors=57, reach=3.9, smallest=0.23, chance_weeks=192.0, chance_is_bound=True, authenticity="organic", peak=-0.73)


def swing(**other: Any) -> Swing:
    """A step of an incident; what is not named is a swing of Lajuro's that opened at 14:20."""
    return msgspec.structs.replace(_SWING, **other)
