"""Files: the project's rules, routes and scrapes as they are, but led to this machine, and quicker.

The demo's public lives a day in six minutes: its crisis is over before a rule that waits for five has said anything.
What is changed, and nothing else:

- scraped and evaluated every 2 s, not 15;
- `for` and `keep_firing_for` of every alert, and `group_interval` of every route, are a tenth. Not the expressions,
  which are what is to be seen; nor `group_wait`: `denyut tell` has most of it to add the reasons;
- targets are this machine's; secrets are files made for this once; every address that is written to is the sink's.

Values in, values out. Knows nothing of processes, or of what a rule says.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

QUICKER = 10
EVERY = "2s"  # eight minutes of that public
SECRETS = "/etc/alertmanager/secrets/"
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_SPAN = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_WAITS = re.compile(r"^(\s*(?:for|keep_firing_for): *)(\S+)", re.MULTILINE)


class Rewritten(NamedTuple):
    """Alertmanager's configuration, and the secret in each file that it names."""

    config: dict[str, Any]
    secrets: dict[str, str]


class Sinks(NamedTuple):
    """Where messages end: `web` is an address that begins with http, `mail` a host and a port."""

    web: str
    mail: str


def quicker(span: str, factor: int = QUICKER) -> str:
    """A duration as Prometheus writes them, divided; never less than a second, unless it was.

    >>> quicker("5m"), quicker("2m"), quicker("1h30m"), quicker("5s"), quicker("0s")
    ('30s', '12s', '540s', '1s', '0s')
    """
    if not _SPAN.fullmatch(span):
        raise ValueError(f"{span!r}: expected a duration such as 30s or 1h30m")
    seconds = sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", span))
    return span if seconds <= 1 else f"{max(round(seconds / factor), 1)}s"


def quick_rules(text: str, factor: int = QUICKER) -> str:
    """A file of rules with all of its waits divided; every other byte stays.

    >>> quick_rules("expr: x > 5 * 60  # for: 5m\\n  for: 5m\\n  keep_firing_for: 15m  # longer\\n")
    'expr: x > 5 * 60  # for: 5m\\n  for: 30s\\n  keep_firing_for: 90s  # longer\\n'
    """
    return _WAITS.sub(lambda found: found[1] + quicker(found[2], factor), text)


def prometheus(config: Mapping[str, Any], rules: Path, targets: Mapping[str, str]) -> dict[str, Any]:
    """Prometheus's configuration with these rules; `targets` has the address of each job, or it is a KeyError."""
    return {
        **config,
        "global": {**config["global"], "scrape_interval": EVERY, "evaluation_interval": EVERY, "scrape_timeout": EVERY},
        "rule_files": [str(rules / "*.rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [targets["alertmanager"]]}]}]},
        "scrape_configs": [_scraped(one, targets[one["job_name"]]) for one in config["scrape_configs"]],
    }


def _scraped(job: Mapping[str, Any], target: str) -> dict[str, Any]:
    kept = {name: value for name, value in job.items() if not name.endswith("_configs") or "relabel" in name}
    return {**kept, "static_configs": [{"targets": [target]}]}


def alertmanager(config: Mapping[str, Any], templates: Path, secrets: Path, sinks: Sinks,
                 factor: int = QUICKER) -> Rewritten:
    """Alertmanager's configuration with its templates in `templates`, its secrets in `secrets`, and nobody outside."""
    made: dict[str, str] = {}
    led = _led(config, _Way(secrets, sinks, factor, made))
    led["global"] |= {"smtp_smarthost": sinks.mail, "smtp_require_tls": False}
    led["templates"] = [str(templates / "*.tmpl")]
    for receiver, said in zip(led["receivers"], config["receivers"], strict=True):
        for kind in said:
            for at, one in enumerate(said[kind]) if kind.endswith("_configs") else ():
                if "url" in one:
                    receiver[kind][at]["url"] = f"{sinks.web}/{said['name']}"
    return Rewritten(led, made)


class _Way(NamedTuple):
    """What `_led` takes down with it."""

    secrets: Path
    sinks: Sinks
    factor: int
    made: dict[str, str]


def _led(node: Any, way: _Way) -> Any:
    """The same tree, with its secrets' files elsewhere and its groups quicker; what is made is written down."""
    if isinstance(node, list):
        return [_led(one, way) for one in node]
    if not isinstance(node, Mapping):
        return node
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key == "group_interval":
            out[key] = quicker(value, way.factor)
        elif key.endswith("_file") and str(value).startswith(SECRETS):
            name = value.removeprefix(SECRETS)
            way.made[name] = f"{way.sinks.web}/{name}" if key in ("api_url_file", "url_file") else "nobody's secret"
            out[key] = str(way.secrets / name)
        else:
            out[key] = _led(value, way)
    return out
