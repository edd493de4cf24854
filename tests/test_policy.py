"""Policy: a source whose terms this installation does not keep does not start."""

from importlib.resources import files
from pathlib import Path

import pytest

from streams.heart.errors import BadSetting
from streams.keeping import TOPICS
from streams.policy import Policy
from streams.settings import Settings

TOPIC = {key: str(value) for key, value in TOPICS[0].policy.items()}
GOOD = """
[mine]
store_text = true
max_age = "8d"
removal = "24h"
commercial_ok = true
needs_approval = false
"""


def own(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return Policy.read(Settings(policy=str(path)))


def test_every_shipped_entry_fits_the_topics_that_we_make() -> None:
    """Of those that need nobody's word: they start with nothing but our own topics."""
    policy = Policy.read(Settings())
    for source, entry in policy.entries.items():
        if not entry.needs_approval:
            policy.admit(source, TOPIC)
    assert {"bluesky", "mastodon", "hackernews", "news", "push", "demo", "file"} == policy.entries.keys()


def test_a_source_without_an_entry_does_not_start(tmp_path: Path) -> None:
    """Nobody has said what may be done with its posts; the nearest entry is named."""
    with pytest.raises(BadSetting, match=r"'blusky' has no policy entry \(did you mean bluesky\?\)"):
        Policy.read(Settings()).admit("blusky", TOPIC)
    own(tmp_path, GOOD).admit("mine", TOPIC)


def test_who_needs_approval_says_whose(tmp_path: Path) -> None:
    """The shipped entry of Mastodon asks; one's own answers."""
    with pytest.raises(BadSetting, match=r"\[mastodon\] needs_approval"):
        Policy.read(Settings()).admit("mastodon", TOPIC)
    said = GOOD.replace("[mine]", "[mastodon]").replace("needs_approval = false", "needs_approval = true")
    with pytest.raises(BadSetting, match=r"\[mastodon\] needs_approval"):
        own(tmp_path, said + 'approval = " "\n').admit("mastodon", TOPIC)
    own(tmp_path, said + 'approval = "the admin of warung.example, 2026-11-01"\n').admit("mastodon", TOPIC)


@pytest.mark.parametrize(("changed", "says"), [
    ({"retention.ms": "-1"}, "max_age = '8d': the topic of posts keeps text for ever"),
    ({"retention.ms": str(9 * 86_400_000)}, "max_age = '8d': the topic of posts keeps text 216h"),
    ({"retention.ms": str(8 * 86_400_000 - 1), "segment.ms": "2"}, "max_age = '8d'"),
    ({"max.compaction.lag.ms": str(48 * 3_600_000)}, "removal = '24h'.*within 48h"),
    ({"max.compaction.lag.ms": str(24 * 3_600_000 - 1), "segment.ms": "2"}, "removal = '24h'"),
    ({"cleanup.policy": "delete"}, "removal = '24h'"),
], ids=["for ever", "too long", "too long with its segment", "cleaned too late", "too late with it", "never cleaned"])
def test_the_topic_must_keep_the_promise(changed: dict[str, str], says: str, tmp_path: Path) -> None:
    """What an entry promises is the broker's doing; the start compares, and names both."""
    with pytest.raises(BadSetting, match=says):
        own(tmp_path, GOOD).admit("mine", {**TOPIC, **changed})


@pytest.mark.parametrize(("text", "says"), [
    (GOOD.replace("store_text = true", "store_text = false"), "store_text = false"),
    (GOOD.replace("commercial_ok = true", "commercial_ok = false"), "say `commercial = false`"),
], ids=["no text", "no commerce"])
def test_what_the_terms_forbid_does_not_start(text: str, says: str, tmp_path: Path) -> None:
    """Each with what could be done about it."""
    with pytest.raises(BadSetting, match=says):
        own(tmp_path, text).admit("mine", TOPIC)
    if "commercial_ok" in says or "commerc" in says:
        own(tmp_path, "commercial = false\n" + text).admit("mine", TOPIC)


@pytest.mark.parametrize(("text", "says"), [
    (GOOD.replace("max_age", "max_ag"), r"\[mine\].*did you mean max_age"),
    (GOOD.replace('"8d"', '"8 moons"'), r"\[mine\].*a span"),
    (GOOD.replace('"24h"', '"a day"'), r"\[mine\].*a span"),
    (GOOD.replace("store_text = true", 'store_text = "yes"'), r"\[mine\].*store_text"),
    ("mine = 3", r"\[mine\]"),
    ("commercial = 1", "commercial = 1: expected true or false"),
    ("[mine", "not TOML"),
], ids=["unknown key", "no span", "no span either", "wrong type", "no table", "no bool", "no TOML"])
def test_a_wrong_file_names_its_key(text: str, says: str, tmp_path: Path) -> None:
    """Found at the start, not when somebody asks."""
    with pytest.raises(BadSetting, match=says):
        own(tmp_path, text)


@pytest.mark.parametrize("gone", ["retention.ms", "segment.ms", "max.compaction.lag.ms", "cleanup.policy"])
def test_a_topic_whose_policy_is_not_known_keeps_no_promise(gone: str) -> None:
    """A broker that does not say it, or may not say it to us: one line that names the key."""
    with pytest.raises(BadSetting, match=gone):
        Policy.read(Settings()).admit("bluesky", {key: value for key, value in TOPIC.items() if key != gone})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Not there, or no text."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    for name in ("none.toml", "bytes.toml"):
        with pytest.raises(BadSetting, match=f"DENYUT_POLICY=.*{name}.*cannot be read"):
            Policy.read(Settings(policy=str(tmp_path / name)))


def test_each_shipped_entry_says_where_to_read_on() -> None:
    """Terms change; whoever starts a source should know where they stand."""
    assert all(entry.terms for entry in Policy.read(Settings()).entries.values())
    assert "No legal advice" in (files("streams") / "sources" / "policy.toml").read_text("utf-8")
