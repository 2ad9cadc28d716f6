"""What exchanges are metered as: by a handler's word, by route, by plug-ins, over websockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, Final

import anyio
import pytest

from zeroret import ZeroRetention, current, testing
from zeroret.dialects import Dialect, plugins
from zeroret.tokens import TokenCounter, vocabulary
from zeroret.tokens.framing import PromptCount
from zeroret.types import ASGIApp, Message, Receive, Scope, Send
from zeroret.usage.asked import ASIDE
from zeroret.usage.record import UsageRecord
from zeroret.writing import with_prompt

pytestmark = pytest.mark.anyio

CHAT: Final = {
    "model": "gpt-4o-mini",
    "choices": [{"message": {"content": "four"}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
}


def answering(*bodies: bytes, kind: bytes = b"application/json") -> ASGIApp:
    """Return an app that reads its request and answers in pieces."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def served(  # noqa: PLR0913 - one request
    runtime: ZeroRetention,
    app: ASGIApp,
    path: str,
    body: bytes = b"{}",
    *,
    kind: str = "http",
    messages: tuple[Message, ...] = (),
    on_send: Callable[[Message], None] | None = None,
) -> UsageRecord:
    """Serve one connection and return its record."""
    received: list[Message] = list(messages) or [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        return received.pop(0) if received else {"type": f"{kind}.disconnect"}

    async def send(message: Message) -> None:
        if on_send is not None:
            on_send(message)

    scope: dict[str, Any] = {
        "type": kind,
        "method": "POST",
        "path": path,
        "query_string": b"model=gpt-realtime" if kind == "websocket" else b"",
        "headers": [],
        "client": None,
    }
    if kind == "websocket":
        del scope["method"]
    await runtime.asgi(app)(scope, receive, send)
    return testing.usage_records(runtime)[-1]


async def test_the_handler_can_say_every_count(runtime: ZeroRetention) -> None:
    """Each count that a handler says wins over the reply's; the rest is the reply's."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = current()
        assert exchange is not None
        exchange.report(
            input_tokens=100,
            cache_read_input_tokens=60,
            cache_write_input_tokens=0,
            reasoning_output_tokens=5,
            audio_input_tokens=1,
            audio_output_tokens=2,
            images=3,
            model="gpt-4o",
        )
        await answering(json.dumps(CHAT).encode())(scope, receive, send)

    row = await served(runtime, app, "/v1/chat/completions")
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (100, 1, "reported")
    assert (row.cache_read_input_tokens, row.cache_write_input_tokens) == (60, 0)
    assert (row.reasoning_output_tokens, row.images) == (5, 3)
    assert (row.audio_input_tokens, row.audio_output_tokens) == (1, 2)
    assert row.response_model == "gpt-4o"
    assert runtime.failures == {}


@pytest.mark.parametrize(
    "said", [{"input_tokens": -1}, {"output_tokens": 1.5}, {"images": "3"}, {"tokens": 5}]
)
async def test_what_is_no_count_is_told_to_the_operator_alone(
    runtime: ZeroRetention, said: dict[str, Any]
) -> None:
    """A wrong word does not hurt the reply; it is left out and stands among the failures."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = current()
        assert exchange is not None
        exchange.report(**said)
        await answering(json.dumps(CHAT).encode())(scope, receive, send)

    row = await served(runtime, app, "/v1/chat/completions")
    assert (row.input_tokens, row.output_tokens) == (7, 1)
    assert runtime.failures["report"] == 1
    assert runtime.posture()["failures"]["report"] == 1


async def test_what_cannot_be_read_is_counted(runtime: ZeroRetention) -> None:
    """An answer whose usage is damaged is unknown, and the posture says how many there were."""
    broken = json.dumps({**CHAT, "usage": {"prompt_tokens": "7", "completion_tokens": -1}})
    row = await served(runtime, answering(broken.encode()), "/v1/chat/completions")
    assert row.usage_source in {"counted", "estimated"}
    assert runtime.unread == runtime.posture()["unread"] == 2


async def test_routes_say_their_dialect() -> None:
    """A stated route is metered as its dialect, and a closed one is not metered by any."""
    stated = {"/my/{tenant}/chat": "openai.chat", "/v1/chat/completions": None}
    with testing.memory_runtime(dialects=stated) as runtime:
        app = answering(json.dumps(CHAT).encode())
        row = await served(runtime, app, "/my/acme/chat")
        assert (row.dialect, row.input_tokens) == ("openai.chat", 7)
        row = await served(runtime, app, "/v1/chat/completions")
        assert (row.dialect, row.input_tokens, row.usage_source) == (None, None, "unknown")


BROKEN: Final = EntryPoint("broken", "no_such_module_here:dialect", "zeroret.dialects")
WRONG: Final = EntryPoint("wrong", "json:dumps", "zeroret.dialects")
TWICE: Final = EntryPoint("twice", "zeroret.dialects:DIALECTS", "zeroret.dialects")


async def test_a_broken_plug_in_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an entry point offers cannot hurt the server: the start counts it, requests go on."""
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [BROKEN, WRONG, TWICE])
    with testing.memory_runtime() as runtime:
        assert runtime.failures == {"dialects": 3}
        app = answering(json.dumps(CHAT).encode())
        assert (await served(runtime, app, "/v1/chat/completions")).input_tokens == 7


async def test_a_plug_in_is_metered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialect that an entry point offers is found by its path from the start on."""
    import zeroret.dialects as registry

    offered = Dialect("acme.chat", "zeroret.dialects.openai", ("acme/talk",), prompt="chat")
    monkeypatch.setattr(registry, "_acme", offered, raising=False)
    point = EntryPoint("acme", "zeroret.dialects:_acme", "zeroret.dialects")
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [point])
    try:
        with testing.memory_runtime(dialects={"/other": "acme.chat"}) as runtime:
            app = answering(json.dumps(CHAT).encode())
            for path in ("/v1/acme/talk", "/other"):
                row = await served(runtime, app, path)
                assert (row.dialect, row.provider, row.input_tokens) == ("acme.chat", "acme", 7)
            assert runtime.failures == {}
    finally:
        registry._added.clear()
        registry._index._by_key.pop("talk", None)
        plugins._seen.clear()


