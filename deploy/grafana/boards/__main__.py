"""Writes the boards; with --check says whether they are what is committed.

python -m deploy.grafana.boards [--check]
"""

import sys

from deploy.grafana.boards.lint import faults
from deploy.grafana.boards.made import files


def main(arguments: list[str]) -> int:
    """0 done, 1 a board breaks a rule, or (with --check) is not what is committed."""
    wrong = 0
    for path, text in files().items():
        for fault in faults(text):
            wrong = 1
            sys.stderr.write(f"{path.name}: {fault}\n")
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            wrong = 1
            sys.stderr.write(f"{path.name}: not as made; run python -m deploy.grafana.boards\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
