"""Planted faults: one-edit bugs in the rules of time and counting, each of which the driver must notice.

    python -m tests.planted            prints for every fault the first seed that shows it

A fault is an edit of one file of the heart, made in a copy. `seed` is where the driver begins to look.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Fault:
    """One edit: in `file`, `good` becomes `bad`; the rule that it breaks; and a seed that shows it."""

    rule: str
    file: str
    good: str
    bad: str
    seed: int = 0


FAULTS = (
    Fault("late begins at the end + grace, not after it", "intake", "if record.arrival_ms >= end_ms(pane_of(event))",
          "if record.arrival_ms > end_ms(pane_of(event))"),
    Fault("early begins more than 60 s ahead", "intake", "if event - record.arrival_ms > self._limits.early_ms",
          "if event - record.arrival_ms >= self._limits.early_ms"),
    Fault("lateness is measured from the pane's end", "intake", "end_ms(pane_of(event)) + self._limits.grace_ms",
          "event + self._limits.grace_ms"),
    Fault("an edit sets a floor", "intake", "if post.rev:", "if post.rev > 10**6:"),
    Fault("an edit that names no brand sets a floor too", "intake",
          "if post.rev:", "if post.rev and self._brands.of(post):"),
    Fault("a removal sets a floor above every rev", "intake", "batch.floors.append((id64(said.id), GONE,",
          "batch.floors.append((id64(said.id), 1,"),
    Fault("floors go to every partition", "intake", "self._frame(rows[places == at], floors, marks, health)",
          "self._frame(rows[places == at], floors if at == 0 else floors[:0], marks, health)"),
    Fault("a mark is the arrival of what was read, not one more", "intake", "Mark(partition, arrival)",
          "Mark(partition, arrival + 5000)"),
    Fault("the watermark is the lowest mark", "watermark", "lowest = min(self.marks.values()) - GUARD_MS",
          "lowest = max(self.marks.values()) - GUARD_MS"),
    Fault("the watermark waits for every partition", "watermark",
          "if not self._silent:", "if self.marks:"),
    Fault("the watermark is guarded against clocks that step back", "watermark", "GUARD_MS = 2_000", "GUARD_MS = 0"),
    Fault("marks never fall", "watermark", "max(mark.mark_ms, self.marks.get(mark.partition, mark.mark_ms))",
          "mark.mark_ms"),
    Fault("a floor reaches rows whose pane end + grace it precedes, no others", "facts",
          'held = self._held[self._held["arrival"] < before_ms]', "held = self._held"),
    Fault("a floor reaches back no more than one grace", "facts",
          'np.where(floor["arrival"] >= since_ms[asking], floor["rev"], 0)',
          'np.where(True, floor["rev"], 0)'),
    Fault("a floor at the very end of the grace is too late", "facts", 'self._held["arrival"] < before_ms',
          'self._held["arrival"] <= before_ms'),
    Fault("all floors of a post are kept", "facts", 'first = np.r_[True, both[1:] != both[:-1]]',
          'first = np.r_[both["id"][1:] != both["id"][:-1], True]'),
    Fault("a row at its floor counts", "facts", 'rows["rev"] >= lowest', 'rows["rev"] > lowest'),
    Fault("the winner has the highest rev", "facts", '~some["rev"],', 'some["rev"],'),
    Fault("of one rev the earliest arrival wins", "facts", 'some["arrival"],\n', '-some["arrival"],\n'),
    Fault("of one arrival the earlier place in the log wins", "facts", 'some["offset"], some["partition"]',
          '-some["offset"], some["partition"]'),
    Fault("of one record the smaller score wins", "facts", 'some["score"], some["offset"]',
          '-some["score"], some["offset"]'),
    Fault("two brands of one post are two mentions", "facts", '_starts(some, "id", "brand", "event")',
          '_starts(some, "id", "event")'),
    Fault("a pane seals at its end + grace", "tracker", "self._watermark.passed(self._times.grace_ms)\n        if now",
          "self._watermark.passed(self._times.delay_ms)\n        if now"),
    Fault("floors outlive the rows they touch", "tracker", "self._floors.forget(now - self._times.floor_ms)",
          "self._floors.forget(now - self._times.grace_ms)"),
    Fault("sealing comes before forgetting", "tracker", "        floored = self._floors.add(floors)\n",
          "        floored = self._floors.add(floors)\n        if self._watermark.now_ms:\n"
          "            self._floors.forget(self._watermark.now_ms - self._times.floor_ms)\n"),
    Fault("whether a replay counts follows from the log, frame by frame", "tracker",
          "parts.append(self._unsealed(frame, sealed_to))",
          "parts.append(self._unsealed(frame, self._sealed_to))"),
    Fault("a change in a closed pane re-opens the votes of its brands", "tracker",
          "if not brands:\n            return np.zeros", "if brands or not brands:\n            return np.zeros"),
    Fault("who votes anew gives the old vote back first", "tracker",
          "self._voted.take_back(", "str("),
    Fault("votes of closed panes are remembered", "ballot",
          "np.concatenate([self._keys, keys.author, keys.text])",
          "np.concatenate([self._keys, keys.author, keys.author])"),
    Fault("votes of sealed panes are remembered to the end of their hour", "ballot", "kept = (left > 0) &",
          "kept = (left > 300) &"),
    Fault("an hour is each author's own", "ballot", '(rows[name] % np.uint64(3600))', '(rows[name] % np.uint64(1))'),
    Fault("a text votes once", "ballot", "chosen = _firsts(author) & _firsts(text)", "chosen = _firsts(author)"),
    Fault("an author votes once", "ballot", "chosen = _firsts(author) & _firsts(text)", "chosen = _firsts(text)"),
    Fault("the first to speak votes", "ballot", 'order = np.lexsort((rows["id"], rows["event"]))',
          'order = np.lexsort((rows["id"], -rows["event"]))'),
    Fault("a vote is the mean of the author's scores in the pane", "ballot",
          "np.repeat((2 * total + count) // (2 * count), count)", "np.repeat(total, count)"),
    Fault("abstentions do not vote", "ballot", "left = order[(is_scored(rows) & ~said", "left = order[(~said"),
    Fault("sealed sums are kept by the minute", "pane", "add([self._minutes.get(minute, NOTHING), sums])", "sums"),
)


def noticed(fault: Fault, seeds: int) -> str:
    """The driver's first word on a heart with this fault; empty if it noticed nothing in that many seeds."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copytree(ROOT / "streams" / "heart", copy / "streams" / "heart", ignore=ignore_patterns("__pycache__"))
        copy2(ROOT / "streams" / "recount.py", copy / "streams")
        (copy / "streams" / "__init__.py").touch()
        copytree(ROOT / "tests", copy / "tests", ignore=ignore_patterns("__pycache__", "faults", "bench"))
        path = copy / "streams" / "heart" / f"{fault.file}.py"
        text = path.read_text()
        if text.count(fault.good) != 1:
            raise ValueError(f"{fault.rule}: its line stands {text.count(fault.good)} times in {fault.file}")
        path.write_text(text.replace(fault.good, fault.bad))
        run = subprocess.run([sys.executable, "-m", "tests.driver", str(seeds), str(fault.seed), "--first"], cwd=copy,
                             env={"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False)
        # A heart that raises has been noticed too; a driver that cannot start has noticed nothing.
        if run.returncode and not run.stdout and "in run\n" not in run.stderr:
            raise RuntimeError(run.stderr[-500:])
        return run.stdout[:300] or run.stderr[-300:] if run.returncode else ""


def main() -> None:
    """Tries every fault."""
    for fault in FAULTS:
        sys.stdout.write(f"{fault.rule}: {noticed(fault, 300)[:60]!r}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
