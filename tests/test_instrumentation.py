"""Instrumented clients: real SDKs, a real server; sums, attempts, names, no byte changed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic
import httpx
import openai
import pytest

import zeroret
from zeroret import ZeroRetention, testing
from zeroret.errors import ConfigurationError
from zeroret.usage.record import UsageRecord


class Upstream:
    """An upstream that answers as OpenAI and Anthropic do, and fails when it is told to."""

    def __init__(self) -> None:
        self.failures = 0
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append(body)
                if outer.failures:
                    outer.failures -= 1
                    self._send(500, "application/json", b'{"error":{"message":"no"}}')
                elif self.path.endswith("/messages"):
                    self._send(200, "application/json", json.dumps(message(body)).encode())
                elif body.get("stream"):
                    self._send(200, "text/event-stream", stream(body))
                else:
                    self._send(200, "application/json", json.dumps(completion(body)).encode())

            def _send(self, status: int, kind: str, data: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """Answer a chat."""
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "hello"},
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    }


def message(body: dict[str, Any]) -> dict[str, Any]:
    """Answer a message."""
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 40},
    }


def chunk(model: str, **rest: Any) -> bytes:
    """Return an event."""
    data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, **rest}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def stream(body: dict[str, Any]) -> bytes:
    """Answer a chat as a stream, with usage if it is asked for."""
    model = body["model"]
    events = [
        chunk(model, choices=[{"index": 0, "delta": {"content": word}, "finish_reason": None}])
        for word in ("hello ", "world")
    ]
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        events.append(chunk(model, choices=[], usage=usage))
    return b"".join([*events, b"data: [DONE]\n\n"])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Give a running upstream."""
    started = Upstream()
    yield started
    started.close()


def chat(client: openai.OpenAI, model: str = "gpt-4o", **options: Any) -> Any:
    """Make one call."""
    messages: Any = [{"role": "user", "content": "hi"}]
    return client.chat.completions.create(model=model, messages=messages, **options)


def recorded(runtime: ZeroRetention, work: Callable[[], object]) -> UsageRecord:
    """Do *work* as one exchange and return its record."""
    zeroret.metered(runtime=runtime)(work)()
    return testing.usage_records(runtime)[-1]


def sums(record: UsageRecord) -> tuple[Any, ...]:
    """Return the counts and where they come from."""
    return (record.input_tokens, record.output_tokens, record.usage_source)


def test_calls_of_several_clients_add_up(runtime: ZeroRetention, upstream: Upstream) -> None:
    """Two vendors, three calls: one record with their sum, and the model that answered last."""
    first = zeroret.instrument(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    second = zeroret.instrument(anthropic.Anthropic(base_url=upstream.url, api_key="k"))

    def work() -> None:
        chat(first)
        chat(first)
        messages: Any = [{"role": "user", "content": "hi"}]
        second.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=messages)

    record = recorded(runtime, work)
    assert sums(record) == (120, 48, "reported")
    assert record.response_model == "claude-haiku-4-5"
    first.close()
    second.close()


def test_a_retried_attempt_is_not_counted(runtime: ZeroRetention, upstream: Upstream) -> None:
    """An attempt that failed used nothing; the one that succeeded counts once."""
    client = zeroret.instrument(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    upstream.failures = 1
    assert sums(recorded(runtime, lambda: chat(client))) == (10, 4, "reported")
    assert len(upstream.asked) == 2
    client.close()


def test_a_fallback_counts_alone(runtime: ZeroRetention, upstream: Upstream) -> None:
    """Where one vendor fails for good and another answers, the answer's usage is all."""
    client = zeroret.instrument(
        openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0)
    )
    upstream.failures = 1

    def work() -> None:
        with pytest.raises(openai.InternalServerError):
            chat(client)
        chat(client, "gpt-4o-mini")

    record = recorded(runtime, work)
    assert sums(record) == (10, 4, "reported")
    assert record.response_model == "gpt-4o-mini"
    client.close()


