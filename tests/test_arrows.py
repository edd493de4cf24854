"""Who may import whom, as data."""

import ast
import re
import sys
from pathlib import Path

import pytest

import streams

ROOT = Path(__file__).parent.parent
PACKAGES = ("streams", "models")

# The heart sees values only: of the standard library no door to the world, of others the four it is made of.
HEART_STDLIB = {"bisect", "collections", "dataclasses", "datetime", "difflib", "enum", "hashlib", "heapq", "hmac",
                "itertools", "math", "re", "struct", "typing", "unicodedata"}
HEART_OTHERS = {"numpy", "msgspec", "ahocorasick_rs"}
HANDS = {"streams.cli", "streams.demo", "streams.board", "streams.backtest", "streams.aired", "streams.listen",
         "streams.tryout", "streams.doctor"}


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


SERVING = [path for path in modules("models") if "recipes" not in path.parts]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def top_imports(path: Path) -> set[str]:
    """The modules that importing a file imports at once."""
    nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names} | {
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", modules("streams/heart"), ids=name_of)
def test_the_heart_imports_only_itself(path: Path) -> None:
    """No clock, no I/O, no thread can be reached from the heart."""
    for module in imports(path):
        root = module.split(".")[0]
        if root in sys.stdlib_module_names:
            assert root in HEART_STDLIB, f"{name_of(path)} imports {module}"
        elif root in PACKAGES:
            assert module.startswith(("streams.heart", "models.score")), f"{name_of(path)} imports {module}"
        else:
            assert root in HEART_OTHERS, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", modules("models"), ids=name_of)
def test_models_know_nothing_of_streams(path: Path) -> None:
    """A scorer takes text and gives scores; where they come from and go to is not its business."""
    assert not [module for module in imports(path) if module.split(".")[0] == "streams"]


@pytest.mark.parametrize("path", [p for p in modules("streams") if name_of(p) not in HANDS], ids=name_of)
def test_only_hands_import_hands(path: Path) -> None:
    """What starts things is imported by nothing that is started."""
    assert not imports(path) & HANDS


@pytest.mark.parametrize("path", SERVING, ids=name_of)
def test_nothing_that_serves_imports_a_recipe(path: Path) -> None:
    """Recipes make models; they do not run in a worker."""
    assert not [module for module in imports(path) if module.startswith("models.recipes")]


@pytest.mark.parametrize("path", modules("streams") + SERVING, ids=name_of)
def test_heavy_libraries_wait_inside_functions(path: Path) -> None:
    """`denyut --help` answers at once: nothing heavy is imported before it is needed."""
    heavy = {"transformers", "onnxruntime", "torch", "pyarrow", "matplotlib"}
    assert not {module.split(".")[0] for module in top_imports(path)} & heavy


def test_the_map_names_every_module() -> None:
    """Whoever opens `streams` finds each of its rooms at the top; of sources the folder alone, a network each."""
    said = streams.__doc__ or ""
    words, found = set(re.findall(r"\w+", said)), modules("streams")
    rooms = [path for path in found if path.parent.name != "sources" and path.stem != "__init__"]
    assert len(rooms) > 80
    assert [] == [name_of(path) for path in rooms if path.stem not in words]
    named = said.partition("    hands ")[2].partition("\n\n")[0]
    assert HANDS <= {f"streams.{word}" for word in re.findall(r"\w+", named)}
