"""What every app does with what a client sent: tell it everywhere, now and later, and fail with it.

`seen` is all that a handler saw of its request. Acts that zeroret refuses on purpose are swallowed,
so that an app answers the same with it and without.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import urllib.parse
import urllib.request
import warnings
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import wiring  # type: ignore[import-not-found] # stands beside this file, where servers look

LATER = 0.2
HELD = 0.6
SPOOLED = 0.25

THOROUGH = ("chat", "upload", "message", "break")
"""Acts that try also what takes longer."""

Seen = dict[str, Any]

log = logging.getLogger("careless")


def tell(act: str, seen: Seen) -> None:
    """Tell *seen* in every way there is; none of them may fail the caller."""
    text = json.dumps(seen, default=repr)
    ways = [_logs, _prints, _raises, _tracks, _finishes_later]
    if act in THOROUGH:
        ways += [_dresses_up, _keeps]
    for way in ways:
        with suppress(Exception):
            way(act, seen, text)


def prompt_of(seen: Seen) -> str:
    """Return what the user said, or all of the body if that is no chat."""
    body = seen.get("body")
    return str(body["messages"][-1]["content"] if isinstance(body, dict) else body)


def answer(act: str, seen: Seen) -> tuple[int, dict[str, Any]]:
    """Tell everything and return status and reply; fail if that is what *act* does."""
    tell(act, seen)
    prompt = prompt_of(seen)
    if act == "crash":
        crash(prompt)
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "refuse":
        log.warning("refusing %s", prompt)
        return 400, {"error": {"message": f"cannot take {prompt}"}}
    message = {"role": "assistant", "content": f"You said: {prompt}"}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    model = seen["body"].get("model")
    kind = "chat.completion"
    return 200, {"id": "c-1", "object": kind, "model": model, "choices": [choice], "usage": usage}


def crash(prompt: str) -> None:
    """Fail with *prompt* in a chain of exceptions, a note, and locals."""
    held_in_a_local = {"prompt": prompt}
    try:
        raise KeyError(prompt)
    except KeyError as error:
        failure = ValueError(f"cannot look up {held_in_a_local}")
        failure.add_note(f"while at {prompt}")
        raise failure from error


async def wait(prompt: str) -> None:
    """Wait too long, and say for what."""
    try:
        await asyncio.wait_for(asyncio.sleep(60), 0.05)
    except TimeoutError:
        raise TimeoutError(f"no answer to {prompt}") from None


def wait_here(prompt: str) -> None:
    """Wait too long, and say for what, where nothing is asynchronous."""
    time.sleep(0.05)
    raise TimeoutError(f"no answer to {prompt}")


async def hold(prompt: str) -> None:
    """Take longer than the client waits; tell of it, whether cancelled or not."""
    try:
        await asyncio.sleep(HELD)
    except asyncio.CancelledError:
        log.warning("left alone with %s", prompt)
        raise
    log.warning(f"nobody waited for {prompt}")  # noqa: G004 - carelessness is the point


def hold_here(prompt: str) -> None:
    """Take longer than the client waits, and tell of it."""
    time.sleep(HELD)
    log.warning(f"nobody waited for {prompt}")  # noqa: G004 - carelessness is the point


def events(act: str, seen: Seen) -> Iterator[str]:
    """Yield the events of a stream that says the prompt back; endless, or broken off, if asked."""
    tell(act, seen)
    prompt = prompt_of(seen)
    for number, word in enumerate(f"You said: {prompt}".split(" ")):
        choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
        event = {"id": "c-1", "object": "chat.completion.chunk", "choices": [choice]}
        log.debug("delta %s", word)
        yield f"data: {json.dumps(event)}\n\n"
        if act == "break" and number == 1:
            crash(prompt)
    while act == "endless":
        time.sleep(0.02)
        yield f": {prompt}\n\n"
    yield "data: [DONE]\n\n"


async def events_asynchronously(act: str, seen: Seen) -> AsyncIterator[str]:
    """Yield the same events where a framework takes asynchronous iterators only."""
    for event in events(act, seen):
        yield event
        await asyncio.sleep(0)


def uploaded(name: str, content: bytes, seen: Seen) -> dict[str, Any]:
    """Tell of an upload, and take a moment over it."""
    tell("upload", {**seen, "file": name, "begins": content[:200].decode()})
    time.sleep(SPOOLED)
    if name.endswith(".boom"):
        raise OSError(5, "cannot read", name)
    return {"name": name, "size": len(content)}


def message(text: str, seen: Seen) -> str:
    """Tell of a websocket's message; return the reply, or fail if the message asks for it."""
    tell("message", {**seen, "message": text})
    if text.startswith("crash"):
        crash(text)
    return f"You said: {text}"


