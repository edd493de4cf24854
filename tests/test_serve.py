"""The pages answer what they promise, from a thread of their own."""

import gzip
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from streams import serve
from streams.heart.errors import BadSetting
from streams.serve import Health, Pages, answer, split


class Time:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("things", "Things", registry=registry).inc(3)
    return registry


@pytest.fixture
def health() -> Health:
    return Health("model", "recovery")


@pytest.fixture
def pages(registry: CollectorRegistry, health: Health) -> Iterator[Pages]:
    with Pages("127.0.0.1:0", registry, health) as served:
        yield served


def get(url: str, **headers: str) -> tuple[int, str, bytes]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - a page of our own
    try:
        with urllib.request.urlopen(request, timeout=5) as got:  # noqa: S310
            return got.status, got.headers["Content-Type"], got.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_metrics_are_text_that_prometheus_reads(pages: Pages) -> None:
    """A plain request gets the text format, parsable and complete."""
    status, kind, body = get(pages.url + "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert families["things"].samples[0].value == 3


def test_metrics_are_openmetrics_for_who_asks(pages: Pages) -> None:
    """Prometheus asks for OpenMetrics and gets it."""
    _, kind, body = get(pages.url + "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_metrics_are_compressed_for_who_can_read_it(pages: Pages) -> None:
    """Accept-Encoding: gzip gets gzip."""
    _, _, body = get(pages.url + "/metrics", **{"Accept-Encoding": "gzip"})
    assert b"things_total 3.0" in gzip.decompress(body)


def test_ready_names_what_is_missing(pages: Pages, health: Health) -> None:
    """Until every condition holds, the page says which does not, and why."""
    assert get(pages.url + "/readyz")[::2] == (503, b"model: not yet\nrecovery: not yet\n")
    health.met("model")
    health.unmet("recovery", "reading 3 partitions back")
    assert get(pages.url + "/readyz")[::2] == (503, b"recovery: reading 3 partitions back\n")
    health.met("recovery")
    assert get(pages.url + "/readyz")[::2] == (200, b"ready\n")


def test_a_worker_may_become_unready_for_a_new_reason() -> None:
    """Conditions that nobody named at the start count as well."""
    health = Health()
    assert health.ready
    health.unmet("brands", "an older file")
    assert health.missing() == {"brands": "an older file"}


def test_a_loop_that_stopped_beating_is_not_alive(registry: CollectorRegistry) -> None:
    """The last beat may be 10 s old, and no older; readiness is another matter."""
    time = Time()
    health = Health("model", stale_s=10, now=time)
    time.at += 10
    assert answer("/livez", {}, registry, health)[0] == 200
    time.at += 0.1
    assert answer("/livez", {}, registry, health)[0] == 503
    health.beat()
    assert answer("/livez", {}, registry, health)[0] == 200


@pytest.mark.parametrize("path", ["/", "/metricsx", "/metrics/", "/../metrics", "/table"])
def test_there_are_three_pages_and_no_more(pages: Pages, path: str) -> None:
    """Anything else is 404; metrics are not answered on every path."""
    assert get(pages.url + path)[0] == 404


def test_a_query_does_not_hide_a_page(pages: Pages) -> None:
    """Prometheus may add parameters."""
    assert get(pages.url + "/metrics?name=x")[0] == 200


def test_a_taken_port_is_the_users_to_change(pages: Pages, registry: CollectorRegistry, health: Health) -> None:
    """The error names the setting and what to do."""
    with pytest.raises(BadSetting, match=f"DENYUT_HTTP='127.0.0.1:{pages.port}'.*choose another port"):
        Pages(f"127.0.0.1:{pages.port}", registry, health)


@pytest.mark.parametrize("address", ["9100", "localhost", "localhost:http", "localhost:70000", "localhost:-1", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """host:port, or an error that says so."""
    with pytest.raises(BadSetting, match="expected host:port"):
        split(address)


def test_a_client_that_says_nothing_holds_nobody_up(pages: Pages) -> None:
    """While one connection is silent, another is answered."""
    with socket.create_connection(("127.0.0.1", pages.port), timeout=5):
        assert get(pages.url + "/livez")[0] == 200


def test_a_client_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch, pages: Pages) -> None:
    """A request has its time as a whole: one that never ends is closed, though a byte comes now and then."""
    monkeypatch.setattr(serve, "HEAD_S", 0.5)
    began_s = time.monotonic()
    with socket.create_connection(("127.0.0.1", pages.port), timeout=0.05) as dripping, suppress(ConnectionError):
        dripping.sendall(b"GET /livez HTTP/1.0\r\nX: ")
        while time.monotonic() - began_s < 5:
            with suppress(TimeoutError):
                if not dripping.recv(1):
                    break
            dripping.sendall(b"x")
    assert 0.4 < time.monotonic() - began_s < 4


def test_only_so_many_are_heard_at_once(pages: Pages) -> None:
    """Who opens connections without end gets no thread for each; a place that is free again is given away."""
    silent = [socket.create_connection(("127.0.0.1", pages.port), timeout=5) for _ in range(serve.AT_ONCE)]
    try:
        with pytest.raises(OSError, match=r"reset|closed|refused"):
            get(pages.url + "/livez")
    finally:
        for one in silent:
            one.close()
    until_s = time.monotonic() + 5
    while time.monotonic() < until_s:
        with suppress(OSError):
            assert get(pages.url + "/livez")[0] == 200
            break
        time.sleep(0.05)
    assert get(pages.url + "/livez")[0] == 200


def test_a_port_is_free_again_after_the_end(registry: CollectorRegistry, health: Health) -> None:
    """A worker that restarts takes the same port at once."""
    with Pages("127.0.0.1:0", registry, health) as pages:
        get(pages.url + "/livez")
    with Pages(f"127.0.0.1:{pages.port}", registry, health) as again:
        assert get(again.url + "/livez")[0] == 200


def test_pages_that_never_started_can_be_stopped(registry: CollectorRegistry, health: Health) -> None:
    """A start that fails between binding and serving must not hang."""
    Pages("127.0.0.1:0", registry, health).stop()