def test_instrumenting_twice_counts_once(runtime: ZeroRetention, upstream: Upstream) -> None:
    """A second call of instrument changes nothing."""
    client = zeroret.instrument(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    assert zeroret.instrument(client) is client
    assert sums(recorded(runtime, lambda: chat(client))) == (10, 4, "reported")
    client.close()


def test_usage_is_asked_for_and_hidden(runtime: ZeroRetention, upstream: Upstream) -> None:
    """The upstream is asked, the handler's stream is the one it would have had, to the byte."""
    body = {"model": "gpt-4o", "stream": True, "messages": []}
    with httpx.Client(base_url=upstream.url) as bare:
        expected = bare.post("/v1/chat/completions", json=body).content
    client = zeroret.instrument(httpx.Client(base_url=upstream.url), ask_usage=True)
    got: list[bytes] = []

    def work() -> None:
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            got.append(b"".join(response.iter_bytes()))

    record = recorded(runtime, work)
    assert sums(record) == (7, 2, "reported")
    assert got == [expected]
    assert upstream.asked[-1]["stream_options"] == {"include_usage": True}
    client.close()


def test_who_asked_sees_the_answer(runtime: ZeroRetention, upstream: Upstream) -> None:
    """A caller that asks for usage itself gets its chunk."""
    client = zeroret.instrument(
        openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"), ask_usage=True
    )
    chunks: list[Any] = []

    def work() -> None:
        options = {"include_usage": True}
        chunks.extend(chat(client, stream=True, stream_options=options))

    assert sums(recorded(runtime, work)) == (7, 2, "reported")
    assert chunks[-1].usage.prompt_tokens == 7
    client.close()


def test_a_stream_that_nobody_asked_is_counted(runtime: ZeroRetention, upstream: Upstream) -> None:
    """Without usage the text is counted locally, and said to be."""
    client = zeroret.instrument(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    record = recorded(runtime, lambda: list(chat(client, stream=True)))
    assert record.output_tokens == 2
    assert record.usage_source in {"counted", "estimated"}
    client.close()


def test_asynchronous_clients(runtime: ZeroRetention, upstream: Upstream) -> None:
    """The same for async clients, calls and streams."""
    client = zeroret.instrument(
        openai.AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="k"), ask_usage=True
    )
    messages: Any = [{"role": "user", "content": "hi"}]
    seen: list[Any] = []

    @zeroret.metered(runtime=runtime)
    async def work() -> None:
        await client.chat.completions.create(model="gpt-4o", messages=messages)
        events = await client.chat.completions.create(
            model="gpt-4o", messages=messages, stream=True
        )
        seen.extend([event async for event in events])
        await client.close()

    asyncio.run(work())
    assert sums(testing.usage_records(runtime)[-1]) == (17, 6, "reported")
    assert all(event.choices for event in seen)


def test_a_new_models_name_is_learned(upstream: Upstream) -> None:
    """A name that an upstream of the operator's served with usage is shown from then on."""
    with testing.memory_runtime(upstreams=["localhost"]) as runtime:
        client = zeroret.instrument(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
        record = recorded(runtime, lambda: chat(client, "brand-new-model-9"))
        assert record.response_model == "brand-new-model-9"
        client.close()


def test_outside_of_an_exchange_nothing_happens(upstream: Upstream) -> None:
    """A client that is used elsewhere works as ever."""
    client = zeroret.instrument(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))
    assert chat(client).usage.total_tokens == 14
    client.close()


def test_the_handlers_word_wins(runtime: ZeroRetention, upstream: Upstream) -> None:
    """What a handler reports stands above the sum of its calls."""
    client = zeroret.instrument(openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k"))

    def work() -> None:
        chat(client)
        exchange = zeroret.current()
        assert exchange is not None
        exchange.report(input_tokens=1, output_tokens=1)

    assert sums(recorded(runtime, work)) == (1, 1, "reported")
    client.close()


def test_other_clients_are_told() -> None:
    """An object on no known library is refused with the names of those that are."""
    with pytest.raises(ConfigurationError, match="openai, anthropic and others on httpx"):
        zeroret.instrument(object())
