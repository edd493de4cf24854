"""Brandfile: the brand file of a running worker, read again when it changes.

A new file is taken only where it follows the running one (`Brands.follows`), so that every worker matches a post by the
same rule, with whichever of the two files it has. A worker that is past a `from` it does not have says so.
Blocking: `look` reads and builds, off the event loop.
Knows nothing of Kafka, posts or how a match is made.
"""

import os

from streams.clock import Clock
from streams.heart.brands import NOTICE_MS, Brands
from streams.settings import Settings


class BrandFile:
    """The brand file of the settings, by the settings' clock. `now` are the brands in force."""

    def __init__(self, settings: Settings) -> None:
        """Raises `BadBrands` for a file that cannot be read or does not pass."""
        self._settings = settings
        self._clock = Clock(settings.clock)
        self._stamp = self._stamped()
        self.now = settings.read_brands()
        self._due_ms: int | None = None  # when a file that was refused begins to matter

    def look(self) -> bool:
        """Reads the file again if it has changed. True: there are new brands in `now`.

        Raises `BadBrands`, once for each change, for a file that may not replace the running one.
        """
        stamp = self._stamped()
        if stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        self._due_ms = self._clock.now_ms() + NOTICE_MS  # until more is known: no file begins to matter sooner
        new = self._settings.read_brands()
        if new.file == self.now.file:
            self._due_ms = None
            return False
        self._due_ms = self._begins(new)
        new.follows(self.now)
        self.now, self._due_ms = new, None
        return True

    def missed(self) -> str:
        """Why this worker matches by rules that no longer hold; "": it does not."""
        if self._due_ms is None or self._clock.now_ms() < self._due_ms:
            return ""
        return f"a new brand file is in force and was not taken; this worker still has number {self.now.number}"

    def _begins(self, new: Brands) -> int:
        """When the first rule begins that the brands in force do not have."""
        known = set(self.now.file.brand)
        return min((rule.since_ms for rule in new.file.brand if rule not in known), default=self._clock.now_ms())

    def _stamped(self) -> tuple[int, int, int] | None:
        """What changes with the file; None: it is not there just now (being replaced), or it is the demo's."""
        try:
            stat = os.stat(self._settings.brands) if self._settings.brands else None
        except OSError:
            return None
        return stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino)
