"""Planted faults: one-edit bugs in the rules of the heart, each of which its judge must notice.

    python -m tests.planted [WORD]     prints for every fault (whose rule or file has the word) who notices it, and how

A fault is an edit of one file of the heart, made in a copy. Its judge is the driver, or some of the quick tests.
"""

import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

ROOT = Path(__file__).parent.parent


DRIVER = ""
MINUTE = "tests/test_minute.py"
TWINS = "tests/test_swing.py -k 'everything_jumps or becomes_normal'"
STEPS = "tests/test_steps.py"
MARKED = "tests/test_watch.py -k is_marked"
PROMPTED = "tests/test_prompted.py"
USUAL = "tests/test_steps.py -k 'usual or learned or window_s or complete'"
VOLUME = "tests/test_volume.py"
BLOCK = "tests/test_block.py"
TRAIL = "tests/test_trail.py"
RESTED = "tests/test_restored.py -k 'not 1] and not 2] and not 3]'"


@dataclass(frozen=True)
class Fault:
    """One edit: in `file`, `good` becomes `bad`; the rule that it breaks.

    `judge`: what notices it: the driver, from `seed` on, or pytest with these words.
    """

    rule: str
    file: str
    good: str
    bad: str
    seed: int = 0
    judge: str = DRIVER


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
          "if not self._silent:", "if self.marks:", seed=85),
    Fault("the watermark is guarded against clocks that step back", "watermark", "GUARD_MS = 2_000", "GUARD_MS = 0"),
    Fault("marks never fall", "watermark", "max(mark.mark_ms, self.marks.get(mark.partition, mark.mark_ms))",
          "mark.mark_ms", seed=28),
    Fault("a floor reaches rows whose pane end + grace it precedes, no others", "facts",
          'held = some_of(self._held, self._held["arrival"] < before_ms)', "held = self._held"),
    Fault("a floor reaches back no more than one grace", "facts",
          'np.where(floor["arrival"] >= since_ms[asking], floor["rev"], 0)',
          'np.where(True, floor["rev"], 0)'),
    Fault("a floor at the very end of the grace is too late", "facts", 'self._held["arrival"] < before_ms',
          'self._held["arrival"] <= before_ms'),
    Fault("all floors of a post are kept", "facts", 'first = np.r_[True, both[1:] != both[:-1]]',
          'first = np.r_[both["id"][1:] != both["id"][:-1], True]'),
    Fault("a row at its floor counts", "facts", 'rows["rev"] >= lowest', 'rows["rev"] > lowest'),
    Fault("the winner has the highest rev", "facts", '~some["rev"],', 'some["rev"],'),
    Fault("of one rev the earliest arrival wins", "facts", 'some["arrival"], ~some', '-some["arrival"], ~some'),
    Fault("of one arrival the earlier place in the log wins", "facts", 'some["offset"], some["partition"]',
          '-some["offset"], some["partition"]'),
    Fault("of one record the smaller score wins", "facts", 'some["score"], after,', '-some["score"], after,'),
    Fault("what comes again after its pane has closed changes nothing", "facts", 'after = some["state"] & AFTER',
          'after = some["state"] & 0'),
    Fault("whether it came again follows from the log, frame by frame", "tracker",
          "closed.append(NEVER if closed_to is None else closed_to)",
          "closed.append(NEVER if self._closed_to is None else self._closed_to)"),
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
    Fault("a text votes once", "ballot", "author.firsts(left) & text.firsts(left)", "author.firsts(left)"),
    Fault("an author votes once", "ballot", "author.firsts(left) & text.firsts(left)", "text.firsts(left)"),
    Fault("the first to speak votes", "ballot", 'np.argsort(event, kind="stable")',
          'np.argsort(-event, kind="stable")'),
    Fault("a vote is the mean of the author's scores in the pane", "ballot",
          "(2 * total[mine] + count[mine]) // (2 * count[mine])", "total[mine]"),
    Fault("and in no other pane", "ballot", "& (voted[author.at] == pane)", "& (voted[author.at] >= 0)"),
    Fault("what an author adds changes what the vote is worth", "tracker",
          ' and np.array_equal(outcome.values, rows["value"][at])', ""),
    Fault("abstentions do not vote", "ballot", "left = order[(scored & ~said", "left = order[(~said"),
    Fault("sealed sums are kept by the minute", "pane", "add([self._minutes.get(minute, NOTHING), sums])", "sums"),
    # What the brand has prompted.
    Fault("what a brand's account has prompted, it has not prompted of another", "intake",
          "match.brand in post.prompted", "post.prompted"),
    Fault("a brand's tag is no other's", "intake", "match.tagged or",
          "any(one.tagged for one in pending.matches) or"),
    Fault("a brand's tag is looked for by its own rule", "brands", "self._rules[at].is_tagged(hits)",
          "self._rules[0].is_tagged(hits)"),
    Fault("what carries a tag is prompted", "intake", "match.tagged or", ""),
    Fault("a row says that it is prompted", "intake", "kind | hand", "kind"),
    Fault("the kind itself prompts nothing", "facts", 'rows["kind"] & PROMPTED != 0', 'rows["kind"] != 0'),
    Fault("of two rows of one record that differ in nothing else the prompted one wins", "facts",
          '~some["kind"], some["label"]', 'some["kind"], some["label"]', judge=PROMPTED),
    Fault("in whatever order they come", "facts", '~some["kind"], some["label"]', 'some["label"]', judge=PROMPTED),
    Fault("a prompted mention has no unprompted vote", "ballot", "votes & ~prompted", "votes"),
    Fault("nor does it count in their mean", "ballot", "np.where(prompted, 0, value)", "value"),
    Fault("a prompted mention without a vote is counted too", "ballot", "columns += [prompted,",
          "columns += [prompted & votes,"),
    Fault("the interval of unprompted talk rests on the day's unprompted votes", "window", "_mood(alone, _alone(day))",
          "_mood(alone, _votes(day))"),
    Fault("without an unprompted vote there is no unprompted mood", "window", "_mood(alone, _alone(day))",
          "_mood(alone if alone[0] else votes, _alone(day))"),
    Fault("a frame of version 1 is read", "frame", "READ = (1, VERSION)", "READ = (VERSION,)", judge=PROMPTED),
    Fault("a frame of version 1 prompts nothing", "frame", "PROMPTED = 0x80", "PROMPTED = 0x04", judge=PROMPTED),
    Fault("a row of version 1 has no such bit", "frame", "PROMPTED if version > 1 else 0", "PROMPTED if version else 0",
          judge=PROMPTED),
    # What the detector is told of a minute.
    Fault("on time is what arrived before the pane's end + delay", "facts",
          'rows = some_of(self.rows, self.rows["arrival"] < before_ms)', "rows = self.rows"),
    Fault("what arrives at the very end of the delay is not on time", "facts", 'self.rows["arrival"] < before_ms',
          'self.rows["arrival"] <= before_ms'),
    Fault("of what was on time the winner counts, and nothing else", "facts",
          'rows = some_of(rows, _starts(rows, "id", "brand", "event"))', "rows = rows[:]", judge=MINUTE),
    Fault("a floor that came after the delay touches no minute", "facts",
          "before_ms = min(before_ms, end_ms(self.pane) + grace_ms)", "before_ms = end_ms(self.pane) + grace_ms"),
    Fault("in a minute too a floor reaches back no more than one grace", "facts",
          'rows["arrival"] - grace_ms, before_ms))', 'rows["arrival"] - 9 * grace_ms, before_ms))', judge=MINUTE),
    Fault("who has voted in a minute is remembered", "minute", "voted.add(keys_of(some_of(rows, votes)))",
          "voted.add(keys_of(some_of(rows, votes & False)))"),
    Fault("who voted late has not voted on time", "tracker", "for pane in panes], FACT), self._voted_on_time)",
          "for pane in panes], FACT), self._voted)"),
    Fault("votes of a minute are remembered to the end of their hour", "tracker",
          "self._voted_on_time.forget(panes.stop)", "self._voted_on_time.forget(panes.stop + 300)"),
    Fault("a minute is told when its last pane closes", "tracker", "self._tell_until(pane + 1)",
          "self._tell_until(pane + MINUTE)"),
    Fault("no minute is left out", "tracker", "                self._minute += 1\n",
          "                self._minute += 2\n"),
    Fault("a silence ends where something is said", "tracker",
          "min((pane for pane in self._slices if pane >= self._minute * MINUTE), default=after)", "after"),
    Fault("the first minute is the first that was spoken in", "tracker", "self._minute = min(first, after) // MINUTE",
          "self._minute = after // MINUTE"),
    Fault("abstentions are mentions of a minute", "minute", "np.ones(len(rows), np.int64)", "scored"),
    Fault("abstentions are no posts of a segment", "minute", "some = some_of(rows, scored)",
          "some, scored = rows, scored | True"),
    Fault("cubes are cubes", "minute", "value**2, value**3,", "value**2, value**2,"),
    # The detector.
    Fault("a swing fires on two minutes in a row", "swing", '(of["run"] >= knobs.persistence)',
          '(of["run"] > knobs.persistence)', judge=TWINS),
    Fault("what the baseline has not yet seen of a swing, it never sees", "swing",
          "np.arange(minute - self.knobs.lag, minute + 1)", "np.arange(minute - self.knobs.lag + 2, minute + 1)",
          judge=TWINS),
    Fault("a move must show in the next shorter window", "swing", "knobs.recency * np.abs(", "0 * np.abs(",
          judge=TWINS),
    Fault("weather is winsorised at three of its own", "swing", "9 * stats.variance", "99 * stats.variance",
          judge=TWINS),
    Fault("gusts are winsorised at three of their own", "swing", "9 * (sampling + contrast.rest)",
          "99 * (sampling + contrast.rest)", judge=TWINS),
    Fault("where little is seen the prior comes back", "swing", "np.maximum(knobs.variance_weight - v0, 0.0)",
          "np.maximum(knobs.variance_weight - v0, 0.0) * 0", judge=TWINS),
    Fault("a swing is watched for a quarter of an hour at least", "swing",
          'max(int(self._of["fired_by"][at]), self._view)', 'int(self._of["fired_by"][at])', judge=TWINS),
    Fault("a swing that fired by contrast is followed by it", "swing", 'if not of["is_contrast"][at]:', "if at >= 0:",
          judge=TWINS),
    Fault("a contrast agrees with the level", "swing", "& (np.sign(contrast.d) == np.sign(stats.d))", "", judge=TWINS),
    Fault("the return to normal is no contrast", "swing", "agrees = eligible & free &", "agrees = eligible &",
          judge=TWINS),
    Fault("after a swing a window is silent while it holds a part of it", "swing",
          "since >= np.maximum(self._windows, knobs.cooldown)", "since >= knobs.cooldown", judge=TWINS),
    Fault("what has gone low is over, however old", "swing", '"over" if is_low else "new normal"',
          '"over" if is_low and of["age"][at] < knobs.new_normal else "new normal"', judge=TWINS),
    Fault("what lasts half a day is the new normal", "swing", 'if kind == "new normal":', 'if kind == "":',
          judge=TWINS),
    Fault("the jump between two rulers is not learned", "swing", 'self._of["clean"][series] = False',
          'self._of["clean"][series] &= True', judge=TWINS),
    Fault("what a sick source leaves is not said", "swing", "sums = np.where(tested[:, None], sums, 0)", "",
          judge=TWINS),
    Fault("two hours after another ruler their mean is the level", "swing",
          'for at in np.flatnonzero(of["hushed"] == minute).tolist():', "for at in list[int]():", judge=TWINS),
    # What the watch makes of it.
    Fault("many voices make a swing more severe", "watch", "+ (reach >= FAR)", "", judge=STEPS),
    Fault("few votes behind it make it less severe", "watch", "- (authentic < THIN)", "", judge=STEPS),
    Fault("a swing that grows is told again", "watch", "if fresh.severity <= incident.swing.severity:", "if fresh:",
          judge=STEPS),
    Fault("a swing of too few votes left is withdrawn", "watch", "if n < knobs.votes / 2:", "if n < 0:", judge=STEPS),
    Fault("a swing whose mood is gone is withdrawn", "watch", "d = turn.d + left.total_left",
          "d = turn.d + 0 * left.total_left", judge=STEPS),
    Fault("who is withdrawn is calm", "watch", "self._calm(incident)", "pass", judge=STEPS),
    Fault("all posts alone are told only when coordinated", "watch", 'if fresh.swing.authenticity != "coordinated":',
          "if not fresh:", judge=STEPS),
    Fault("votes that follow their copies are the same incident", "watch",
          "        if incident is None:\n            brand.mood = fresh",
          "        if incident is None or fresh:\n            brand.mood = fresh", judge=STEPS),
    Fault("a turn ends the incident of the other direction", "watch", "incident.swing.direction != direction",
          "not incident", judge=STEPS),
    Fault("another ruler hushes all posts too", "watch", "self._detector.hush(2 * series + 1)", "pass", judge=STEPS),
    Fault("a minute that lacks a source is not tested", "watch", ">= COMPLETE", ">= 0.0", judge=STEPS),
    Fault("a mood says for how long nobody listened", "watch", "in (self._brands[series].mood, ", "in (", judge=MARKED),
    Fault("and so does a burst", "watch", "self._brands[series].volume):", "):", judge=MARKED),
    Fault("only minutes that were not tested are said", "watch", "np.flatnonzero(~tested)", "np.flatnonzero(tested)",
          judge=MARKED),
    Fault("brands are told in the order of their names", "watch",
          "sorted(touched, key=self._name)", "sorted(touched)", judge=STEPS),
    Fault("the second step is number two", "watch", "    step: int = 1\n", "    step: int = 0\n", judge=STEPS),
    # What is usual.
    Fault("usual is an hour old", "usual", "self._lately[-1 - lag]", "self._lately[-1]", judge=USUAL),
    Fault("what the detector does not learn is not usual", "usual", "quiet = learned[series_of[brand]]",
          "quiet = learned[series_of[brand]] | True", judge=USUAL),
    Fault("of segments too", "usual", "quiet = learned[series_of[segments.key >> 16]]",
          "quiet = learned[series_of[segments.key >> 16]] | True", judge=USUAL),
    Fault("now is as long as the window", "usual", "list(self._lately)[-width:]", "list(self._lately)", judge=USUAL),
    Fault("a sick source hides its own votes", "usual", "self._key >> 8 & 255, sorted(sick)",
          "self._key & 255, sorted(sick)", judge=USUAL),
    # Blocks.
    Fault("a row that is read again met what it met closed", "tracker", "self._trail.closed_at(offset)",
          "self._closed_to",
          judge=RESTED),
    Fault("a row of a sealed pane is not read again", "tracker", "return self._sealed_to, self._trail",
          "return None, self._trail",
          judge=RESTED),
    Fault("who voted in sealed panes has voted", "tracker", "self._voted.without(", "Voted().without(",
          judge=RESTED),
    Fault("votes in panes that are not sealed are cast anew", "tracker",
          "self._voted.without(keys_of(self._picked(self._closed(), VOTED, None).rows()))", "self._voted",
          judge=RESTED),
    Fault("a block knows who voted on time", "tracker", "self._voted_on_time.snapshot()", "Voted().snapshot()",
          judge=RESTED),
    Fault("floors are read again as long as they touch a row", "tracker",
          "self._trail.since(now_ms - self._times.floor_ms", "self._trail.since(now_ms - self._times.grace_ms",
          judge=RESTED),
    Fault("rows in the first pieces of a frame are read again", "tracker", "for some in (frame.rows, frame.floors):",
          "for some in ():", judge=RESTED),
    Fault("a frame that is read again says nothing of time", "tracker", "if offset < self._position:", "if False:",
          judge=RESTED),
    Fault("a block has the minutes that are sealed and in no span", "tracker",
          "self._state([one for one in held if one[0] >= whole])", "self._state([])", judge=RESTED),
    Fault("a block has the spans", "tracker", "tracker._minutes.restore([*block.minutes, ",
          "tracker._minutes.restore([", judge=RESTED),
    Fault("a block knows which sources were sick", "tracker", "Wellness.restore(state.wellness)", "Wellness()",
          judge=RESTED),
    Fault("a block knows how talk usually divides", "tracker", "UsualSources.restore(state.usual)", "UsualSources()",
          judge=RESTED),
    Fault("a block has the steps that may not have been delivered", "tracker",
          "tracker._told, tracker._is_behind = list(state.told), True",
          "tracker._told, tracker._is_behind = [], True", judge=RESTED),
    Fault("all steps since the block are told again", "tracker", " and not self._is_behind and (", " and (",
          judge=RESTED),
    Fault("a block has the open incidents", "watch", "self._brands, self._last,",
          "[_Brand(one.number) for one in self._brands], self._last,", judge=RESTED),
    Fault("a block has the last two hours", "usual", "usual._lately.extend(lately)", "pass", judge=RESTED),
    Fault("the newest block is taken", "block", "reverse=True", "reverse=False", judge=BLOCK),
    Fault("a block that is damaged is passed over", "block", " and _digest(data) == part.digest", "", judge=BLOCK),
    Fault("a block beyond the log's end is another log's", "block", "manifest.position > end", "False", judge=BLOCK),
    Fault("a newer schema is passed over", "block", ".schema > SCHEMA", ".schema > 10**6", judge=BLOCK),
    Fault("what no manifest of ours speaks of is left alone", "block", "STRANGE_MS = 2 * 3_600_000", "STRANGE_MS = 0",
          judge=BLOCK),
    Fault("a block that may be needed is kept", "block", "kept = self._by_age()[:KEPT]", "kept = self._by_age()[:1]",
          judge=BLOCK),
    Fault("sums that a kept block names stay", "block",
          "for manifest in kept for part in manifest.parts for key",
          "for manifest in kept for part in manifest.parts if part.kind == 'state' for key", judge=BLOCK),
    Fault("no frame is skipped where a record may stand", "trail", "bisect_right(self._points, pane - 1,",
          "bisect_right(self._points, pane,", judge=TRAIL),
    # Volume.
    Fault("a spike is twice the usual", "volume", "& (rate >= knobs.most * usual)", "", judge=VOLUME),
    Fault("a spike has twenty mentions", "volume", "(rate * self._widths >= knobs.mentions) & ", "", judge=VOLUME),
    Fault("a spike fires on minutes in a row", "volume", '(of["run"] >= knobs.persistence)', '(of["run"] >= 1)',
          judge=VOLUME),
    Fault("a spike is told once a day", "volume", 'free = (of["until"] <= minute) |', "free = (minute >= 0) |",
          judge=VOLUME),
    Fault("twice as loud is told again", "volume", '| (now >= 2 * of["told"])', "", judge=VOLUME),
    Fault("a spike is not learned", "volume", 'tested & ~self._of["on"]', "tested", judge=VOLUME),
    Fault("an hour has its own usual", "volume", "np.asarray(level + cell[:, 0] * (1 - share) + cell[:, 1] * share)",
          "np.asarray(level + 0 * share * cell[:, 0])", judge=VOLUME),
    Fault("the loudness that lasts is the new normal", "volume", 'if kind == "new normal":', 'if kind == "":',
          judge=VOLUME),
    Fault("another rule is no spike", "volume", '& (of["hushed"] <= minute)', "", judge=VOLUME),
)


