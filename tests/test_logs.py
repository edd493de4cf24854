"""A storm of equal lines becomes one line in ten seconds."""

import io
import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from streams.heart.errors import BrokenPromise
from streams.logs import CARRIERS, MOST, Sparse, end_discreetly, setup

SAID = "what somebody said"


class Time:
    """Time that stands until it is moved."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def _as_before() -> Iterator[None]:
    """Puts the process' logging back."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in (*CARRIERS, None)}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _line(name: str, sentence: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 0, sentence, values, None)


def test_one_line_per_sentence_and_span_with_the_count_of_the_others() -> None:
    """Values do not make a sentence new; the next line that passes says how many did not."""
    #   0 s   1 ... 5 s   10 s
    #   pass  held x 5    pass (5 more)
    time = Time()
    sparse = Sparse(now_s=time)
    assert sparse.filter(_line("aiokafka.conn", "cannot connect to %s", 1))
    for second in range(1, 6):
        time.now_s = second
        assert not sparse.filter(_line("aiokafka.conn", "cannot connect to %s", second))
    assert sparse.filter(_line("aiokafka.conn", "something else"))
    time.now_s = 10
    last = _line("aiokafka.conn", "cannot connect to %s", 7)
    assert sparse.filter(last)
    assert last.getMessage() == "cannot connect to 7 (and 5 more like it)"


def test_other_loggers_always_pass() -> None:
    """Our own lines are rare and all wanted; a name that merely begins like a noisy one is not noisy."""
    sparse = Sparse(now_s=Time())
    for name in ("denyut.feed", "kafkaesque", "faust"):
        assert all(sparse.filter(_line(name, "the same")) for _ in range(3))


def test_memory_is_bounded() -> None:
    """Sentences that are never the same do not pile up."""
    sparse = Sparse(now_s=Time())
    for number in range(3 * MOST):
        sparse.filter(_line("kafka", f"no template {number}"))
    assert len(sparse._seen) <= MOST


@pytest.mark.usefixtures("_as_before")
def test_clients_never_write_records_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """kafka-python writes keys and values at debug level: our own debug level does not open that door."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    setup("debug")
    logging.getLogger("kafka.producer.kafka").debug("Sending (value=%r)", b"what somebody said")
    for name in CARRIERS:
        logging.getLogger(f"{name}.anything").debug("value=%r", b"what somebody said")
    logging.getLogger("denyut.feed").debug("ours")
    for _ in range(3):
        logging.getLogger("kafka.net").warning("away")
    lines = out.getvalue().splitlines()
    assert [line.split("Z ", 1)[1] for line in lines] == ["DEBUG   denyut.feed: ours", "WARNING kafka.net: away"]


@pytest.mark.usefixtures("_as_before")
def test_what_is_made_of_faust_s_parts_writes_no_records_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes of ours that derive from Faust's log under our modules' names, and "DROPPED MESSAGE" has the record."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    setup("debug")
    logging.getLogger("streams.agents.consumer").debug("DROPPED MESSAGE v=%r", b"what somebody said")
    assert not out.getvalue()


@pytest.mark.usefixtures("_as_before")
def test_another_s_exception_is_logged_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may quote a post; where it came up and of what kind it is stays, and our own words as well."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    setup("info")
    try:
        try:
            int(SAID)
        except ValueError as error:
            raise BrokenPromise("a frame of 3 bytes") from error
    except BrokenPromise:
        logging.getLogger("denyut.pulse").exception("it stops")
    said = out.getvalue()
    assert SAID not in said
    assert said.rstrip().endswith("BrokenPromise: a frame of 3 bytes")
    assert "ValueError" in said


@pytest.mark.usefixtures("_as_before")
def test_what_nobody_caught_is_logged_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the main thread and in any other."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setattr("sys.excepthook", sys.excepthook)
    monkeypatch.setattr("threading.excepthook", threading.excepthook)
    setup("info")
    end_discreetly()
    thread = threading.Thread(target=int, args=("what somebody said",))
    thread.start()
    thread.join()
    error = ValueError("what somebody said")
    sys.excepthook(ValueError, error, None)
    assert "what somebody said" not in out.getvalue()
    assert out.getvalue().count("ended by what nobody expected: ValueError") == 2
