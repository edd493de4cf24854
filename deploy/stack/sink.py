"""Sink: stands where Slack, mail and the pager would be, and says in the terminal what each of them would have got.

    with Sink(say) as sink:
        ... Alertmanager posts to sink.sinks ...

Whatever comes is data: control characters are left out, or a message could move the cursor.
Knows nothing of Prometheus, or of why somebody is told.
"""

import html
import json
import socketserver
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from deploy.stack.files import Sinks

WIDTH = 100
MOST_BYTES = 1_000_000
# Paths are the names of secrets and of receivers, as `files` makes them.
WHO = {
    "slack-marketing": "marketing, by Slack",
    "slack-engineers": "the engineers, by Slack: it cannot wait",
    "slack-tickets": "the engineers, by Slack: it can wait",
    "engineers-critical": "the engineer on call, by pager",
}
QUIET = ("watchdog",)  # it comes every few minutes, and says only that it came

Say = Callable[[str], None]


class Sink:
    """Listens on loopback from entry to exit of a `with`; `say` gets each message, framed."""

    def __init__(self, say: Say) -> None:
        self._web = ThreadingHTTPServer(("127.0.0.1", 0), _web(say))
        self._mail = _Mail(("127.0.0.1", 0), _Letters)
        self._mail.say = say
        self.sinks = Sinks(f"http://127.0.0.1:{self._web.server_port}", f"127.0.0.1:{self._mail.server_address[1]}")

    def __enter__(self) -> Self:
        for server in (self._web, self._mail):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._web, self._mail):
            server.shutdown()
            server.server_close()


def web_message(path: str, body: bytes) -> str:
    """What came by HTTP, framed; empty for what needs no saying. Raises ValueError for what is no JSON object."""
    name = path.strip("/")
    if name in QUIET:
        return ""
    said = json.loads(body)
    if not isinstance(said, dict):
        raise ValueError("no JSON object")
    return framed(f"to {WHO.get(name, name)}", _slack(said) if "attachments" in said else _hook(said))


def mail_message(content: bytes) -> str:
    """A mail, framed."""
    mail = message_from_bytes(content, policy=default)
    text = mail.get_body(("plain",))
    lines = [f"Subject: {mail['Subject']}", "", *(text.get_content().splitlines() if text else ())]
    return framed(f"to {mail['To']}, by mail", lines)


def framed(title: str, lines: Sequence[str]) -> str:
    """Lines in a frame that has a title and the time of day."""
    head = f"┌─ {datetime.now().astimezone():%H:%M:%S}  {printable(title)} "
    body = [f"│ {part}" for line in lines for part in _wrapped(printable(line))]
    return "\n".join(("", head + "─" * max(WIDTH - len(head), 0), *body, "└" + "─" * (WIDTH - 1), ""))


def printable(text: str) -> str:
    """Without whatever a terminal would obey.

    >>> printable("mood\\x1b[2J down\\u202e!")
    'mood[2J down!'
    """
    return "".join(sign for sign in text if sign.isprintable())


def _slack(said: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for part in said["attachments"]:
        title, text, link = (html.unescape(str(part.get(name) or "")) for name in ("title", "text", "title_link"))
        lines += [title, *(line for line in text.splitlines() if line.strip()), *([link] if link else [])]
    return lines


def _hook(said: Mapping[str, Any]) -> list[str]:
    return [f"{said.get('status')}: {one.get('labels', {}).get('alertname')}: "
            f"{one.get('annotations', {}).get('summary', '')}" for one in said.get("alerts", ())]


def _wrapped(line: str) -> list[str]:
    """Whole words, in lines that fit; a link is one word."""
    lines = [""]
    for word in line.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WIDTH - 4:
            lines.append("  " + word)
        else:
            lines[-1] += (" " if lines[-1] else "") + word
    return lines


def _web(say: Say) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MOST_BYTES))
            try:
                message = web_message(self.path, body)
            except (ValueError, TypeError, AttributeError, KeyError):
                self.send_error(400)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")
            if message:
                say(message)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the message itself is what is to be seen."""
    return Handler


class _Mail(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    say: Say


class _Letters(socketserver.StreamRequestHandler):
    """As much of SMTP as Alertmanager speaks; there is no server for it in Python any more."""

    timeout = 30

    def handle(self) -> None:
        self._answer("220 stack")
        while line := self.rfile.readline(1000):
            verb = line[:4].upper()
            if verb == b"DATA":
                self._answer("354 go on")
                message = mail_message(self._letter())
                self._answer("250 taken")
                assert isinstance(self.server, _Mail)
                self.server.say(message)
            else:
                self._answer("221 bye" if verb == b"QUIT" else "250 stack")
            if verb == b"QUIT":
                return

    def _letter(self) -> bytes:
        lines: list[bytes] = []
        while (line := self.rfile.readline(MOST_BYTES)) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def _answer(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")
