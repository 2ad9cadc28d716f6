# ruff: noqa: S311, E501 - the lines are made up, and as long as programs write them
"""Match mode stays useful: ordinary log lines are shown as they are beside ordinary prompts."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from zeroret.content.flight import CURRENT, LAST, Flight
from zeroret.content.live import LIVE

WANTED = 0.95
PROSE = (
    "I run a small bakery with three employees and we started taking orders for wedding cakes on "
    "our website last spring. Since then the server has been slow on Saturday mornings, when most "
    "customers look at their order status or update the delivery address. The application log says "
    "that a request took two seconds, that the connection to the database was closed, or that the "
    "user was not found, and our cache is nearly always empty. Could you explain in plain words "
    "what a connection pool is, how many workers such a shop needs, and what the error message "
    "“retrying in 5 seconds” means? My nephew, who set it up, says that the task queue received "
    "too many messages, and that the model response was truncated. Please write the answer as a "
    "letter to him. He lives in Lisbon, studies physics and has no time before the end of June. "
)
CODE = '''
import logging
from django.db import models, transaction

logger = logging.getLogger(__name__)


class Order(models.Model):
    """An order of a customer."""

    customer = models.ForeignKey("shop.Customer", on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)
    status = models.CharField(max_length=16, default="pending")

    def send_invoice(self, session, timeout=30):
        response = session.post(f"{BASE_URL}/api/v1/invoices", json={"order_id": self.id})
        if response.status_code != 200:
            logger.error("invoice for order %s failed with status %d", self.id, response.status_code)
            raise RuntimeError("could not send the invoice")
        with transaction.atomic():
            self.status = "sent"
            self.save(update_fields=["status"])
        logger.info("order %s sent in %.1f ms", self.id, response.elapsed.total_seconds() * 1000)
        return response.json()["invoice_id"]

# Why does this raise sqlalchemy.exc.PendingRollbackError, SELECT orders.id, orders.status FROM
# orders WHERE orders.customer_id = %s? How do I retry a celery task with exponential backoff?
'''


def _body(text: str) -> str:
    """Return a chat request as SDKs send it."""
    return json.dumps(
        {
            "model": "gpt-4o-mini",
            "temperature": 0.2,
            "max_tokens": 1024,
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": text},
            ],
            "tools": [{"type": "function", "function": {"name": "get_order_status"}}],
            "metadata": {"order_id": 4711, "status": "pending", "items": [1, 2, 3]},
        }
    )


def _long(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


PROMPTS: dict[str, Callable[[int], str]] = {
    "prose": lambda size: _long(PROSE, size),
    "code": lambda size: _long(CODE, size),
    "json": lambda size: _body(_long(PROSE, size - 380)),
}


class Line(NamedTuple):
    """What a program says: a message and its arguments."""

    message: str
    args: tuple[Any, ...]


def _lines(rng: random.Random) -> Iterator[Line]:
    """Give the lines that one request of a usual service may log, with values made up."""
    ms, number = round(rng.uniform(0.3, 4000), 1), rng.randrange(1, 99999)
    ident, token = uuid.UUID(int=rng.getrandbits(128)), f"{rng.getrandbits(64):016x}"
    path = rng.choice(["/api/v1/orders", "/v1/chat/completions", "/health", "/users/me/settings"])
    host = rng.choice(["api.openai.com", "db-1.internal", "redis", "127.0.0.1"])
    user = rng.choice(["alice", "bob", "service-account", "admin"])
    status = rng.choice([200, 201, 204, 404, 422, 500])
    address = f"10.0.{rng.randrange(255)}.{rng.randrange(255)}"
    columns = rng.choice(["orders.id, orders.status", "users.id, users.email, users.created_at"])
    table = columns.partition(".")[0]
    yield Line('%s:%d - "%s %s HTTP/%s" %d', (address, number, "POST", path, "1.1", status))
    yield Line(
        'HTTP Request: %s %s "%s %d %s"',
        ("POST", f"https://{host}{path}", "HTTP/1.1", status, "OK"),
    )
    yield Line(
        "connect_tcp.started host=%r port=%d local_address=None timeout=%s", (host, 443, 5.0)
    )
    yield Line(
        "receive_response_headers.complete return_value=(b'HTTP/1.1', %d, b'OK', [(b'x-request-id', b'%s')])",
        (status, token),
    )
    yield Line("SELECT %s \nFROM %s \nWHERE %s.id = %%s", (columns, table, table))
    yield Line("[generated in %.5fs] (%d,)", (ms / 1e5, number))
    yield Line("[cached since %.4gs ago] (%d, 'pending')", (ms, number))
    yield Line("BEGIN (implicit)", ())
    yield Line("ROLLBACK", ())
    yield Line(
        "(%.3f) SELECT %s FROM %s WHERE (%s.id = %d); args=(%d,)",
        (ms / 1e3, columns, table, table, number, number),
    )
    yield Line("Task %s[%s] received", ("shop.tasks.send_invoice", ident))
    yield Line(
        "Task %s[%s] succeeded in %ss: %s", ("shop.tasks.send_invoice", ident, ms / 1e3, None)
    )
    yield Line("Task %s[%s] retry: Retry in %ds", ("shop.tasks.send_invoice", ident, number % 60))
    yield Line("Started server process [%d]", (number,))
    yield Line("Uvicorn running on http://%s:%d (Press CTRL+C to quit)", (address, 8000))
    yield Line("Not Found: %s", (path,))
    yield Line("Watching for file changes with %s", ("StatReloader",))
    yield Line("request %s took %.1f ms", (ident, ms))
    yield Line("user %s logged in from %s", (user, address))
    yield Line("order %d has status %s", (number, rng.choice(["pending", "sent", "paid"])))
    yield Line("cache miss for key %s", (f"session:{token}",))
    yield Line("%s", (f"loaded {number} rows from /var/lib/app/data/{token}.parquet in {ms} ms",))
    yield Line("%s", (f"retrying in {number % 60} seconds (attempt {number % 5} of 5)",))
    yield Line(
        "%s", (f"connection to {host}:5432 was closed, pool size {number % 20}, overflow 0",)
    )
    yield Line(
        "%s", (f"model response: finish_reason=stop input_tokens={number} output_tokens={status}",)
    )
    yield Line("%s", (f"user not found: id={number}",))
    yield Line("%s", (f"worker {number % 8} (pid {number}) booted, memory {ms} MB",))
    yield Line("%s", (f"trace_id={rng.getrandbits(128):032x} span_id={token} sampled=True",))
    yield Line(
        "%s",
        (
            f'{{"level": "info", "event": "request", "path": "{path}", "status": {status}, "ms": {ms}}}',
        ),
    )
    yield Line(
        "%s",
        (f"2026-05-{number % 28 + 1:02d}T10:{number % 60:02d}:00Z job {ident} queued on default",),
    )
    yield Line("Retrying request to %s in %f seconds", (path, ms / 1e3))
    yield Line("calling model=%s temperature=%s stream=%s", ("gpt-4o-mini", 0.2, True))
    yield Line("order status updated: pending -> %s, customer %d", ("sent", number))
    yield Line("Starting new HTTPS connection (%d): %s:%d", (number % 9, host, 443))
    yield Line(
        '%s://%s:%s "%s %s %s" %s %s', ("https", host, 443, "GET", path, "HTTP/1.1", status, number)
    )


@contextmanager
def _beside(prompt: str) -> Iterator[None]:
    """Run the block in an exchange in match mode that carries *prompt*."""
    flight = Flight("match")
    flight.hold(prompt.encode())
    LIVE.enter(flight)
    token = CURRENT.set(flight)
    try:
        yield
    finally:
        CURRENT.reset(token)
        LAST.set(None)
        LIVE.leave(flight, 0)


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("size", [1024, 4096])
@pytest.mark.parametrize("kind", PROMPTS)
def test_ordinary_lines_are_shown_as_they_are(
    kind: str, size: int, output: Any, record_property: Callable[[str, object], None]
) -> None:
    """Of some seven hundred lines, 95 in 100 stay unchanged; the share is a property of the test."""
    rng = random.Random(size)
    lines = [line for _ in range(20) for line in _lines(rng)]
    changed: list[str] = []
    with _beside(PROMPTS[kind](size)):
        for message, args in lines:
            output.log.info(message, *args)
            if output.message != (message % args if args else message):
                changed.append(output.message)
        output.log.info("%s", PROMPTS[kind](size)[200:240])
        assert "[withheld " in output.message
    share = 1 - len(changed) / len(lines)
    record_property("share", share)
    print(f"{kind}, {size} bytes: {share:.1%} of {len(lines)} lines unchanged")  # noqa: T201 - for whoever looks
    assert len(lines) >= 600
    assert share >= WANTED, "\n".join(sorted(set(changed))[:40])
