"""Consumer: how both workers read: Faust's consumer with a faster loop, and with guards where it loses records.

    aiokafka, on a thread of its own ──getmany──▶ our reading loop ──▶ the agent's queue
                                                    └─ a record out of turn ──▶ again, a gap, or a broken promise

Faust drops a record below the one it read last, takes any jump for a compaction, and hears nothing of a group that
expels it or of a coordinator that has given up. Here a record is dropped only if it is read once more, a jump where
none may be ends the worker, and what is wrong with the membership is said.
`tests/test_faust_facts.py` pins the behaviour that this relies on.
Knows nothing of posts, frames, models or figures.
"""

import asyncio
import logging
import time
import types
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from typing import Any

from streams.heart.errors import BadSetting, BrokenPromise
from streams.logs import OFTEN

FAUST = "0.15.3"  # the release whose reading loop ours replaces; with any other, its own is used
SETTLED_S = 5.0  # after an assignment; a gap read later than this is no leftover of it
SEEK_SHARE = 0.8  # of the time after which Faust gives the seek up
ASKED_S = 2.0
EXPELLED = 3  # times in EXPELLED_S: this is no single pause, and no broker that came back
EXPELLED_S = 60.0
log = logging.getLogger("denyut.app")
often = logging.getLogger(f"{OFTEN}.app")


def fit_consumer(app: Any, promised: frozenset[str]) -> None:
    """Gives the app our consumer. `promised`: topics of which no record is ever missing (they are not compacted)."""
    import faust

    async def assigned(sender: Any, *_: Any, **__: Any) -> None:
        sender.denyut_assigned_s = time.monotonic()

    async def complete(sender: Any, *_: Any, **__: Any) -> None:
        await _coordinator_answers(sender)

    app.on_partitions_assigned.connect(assigned, weak=False)
    app.on_rebalance_complete.connect(complete, weak=False)
    app.transport.Consumer = _consumer(promised, fast=faust.__version__ == FAUST)
    if faust.__version__ != FAUST:
        log.warning("faust %s is not %s: its own, slower reading loop is used, which loses records where a log was cut",
                    faust.__version__, FAUST)


def _consumer(promised: frozenset[str], fast: bool) -> Any:
    from faust.transport.drivers.aiokafka import Consumer

    class Ours(Consumer):  # type: ignore[misc]
        async def seek_to_committed(self) -> Any:
            places = await super().seek_to_committed()
            await _go_back_to_the_beginning(self, places)
            return places

        async def perform_seek(self) -> None:
            await _in_time(super().perform_seek(), SEEK_SHARE * self.app.conf.broker_request_timeout)

        async def verify_all_partitions_active(self) -> None:
            """Faust's own search for the slow only writes lines, and dies where a partition's place is looked for."""

        denyut_gaps = 0  # holes read within SETTLED_S of an assignment, in topics where compaction makes holes
        denyut_again = 0  # records dropped because they are read once more

        async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
            if tp.topic in promised:
                raise _broken(tp, f"skipped records {offset_from} to {offset_to - 1}")
            if time.monotonic() - getattr(self.app, "denyut_assigned_s", 0.0) < SETTLED_S:
                self.denyut_gaps += 1
                often.info("%s %d: %d records are missing just after an assignment (compacted away); gap %d so far",
                           tp.topic, tp.partition, offset_to - offset_from, self.denyut_gaps)
            await super()._add_gap(tp, offset_from, offset_to)

        async def denyut_out_of_turn(self, tp: Any, offset: int, before: int | None) -> bool:
            return await _out_of_turn(self, promised, tp, offset, before)

    class Fast(Ours):
        async def _drain_messages(self, fetcher: Any) -> None:
            await _drain(self, fetcher)

    return Fast if fast else Ours


async def _out_of_turn(consumer: Any, promised: frozenset[str], tp: Any, offset: int, before: int | None) -> bool:
    """A record that does not follow `before`; whether to deliver it. Raises `BrokenPromise`."""
    place = _place(consumer, tp)
    if place is not None and place <= offset:
        # Handed out before the last seek, so handed out again after it. Taken now, all between would be a gap.
        consumer.denyut_again += 1
        often.info("%s %d: record %d was read before a seek and is read again from %d; %d of them so far",
                   tp.topic, tp.partition, offset, place, consumer.denyut_again)
        return False
    if before is None:
        return True
    if offset > before:
        await consumer._add_gap(tp, before + 1, offset)
        return True
    said = f"record {offset} comes after {before}: its log was cut, or made anew"
    if tp.topic in promised:
        raise _broken(tp, said)
    log.error("%s %d: %s; reading goes on from there", tp.topic, tp.partition, said)
    _go_back(consumer, tp)
    return True


