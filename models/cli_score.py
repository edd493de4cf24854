"""What `denyut score` does: lines in, one answer a line out, in order. For people, pipes and evaluations.

With JSON, a line in is {"text": "...", "lang": "id"} (lang may be left out) and a line out is
{"negative": p, "neutral": p, "positive": p, "score": s, "label": l, "lang": code}, or {"label": null, "reason": "..."}
where there is no score: `no_words`, `unsure`, `language` (models.lang), `poison` (the model fails on it), `bad_line`.
Lines are taken as they arrive, up to 256 at once: a file goes quickly, and a pipe is answered without a wait for more.
Knows nothing of arguments or exit codes.
"""

import codecs
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from models.ruler import Ruler
from models.score import Scorer

CHUNK = 256  # lines
READ = 65_536  # bytes, what a pipe holds
DIGITS = 6

Asked = tuple[str, str | None] | str  # text and declared language, or what is wrong with a line


def score_lines(lines: Iterable[str], out: TextIO, scorer: Scorer, json_lines: bool) -> None:
    """Answers every line of `lines` on `out`. Raises `NoModel` when the model fails as a whole."""
    ruler = Ruler(scorer)
    for chunk in arrivals(lines):
        asked = [asked_of(line) if json_lines else (line, None) for line in chunk]
        for answer, one in zip(answers(asked, ruler), asked, strict=True):
            said = json.dumps(answer, ensure_ascii=False) if json_lines else plain(answer, one)
            # A lone surrogate, which JSON and file names let through, has no bytes.
            out.write(said.encode("utf-8", "replace").decode() + "\n")
        out.flush()


def asked_of(line: str) -> Asked:
    """Text and declared language of a JSON line; a bare string says what is wrong with it.

    >>> asked_of('{"text": "bagus", "lang": "id"}'), asked_of('[1]')
    (('bagus', 'id'), 'expected {"text": "...", "lang": "..."?}')
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):  # the second: brackets in brackets without end
        return "not JSON"
    match said:
        case {"text": str(text), "lang": str(lang)}:
            return text, lang
        case {"text": str(text)} if said.get("lang") is None:
            return text, None
    return 'expected {"text": "...", "lang": "..."?}'


def answers(asked: Sequence[Asked], ruler: Ruler) -> list[dict[str, Any]]:
    """One answer for each line that was read."""
    out: list[dict[str, Any]] = []
    open_at: list[tuple[int, str, str]] = []
    for at, one in enumerate(asked):
        if isinstance(one, str):
            out.append({"label": None, "reason": "bad_line", "detail": one})
            continue
        verdict = ruler.judge(*one)
        out.append({"label": None, "reason": verdict.reason, "lang": verdict.lang})
        if verdict.known:
            open_at.append((at, one[0], verdict.lang))
    scores = ruler.scores([(text, lang) for _, text, lang in open_at])
    for (at, _, lang), score in zip(open_at, scores, strict=True):
        if score is None:
            out[at] = {"label": None, "reason": "poison", "lang": lang}
        else:
            shares = {name: round(getattr(score, name), DIGITS) for name in ("negative", "neutral", "positive")}
            out[at] = shares | {"score": round(score.score, DIGITS), "label": score.label, "lang": lang}
    return out


def plain(answer: dict[str, Any], one: Asked) -> str:
    """An answer for people.

    >>> plain({"label": "positive", "score": 0.93, "lang": "id"}, ("Bagus sekali!", None))
    'positive +0.93  id   Bagus sekali!'
    """
    text = one if isinstance(one, str) else one[0]
    # A post must not steer the terminal that it is shown on; U+200D only joins emoji.
    text = "".join(letter if letter.isprintable() or letter == "\u200d" else " " for letter in text)
    mood = f"{answer['label']} {answer['score']:+.2f}" if answer["label"] else f"- ({answer['reason']})"
    return f"{mood:<14}  {answer.get('lang', ''):<3}  {text}"


def arrivals(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines without their ends, in chunks: of a real stream what has arrived, of anything else by count."""
    try:
        source = lines.fileno()  # type: ignore[attr-defined]
    except (AttributeError, io.UnsupportedOperation):
        chunk: list[str] = []
        for line in lines:
            chunk.append(line.removesuffix("\n").removesuffix("\r"))
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
        return
    yield from _read(source)


def _read(source: int) -> Iterator[list[str]]:
    # A bad byte must not end the stream: it becomes U+FFFD in its own line.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest: list[str] = []  # of a line that has not ended: joined once, for a line may be as long as a file
    more = True
    while more:
        data = os.read(source, READ)
        more = bool(data)
        whole = decoder.decode(data, final=not more).split("\n")
        if len(whole) > 1:
            whole[0], rest = "".join((*rest, whole[0])), []
        rest.append(whole.pop())
        if not more and (last := "".join(rest)):
            whole.append(last)
        for at in range(0, len(whole), CHUNK):
            yield [line.removesuffix("\r") for line in whole[at:at + CHUNK]]
