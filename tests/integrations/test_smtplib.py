"""smtplib: mails are judged before a word of them is said."""

from __future__ import annotations

import smtplib
import socketserver
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from scenes import Scene
from zeroret.errors import RetentionViolation

pytestmark = pytest.mark.usefixtures("guarded")


class Handler(socketserver.StreamRequestHandler):
    """Speaks enough of SMTP (RFC 5321) to take a mail."""

    def handle(self) -> None:
        """Talk until the client quits."""
        self._say("220 here")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self._say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(b"".join(lines))  # type: ignore[attr-defined] # as below
            self._say("221 bye" if word == b"QUIT" else "250 fine")

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


@pytest.fixture
def mails() -> Iterator[Any]:
    """A mail server."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.mails = []  # type: ignore[attr-defined] # what it is told
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_mail_with_content_is_not_sent(scene: Scene, mails: Any) -> None:
    """Neither its text nor its subject, encoded or not; to a mail server that is named it goes."""
    port = mails.server_address[1]
    by_body, by_subject, clean = EmailMessage(), EmailMessage(), EmailMessage()
    by_body.set_content(scene.content, cte="base64")
    by_subject["Subject"] = scene.content
    clean.set_content("the disk is full")
    with smtplib.SMTP("127.0.0.1", port) as client:
        with scene.exchange(upstreams=[]):
            for mail in (by_body, by_subject):
                with pytest.raises(RetentionViolation):
                    client.send_message(mail, "a@example.com", ["b@example.com"])
            client.send_message(clean, "a@example.com", ["b@example.com"])
        with scene.exchange(upstreams=["localhost"]):
            client.send_message(by_body, "a@example.com", ["b@example.com"])
    assert len(mails.mails) == 2
    assert b"the disk is full" in mails.mails[0]