def noticed(fault: Fault, seeds: int) -> str:
    """The first word of its judge on a heart with this fault; empty if it noticed nothing (in that many seeds)."""
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
        return _driven(copy, fault, seeds) if fault.judge == DRIVER else _tested(copy, fault)


def _driven(copy: Path, fault: Fault, seeds: int) -> str:
    run = _run(copy, "tests.driver", str(seeds), str(fault.seed), "--first")
    # A heart that raises has been noticed too; a driver that cannot start has noticed nothing.
    if run.returncode and not run.stdout and "in run\n" not in run.stderr:
        raise RuntimeError(run.stderr[-500:])
    return run.stdout[:300] or run.stderr[-300:] if run.returncode else ""


def _tested(copy: Path, fault: Fault) -> str:
    run = _run(copy, "pytest", "-qx", "--tb=no", "-p", "no:cacheprovider", *shlex.split(fault.judge))
    if run.returncode not in (0, 1):  # tests that cannot start have noticed nothing
        raise RuntimeError(run.stdout[-500:])
    return next(line for line in run.stdout.splitlines() if line.startswith("FAILED")) if run.returncode else ""


def _run(copy: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    env = {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-P", "-m", *words], cwd=copy, env=env, capture_output=True, text=True,
                          check=False, timeout=300)


def main() -> None:
    """Tries every fault, or those whose rule or file has the word."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    for fault in FAULTS:
        if word in fault.rule or word == fault.file:
            sys.stdout.write(f"{fault.file}: {fault.rule}: {noticed(fault, 300)[:100]!r}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
