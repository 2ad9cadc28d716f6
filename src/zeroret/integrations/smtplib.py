"""smtplib: a mail is judged as a request whose host is the mail server."""

from __future__ import annotations

import ssl
from functools import wraps
from typing import Any

from zeroret.guards.egress import Request, Target, verifies
from zeroret.guards.network import PATCHES, encoded, is_judged, judge


def watch(module: Any) -> None:
    """Judge each mail that *module* (``smtplib``) sends."""
    PATCHES.replace(module.SMTP, "sendmail", _sending)


def _sending(original: Any) -> Any:
    @wraps(original)
    def sendmail(
        self: Any, from_addr: Any, to_addrs: Any, msg: Any, *args: Any, **options: Any
    ) -> Any:
        if is_judged():
            people = [("from", str(from_addr)), ("to", str(to_addrs))]
            judge(lambda: _target(self), lambda: Request("MAIL", "", people, encoded(msg)))
        return original(self, from_addr, to_addrs, msg, *args, **options)

    return sendmail


def _target(connection: Any) -> Target:
    socket = connection.sock
    verified = isinstance(socket, ssl.SSLSocket) and verifies(socket.context)
    port = socket.getpeername()[1] if socket is not None else connection.default_port
    return Target(connection._host, port, verified)  # noqa: SLF001 - smtplib keeps it nowhere else
