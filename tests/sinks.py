"""Where messages end in tests: a server that takes webhooks, Slack's among them, and one that takes mail.

Both listen on loopback, keep what they received, and wake whoever waits for it.
"""

import json
import socket
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class _Box:
    """Messages in the order in which they came."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self._came = Condition()

    def put(self, message: Any) -> None:
        with self._came:
            self.messages.append(message)
            self._came.notify_all()

    def wait(self, count: int, timeout_s: float = 15.0) -> list[Any]:
        """All messages, as soon as there are so many."""
        with self._came:
            if not self._came.wait_for(lambda: len(self.messages) >= count, timeout_s):
                raise TimeoutError(f"{len(self.messages)} messages after {timeout_s:g} s, expected {count}")
            return list(self.messages)


class WebhookSink(_Box):
    """Takes JSON at any path and answers as Slack does; `authorizations` are the headers of that name."""

    messages: list[dict[str, Any]]

    def __init__(self) -> None:
        super().__init__()
        self.authorizations: list[str] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")
                sink.authorizations.append(self.headers.get("Authorization", ""))
                sink.put(json.loads(body))

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class MailSink(_Box):
    """Takes mail from whoever sends it; `passwords` are those that were tried, `to` the receivers of each mail."""

    messages: list[EmailMessage]

    def __init__(self) -> None:
        super().__init__()
        self.passwords: list[str] = []
        self.to: list[list[str]] = []
        self.port = free_port()
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._log_in,
            auth_require_tls=False,
            auth_exclude_mechanism=["LOGIN"],  # its prompts are not those that Go's client expects
        )

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Called by aiosmtpd with each mail."""
        content = envelope.content
        assert isinstance(content, bytes)
        self.to.append(list(envelope.rcpt_tos))
        self.put(message_from_bytes(content, policy=default))
        return "250 OK"

    def _log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:  # noqa: ARG002
        if isinstance(data, LoginPassword):
            self.passwords.append(data.password.decode())
        return AuthResult(success=True)
