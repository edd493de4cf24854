"""Languages: how well the gate in `models.lang` knows who may pass, on the dev rows.

    python -m models.recipes.languages --data DATA [--model NAME]

Prints for each language how many texts are scored when nothing is declared, when their own language is declared, and
when English is (a phone's default), and the time that a text takes.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import models
from models.lang import Languages
from models.recipes.data import labelled


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="")
    args = parser.parse_args()
    languages = Languages(models.load(args.model).card)
    texts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in labelled(args.data, "dev"):
        texts[row.source, row.lang].append(row.text)
    print("source      lang   rows  scored, undeclared  declared  declared as en   us a text")
    for (source, lang), some in sorted(texts.items()):
        began_s = time.perf_counter()
        shares = [sum(languages.judge(text, said).known for text in some) / len(some) for said in (None, lang, "en")]
        took_us = (time.perf_counter() - began_s) / 3 / len(some) * 1e6
        print(f"{source:<10}  {lang:<4}  {len(some):>5}  {shares[0]:>18.3f}  {shares[1]:>8.3f}  {shares[2]:>14.3f}  "
              f"{took_us:>10.0f}")


if __name__ == "__main__":
    main()
