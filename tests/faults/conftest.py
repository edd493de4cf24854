"""One real broker for all tests of this folder; a test that kills it starts it again."""

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kafka import Kafka, NoKafka

HERE = Path(__file__).parent
FORGOTTEN = "unclosed <socket"


def pytest_configure(config: pytest.Config) -> None:
    """While a broker is away, kafka-python forgets to close the sockets of its attempts."""
    config.addinivalue_line("filterwarnings", f"ignore:{FORGOTTEN}:ResourceWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder needs the broker."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.broker)


@pytest.fixture(scope="session")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    kafka = Kafka(tmp_path_factory.mktemp("kafka"))
    try:
        kafka.start()
    except NoKafka as error:
        pytest.exit(str(error), returncode=2)
    yield kafka
    kafka.stop()
    with warnings.catch_warnings():  # what is forgotten is found now, not when pytest looks for the mistakes of tests
        warnings.filterwarnings("ignore", FORGOTTEN, ResourceWarning)
        for _ in range(3):
            gc.collect()


@pytest.fixture
def kafka(_broker: Kafka) -> Kafka:
    """The broker, running; its topics are the test's own affair, told apart by prefix."""
    if not _broker.running:
        _broker.start()
    return _broker
