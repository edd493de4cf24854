"""The boards as the files that Grafana reads."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards import brand, brands, pipeline
from deploy.grafana.boards.parts import Board

FOLDER = Path(__file__).parents[1] / "dashboards"


def boards() -> tuple[Board, ...]:
    """Every board, in the order in which a newcomer meets them."""
    return brands.board(), brand.board(), pipeline.board()


def written(board: Board) -> str:
    """A board as JSON, the same on every machine."""
    made = json.loads(json.dumps(board.build(), cls=JSONEncoder), object_hook=_in_sight)
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _in_sight(node: dict[str, object]) -> dict[str, object]:
    """Without the place that the SDK gives every link and annotation: the menu in which Grafana 13 hides them."""
    return {key: value for key, value in node.items() if (key, value) != ("placement", "inControlsMenu")}


def files() -> dict[Path, str]:
    """Path -> text of every board."""
    return {FOLDER / f"{board.uid}.json": written(board) for board in boards()}