def _broken(tp: Any, said: str) -> BrokenPromise:
    """Raised, it ends the reading loop, and with it the worker; the next start reads the log back."""
    error = BrokenPromise(f"{tp.topic} {tp.partition}: {said}")
    log.critical("%s", error)
    return error


def _go_back(consumer: Any, tp: Any) -> None:
    """Forgets what was acked of a partition, and how far it was: the next ack counts, however low it is."""
    for of in (consumer._gap, consumer._acked, consumer._acked_index, consumer._committed_offset):
        of.pop(tp, None)


def _place(consumer: Any, tp: Any) -> int | None:
    """The offset that aiokafka hands out next; None: it is looking for one. It moves on only when we ask for more."""
    assignment = consumer._thread._consumer._subscription.subscription.assignment
    state = None if assignment is None else assignment.state_value(tp)
    return None if state is None else state._position


async def _in_time(seek: Awaitable[None], limit_s: float) -> None:
    """Faust waits for a seek as long as a request may take, and then ends in silence: this assignment and all after it
    would never be read, by a member that the group believes to be well. So it ends before, with a word.
    """
    try:
        async with asyncio.timeout(limit_s):
            await seek
    except TimeoutError:
        raise BrokenPromise("the group's coordinator does not say where reading goes on") from None


async def _ask_for_places(consumer: Any) -> None:
    """Asks the coordinator what is committed of all that is ours; aiokafka asks until it is told."""
    theirs = consumer._thread._ensure_consumer()
    if ours := theirs.assignment():
        await consumer._thread.call_thread(theirs._coordinator.fetch_committed_offsets, ours)


async def _coordinator_answers(app: Any) -> None:
    """Waits until the group's coordinator tells what is committed, or the assignment changes again.

    It may be away or reading its own log: longer than Faust waits for the places to go back to, in `perform_seek`.
    """
    consumer, generation = app.consumer, app.consumer_generation_id
    asked = asyncio.ensure_future(_ask_for_places(consumer))
    try:
        while not (app.should_stop or app.consumer_generation_id != generation):
            done, _ = await asyncio.wait({asked}, timeout=ASKED_S)
            if done:
                asked.result()
                return
            often.warning("the group's coordinator does not tell yet where reading goes on")
    finally:
        asked.cancel()


async def _go_back_to_the_beginning(consumer: Any, places: Mapping[Any, int | None]) -> None:
    """aiokafka goes back to a committed place only if it is above 0. What was read while an assignment changed is
    dropped, and at the beginning of a topic would never be read again. `places`: what is committed, None: nothing yet.
    """
    for tp, offset in places.items():
        if offset == 0:
            await consumer._seek(tp, 0)
    if unknown := [tp for tp, offset in places.items() if offset is None]:
        thread = consumer._thread
        await thread.call_thread(thread._ensure_consumer().seek_to_beginning, *unknown)


# The membership.


