# ruff: noqa: T201 - printing is how it reports
"""Requests to a Django app that fails, and the mails that it sends of them, as JSON.

``GUARD`` is strict, match, report or off; ``REPORTER`` names the class that makes the reports.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import django
from django.conf import settings

GUARD, SECRET = os.environ["GUARD"], os.environ["SECRET"]
REPORTERS = {
    "django": "django.views.debug.ExceptionReporter",
    "subclass": "__main__.Subclass",
    "strange": "__main__.Strange",
}
settings.configure(
    ADMINS=[("a", "admin@example.org")],
    MANAGERS=[("m", "manager@example.org")],
    ALLOWED_HOSTS=["*"],
    DEFAULT_EXCEPTION_REPORTER=REPORTERS[os.environ.get("REPORTER", "django")],
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    MIDDLEWARE=["django.middleware.common.BrokenLinkEmailsMiddleware"],
    ROOT_URLCONF="__main__",
    SECRET_KEY="none",
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "mail": {
                "class": os.environ.get("HANDLER", "django.utils.log.AdminEmailHandler"),
                "level": "WARNING",
                "include_html": True,
            },
            "console": {"class": "logging.StreamHandler"},
        },
        "loggers": {
            "django": {"handlers": ["mail", "console"], "level": "DEBUG", "propagate": False}
        },
    },
)

from django.http import HttpRequest, HttpResponse  # noqa: E402 - needs the settings
from django.urls import path  # noqa: E402 - likewise
from django.utils.log import AdminEmailHandler  # noqa: E402 - likewise
from django.views.debug import ExceptionReporter  # noqa: E402 - likewise


class Subclass(ExceptionReporter):  # type: ignore[misc] # Django has no types
    """Adds to the report what it finds in the request, and what it remembers."""

    def get_traceback_text(self) -> str:
        """Return more than Django's."""
        body = self.request.body if self.request is not None else b""
        return f"{super().get_traceback_text()}\nA report of our own\nBody: {body!r} {SECRET}"


class Strange:
    """Derives from nothing."""

    def __init__(self, request: Any, *exc_info: Any, is_email: bool = False) -> None:
        self.told = f"{request!r} {getattr(request, 'body', b'')!r} {exc_info}"

    def get_traceback_text(self) -> str:
        """Return what it was told."""
        return self.told

    get_traceback_html = get_traceback_text


class OwnHandler(AdminEmailHandler):  # type: ignore[misc] # likewise
    """Mails in its own way."""

    def emit(self, record: logging.LogRecord) -> None:
        """Mail the message, and what else it knows."""
        self.send_mail(f"Trouble with {SECRET}", f"Said {record.getMessage()} for {SECRET}")


def fail(request: HttpRequest, name: str) -> HttpResponse:
    """Fail with the body in the exception and in the locals."""
    held = request.body.decode("utf-8", "replace")
    if name.endswith("decode"):
        request.body.decode("ascii")
    raise LookupError(held)


urlpatterns = [path("fail/<str:name>", fail)]
django.setup()


def main() -> None:
    """Make three requests; print what was mailed."""
    from django.core import mail
    from django.core.wsgi import get_wsgi_application

    import zeroret

    app, runtime = get_wsgi_application(), None
    if GUARD != "off":
        options: dict[str, Any] = {"log_guard": "match"} if GUARD == "match" else {}
        options |= {"mode": "report"} if GUARD == "report" else {}
        runtime = zeroret.ZeroRetention(sinks=["memory:"], journal="memory", **options).start()
        app = runtime.wsgi(app)
    mail.outbox = []
    for name in ("fail/one", f"fail/{SECRET}-decode", f"none/{SECRET}"):
        call(app, f"/{name}")
    if runtime is not None:
        runtime.close()  # before the program speaks for itself
    print(
        json.dumps(
            [
                [each.subject, each.body, *[str(part[0]) for part in each.alternatives]]
                for each in mail.outbox
            ]
        )
    )


def call(app: Any, path_: str) -> None:
    """Make one request."""
    body = f"\u00e9 {SECRET}".encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path_,
        "QUERY_STRING": f"q={SECRET}",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_USER_AGENT": SECRET,
        "HTTP_X_NOTE": SECRET,
        "HTTP_COOKIE": f"a={SECRET}",
        "HTTP_REFERER": f"http://elsewhere.example/{SECRET}",
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.url_scheme": "http",
        "wsgi.input": __import__("io").BytesIO(body),
        "wsgi.errors": sys.stderr,
    }
    answer = app(environ, lambda *_: None)
    for _ in answer:
        pass
    answer.close()


if __name__ == "__main__":
    main()
