"""A real Alertmanager of a given release on loopback, with the project's own configuration led into sinks.

The configuration stays what it is; only what ties it to a place changes: waits, addresses, secrets, hours of the week.
"""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from tests.programs import ROOT, program
from tests.sinks import MailSink, WebhookSink, free_port

CONFIG = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
PASSWORD = "a password"
ALWAYS: list[dict[str, Any]] = [{"months": ["january:december"]}]
NEVER: list[dict[str, Any]] = [{"years": ["2000"]}]


class Alertmanager:
    """The program, from entry to exit of a `with`; `url` is where it listens, `folder` keeps its state and its log."""

    def __init__(self, suite: str, config_path: Path, folder: Path) -> None:
        self._binary = program("prometheus-alertmanager", suite)
        self._config = config_path.resolve()
        self._folder = folder.resolve()
        self.url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "alertmanager.log").open("wb") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=subprocess.STDOUT)
        try:
            self._wait_until_ready(time.monotonic() + 20)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """What the program has said so far."""
        return (self._folder / "alertmanager.log").read_text()

    def push(self, *alerts: Mapping[str, Any]) -> None:
        """Sends alerts as Prometheus does, all in one request."""
        self._post("/api/v2/alerts", list(alerts))

    def silence(self, **labels: str) -> None:
        """Silences for ever what bears these labels."""
        matchers = [
            {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()
        ]
        span = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z"}
        self._post("/api/v2/silences", {"createdBy": "a test", "comment": "a test", "matchers": matchers, **span})

    def failures(self) -> float:
        """How many notifications failed, of all kinds."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as page:  # noqa: S310
            lines = page.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("alertmanager_notifications_failed"))

    def _command(self) -> Sequence[str | Path]:
        return (
            ROOT / "deploy" / "alertmanager" / "unpacked.sh",
            self._binary.parents[2],
            f"--config.file={self._config}",
            f"--storage.path={self._folder / 'state'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
            "--log.level=debug",
        )

    def _post(self, path: str, body: Any) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)  # noqa: S310
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310

    def _wait_until_ready(self, deadline_s: float) -> None:
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/-/ready", timeout=1).close()  # noqa: S310
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError(f"Alertmanager did not start:\n{self.log}") from None
                time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Sinks:
    """One sink for each address that the configuration names."""

    marketing: WebhookSink
    mail: MailSink
    critical: WebhookSink
    tickets: WebhookSink
    pager: WebhookSink
    watchdog: WebhookSink

    @classmethod
    @contextmanager
    def all_open(cls) -> Iterator[Self]:
        """All of them, listening."""
        with ExitStack() as stack:
            hooks = [stack.enter_context(WebhookSink()) for _ in range(5)]
            yield cls(hooks[0], stack.enter_context(MailSink()), *hooks[1:])


def loopback_config(
    folder: Path,
    sinks: Sinks,
    *,
    group_wait: str = "1s",
    group_interval: str = "2s",
    night: bool = False,
    source: Path = CONFIG,
) -> Path:
    """The project's configuration, its secrets in `folder`, its addresses at the sinks; at night tickets wait."""
    config = yaml.safe_load(source.read_text())
    secrets = {
        "slack-marketing": sinks.marketing.url,
        "slack-engineers": sinks.critical.url,
        "slack-tickets": sinks.tickets.url,
        "mail-password": PASSWORD,
        "pager-token": "pager's token",
        "watchdog-token": "watchdog's token",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, secret in secrets.items():
        (folder / name).write_text(secret)
    config["global"] |= {"smtp_smarthost": f"127.0.0.1:{sinks.mail.port}", "smtp_require_tls": False}
    config["templates"] = [str(source.parent / pattern) for pattern in config["templates"]]
    config["time_intervals"][0]["time_intervals"] = ALWAYS if night else NEVER
    config["route"] |= {"group_wait": group_wait, "group_interval": group_interval}
    for receiver, sink in (("engineers-critical", sinks.pager), ("watchdog", sinks.watchdog)):
        _receiver(config, receiver)["webhook_configs"][0]["url"] = sink.url
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config).replace("/etc/alertmanager/secrets", str(folder)))
    return path


def _receiver(config: Any, name: str) -> Any:
    return next(receiver for receiver in config["receivers"] if receiver["name"] == name)
