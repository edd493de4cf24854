"""Policy: what may be done with the posts of a source, and whether this installation keeps to it.

Entries stand in `streams/sources/policy.toml`; those of the user's own file (DENYUT_POLICY) replace them. A source
without an entry, or whose entry does not fit how the topic of posts is kept, does not start.
Knows nothing of what a source sends.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from streams.heart.errors import BadSetting, nearest
from streams.settings import Settings, milliseconds, span

TOP = "commercial"
_NEEDED = ("cleanup.policy", "segment.ms", "retention.ms", "max.compaction.lag.ms")  # of the topic of posts


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy of one source; what each means stands in policy.toml. Spans as in settings."""

    store_text: bool
    max_age: str
    removal: str
    commercial_ok: bool
    needs_approval: bool
    approval: str = ""
    terms: str = ""


class Policy:
    """All entries, read once."""

    def __init__(self, entries: Mapping[str, Entry], commercial: bool = True, where: str = "policy.toml") -> None:
        self.entries = entries
        self.commercial = commercial
        self._where = where

    @classmethod
    def read(cls, settings: Settings) -> "Policy":
        """Raises `BadSetting`, naming the file, the entry and the key."""
        shipped = (files("streams") / "sources" / "policy.toml").read_text("utf-8")
        entries, commercial = _parsed(shipped, "policy.toml")
        if not settings.policy:
            return cls(entries, commercial)
        where = f"DENYUT_POLICY={settings.policy!r}"
        try:
            own, commercial = _parsed(Path(settings.policy).read_text("utf-8"), where)
        except (OSError, UnicodeDecodeError) as error:
            raise BadSetting(f"{where}: cannot be read ({type(error).__name__})") from None
        return cls({**entries, **own}, commercial, where)

    def admit(self, source: str, topic: Mapping[str, str]) -> Entry:
        """The entry of a source that may start. `topic`: the policy of the topic of posts, as the broker has it.

        Raises `BadSetting` that says why it may not.
        """
        entry = self.entry(source)
        self._fits(self._said(source), entry, topic)
        return entry

    def _said(self, source: str) -> str:
        return f"{self._where}: [{source}]"

    def entry(self, source: str) -> Entry:
        """The entry of a source that may start, whatever the topic of posts is like. Raises `BadSetting`."""
        entry = self.entries.get(source)
        if entry is None:
            raise BadSetting(f"source {source!r} has no policy entry{nearest(source, self.entries)}: say in a file of "
                             f"your own (DENYUT_POLICY) what may be done with its posts")
        said = self._said(source)
        if not entry.store_text:
            raise BadSetting(f"{said} store_text = false: without its text a post cannot be scored")
        if entry.needs_approval and not entry.approval.strip():
            raise BadSetting(f"{said} needs_approval: an entry of your own (DENYUT_POLICY) must say who allowed it and "
                             f"when, as approval = \"...\"")
        if not entry.commercial_ok and self.commercial:
            raise BadSetting(f"{said} commercial_ok = false: if yours is no company's purpose, say `{TOP} = false` at "
                             f"the top of your policy file")
        return entry

    @staticmethod
    def _fits(said: str, entry: Entry, topic: Mapping[str, str]) -> None:
        """A segment is deleted when its last record is old enough, and cleaned when it is closed."""
        if unknown := [key for key in _NEEDED if key not in topic]:
            raise BadSetting(f"{said} cannot be kept: the broker does not say {', '.join(unknown)} of the topic of "
                             f"posts, or not to us (DescribeConfigs)")
        segment_ms = int(topic["segment.ms"])
        kept_ms, cleaned_ms = int(topic["retention.ms"]), int(topic["max.compaction.lag.ms"])
        if kept_ms < 0 or kept_ms + segment_ms > milliseconds(entry.max_age):
            kept = "for ever" if kept_ms < 0 else f"{span(kept_ms)} and a segment of {span(segment_ms)}"
            raise BadSetting(f"{said} max_age = {entry.max_age!r}: the topic of posts keeps text {kept} "
                             f"(retention.ms, segment.ms)")
        if "compact" not in topic["cleanup.policy"] or cleaned_ms + segment_ms > milliseconds(entry.removal):
            raise BadSetting(f"{said} removal = {entry.removal!r}: the topic of posts is cleaned of removed posts "
                             f"within {span(cleaned_ms)} and a segment of {span(segment_ms)} (cleanup.policy, "
                             f"max.compaction.lag.ms, segment.ms)")


def _parsed(text: str, where: str) -> tuple[dict[str, Entry], bool]:
    try:
        said: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"{where}: not TOML: {error}") from None
    commercial = said.pop(TOP, True)
    if not isinstance(commercial, bool):
        raise BadSetting(f"{where}: {TOP} = {commercial!r}: expected true or false")
    entries, known = {}, Entry.__struct_fields__
    for source, entry in said.items():
        try:
            entries[source] = msgspec.convert(entry, Entry)
            for key in ("max_age", "removal"):
                milliseconds(getattr(entries[source], key))
        except (msgspec.ValidationError, ValueError) as error:
            keys = entry if isinstance(entry, dict) else {}
            hint = "".join(nearest(key, known) for key in keys if key not in known)
            raise BadSetting(f"{where}: [{source}]: {error}{hint}") from None
    return entries, commercial
