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
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def files() -> dict[Path, str]:
    """Path -> text of every board."""
    return {FOLDER / f"{board.uid}.json": written(board) for board in boards()}
