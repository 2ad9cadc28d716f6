"""Frameworks that are imported after a runtime has started: whole, and watched."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = {
    "fastapi": "from fastapi import FastAPI; FastAPI()",
    "starlette": "from starlette.applications import Starlette; Starlette()",
    "flask": "import flask; flask.Flask('x', root_path='.')",
    "django": "from django.core.handlers.wsgi import WSGIHandler",
    "litestar": "from litestar import Litestar; Litestar()",
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_may_come_after_the_start(framework: str) -> None:
    """A started runtime does not disturb the import of any framework."""
    program = (
        "import zeroret\n"
        "zr = zeroret.ZeroRetention(sinks=['memory:'], journal='memory').start()\n"
        f"{FRAMEWORKS[framework]}\n"
        "zr.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_late_framework_is_watched() -> None:
    """Routes of an app whose framework came after the start still have their templates."""
    program = """
import zeroret
from zeroret import testing
with testing.memory_runtime() as runtime:
    from fastapi import APIRouter, FastAPI
    from fastapi.testclient import TestClient
    router = APIRouter(prefix="/in/{x}")
    router.add_api_route("/{y}", lambda x, y: y)
    app = FastAPI()
    app.include_router(router)
    TestClient(runtime.asgi(app)).get("/in/a/b")
    print(testing.usage_records(runtime)[0].route)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "/in/{x}/{y}", done.stderr
