"""When a running worker takes a new brand file, and when it says that it lacks one."""

import os
from pathlib import Path

import pytest

from streams.agents.brandfile import BrandFile
from streams.heart.errors import BadBrands
from streams.settings import Settings

OLD = """
number = 1
published = 2020-01-01T00:00:00Z
[[brand]]
name = "kopi"
any = ["kopi"]
"""
# A public clock that stands still, as far as a test can tell: 2020-01-01T00:10:00Z.
NOW = "1577837400000@1795586400000x0.000001"
NEW = OLD.replace("number = 1", "number = 2") + """
[[brand]]
name = "teh"
any = ["teh"]
from = 2020-01-01T{at}:00Z
"""
CHANGED = OLD.replace("number = 1", "number = 2").replace('["kopi"]', '["kopi", "kupi"]')


class Shelf:
    """A brand file and the worker that reads it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "brands.toml"
        self._writes = 0
        self.write(OLD)
        self.file = BrandFile(Settings(brands=str(self._path), clock=NOW))

    def write(self, toml: str) -> None:
        """Replaces the file, as an editor or a ConfigMap does; its time stamp always moves."""
        self._writes += 1
        new = self._path.with_suffix(".new")
        new.write_text(toml)
        os.utime(new, (self._writes, self._writes))
        new.rename(self._path)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_file_that_follows_is_taken_once(shelf: Shelf) -> None:
    """The brands change, and nothing is missed."""
    shelf.write(NEW.format(at="01:00"))
    assert (shelf.file.look(), shelf.file.look()) == (True, False)
    assert (shelf.file.now.number, shelf.file.now.names, shelf.file.missed()) == (2, ("kopi", "teh"), "")


def test_a_file_that_is_written_again_unchanged_is_nothing_new(shelf: Shelf) -> None:
    """Its number has not risen, and need not."""
    shelf.write(OLD)
    assert (shelf.file.look(), shelf.file.missed()) == (False, "")


def test_a_refused_file_is_said_once_and_missed_from_its_beginning_on(shelf: Shelf) -> None:
    """A rule changed without a `from` holds at once, wherever the file was taken as the first one."""
    shelf.write(CHANGED)
    with pytest.raises(BadBrands):
        shelf.file.look()
    assert not shelf.file.look()
    assert "number 1" in shelf.file.missed()
    assert shelf.file.now.number == 1


def test_a_refused_file_is_not_missed_before_its_beginning(shelf: Shelf) -> None:
    """A number that did not rise, and a rule that begins at 01:00: until then all workers match alike."""
    shelf.write(NEW.format(at="01:00").replace("number = 2", "number = 1"))
    with pytest.raises(BadBrands):
        shelf.file.look()
    assert shelf.file.missed() == ""


def test_a_file_that_cannot_be_read_is_not_missed_yet(shelf: Shelf) -> None:
    """No rule begins sooner than 15 minutes after it was published."""
    shelf.write("number = ")
    with pytest.raises(BadBrands):
        shelf.file.look()
    assert shelf.file.missed() == ""


def test_going_back_to_the_running_file_mends_everything(shelf: Shelf) -> None:
    """Whoever published nonsense takes it back."""
    shelf.write(CHANGED)
    with pytest.raises(BadBrands):
        shelf.file.look()
    assert shelf.file.missed()
    shelf.write(OLD)
    assert (shelf.file.look(), shelf.file.missed()) == (False, "")


def test_a_file_that_is_away_for_a_moment_changes_nothing(shelf: Shelf) -> None:
    """It is being replaced."""
    shelf.write(OLD)
    shelf._path.unlink()
    assert (shelf.file.look(), shelf.file.missed()) == (False, "")


def test_the_demos_own_file_is_not_watched() -> None:
    """It is part of the package."""
    file = BrandFile(Settings())
    assert (file.look(), file.missed(), file.now.number) == (False, "", 1)
