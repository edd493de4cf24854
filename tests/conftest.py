"""What all tests share: telemetry off before anything is imported, hypothesis patient with a shared machine, and a
place for what a test measures: `record_property("measured", "...")` is printed at the end, whoever measured it."""

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

MEASURED = "measured"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what was measured."""
    for report in terminalreporter.getreports("passed"):
        for name, said in report.user_properties:
            if name == MEASURED:
                terminalreporter.section(f"measured by {report.nodeid}")
                terminalreporter.write_line(str(said).strip())
