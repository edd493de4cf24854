"""What is tested is what is shipped: the wheel holds both packages and their data, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from models.registry import EMBEDDED

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)], check=True,
                   capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_packages_and_their_data(wheel: Path) -> None:
    """The embedded model, the demo's texts and both `py.typed` are in; tests and deploy are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in ("streams/demo/brands.toml", "streams/demo/texts.toml", "streams/heart/post.py", "streams/py.typed",
                   "models/py.typed"):
        assert wanted in names
    assert {f"models/pretrained/{path.name}" for path in EMBEDDED.iterdir()} <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"streams", "models"}


@pytest.mark.slow
def test_the_wheel_runs_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    """Installed alone, `denyut` scores a text with the model that came with it."""
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)],
                   check=True, capture_output=True)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import streams; print(streams.__file__); " \
           "from streams.cli import main; main(['score', '--json', 'enak sekali'])"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(site) in done.stdout
    assert '"label"' in done.stdout
