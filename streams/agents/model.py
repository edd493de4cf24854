"""Model: the one thread on which tokenizer and model live.

Tokenizers are not safe for two threads, and one inference at a time is what a core can do; the model leaves the
interpreter while it computes, so the event loop goes on beside it.
Knows nothing of Kafka, batches or what a text is for.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from streams.heart.errors import BadSetting
from streams.heart.frame import LABELS
from streams.heart.intake import Asked, Judged, Scored
from streams.heart.notice import BatchScored, Observer
from streams.settings import Settings

if TYPE_CHECKING:
    from models.score import Score, Scorer

Load = Callable[[], "Scorer"]


class ModelThread:
    """The scorer of the settings, on its own thread. `name` stands in every frame: another name is another ruler."""

    def __init__(self, settings: Settings, observer: Observer, load: Load | None = None) -> None:
        """Loads the model, and waits for it. Raises `BadSetting`, naming DENYUT_MODEL, when it cannot be had."""
        from models.ruler import Ruler
        from models.score import NoModel

        self._observer = observer
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="model")
        try:
            scorer = self._pool.submit(load or _of(settings)).result()
        except NoModel as error:
            self.close()
            raise BadSetting(f"DENYUT_MODEL={settings.model!r}: {error}") from error
        self._ruler = Ruler(scorer)
        self.name = self._ruler.name
        self.judge("selamat pagi", None)  # the first time takes 30 ms: not on the event loop

    def judge(self, text: str, declared: str | None) -> Judged:
        """Which language a text is in, and whether the model may score it. For one thread: the event loop's."""
        verdict = self._ruler.judge(text, declared)
        return Judged(verdict.lang, verdict.known)

    async def ask(self, texts: Sequence[Asked]) -> list[Scored | None]:
        """One score for each text; None: the model fails on this text, and on this alone. Raises `NoModel`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, list(texts))

    def _ask(self, texts: list[Asked]) -> list[Scored | None]:
        ruler = self._ruler
        began_s, spared, tokens = time.monotonic(), ruler.spared, ruler.tokens
        scores = ruler.scores(texts)
        fresh = len(texts) - (ruler.spared - spared)
        took_s = time.monotonic() - began_s
        self._observer.observe(BatchScored(len(texts), max(fresh, 0), ruler.tokens - tokens, took_s))
        return [_scored(score) for score in scores]

    def close(self) -> None:
        """Ends the thread; a batch that it is in is finished first."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _of(settings: Settings) -> Load:
    def load() -> "Scorer":
        import models

        return models.load(settings.model, threads=settings.threads, effort=settings.effort)

    return load


def _scored(score: "Score | None") -> Scored | None:
    return None if score is None else Scored(score.score, LABELS.index(score.label))