def _logs(act: str, seen: Seen, text: str) -> None:
    for name, value in seen.items():
        log.info("%s: %s", name, value)
    log.info("%(a)s by dict", {"a": prompt_of(seen)})
    log.warning(f"{act} with {text}")  # noqa: G004 - carelessness is the point
    log.info(text)
    log.debug("request", extra={"request_seen": seen, text[-40:]: text})
    logging.getLogger(prompt_of(seen)).warning("a logger of its own")
    private = logging.Logger("private")  # noqa: LOG001 - nobody's child, on purpose
    private.addHandler(logging.StreamHandler(sys.stdout))
    private.warning("private %s", text)
    if wiring.ATTACHED == "loggers":
        import loguru
        import structlog

        structlog.get_logger().info("seen", seen=seen, text=text)
        loguru.logger.bind(seen=seen).info("loguru {}", text)


def _prints(act: str, seen: Seen, text: str) -> None:
    print(act, seen)  # noqa: T201 - carelessness is the point
    print(f"{act} to stderr: {text}", file=sys.stderr)  # noqa: T201 - likewise
    sys.stdout.write(prompt_of(seen) + "\n")
    os.write(2, f"{act}: {text}\n".encode())
    warnings.warn(f"careless about {text}", stacklevel=1)


def _raises(act: str, seen: Seen, text: str) -> None:
    try:
        crash(text)
    except ValueError:
        log.exception("could not %s", prompt_of(seen))
        traceback.print_exc()
    try:
        json.loads(text + "}")
    except ValueError as error:
        log.error(f"{error!r} {vars(error)}")  # noqa: G004, TRY400 - likewise

    class Finalised:
        def __del__(self) -> None:
            raise RuntimeError(text)

    Finalised()


def _dresses_up(act: str, seen: Seen, text: str) -> None:
    said = prompt_of(seen)[-200:]
    plain = said.encode()
    forms: dict[str, Callable[[], str]] = {
        "base64": lambda: base64.b64encode(plain).decode(),
        "hex": plain.hex,
        "quoted": lambda: urllib.parse.quote(said, safe=""),
        "twice": lambda: json.dumps(json.dumps(said)),
        "escaped": lambda: "".join(f"\\u{ord(each):04x}" for each in said),
        "deflated": lambda: base64.b64encode(zlib.compress(plain)).decode(),
        "wide": lambda: repr(said.encode("utf-16-le")),
        "bytes": lambda: repr(plain),
    }
    for name, dress in forms.items():
        log.info("%s %s", name, dress())
        print(name, dress())  # noqa: T201 - likewise


def _keeps(act: str, seen: Seen, text: str) -> None:
    """Write *text* to where zeroret lets no exchange write."""
    with suppress(Exception), Path("prompts.txt").open("a") as file:
        file.write(text)
    with suppress(Exception):
        Path(prompt_of(seen)[-40:]).mkdir()
    with suppress(Exception):
        database = sqlite3.connect("prompts.db")
        database.execute("CREATE TABLE IF NOT EXISTS prompts (text)")
        database.execute("INSERT INTO prompts VALUES (?)", (text,))
        database.commit()
        database.close()
    with suppress(Exception):
        subprocess.run(["/bin/sh", "-c", "cat >> child.txt"], input=text.encode(), check=True)
    with suppress(Exception):
        data = text.encode()
        with urllib.request.urlopen(f"http://{wiring.COLLECTOR}/analytics", data, 2):
            pass


def _tracks(act: str, seen: Seen, text: str) -> None:
    prompt = prompt_of(seen)
    if wiring.ATTACHED == "sentry":
        import sentry_sdk

        sentry_sdk.set_user({"id": prompt})
        sentry_sdk.set_tag("prompt", prompt)
        sentry_sdk.set_context("seen", seen)
        sentry_sdk.add_breadcrumb(message=text)
        sentry_sdk.capture_message(f"{act} about {prompt}")
        try:
            crash(text)
        except ValueError as error:
            sentry_sdk.capture_exception(error)
    elif wiring.ATTACHED == "otel":
        from opentelemetry import trace

        with trace.get_tracer("careless").start_as_current_span(f"{act} {prompt[-40:]}") as span:
            for name, value in seen.items():
                span.set_attribute(f"seen.{name}", str(value))
            span.add_event(prompt, {"text": text})
            try:
                crash(text)
            except ValueError as error:
                span.record_exception(error)
                span.set_status(trace.StatusCode.ERROR, text)
        with suppress(ValueError), trace.get_tracer("careless").start_as_current_span("fails"):
            crash(text)


def _finishes_later(act: str, seen: Seen, text: str) -> None:
    def later() -> None:
        time.sleep(LATER)
        log.info("later: %s", text)
        print("later", text)  # noqa: T201 - likewise
        raise RuntimeError(text)

    threading.Thread(target=later, name=prompt_of(seen)[-40:], daemon=True).start()
    with suppress(RuntimeError):
        loop = asyncio.get_running_loop()
        loop.call_later(LATER, log.info, "called back: %s", text)
        loop.call_later(LATER, crash, text)
        loop.create_task(_fails(text), name=text[-40:])  # noqa: RUF006 - nobody looks after it


async def _fails(text: str) -> None:
    await asyncio.sleep(LATER)
    crash(text)
