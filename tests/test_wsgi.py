"""The WSGI shell: valid on both sides, the reply untouched, and one record for every call."""

from __future__ import annotations

import gc
import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from zeroret import ZeroRetention, current, testing
from zeroret.content.live import LIVE
from zeroret.types import Environ, StartResponse, WSGIApp
from zeroret.usage.record import UsageRecord

CHAT = {
    "model": "gpt-4o-mini",
    "choices": [{"message": {"content": "four"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
}
JSON = [("Content-Type", "application/json")]


def environ(payload: bytes = b"", path: str = "/v1/chat/completions", **extra: Any) -> Environ:
    """Return a POST's environment as a server makes it."""
    made: Environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(payload)),
        "wsgi.input": io.BytesIO(payload),
        **extra,
    }
    setup_testing_defaults(made)
    return made


def call(app: WSGIApp, made: Environ) -> tuple[str, list[tuple[str, str]], list[bytes]]:
    """Call *app* as a server does; return status, headers and the chunks as they came."""
    started: list[Any] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        started[:] = [status, headers]
        return written.append

    written: list[bytes] = []
    response = app(made, start_response)
    try:
        chunks = list(response)
    finally:
        close = getattr(response, "close", None)
        if close is not None:
            close()
    return started[0], started[1], written + chunks


def answering(
    *chunks: bytes, status: str = "200 OK", headers: list[tuple[str, str]] | None = None
) -> WSGIApp:
    """Return an app that reads its request and answers with *chunks*."""

    def app(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        made["wsgi.input"].read(int(made.get("CONTENT_LENGTH") or 0))
        start_response(status, headers or JSON)
        return list(chunks)

    return app


def only(runtime: ZeroRetention) -> UsageRecord:
    """Return the one record that *runtime* has written."""
    records = testing.usage_records(runtime)
    assert len(records) == 1, records
    return records[0]


def test_a_call_leaves_one_record(runtime: ZeroRetention) -> None:
    """A JSON call is metered from the upstream's own usage, and its reply is the app's own."""
    request = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
    answer = json.dumps(CHAT).encode()
    status, headers, chunks = call(runtime.wsgi(answering(answer)), environ(request))
    assert (status, headers, chunks) == ("200 OK", JSON, [answer])
    record = only(runtime)
    assert (record.input_tokens, record.output_tokens) == (7, 1)
    assert (record.usage_source, record.outcome, record.status) == ("reported", "completed", 200)
    assert (record.request_bytes, record.response_bytes) == (len(request), len(answer))


def test_the_validator_passes_around_and_inside(runtime: ZeroRetention) -> None:
    """The shell keeps PEP 3333 towards the server and towards the app."""
    app = validator(runtime.wsgi(validator(answering(b"a", b"b"))))
    assert call(app, environ(b"{}"))[2] == [b"a", b"b"]
    assert only(runtime).outcome == "completed"


@pytest.mark.parametrize(
    "read", ["read", "readline", "readlines", "iterate", "readinto", "readinto1", "read1"]
)
def test_every_way_to_read_the_body_is_seen(runtime: ZeroRetention, read: str) -> None:
    """The request's bytes are counted however the app reads them."""
    payload = b"one\ntwo\nthree"
    ways: dict[str, Callable[[Any], object]] = {
        "read": lambda body: list(iter(lambda: body.read(4), b"")),
        "readline": lambda body: list(iter(lambda: body.readline(100), b"")),
        "readlines": lambda body: body.readlines(),
        "iterate": list,
        "readinto": lambda body: list(iter(lambda: body.readinto(bytearray(4)), 0)),
        "readinto1": lambda body: list(iter(lambda: body.readinto1(bytearray(4)), 0)),
        "read1": lambda body: list(iter(lambda: body.read1(4), b"")),
    }

    def app(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        ways[read](made["wsgi.input"])
        start_response("200 OK", JSON)
        return [b"{}"]

    call(runtime.wsgi(app), environ(payload))
    assert only(runtime).request_bytes == len(payload)


def test_the_length_of_a_response_is_kept(runtime: ZeroRetention) -> None:
    """Servers that compute the Content-Length from a list of one still can."""
    response = runtime.wsgi(answering(b"ok"))(environ(), lambda *_: lambda _: None)
    assert len(response) == 1  # type: ignore[arg-type] # the app's own response has a length
    response.close()  # type: ignore[attr-defined] # the shell's responses close


def test_the_apps_close_is_reached(runtime: ZeroRetention) -> None:
    """``close`` reaches what the app returned, though it was never iterated."""
    closed: list[bool] = []

    class Response:
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

        def close(self) -> None:
            closed.append(True)

    def app(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", JSON)
        return Response()

    response = runtime.wsgi(app)(environ(), lambda *_: lambda _: None)
    response.close()  # type: ignore[attr-defined] # the shell's responses close
    assert closed == [True]
    assert only(runtime).outcome == "aborted"


def test_the_record_stands_before_the_last_chunk(runtime: ZeroRetention) -> None:
    """A reply of declared length is recorded before the server gets its last chunk."""
    headers = [*JSON, ("Content-Length", "2")]

    def app(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        yield b"o"
        yield b"k"

    response = iter(runtime.wsgi(app)(environ(), lambda *_: lambda _: None))
    assert next(response) == b"o"
    assert testing.usage_records(runtime) == []
    assert next(response) == b"k"
    assert only(runtime).outcome == "completed"
    response.close()  # type: ignore[attr-defined] # the shell's responses close


def test_the_write_callable_is_metered(runtime: ZeroRetention) -> None:
    """Bytes through the legacy ``write`` pass unchanged and are counted."""

    def app(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", JSON)(b"old")
        return [b"new"]

    assert call(runtime.wsgi(app), environ())[2] == [b"old", b"new"]
    assert only(runtime).response_bytes == 6


def test_a_crash_reaches_the_server_as_a_stand_in(runtime: ZeroRetention) -> None:
    """Exceptions of the call and of the iteration leave without content."""
    secret = "the patient said"

    def at_once(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise ValueError(secret)

    def later(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", JSON)
        yield b"x"
        raise ValueError(secret)

    for app in (at_once, later):
        with pytest.raises(ValueError, match="withheld") as caught:
            call(runtime.wsgi(app), environ())
        assert caught.value.__context__ is None
        assert secret not in str(caught.value) + repr(caught.value.args)
    records = testing.usage_records(runtime)
    assert [(record.outcome, record.error_type) for record in records] == [
        ("error", "ValueError")
    ] * 2


def test_exc_info_is_passed_only_where_it_was_given(runtime: ZeroRetention) -> None:
    """Old servers whose ``start_response`` takes two arguments still work."""
    got: list[int] = []

    def start_response(*args: Any) -> Callable[[bytes], object]:
        got.append(len(args))
        return lambda _: None

    list(runtime.wsgi(answering(b"x"))(environ(), start_response))
    assert got == [2]


def test_a_head_request_is_complete_without_a_body(runtime: ZeroRetention) -> None:
    """A reply that has no body is whole even if the server never asks for one."""
    response = runtime.wsgi(answering(b"x"))(
        environ(REQUEST_METHOD="HEAD"), lambda *_: lambda _: None
    )
    response.close()  # type: ignore[attr-defined] # the shell's responses close
    assert only(runtime).outcome == "completed"


def test_interleaved_requests_keep_their_exchanges(runtime: ZeroRetention) -> None:
    """A server may iterate responses in turn, and on another thread than the call's."""
    seen: dict[str, list[Any]] = {"/a": [], "/b": []}

    def app(made: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", JSON)
        for chunk in (b"1", b"2"):
            seen[made["PATH_INFO"]].append(current())
            yield chunk

    wrapped = runtime.wsgi(app)
    a, b = (iter(wrapped(environ(path=p), lambda *_: lambda _: None)) for p in ("/a", "/b"))
    next(a)
    next(b)
    thread = threading.Thread(target=lambda: list(a))
    thread.start()
    thread.join()
    list(b)
    assert current() is None
    assert seen["/a"][0] is seen["/a"][1]
    assert seen["/b"][0] is seen["/b"][1]
    assert seen["/a"][0] is not seen["/b"][0]


def test_wrapping_twice_is_handled_once(runtime: ZeroRetention) -> None:
    """An app inside two shells leaves one record."""
    call(runtime.wsgi(runtime.wsgi(answering(b"x"))), environ())
    assert only(runtime).response_bytes == 1


def test_an_async_identify_works(runtime: ZeroRetention) -> None:
    """``identify`` may be a coroutine function under WSGI too."""

    async def identify(credential: str) -> str | None:
        return "acme" if credential == "k" else None

    with testing.memory_runtime(identify=identify) as other:
        call(other.wsgi(answering(b"x")), environ(HTTP_X_API_KEY="k"))
        assert only(other).account == "acme"


def test_a_server_that_forgets_close_keeps_nothing(runtime: ZeroRetention) -> None:
    """A response that is dropped unread ends its exchange, as aborted."""
    response: Any = runtime.wsgi(answering(b"x"))(environ(b"prompt"), lambda *_: lambda _: None)
    before = set(LIVE.flights())
    del response
    gc.collect()
    assert only(runtime).outcome == "aborted"
    assert all(flight.ended is not None for flight in before)