class Expulsions:
    """Counts how often the group has put us out, and says so when it is no accident.

    >>> expulsions = Expulsions("pod-0", now_s=lambda: 0.0)
    >>> [expulsions.again() for _ in range(3)]
    [False, False, True]
    """

    def __init__(self, instance: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._instance = instance
        self._now_s = now_s
        self._at_s: deque[float] = deque(maxlen=EXPELLED)

    def again(self) -> bool:
        """Once more; whether this was said."""
        self._at_s.append(self._now_s())
        if len(self._at_s) < EXPELLED or self._at_s[-1] - self._at_s[0] > EXPELLED_S:
            return False
        why = "it hangs, or is stopped, for longer than DENYUT_SESSION_MS"
        if self._instance:
            why = f"a second one runs with DENYUT_INSTANCE={self._instance}: each needs a name of its own; or {why}"
        often.error("the group has put this worker out %d times in %.0f s: %s",
                    EXPELLED, self._at_s[-1] - self._at_s[0], why)
        return True


def _hear_expulsions(coordinator: Any, expulsions: Expulsions) -> None:
    """Has `expulsions` told of each, on the consumer's thread. A second time it changes nothing."""
    if getattr(coordinator, "denyut_hears_expulsions", False):
        return
    forget = coordinator.reset_generation

    def forgotten() -> None:
        if coordinator.member_id:  # else it knows already, and another request has now been told the same
            expulsions.again()
        forget()

    coordinator.reset_generation, coordinator.denyut_hears_expulsions = forgotten, True


def _gone(coordinator: Any) -> str:
    """Why aiokafka no longer keeps us in the group; empty: it does."""
    from aiokafka.errors import InvalidSessionTimeoutError

    error, task = coordinator._pending_exception, coordinator._coordination_task
    if isinstance(error, InvalidSessionTimeoutError):
        raise BadSetting(f"DENYUT_SESSION_MS={coordinator._session_timeout_ms}: this broker allows none such; expected "
                         "a span from its group.min.session.timeout.ms to its group.max.session.timeout.ms (where "
                         "nobody has set them, 6s to 30m)") from error
    if error is not None:  # it waits until it is asked. Faust never asks, and the group moves on
        return f"the group's coordinator gives up: {error}"
    return "nobody speaks to the group any more" if task.done() else ""


class Membership:
    """Whether the consumer's thread lives, and what keeps us in the group does. Asked at a steady pace, by the loop."""

    def __init__(self, patience: int, instance: str) -> None:
        """`patience`: how often in a row the thread may be asked without an answer. `instance`: the member's own name.
        """
        # Times asked, no clock: a process that was frozen for an hour has not been left without an answer.
        self._patience = patience
        self._unanswered = 0
        self._expulsions = Expulsions(instance)

    def trouble(self, app: Any) -> str:
        """What is wrong; empty: nothing, or there is no thread yet."""
        thread = getattr(getattr(app, "_consumer", None), "_thread", None)
        if thread is None or thread._thread is None:
            return ""
        if not thread._thread.is_alive():
            return "the consumer's thread has died"
        coordinator = getattr(thread._consumer, "_coordinator", None)
        if coordinator is None:  # it is still looking for the broker
            return ""
        _hear_expulsions(coordinator, self._expulsions)
        if gone := _gone(coordinator):
            return gone
        if self._unanswered >= self._patience:
            return f"the consumer's thread hangs: it was asked {self._unanswered} times and does not answer"
        self._unanswered += 1
        thread.thread_loop.call_soon_threadsafe(self._answered)
        return ""

    def _answered(self) -> None:
        self._unanswered = 0


# The reading loop.


async def _drain(consumer: Any, fetcher: Any) -> None:
    """Faust's own `Consumer._drain_messages`, but for this: no tasks for a message that need not wait, no record lost.
    """
    try:
        while not (consumer._stopped.is_set() or fetcher._stopped.is_set()):
            records = consumer.getmany(timeout=1.0)
            await consumer.sleep(0)
            if not consumer.should_stop:
                await deliver(consumer, records)
    except (*consumer.consumer_stopped_errors, asyncio.CancelledError):
        if not consumer.app.should_stop:
            raise


async def deliver(consumer: Any, records: AsyncIterator[tuple[Any, Any]]) -> None:
    """Puts records into the agent's queue, each once and in turn."""
    read, callback, acks = consumer._read_offset, consumer.callback, consumer.app.topics.acks_enabled_for
    since_pause = 0
    async for tp, message in records:
        since_pause += 1
        if since_pause > 100:
            await asyncio.sleep(0)
            since_pause = 0
        offset, before = message.offset, read[tp]
        # `before` may also be the place where reading begins: then the same offset is in turn.
        in_turn = before is not None and before <= offset <= before + 1
        if not in_turn and acks(message.topic) and not await consumer.denyut_out_of_turn(tp, offset, before):
            continue
        if consumer._commit_every is not None and consumer._n_acked >= consumer._commit_every:
            consumer._n_acked = 0
            await consumer.commit()
        rest = begun(callback(message))
        if rest is not None:
            await consumer.wait_first(rest, consumer.suspend_flow.wait())
        read[tp] = offset


def begun(coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any] | None:
    """Runs a coroutine as far as it goes without waiting. None: it has ended; else what is left of it."""
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return _rest(coroutine, waits_for)


async def _rest(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Any:
    return await _go_on(coroutine, waits_for)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    while True:
        error: BaseException | None = None
        got = None
        try:
            got = yield waits_for
        except BaseException as raised:
            error = raised
        try:
            waits_for = coroutine.send(got) if error is None else coroutine.throw(error)
        except StopIteration as end:
            return end.value
