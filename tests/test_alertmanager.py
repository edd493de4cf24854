"""Alertmanager's configuration: who is told, who is not, and in which words. By the real programs of two releases."""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alertmanager import CONFIG, PASSWORD, Alertmanager, Sinks, loopback_config
from tests.programs import SUITES, program

FOLDER = CONFIG.parent
TESTS = FOLDER / "tests"
ROUTES: list[dict[str, Any]] = yaml.safe_load((TESTS / "routes.yml").read_text())
PAYLOADS = sorted(path.stem for path in (TESTS / "payloads").glob("*.json"))
BOARD = "http://localhost:3000/d/denyut-brand?var-brand="


def amtool(suite: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs amtool of that release."""
    command = [program("amtool", suite), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


# The configuration as a file.


@pytest.mark.parametrize("suite", SUITES)
def test_the_configuration_is_good(suite: str) -> None:
    """Both releases read it, and find its templates."""
    checked = amtool(suite, "check-config", CONFIG)
    assert (0, True) == (checked.returncode, "1 templates" in checked.stdout), checked.stdout + checked.stderr


def test_every_secret_is_a_file_that_the_list_of_secrets_names() -> None:
    """No secret stands in the configuration, and secrets.example says what each file holds."""
    text = CONFIG.read_text()
    inline = re.findall(r"^\s*-?\s*(\w*(?:api_url|password|credentials|secret|token|routing_key)):", text, re.MULTILINE)
    assert [] == inline
    named = set(re.findall(r"/etc/alertmanager/secrets/([\w-]+)", text))
    listed = set(re.findall(r"^\| `([\w-]+)`", (FOLDER / "secrets.example" / "README.md").read_text(), re.MULTILINE))
    assert listed == named


def test_every_address_is_a_placeholder() -> None:
    """Whoever runs it unchanged writes to nobody: all hosts are below a reserved domain."""
    text = CONFIG.read_text()
    hosts = re.findall(r"(?:https?://|@|smarthost: )([\w.-]+)", text)
    assert {"denyut.example"} == {".".join(host.split(".")[-2:]) for host in hosts}


# Routes.


def astray(suite: str, config: Path) -> list[str]:
    """The alerts of tests/routes.yml that this configuration takes elsewhere."""
    found = []
    for row in ROUTES:
        labels = [f"{name}={value}" for name, value in row["labels"].items()]
        verify = f"--verify.receivers={row['receiver']}"
        if amtool(suite, "config", "routes", "test", f"--config.file={config}", verify, *labels).returncode:
            found.append(row["labels"]["alertname"])
    return found


@pytest.mark.parametrize("suite", SUITES)
def test_every_alert_goes_to_its_people(suite: str) -> None:
    """Marketing's to marketing, engineers' by how bad it is, the watchdog to its switch, a stranger to somebody."""
    assert [] == astray(suite, CONFIG)


MARKETING = '[team="marketing"]\n      group_by'  # its route, not what mutes it
PLANTED = {
    "marketing is never told": (MARKETING, MARKETING.replace("marketing", "marketers")),
    "marketing is told all": (MARKETING, MARKETING.replace('="marketing"', '=~".*"')),
    "reasons go elsewhere": (MARKETING, MARKETING.replace("]", ', severity!="info"]')),
    "pages become tickets": ('[team="engineers", severity="critical"]', '[team="engineers", severity="fatal"]'),
    "everybody's critical alerts are pages": ('[team="engineers", severity="critical"]', '[severity="critical"]'),
    "the watchdog is an alert like any other": ('[alertname="DenyutWatchdog"]', '[alertname="Watchdog"]'),
    "a stranger's alert is lost": ("receiver: engineers-tickets\n  group_by", "receiver: nobody\n  group_by"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_wrong_edit_of_the_routes_is_noticed(planted: str, tmp_path: Path) -> None:
    """Each of these edits takes at least one alert of the list astray."""
    assert [] != astray(SUITES[0], edited(*PLANTED[planted], tmp_path))


def edited(before: str, after: str, folder: Path) -> Path:
    """The configuration with one edit."""
    text = CONFIG.read_text()
    assert 1 == text.count(before)
    config = folder / "edited.yml"
    config.write_text(text.replace(before, after).replace("templates/*.tmpl", str(FOLDER / "templates/*.tmpl")))
    return config


# The rules beside it.


def alerts() -> dict[str, dict[str, str]]:
    """The labels of every alert that Prometheus may send, by its name."""
    files = [yaml.safe_load(path.read_text()) for path in (FOLDER.parent / "prometheus" / "rules").glob("*.yml")]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: {"alertname": rule["alert"], **rule["labels"]} for rule in rules}


RECEIVERS = {
    ("marketing", "critical"): "marketing",
    ("marketing", "warning"): "marketing",
    ("engineers", "critical"): "engineers-critical",
    ("engineers", "warning"): "engineers-tickets",
    ("engineers", "none"): "watchdog",
}


def test_every_alert_of_the_rules_has_its_receiver() -> None:
    """By team and severity alone, whatever its name."""
    for name, labels in alerts().items():
        receiver = RECEIVERS[labels["team"], labels["severity"]]
        plain = [f"{label}={value}" for label, value in labels.items()]
        tried = amtool(SUITES[1], "config", "routes", "test", f"--config.file={CONFIG}", *plain)
        assert (name, receiver) == (name, tried.stdout.strip())


def test_what_is_muted_and_what_mutes_are_alerts_of_the_rules() -> None:
    """Each inhibition names something that can fire, on both sides."""
    known = set(alerts()) | {"DenyutReasons"}
    for rule in yaml.safe_load(CONFIG.read_text())["inhibit_rules"]:
        for matcher in (rule["source_matchers"][0], rule["target_matchers"][0]):
            label, value = re.fullmatch(r'(\w+)=~?"(.+)"', matcher).groups()  # type: ignore[union-attr]
            found = [name for name in known if re.fullmatch(value, name)] if label == "alertname" else [
                name for name, labels in alerts().items() if re.fullmatch(value, labels.get(label, ""))]
            assert len(found) > value.count("|"), matcher


# Messages, rendered by amtool.

SECTIONS = {
    "slack: colour": "denyut.slack.color",
    "slack: title": "denyut.slack.title",
    "slack: text": "denyut.slack.text",
    "link": "denyut.board",
    "mail: subject": "denyut.mail.title",
    "mail: text": "denyut.mail.text",
    "mail: html": "denyut.mail.html",
}


def rendered(suite: str, payload: str, templates: Path = FOLDER / "templates") -> dict[str, str]:
    """Each section of the message about that payload."""
    found = {}
    for section, name in SECTIONS.items():
        done = amtool(
            suite,
            "template",
            "render",
            f"--template.glob={templates}/*.tmpl",
            f"--template.type={'html' if 'html' in section else 'text'}",
            f'--template.text={{{{ template "{name}" . }}}}',
            f"--template.data={TESTS / 'payloads' / payload}.json",
        )
        assert 0 == done.returncode, done.stderr
        found[section] = done.stdout
    return found


def expected(payload: str) -> dict[str, str]:
    """The committed message: a line `== section ==` before each of them."""
    parts = re.split(r"^== (.+) ==\n", (TESTS / "expected" / f"{payload}.txt").read_text(), flags=re.MULTILINE)
    return {section: text.removesuffix("\n") for section, text in zip(parts[1::2], parts[2::2], strict=True)}


def written(sections: Mapping[str, str]) -> str:
    """The same as a file."""
    return "".join(f"== {section} ==\n{text}\n" for section, text in sections.items())


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_message_reads_as_committed(payload: str, suite: str) -> None:
    """Both releases render each payload, to the letter, as tests/expected has it."""
    assert expected(payload) == rendered(suite, payload)


def test_without_the_reasons_a_message_is_whole() -> None:
    """It says the same but for the lines that only the reasons know; none is left empty."""
    with_reasons, without = (expected(name)["mail: text"].splitlines() for name in ("crisis", "numbers-only"))
    assert ["Words", "Cause", "Who says it"] == [line.split(":")[0] for line in with_reasons if line not in without]
    assert [] == [line for line in without if line not in with_reasons or line.endswith(":")]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_reasons_are_never_an_entry_of_their_own(payload: str) -> None:
    """The alert that carries them is not named in a message."""
    assert "Reasons" not in written(expected(payload))


def test_copies_alone_are_less_urgent_than_a_fall_of_mood() -> None:
    """The colour says so, also where a fall has just ended; both at once are as red as the fall."""
    colours = {name: expected(name)["slack: colour"] for name in ("crisis", "two", "over-and-talk", "over")}
    assert {"crisis": "danger", "two": "danger", "over-and-talk": "warning", "over": "good"} == colours


def test_hostile_text_is_data() -> None:
    """Nothing that Slack reads as markup, no tag in HTML, no line of its own, no link that is none."""
    said = expected("hostile")
    slack = said["slack: title"] + said["slack: text"]
    assert set() == set("<>") & set(slack)
    assert set() == set(re.findall(r"&(?!amp;|lt;|gt;)", slack))
    assert [] == re.findall(r"<(?!/?(?:html|body|h2|pre)\b|!doctype)[^>]*>", said["mail: html"])
    assert "" == said["link"]
    lines = said["mail: text"].splitlines() + said["mail: subject"].splitlines()
    assert 8 == len(lines)
    assert [] == [line for line in lines if line.startswith(("Bcc", "Since: never"))]
    assert "\u202e" not in written(said)


def test_a_template_that_escapes_nothing_is_noticed(tmp_path: Path) -> None:
    """Without the line that escapes for Slack the hostile message reads otherwise."""
    text = (FOLDER / "templates" / "denyut.tmpl").read_text()
    assert 1 == text.count('reReplaceAll "<" "&lt;"')
    (tmp_path / "denyut.tmpl").write_text(text.replace('reReplaceAll "<" "&lt;"', 'reReplaceAll "<" "<"'))
    assert expected("hostile")["slack: text"] != rendered(SUITES[0], "hostile", tmp_path)["slack: text"]


# Who gets a message, by a running Alertmanager.


def now() -> str:
    """The time as Alertmanager writes it."""
    return datetime.now(UTC).isoformat()


def fires(name: str, **labels: str) -> dict[str, Any]:
    """An alert of that name, as it begins."""
    return {"labels": {"alertname": name, "cluster": "denyut", **labels}, "startsAt": now(),
            "annotations": {"summary": f"{name} fires", "dashboard_url": BOARD + labels.get("brand", "")}}


def reasons(brand: str, **labels: str) -> dict[str, Any]:
    """The reasons of a fall of mood, as already ended."""
    alert = fires("DenyutReasons", brand=brand, team="marketing", severity="info", about="DenyutMoodDown", **labels)
    return {**alert, "endsAt": alert["startsAt"], "annotations": {"title": brand.title(), "terms": "susu"}}


def mood_down(brand: str, **labels: str) -> dict[str, Any]:
    """A fall of mood."""
    return fires("DenyutMoodDown", brand=brand, team="marketing", severity="critical", **labels)


def engineers(name: str, severity: str, **labels: str) -> dict[str, Any]:
    """An alert of the engineers."""
    return fires(name, team="engineers", severity=severity, **labels)


def of_payload(payload: str, **labels: str) -> list[dict[str, Any]]:
    """The alerts of a payload, as if they began now."""
    alerts = json.loads((TESTS / "payloads" / f"{payload}.json").read_text())["alerts"]
    sent = []
    for alert in alerts:
        at = now()
        ended = {} if alert["status"] == "firing" else {"endsAt": at}
        said = {"labels": {**alert["labels"], **labels}, "annotations": alert["annotations"]}
        sent.append({**said, "startsAt": at, **ended})
    return sent


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one script: messages of marketing, and of the others."""

    slack: list[dict[str, Any]]
    mail: list[EmailMessage]
    sinks: Sinks
    began: datetime
    ended: datetime
    failures: float

    def titles(self) -> list[str]:
        """The titles of marketing's messages, in Slack."""
        return [title(message) for message in self.slack]


def title(message: Mapping[str, Any]) -> str:
    """The title of a message in Slack."""
    return str(message["attachments"][0]["title"])


def outage() -> list[dict[str, Any]]:
    """East is down and its brand falls; in west and north engineers have one trouble with several signs."""
    return [
        engineers("DenyutPipelineDown", "critical", mutes="brands", cluster="east"),
        mood_down("muted", cluster="east"),
        reasons("muted", cluster="east"),
        {**reasons("muted", cluster=""), "endsAt": "2100-01-01T00:00:00Z"},
        engineers("DenyutPipelineDown", "critical", mutes="brands", cluster="west"),
        engineers("DenyutWatermarkStale", "critical", mutes="brands", cluster="west"),
        engineers("DenyutNegativeSpike", "warning", cluster="west", brand="muted"),
        engineers("DenyutTargetDown", "warning", cluster="west", job="denyut-score"),
        engineers("DenyutFreshnessBurnFast", "critical", cluster="north"),
        engineers("DenyutFreshnessBurnSlow", "critical", cluster="north"),
        engineers("DenyutFreshnessBurnTicket", "warning", cluster="north"),
        engineers("DenyutTargetDown", "warning", job="denyut-feed"),
        engineers("DenyutWatchdog", "none"),
    ]


@pytest.fixture(scope="module", params=SUITES)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One script: a crisis with its reasons, reasons alone, hostile words, an outage elsewhere; then the end."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with Sinks.all_open() as sinks:
        config = loopback_config(folder, sinks, group_wait="500ms", group_interval="1s")
        with Alertmanager(request.param, config, folder / "run") as running:
            running.push(reasons("alone"))
            running.push(*outage())
            down, why = of_payload("crisis")
            began = datetime.fromisoformat(down["startsAt"])
            running.push(down)
            running.push(why)
            sinks.marketing.wait(1)
            running.push(*of_payload("hostile", brand="hostile"))
            sinks.marketing.wait(2)
            running.silence(alertname="DenyutMoodDown", brand="hostile")  # its reasons stay behind, unsilenced
            running.push(why)  # once more, as after a restart
            time.sleep(1.5)  # every group's interval passes: what was to be sent is sent
            ended = datetime.now(UTC)
            running.push({**down, "endsAt": ended.isoformat()})
            sinks.marketing.wait(3)
            running.push(reasons("kopi-lumora"))  # too late for anything
            sinks.mail.wait(3)
            time.sleep(1.5)
            yield Told(sinks.marketing.messages, sinks.mail.messages, sinks, began, ended, running.failures())


def test_a_crisis_is_one_message_in_slack_and_one_mail(told: Told) -> None:
    """Alert and reasons are one entry, worded as committed; the alert before its reasons, and nothing when they are
    pushed again."""
    said = expected("crisis")
    message, mail = told.slack[0], told.mail[0]
    attachment = message["attachments"][0]
    assert said["slack: title"] == attachment["title"] == attachment["fallback"]
    assert (said["slack: text"], said["slack: colour"], said["link"]) == (
        attachment["text"], attachment["color"], attachment["title_link"])
    assert ["pretext"] == attachment["mrkdwn_in"]
    assert said["mail: subject"] == mail["Subject"]
    assert said["mail: text"] == part(mail, "plain")
    assert said["mail: html"] == part(mail, "html")
    assert 1 == told.titles().count(said["slack: title"])
    assert 1 == [mail["Subject"] for mail in told.mail].count(said["mail: subject"])


def part(mail: EmailMessage, kind: str) -> str:
    """The text of a mail, as text or as HTML."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_its_end_is_two_lines(told: Told) -> None:
    """It says when it was over and what that may mean, and is sent once."""
    wib = told.ended + timedelta(hours=7)
    in_wib = f"{wib:%H:%M} WIB" + (f", {wib.day} {wib:%B}" if wib.day != told.ended.day else "")
    what = expected("over")["slack: text"].splitlines()[1]
    line = (f"Over since {told.ended:%H:%M} UTC, {told.ended.day} {told.ended:%B %Y} ({in_wib}), after 0s.\n"
            f"{what}\n")
    attachment = told.slack[2]["attachments"][0]
    assert ("Kopi Lumora: the fall of mood is over", line, "good") == (
        attachment["title"], attachment["text"], attachment["color"])
    assert line == part(told.mail[2], "plain").partition("Board: ")[0]


def test_hostile_words_arrive_as_words(told: Told) -> None:
    """In Slack escaped, in the mail's subject on one line, and no header comes of them."""
    said = expected("hostile")
    attachment = told.slack[1]["attachments"][0]
    assert (said["slack: title"], said["slack: text"]) == (attachment["title"], attachment["text"])
    assert "" == attachment.get("title_link", "")
    assert said["mail: subject"] == told.mail[1]["Subject"]
    assert None is told.mail[1]["Bcc"]
    assert [["marketing@denyut.example"]] * 3 == told.sinks.mail.to


def test_marketing_is_told_nothing_else(told: Told) -> None:
    """Neither reasons alone, nor those of a silenced alert, nor a brand of a cluster that is down, nor a worker's
    trouble."""
    said = [expected(payload)["slack: title"] for payload in ("crisis", "hostile", "over")]
    assert said == told.titles()
    assert 3 == len(told.mail)


def test_engineers_get_one_page_for_one_trouble(told: Told) -> None:
    """The cause, by pager and Slack, not its signs; tickets apart; nothing of the brands."""
    pages = ["DenyutFreshnessBurnFast in north", "DenyutPipelineDown in east", "DenyutPipelineDown in west"]
    assert [f"{page}: critical" for page in pages] == sorted(title(message) for message in told.sinks.critical.messages)
    paged = [message["groupLabels"] for message in told.sinks.pager.messages]
    assert pages == sorted(f"{labels['alertname']} in {labels['cluster']}" for labels in paged)
    assert ["DenyutTargetDown in denyut: warning"] == [title(message) for message in told.sinks.tickets.messages]
    assert {"DenyutWatchdog"} == {message["groupLabels"]["alertname"] for message in told.sinks.watchdog.messages}


def test_secrets_come_out_of_their_files_and_no_message_fails(told: Told) -> None:
    """Pager, watchdog and mail server get what their files hold."""
    assert {"Bearer pager's token"} == set(told.sinks.pager.authorizations)
    assert {"Bearer watchdog's token"} == set(told.sinks.watchdog.authorizations)
    assert {PASSWORD} == set(told.sinks.mail.passwords)
    assert 0 == told.failures


@pytest.mark.parametrize("suite", SUITES)
def test_at_night_tickets_wait_and_the_rest_does_not(suite: str, tmp_path: Path) -> None:
    """Marketing and whoever has the pager are told at any hour."""
    with Sinks.all_open() as sinks:
        config = loopback_config(tmp_path, sinks, group_wait="300ms", night=True)
        with Alertmanager(suite, config, tmp_path / "run") as running:
            running.push(engineers("DenyutTellDown", "warning"))
            running.push(mood_down("lajuro"), engineers("DenyutRuleFailures", "critical"))
            sinks.marketing.wait(1)
            sinks.pager.wait(1)
            time.sleep(0.5)
    assert [] == sinks.tickets.messages


@pytest.mark.parametrize("suite", SUITES)
def test_what_ends_while_muted_is_never_told_and_what_is_held_is(suite: str, tmp_path: Path) -> None:
    """Alertmanager drops a muted end, still takes the alert for told, and keeps the next one back. So rules hold an
    alert until it is muted no longer: then its end is told, and the next beginning too."""
    #  kopi, not held   [ down    )              [ down
    #  teh, held        [ down              )    [ down
    #  mute                  [       )
    with Sinks.all_open() as sinks:
        config = loopback_config(tmp_path, sinks, group_wait="300ms", group_interval="1s")
        with Alertmanager(suite, config, tmp_path / "run") as running:
            kopi, teh = mood_down("kopi"), mood_down("teh")
            outage = engineers("DenyutPipelineDown", "critical", mutes="brands", worker="pulse")
            running.push(kopi, teh)
            sinks.marketing.wait(2)
            running.push(outage)
            sinks.pager.wait(1)
            running.push({**kopi, "endsAt": now()})
            time.sleep(2.5)  # its group's interval passes while it is muted
            running.push({**outage, "endsAt": now()})
            sinks.pager.wait(2)
            running.push({**teh, "endsAt": now()})
            sinks.marketing.wait(3)
            running.push(mood_down("kopi"), mood_down("teh"))
            sinks.marketing.wait(4)
            time.sleep(1.5)
    told = sorted(title(message) for message in sinks.marketing.messages)
    assert ["Kopi: mood has turned down"] == [said for said in told if said.startswith("Kopi")]
    assert ["Teh: mood has turned down", "Teh: mood has turned down", "Teh: the fall of mood is over"] == [
        said for said in told if said.startswith("Teh")]


MUTES = '[mutes="brands"]\n    target_matchers: [team="marketing"]\n    equal: [cluster]'


@pytest.mark.parametrize("after", [MUTES.replace("brands", "all"), MUTES.replace("cluster", "brand")])
def test_a_wrong_edit_of_what_mutes_marketing_is_noticed(after: str, tmp_path: Path) -> None:
    """With it the brand of a cluster that is down is told: the silence that other tests see is that rule's."""
    with Sinks.all_open() as sinks:
        source = edited(MUTES, after, tmp_path)
        config = loopback_config(tmp_path / "config", sinks, group_wait="300ms", source=source)
        with Alertmanager(SUITES[0], config, tmp_path / "run") as running:
            running.push(*outage())
            assert ["Muted: mood has turned down"] == [title(message) for message in sinks.marketing.wait(1)]
