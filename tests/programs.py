"""Programs that tests run, of two releases: those of Debian 12 (Prometheus 2.42) and of Debian 14 (3.5).

They come out of Debian's packages into build/tools, once, as `make stack` gets them; nothing is installed.
"""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITES = ("bookworm", "forky")
_PACKAGES = {
    "bookworm": ("prometheus", "prometheus-alertmanager"),
    "forky": ("promtool", "prometheus", "prometheus-alertmanager"),  # promtool is a package of its own by now
}


@cache
def program(name: str, suite: str) -> Path:
    """The program of this name in that release of Debian; fetched the first time."""
    folder = ROOT / "build" / "tools" / suite
    found = folder / "usr" / "bin" / name
    if not found.exists():
        subprocess.run([ROOT / "deploy" / "tools" / "debian.sh", suite, folder, *_PACKAGES[suite]], check=True,
                       timeout=600)
    return found
