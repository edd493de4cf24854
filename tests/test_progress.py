"""Progress: a position is reached when everything before it is delivered, in whatever order that comes about."""

from hypothesis import given
from hypothesis import strategies as st

from streams.progress import LOST, Progress


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_what_is_reached_is_what_a_recount_says(sizes: list[int], random: "st.DataObject") -> None:
    """After every delivery, in any order: the last lot before which none is left."""
    progress = Progress()
    lots = [progress.open({"": str(number)}, number) for number in range(len(sizes))]
    told = [(number, progress.record(lot)) for number, lot in enumerate(lots) for _ in range(sizes[number])]
    for lot in lots:
        progress.close(lot)
    left, at = list(sizes), dict(progress.reached())
    random.shuffle(told)  # type: ignore[attr-defined]
    for number, deliver in told:
        deliver("")
        left[number] -= 1
        at |= progress.reached()
        done = next((n for n, count in enumerate(left) if count), len(left))
        assert ({"": str(done - 1)} if done else {}) == at
        assert (done - 1 if done else None) == progress.until_ms


def test_a_refused_record_holds_nobody_up() -> None:
    """It is counted where it was refused; the source goes on after it."""
    progress = Progress()
    lot = progress.open({"": "1"})
    told = progress.record(lot)
    progress.close(lot)
    told("refused")
    assert {"": "1"} == progress.reached()


def test_after_a_lost_record_nothing_is_reached_any_more() -> None:
    """A position beyond it would skip it for good."""
    progress = Progress()
    lots = [progress.open({"": "1"}), progress.open({"": "2"})]
    told = [progress.record(lot) for lot in lots]
    for lot in lots:
        progress.close(lot)
    told[0](LOST)
    told[1]("")
    assert progress.is_lost
    assert {} == progress.reached()


def test_a_receipt_is_given_once_and_says_whether_all_is_delivered() -> None:
    """A sender who waits is told by his own records, not by those of others before him."""
    progress, given_out = Progress(), list[tuple[str, bool]]()
    before = progress.open({})
    progress.record(before)
    progress.close(before)
    for name, outcomes in (("good", ["", "refused"]), ("lost", ["", LOST]), ("empty", [])):
        lot = progress.open({}, receipt=lambda all_of, name=name: given_out.append((name, all_of)))  # type: ignore[misc]
        told = [progress.record(lot) for _ in outcomes]
        progress.close(lot)
        for one, outcome in zip(told, outcomes, strict=True):
            one(outcome)
    assert [("good", True), ("lost", False), ("empty", True)] == given_out


def test_nothing_is_reached_while_more_of_it_may_come() -> None:
    """A lot that has no record yet is not one that has none."""
    progress = Progress()
    lot = progress.open({"": "1"}, 10)
    progress.close(progress.open({"": "2"}, 20))
    assert ({}, None) == (progress.reached(), progress.until_ms)
    told = progress.record(lot)
    told("")
    assert {} == progress.reached()
    progress.close(lot)
    assert ({"": "2"}, 20) == (progress.reached(), progress.until_ms)


def test_a_claim_stands() -> None:
    """What is told later may say less, and takes nothing back."""
    progress = Progress()
    for until_ms in (20, 10, None):
        progress.close(progress.open({}, until_ms))
    assert 20 == progress.until_ms


def test_a_receipt_is_given_once_also_when_all_is_lost() -> None:
    """Whoever waits is told once, however many records of it are lost."""
    progress, given_out = Progress(), list[bool]()
    lot = progress.open({}, receipt=given_out.append)
    told = [progress.record(lot) for _ in range(3)]
    progress.close(lot)
    for one, outcome in zip(told, (LOST, LOST, ""), strict=True):
        one(outcome)
    assert [False] == given_out


def test_parts_that_are_not_named_stay_as_they_were() -> None:
    """A source of many parts says only what moved."""
    progress = Progress()
    for positions in ({"a": "1", "b": "1"}, {"b": "2"}):
        progress.close(progress.open(positions))
    assert {"a": "1", "b": "2"} == progress.reached()
    assert {} == progress.reached()