async def test_a_long_session_is_noted_as_it_goes(runtime: ZeroRetention) -> None:
    """Whenever an answer of a websocket tells its usage, the live slot has the sum so far."""
    noted: list[int | None] = []
    checkpoint = runtime.checkpoint

    def note(exchange: Any) -> None:
        checkpoint(exchange)
        noted.append(exchange.meter.peek().input_tokens)

    def done(number: int) -> str:
        usage = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
        event = {"type": "response.done", "response": {"id": f"resp_{number}", "usage": usage}}
        return json.dumps(event)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        for number in range(3):
            await send({"type": "websocket.send", "text": done(number)})
        await send({"type": "websocket.close", "code": 1000})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "checkpoint", note)
        row = await served(runtime, app, "/v1/realtime", kind="websocket")
    assert noted[-3:] == [10, 20, 30]
    assert (row.dialect, row.status, row.outcome) == ("openai.realtime", 101, "completed")
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (30, 6, "reported")
    assert row.request_model == "gpt-realtime"


async def test_an_aborted_reply_has_the_count_of_its_long_prompt(runtime: ZeroRetention) -> None:
    """The record of a reply that broke off waits for the count of its prompt, and has it."""
    vocabulary.encoding("o200k_base")
    text = "the quick brown fox " * (2 * ASIDE // 20)
    asked = {
        "model": "gpt-4o",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": text}],
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        event = b'data: {"choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'
        await send({"type": "http.response.body", "body": event, "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    row = await served(runtime, app, "/v1/chat/completions", json.dumps(asked).encode())
    counter = TokenCounter()
    assert row.outcome == "aborted"
    assert row.input_tokens == counter.count(text) + 7
    assert (row.output_tokens, row.usage_source) == (counter.count("hello"), "counted")


def test_a_prompt_fills_only_the_columns_that_are_kept() -> None:
    """A late count obeys the policy of its record, and the weaker source is told."""
    bare = UsageRecord(id="i", policy="p", usage_source="counted", output_tokens=3)
    assert with_prompt(bare, PromptCount(5, exact=False, images=1)) == UsageRecord(
        id="i", policy="p", usage_source="estimated", output_tokens=3
    )
    kept = UsageRecord(id="i", policy="p", usage_source="unknown", input_tokens=None, images=None)
    filled = with_prompt(kept, PromptCount(5, exact=True, images=1))
    assert (filled.input_tokens, filled.images, filled.usage_source) == (5, 1, "counted")
    assert with_prompt(kept, None) is kept
