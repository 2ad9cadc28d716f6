"""A process of the in-process benchmark: one variant, every workload, no server."""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import variants
import workloads
from rounds import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from variants import Wrapped
    from workloads import Workload

_OK = 200


class Worker:
    """Runs exchanges of one variant and answers how long they took."""

    def __init__(self, variant: str, folder: Path) -> None:
        self._variant = variant
        self._wrapped: Wrapped | None = None
        if variant in variants.OPTIONS:
            self._wrapped = variants.wrapped(variant, folder)
        self._exchanges = 0
        self._runner = asyncio.Runner()
        self._app: Callable[[str], Any] = cache(self._build)

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Run what is asked: a number of exchanges, a check, or the closing facts."""
        if question.get("facts"):
            return {"facts": self._facts()}
        workload = workloads.WORKLOADS[question["work"]]
        app = self._app(workload.name)
        if question.get("check"):
            self._check(workload, app)
            self._exchanges += 1
            gc.collect()
            return {}
        self._exchanges += question["count"]
        started = time.perf_counter()
        if workload.name == "flask":
            _run_wsgi(app, workload, question["count"])
        else:
            self._runner.run(_run_asgi(app, workload, question["count"]))
        return {"wall": time.perf_counter() - started}

    def close(self) -> None:
        """End the runtime and the loop."""
        if self._wrapped is not None:
            self._wrapped.runtime.close()
        self._runner.close()

    def _build(self, name: str) -> Any:
        app: Any = workloads.wsgi_app() if name == "flask" else workloads.asgi_app(name)
        if self._variant == "floor":
            return app if name == "flask" else variants.floor(app)
        if self._wrapped is None:
            return app
        runtime = self._wrapped.runtime
        return runtime.wsgi(app) if name == "flask" else runtime.asgi(app)

    def _facts(self) -> dict[str, Any]:
        if self._wrapped is None:
            return {"peak_rss_mb": variants.peak_rss()}
        return {"exchanges": self._exchanges, **self._wrapped.facts()}

    def _check(self, workload: Workload, app: Any) -> None:
        """Fail loudly unless the reply arrives whole and unchanged."""
        if workload.name == "flask":
            status, body = _wsgi_reply(app, workload)
        else:
            status, body = self._runner.run(_asgi_reply(app, workload))
        if status != _OK or body != workload.reply:
            raise RuntimeError(
                f"{self._variant}, {workload.name}: status {status}, {len(body)} bytes"
            )


async def _run_asgi(app: Any, workload: Workload, count: int) -> None:
    pieces, send = workload.pieces(), variants.discard()
    for _ in range(count):
        await app(workload.scope(), workloads.Receive(pieces), send)


async def _asgi_reply(app: Any, workload: Workload) -> tuple[int, bytes]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await app(workload.scope(), workloads.Receive(workload.pieces()), send)
    body = b"".join(message.get("body", b"") for message in messages)
    return messages[0]["status"], body


def _run_wsgi(app: Any, workload: Workload, count: int) -> None:
    for _ in range(count):
        _wsgi_reply(app, workload)


def _wsgi_reply(app: Any, workload: Workload) -> tuple[int, bytes]:
    statuses: list[str] = []

    def start_response(status: str, *_: Any) -> Callable[[bytes], None]:
        statuses.append(status)
        return lambda _: None

    reply = app(workload.environ(), start_response)
    try:
        body = b"".join(reply)
    finally:
        reply.close()
    return int(statuses[0][:3]), body


def main() -> None:
    """Serve one variant until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=variants.VARIANTS)
    with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
        worker = Worker(parser.parse_args().variant, Path(folder))
        serve(worker.answer)
        worker.close()


if __name__ == "__main__":
    main()
