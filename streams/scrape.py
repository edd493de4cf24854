"""Scrape: a worker's `/metrics` page read back, as Prometheus would read it.

The demo's board shows what is on that page and nothing else: what a newcomer sees is what Grafana would show.
Knows nothing of workers, Kafka or rendering.
"""

import urllib.request
from collections.abc import Iterable, Mapping

from streams.heart.incident import Standing
from streams.heart.window import WINDOWS, Reading

PATIENCE_S = 5.0
Labels = frozenset[tuple[str, str]]


class Page:
    """One reading of a page: name -> labels -> value."""

    def __init__(self, text: str) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        self._values: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._values.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value

    @classmethod
    def fetch(cls, url: str) -> "Page":
        """Reads a page over HTTP. Raises OSError when nobody answers."""
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310  # our own workers' address
            return cls(answer.read().decode())

    def get(self, name: str, **labels: str) -> float | None:
        """One value, or None where the series is absent."""
        return self._values.get(name, {}).get(frozenset(labels.items()))

    def values(self, name: str) -> list[float]:
        """All series of a name."""
        return list(self._values.get(name, {}).values())

    def count(self, name: str, **labels: str) -> int:
        """The sum of all series of a name that bear these labels."""
        wanted = set(labels.items())
        return int(sum(value for has, value in self._values.get(name, {}).items() if wanted <= has))

    def counts(self, name: str, label: str) -> dict[str, int]:
        """The values of a name by one of its labels."""
        return {dict(has)[label]: int(value) for has, value in self._values.get(name, {}).items()}

    def label(self, name: str, label: str) -> str:
        """A label of the only series of a name; empty where there is none."""
        return next((dict(has)[label] for has in self._values.get(name, {})), "")

    def quantile(self, name: str, share: float) -> float | None:
        """A quantile of a histogram, linear inside its bucket; None of an empty one."""
        of = self._values.get(f"{name}_bucket", {})
        buckets = sorted((float(dict(has)["le"]), value) for has, value in of.items())
        if not buckets or not buckets[-1][1]:
            return None
        wanted, low, below = share * buckets[-1][1], 0.0, 0.0
        for high, upto in buckets:
            if upto >= wanted:
                return low if high == float("inf") else low + (high - low) * (wanted - below) / max(upto - below, 1.0)
            low, below = high, upto
        return low

    def readings(self, brands: Iterable[str]) -> dict[str, Mapping[str, Reading]]:
        """Brand -> window -> reading, for the brands that are shown."""
        return {brand: {window: self._reading(brand, window) for window in WINDOWS} for brand in brands
                if self.get("denyut_window_mentions", brand=brand, window="24h") is not None}

    def standings(self, brands: Iterable[str]) -> dict[str, Standing]:
        """Brand -> how it stands, for the brands of which that is shown."""
        return {brand: self._standing(brand) for brand in brands
                if self.get("denyut_swing_ready", brand=brand) is not None}

    def _standing(self, brand: str) -> Standing:
        def severity(name: str, **labels: str) -> int:
            return int(self.get(f"denyut_{name}_severity", brand=brand, **labels) or 0)

        return Standing(
            down=severity("swing", direction="down"), up=severity("swing", direction="up"), volume=severity("volume"),
            coordinated=severity("coordinated"),
            is_ready=bool(self.get("denyut_swing_ready", brand=brand)),
            smallest=self.get("denyut_smallest_visible_swing", brand=brand))

    def _reading(self, brand: str, window: str) -> Reading:
        def said(name: str) -> float | None:
            return self.get(f"denyut_{name}", brand=brand, window=window)

        def number(name: str) -> int:
            return int(said(f"window_{name}") or 0)

        scored, negative, positive = number("scored"), number("negative"), number("positive")
        authors, whole = said("window_authors"), self.get("denyut_completeness_ratio", brand=brand)
        return Reading(
            brand=brand, window=window, mentions=number("mentions"), abstained=number("mentions") - scored,
            negative=negative, neutral=scored - negative - positive, positive=positive,
            score_sum=said("window_score_sum") or 0.0, votes=number("votes"),
            mood=said("mood"), lower=said("mood_lower"), upper=said("mood_upper"), organic=said("organic_ratio"),
            authors=None if authors is None else int(authors), completeness=1.0 if whole is None else whole,
            prompted=number("prompted"), unprompted_votes=int(said("unprompted_votes") or 0),
            unprompted=said("unprompted_mood"), unprompted_lower=said("unprompted_mood_lower"),
            unprompted_upper=said("unprompted_mood_upper"))
