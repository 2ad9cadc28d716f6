"""The stacks: which framework runs under which server with what attached, and which are tried."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

APPS: Final = Path(__file__).with_name("apps")
ATTACHED: Final = ("loggers", "sentry", "otel")

ASGI: Final = {
    "fastapi": "fastapi_app:app",
    "starlette": "starlette_app:app",
    "litestar": "litestar_app:app",
    "django asgi": "django_asgi:app",
}
WSGI: Final = {"flask": "flask_app:app", "django wsgi": "django_wsgi:app"}

_UVICORN: Final = ("-m", "uvicorn", "--port", "{port}")
_GUNICORN: Final = ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "--access-logfile", "-",
                    "--graceful-timeout", "2", "--no-control-socket")  # fmt: skip
_GRANIAN: Final = ("-m", "granian", "--port", "{port}", "--access-log",
                   "--workers-kill-timeout", "2")  # fmt: skip
ASGI_SERVERS: Final = {
    "uvicorn httptools": (*_UVICORN, "--http", "httptools"),
    "uvicorn h11": (*_UVICORN, "--http", "h11", "--loop", "asyncio", "--ws", "wsproto"),
    "hypercorn": ("-m", "hypercorn", "-b", "127.0.0.1:{port}", "--access-logfile", "-",
                  "--graceful-timeout", "2"),
    "granian": (*_GRANIAN, "--interface", "asgi"),
    "gunicorn asgi": (*_GUNICORN, "-k", "asgi"),
}  # fmt: skip
WSGI_SERVERS: Final = {
    "gunicorn sync": _GUNICORN,
    "gunicorn threads": (*_GUNICORN, "-k", "gthread", "--threads", "4"),
    "granian wsgi": (*_GRANIAN, "--interface", "wsgi"),
}


class Stack(NamedTuple):
    """One combination."""

    framework: str
    server: str
    attached: str

    @property
    def command(self) -> tuple[str, ...]:
        """The arguments that start it."""
        return (*(ASGI_SERVERS | WSGI_SERVERS)[self.server], (ASGI | WSGI)[self.framework])

    @property
    def is_asgi(self) -> bool:
        """Whether it is asynchronous, and has websockets if its framework does."""
        return self.framework in ASGI

    @property
    def talks(self) -> bool:
        """Whether it serves websockets."""
        return self.is_asgi and self.framework != "django asgi"

    def __str__(self) -> str:
        return f"{self.framework} on {self.server} with {self.attached}"


PRODUCT: Final = tuple(
    Stack(*each)
    for frameworks, servers in ((ASGI, ASGI_SERVERS), (WSGI, WSGI_SERVERS))
    for each in product(frameworks, servers, ATTACHED)
)
"""Every combination that can be served."""


def pairs(stack: Stack) -> set[tuple[str, str]]:
    """Return the pairs that *stack* tries together."""
    framework, server, attached = stack
    return {(framework, server), (framework, attached), (server, attached)}


def covering(wanted: set[tuple[str, str]]) -> tuple[Stack, ...]:
    """Return few stacks that try every pair of *wanted*, the same ones each time."""
    left, chosen = set(wanted), []
    while left:
        best = max(PRODUCT, key=lambda stack: len(pairs(stack) & left))
        assert pairs(best) & left
        chosen.append(best)
        left -= pairs(best)
    return tuple(chosen)


PAIRWISE: Final = covering(set().union(*map(pairs, PRODUCT)))
"""Few stacks in which every two things that can go together do."""

COMPARED: Final = tuple(
    stack
    for number, stack in enumerate(PAIRWISE)
    if not {stack.framework, stack.server}
    <= {each for before in PAIRWISE[:number] for each in before[:2]}
)
"""Those of them that run bare, too: each framework and each server is one's first."""
