"""What users' test suites rely on: records in memory, classes that still match, a clean end."""

from __future__ import annotations

import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import zeroret
from zeroret import ZeroRetention, ZeroRetentionMiddleware, current, testing
from zeroret.content.live import LIVE


class OrderError(ValueError):
    """An application's own error."""


def shop() -> FastAPI:
    """Return an app with a good and a bad route."""
    app = FastAPI()

    @app.get("/orders/{order}")
    def show(order: str) -> dict[str, str]:
        exchange = current()
        assert exchange is not None
        exchange.report(input_tokens=1, output_tokens=2)
        return {"order": order}

    @app.get("/crash/{order}")
    def crash(order: str) -> None:
        raise OrderError(order)

    return app


def test_records_are_there_after_the_call() -> None:
    """A memory runtime gives the records of a wrapped app, the oldest first."""
    with testing.memory_runtime() as runtime:
        client = TestClient(runtime.asgi(shop()))
        assert testing.usage_records(runtime) == []
        assert client.get("/orders/a").json() == {"order": "a"}
        client.get("/nothing")
        first, second = testing.usage_records(runtime)
    assert (first.route, first.input_tokens, first.output_tokens) == ("/orders/{order}", 1, 2)
    assert (second.route, second.status) == ("other", 404)


def test_raised_classes_still_match() -> None:
    """``pytest.raises`` and ``except`` work by the original's class; the text is withheld."""
    with testing.memory_runtime() as runtime:
        client = TestClient(runtime.asgi(shop()))
        with pytest.raises(OrderError) as caught:
            client.get("/crash/secret-order")
        (record,) = testing.usage_records(runtime)
    assert "secret-order" not in f"{caught.value!r} {caught.value} {caught.value.args}"
    assert record.error_type == "OrderError"


def test_report_mode_shows_the_real_exception() -> None:
    """A test that needs the text takes ``mode="report"``."""
    with testing.memory_runtime(mode="report") as runtime:
        client = TestClient(runtime.asgi(shop()))
        with pytest.raises(OrderError, match="secret-order"):
            client.get("/crash/secret-order")


def test_the_end_is_clean() -> None:
    """After the context no patch, no thread of delivery and no running exchange is left."""
    before = (logging.Handler.handle, threading.Thread.start, ThreadPoolExecutor.submit)
    with testing.memory_runtime(grace=0) as runtime:
        TestClient(runtime.asgi(shop())).get("/orders/a")
        testing.usage_records(runtime)
    assert (logging.Handler.handle, threading.Thread.start, ThreadPoolExecutor.submit) == before
    assert current() is None
    for _ in range(100):
        if not any(thread.name == "zeroret-delivery" for thread in threading.enumerate()):
            break
        time.sleep(0.02)
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("zeroret-")]
    stay = ("zeroret-grace", "zeroret-count")
    assert all(name.startswith(stay) for name in names), "those that sleep for the whole process"
    gc.collect()  # responses that other tests never closed
    assert not LIVE._running


def test_an_error_inside_still_ends_cleanly() -> None:
    """A failing test does not leave its guards to the next one."""
    before = logging.Handler.handle
    with pytest.raises(AssertionError), testing.memory_runtime():
        raise AssertionError
    assert logging.Handler.handle is before


def test_a_runtime_without_memory_is_told_apart() -> None:
    """Records of a runtime that keeps them elsewhere cannot be asked for."""
    runtime = ZeroRetention(sinks=["memory:"], journal="memory")
    with pytest.raises(TypeError, match="make it with memory_runtime"):
        testing.usage_records(runtime)


def test_policies_and_options_pass_through() -> None:
    """A memory runtime takes every option, and wrong ones are refused as ever."""
    with testing.memory_runtime("kriora", log_guard="match") as runtime:
        assert (runtime.policy.name, runtime.log_guard) == ("kriora", "match")
    with (
        pytest.raises(zeroret.errors.ConfigurationError, match="mode='on'"),
        testing.memory_runtime(mode="on"),
    ):
        pass


def test_middlewares_are_uninstalled_together() -> None:
    """``uninstall`` closes what ``app.add_middleware`` shares, however often it was built."""
    testing.uninstall()
    before = logging.Handler.handle
    app = shop()
    app.add_middleware(ZeroRetentionMiddleware, sinks=["memory:tests"], journal="memory")
    with TestClient(app) as client:
        client.get("/orders/a")
    assert logging.Handler.handle is not before
    testing.uninstall()
    assert logging.Handler.handle is before
    assert len(zeroret.sinks.memory.get("tests").records) == 1
    testing.uninstall()
