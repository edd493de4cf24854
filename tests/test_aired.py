"""What stops the start of `denyut feed public`, and of all that stays. That it feeds a real Kafka is shown by
tests/faults/test_live.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.aired import Wish, run
from streams.heart.errors import BadSetting
from streams.settings import Settings

WISH = Wish(seed=1, rate=10.0, seconds=1.0)


def test_a_source_that_does_not_count_stops_the_start() -> None:
    """Every post would be a reject: better to say so at once, and which setting it is."""
    with pytest.raises(BadSetting, match="DENYUT_SOURCES=file: expected demo among them"):
        run(Settings(sources=("file",)), WISH)


@pytest.mark.parametrize("verb", ["feed public", "work score", "work pulse", "tell"])
def test_a_missing_secret_file_stops_the_start_and_is_named(verb: str, tmp_path: Path) -> None:
    """As the command: one line, the setting, exit code 2; what is no file may be the secret, and is not repeated."""
    environ = {**os.environ, "DENYUT_SECRET_FILE": str(tmp_path / "no-such-file")}
    ended = subprocess.run([sys.executable, "-P", "-m", "streams.cli", *verb.split()], env=environ, timeout=60,
                           capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "denyut: DENYUT_SECRET_FILE: no such file\n"
