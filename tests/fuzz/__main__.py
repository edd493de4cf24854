"""Looks for bytes that a decoder does not bear: python -m tests.fuzz [--seconds 60] [--only push] [--corpus FOLDER]

Each target runs in a process of its own, so that one that hangs or dies takes no other with it. Printed for each: how
many inputs a second, and of a crash what was raised and the input in hex (it is invented, so it may be shown). With
`--corpus`, what was found is kept, and the next run goes on from there. Exit code 1 after a crash.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANGS_S = 10  # one input that takes longer is a crash
MEMORY_MB = 2048
LONGEST = 8192  # bytes of an input; long ones find little, slowly
SHOWN, SHOWN_LINES = 2048, 40  # bytes, and lines, of a crash
CHATTER = ("INFO:", "WARNING:", "stat::", "MS:", "artifact_prefix=")


def say(line: str) -> None:
    """To the person who runs this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def fuzz(name: str, rest: list[str]) -> None:
    """One target, in this process. Does not return."""
    import atheris

    with atheris.instrument_imports(include=["streams.sources", "streams.heart.post", "feedparser"]):
        from tests.fuzz.targets import TARGETS

    atheris.Setup([name, *rest], TARGETS[name].run)
    atheris.Fuzz()


def hunt(name: str, seconds: int, corpus: Path, seeds: tuple[bytes, ...]) -> bool:
    """One target, in a process of its own; whether it bore all that came."""
    corpus.mkdir(parents=True, exist_ok=True)
    for at, seed in enumerate(seeds):
        (corpus / f"seed-{at}").write_bytes(seed)
    with tempfile.TemporaryDirectory() as found:
        command = [sys.executable, "-m", "tests.fuzz", "--child", name, "--", f"-max_total_time={seconds}",
                   f"-max_len={LONGEST}", f"-timeout={HANGS_S}", f"-rss_limit_mb={MEMORY_MB}",
                   f"-artifact_prefix={found}/", "-print_final_stats=1", "-verbosity=0", str(corpus)]
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        took = time.monotonic() - began
        ran = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
        rate = f"{int(ran[1]) / max(took, 1):,.0f} inputs a second, {int(ran[1]):,} in all" if ran else "no figures"
        say(f"{name:14} {'bore' if done.returncode == 0 else 'CRASHED'}: {rate}")
        if done.returncode == 0:
            return True
        told = [line for line in (done.stdout + done.stderr).splitlines() if line and not line.startswith(CHATTER)]
        say("\n".join(f"    {line}" for line in told[-SHOWN_LINES:]))
        for path in sorted(Path(found).iterdir()):
            data = path.read_bytes()
            say(f"    {path.name.partition('-')[0]}, {len(data)} bytes: {data[:SHOWN].hex()}")
    return False


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--only", help="the targets whose names begin so")
    parser.add_argument("--corpus", type=Path, help="where the inputs are kept that found something new")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        fuzz(options.child, options.rest)
    from tests.fuzz.targets import TARGETS

    names = [name for name in TARGETS if name.startswith(options.only or "")]
    if not names:
        parser.error(f"--only {options.only}: expected the beginning of one of {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.corpus or Path(folder)
        bore = [hunt(name, options.seconds, corpus / name, TARGETS[name].seeds) for name in names]
    return 0 if all(bore) else 1


if __name__ == "__main__":
    sys.exit(main())
