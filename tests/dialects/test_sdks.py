"""OpenAI's and Anthropic's SDKs through a wrapped server: replies unchanged, records right."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest

from zeroret import TokenCounter

Rows = Callable[[Path, int], list[dict[str, Any]]]

SERVERS: Final = Path(__file__).parents[1] / "servers"
TEXTS: Final = ("Grüße ", "from ", "the ", "model \U0001f600.")
WHOLE: Final = "".join(TEXTS)
QUESTION: Final[Any] = [{"role": "user", "content": "Say hello to everyone, please."}]
JSON: Final = "application/json"
SSE: Final = "text/event-stream; charset=utf-8"


class Served:
    """A server that runs: its address, and the records of what it served, bare calls aside."""

    def __init__(self, port: int, database: Path, usage_rows: Rows) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._database = database
        self._rows = usage_rows
        self._seen = 0

    def records(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the next *count* records, the oldest first."""
        self._seen += count
        return self._rows(self._database, self._seen)[-count:]


def dumped(value: Any) -> bytes:
    """Return *value* as JSON, umlauts as they are."""
    return json.dumps(value, ensure_ascii=False).encode()


def reply(body: bytes, kind: str) -> dict[str, Any]:
    """Return a reply in pieces that end anywhere, inside characters too."""
    rng = random.Random(len(body))  # noqa: S311 - cuts, not secrets
    places = [0, *sorted(rng.randrange(len(body) + 1) for _ in range(9)), len(body)]
    chunks = [b64encode(body[a:b]).decode() for a, b in pairwise(places)]
    return {"status": 200, "headers": [("content-type", kind)], "chunks": chunks}


def data(*objects: Any, last: bytes = b"") -> bytes:
    """Return *objects* as server-sent events without a type."""
    return b"".join(b"data: " + dumped(each) + b"\n\n" for each in objects) + last


def typed(*objects: dict[str, Any]) -> bytes:
    """Return *objects* as server-sent events, each with its type."""
    return b"".join(
        b"event: " + each["type"].encode() + b"\ndata: " + dumped(each) + b"\n\n"
        for each in objects
    )


CHAT_USAGE: Final = {
    "prompt_tokens": 19,
    "completion_tokens": 30,
    "total_tokens": 49,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 0},
}
RESPONSE_USAGE: Final = {
    "input_tokens": 25,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 16},
    "total_tokens": 65,
}
MESSAGE_USAGE: Final = {
    "input_tokens": 7,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 20,
    "output_tokens": 33,
}


def chat() -> dict[str, Any]:
    """Return the replies of chat completions, completions and embeddings."""
    base = {"id": "c1", "created": 1, "model": "gpt-4o-2024-08-06", "system_fingerprint": "f"}

    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**base, "object": "chat.completion.chunk", "choices": [choice], **more}

    message = {"role": "assistant", "content": WHOLE, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    answer = {**base, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE}
    pieces = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": t}) for t in TEXTS)]
    pieces.append(chunk({}, "stop"))
    last = {**base, "object": "chat.completion.chunk", "choices": [], "usage": CHAT_USAGE}
    done = b"data: [DONE]\n\n"
    with_nulls = [{**piece, "usage": None} for piece in pieces]
    texts = [
        {**base, "object": "text_completion", "choices": [{"index": 0, "text": text}]}
        for text in TEXTS
    ]
    vectors = {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    }
    return {
        "/v1/chat/completions": reply(dumped(answer), JSON),
        "/v1/chat/completions stream": reply(data(*with_nulls, last, last=done), SSE),
        "/silent/chat/completions stream": reply(data(*pieces, last=done), SSE),
        "/silent/chat/completions": reply(dumped(answer), JSON),
        "/v1/completions": reply(data(*texts, last=done), SSE),
        "/v1/embeddings": reply(dumped(vectors), JSON),
    }


def responses() -> dict[str, Any]:
    """Return the replies of responses."""
    base = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o-2024-08-06",
            "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
            "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [],
            "top_p": 1.0}  # fmt: skip
    text = {"type": "output_text", "text": WHOLE, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [text]}  # fmt: skip
    whole = {**base, "status": "completed", "output": [item], "usage": RESPONSE_USAGE}
    begun = {**base, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    empty = {**item, "content": [], "status": "in_progress"}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        {"type": "response.content_part.added", **place, "part": {**text, "text": ""}},
        *(
            {"type": "response.output_text.delta", **place, "delta": each, "logprobs": []}
            for each in TEXTS
        ),
        {"type": "response.output_text.done", **place, "text": WHOLE, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": text},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    stream = typed(*({**each, "sequence_number": n} for n, each in enumerate(events)))
    return {
        "/v1/responses": reply(dumped(whole), JSON),
        "/v1/responses stream": reply(stream, SSE),
        "/v1/responses/resp_1": reply(dumped(whole), JSON),
    }


def media() -> dict[str, Any]:
    """Return the replies of sound, images and moderations."""
    tokens = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
              "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}  # fmt: skip
    said = [{"type": "transcript.text.delta", "delta": each} for each in TEXTS]
    heard = data(*said, {"type": "transcript.text.done", "text": WHOLE, "usage": tokens})
    image = {"created": 1, "data": [{"b64_json": "A" * 50_000}],
             "usage": {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210,
                       "input_tokens_details": {"text_tokens": 10}}}  # fmt: skip
    judged = {"id": "modr_1", "model": "omni-moderation-latest", "results": []}
    return {
        "/v1/audio/transcriptions": reply(dumped({"text": WHOLE, "usage": tokens}), JSON),
        "/v1/audio/transcriptions stream": reply(heard, SSE),
        "/v1/audio/speech": reply(b"\xff\xf3" * 4000, "audio/mpeg"),
        "/v1/images/generations": reply(dumped(image), JSON),
        "/v1/moderations": reply(dumped(judged), JSON),
    }


def batches() -> dict[str, Any]:
    """Return the replies of batches."""
    line = {"id": "batch_req_1", "custom_id": "1", "error": None,
            "response": {"status_code": 200, "request_id": "r",
                         "body": {"model": "gpt-4o-mini", "usage": CHAT_USAGE}}}  # fmt: skip
    batch = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions",
             "input_file_id": "file_in", "completion_window": "24h", "status": "completed",
             "output_file_id": "file_out", "created_at": 1}  # fmt: skip
    message: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "content": [],
               "model": "claude-haiku-4-5", "stop_reason": "end_turn", "stop_sequence": None,
               "usage": MESSAGE_USAGE}  # fmt: skip
    result = {"custom_id": "1", "result": {"type": "succeeded", "message": message}}
    results = dumped(result) + b"\n" + dumped({**result, "custom_id": "2"})
    told = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended",
            "request_counts": {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0,
                               "expired": 0}, "ended_at": None,
            "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z",
            "cancel_initiated_at": None, "archived_at": None,
            "results_url": "/v1/messages/batches/msgbatch_1/results"}  # fmt: skip
    return {
        "/v1/batches/batch_1": reply(dumped(batch), JSON),
        "/v1/files/file_out/content": reply(dumped(line) + b"\n" * 2, "application/octet-stream"),
        "/v1/messages/batches/msgbatch_1": reply(dumped(told), JSON),
        "/v1/messages/batches/msgbatch_1/results": reply(results, "application/x-jsonl"),
    }


def messages() -> dict[str, Any]:
    """Return the replies of messages."""
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
            "stop_reason": None, "stop_sequence": None}  # fmt: skip
    whole = {**base, "content": [{"type": "text", "text": WHOLE}], "stop_reason": "end_turn",
             "usage": MESSAGE_USAGE}  # fmt: skip
    start: dict[str, Any] = {**base, "content": [], "usage": {**MESSAGE_USAGE, "output_tokens": 1}}
    block = {"type": "text", "text": ""}
    stream = typed(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": each},
            }
            for each in TEXTS
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 33},
        },
        {"type": "message_stop"},
    )
    return {
        "/v1/messages": reply(dumped(whole), JSON),
        "/v1/messages stream": reply(stream, SSE),
        "/v1/messages/count_tokens": reply(dumped({"input_tokens": 14}), JSON),
    }


def realtime() -> dict[str, Any]:
    """Return the frames of a realtime session, and of responses over a websocket."""
    usage = {
        "total_tokens": 150,
        "input_tokens": 120,
        "output_tokens": 30,
        "input_token_details": {"text_tokens": 20, "audio_tokens": 100, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 10, "audio_tokens": 20},
    }
    session = {"type": "realtime", "object": "realtime.session", "id": "sess_1",
               "model": "gpt-realtime"}  # fmt: skip
    greeting = {"type": "session.created", "event_id": "e0", "session": session}
    deltas = [
        {"type": "response.output_text.delta", "event_id": "e1", "response_id": "resp_@",
         "item_id": "i", "output_index": 0, "content_index": 0, "delta": each}
        for each in TEXTS
    ]  # fmt: skip
    done = {"type": "response.done", "event_id": "e2",
            "response": {"id": None, "object": "realtime.response", "status": "completed",
                         "output": [], "usage": usage}}  # fmt: skip
    answer = [json.dumps(each) for each in [*deltas, done]]
    return {"/v1/realtime": {"greeting": json.dumps(greeting), "answer": answer}}


@pytest.fixture(scope="module")
def replies() -> dict[str, Any]:
    """Give what the server answers, by path."""
    return {**chat(), **responses(), **media(), **batches(), **messages()}


@pytest.fixture(scope="module")
def served(
    replies: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, usage_rows: Rows
) -> Iterator[Served]:
    """Give a running server that answers with *replies*, wrapped and bare."""
    folder = tmp_path_factory.mktemp("sdks")
    (folder / "replies.json").write_text(json.dumps({**replies, **realtime()}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database = folder / "usage.db"
    environ = {"REPLIES": str(folder / "replies.json"), "USAGE_SINK": f"sqlite:///{database}"}
    command = ["-m", "uvicorn", "--app-dir", str(SERVERS), "--port", str(port), "sdk_app:app"]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    for _ in range(600):
        assert process.poll() is None, (folder / "output.txt").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)
    yield Served(port, database, usage_rows)
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    """Give OpenAI's client."""
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def claude(served: Served) -> Iterator[anthropic.Anthropic]:
    """Give Anthropic's client."""
    with anthropic.Anthropic(base_url=served.url, api_key="k", max_retries=0) as made:
        yield made


def told(row: dict[str, Any], source: str = "reported") -> tuple[Any, ...]:
    """Return what a record says of the usage."""
    assert row["outcome"] == "completed"
    assert row["usage_source"] == source
    return row["dialect"], row["input_tokens"], row["output_tokens"]


def parts(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a record says of the parts."""
    return (
        row["cache_read_input_tokens"],
        row["cache_write_input_tokens"],
        row["reasoning_output_tokens"],
    )


def test_every_reply_is_unchanged(served: Served, replies: dict[str, Any]) -> None:
    """Status, headers and bytes are those of the bare app, whatever is read of them."""

    def fetched(prefix: str, path: str) -> tuple[int, list[tuple[str, str]], bytes]:
        plain, _, streamed = path.partition(" ")
        body = b'{"stream":true}' if streamed else b"{}"
        request = urllib.request.Request(served.url + prefix + plain, body, method="POST")
        with urllib.request.urlopen(request) as response:
            headers = [pair for pair in response.getheaders() if pair[0].lower() != "date"]
            return response.status, headers, response.read()

    for path in replies:
        assert fetched("", path) == fetched("/bare", path), path
    served.records(len(replies))


def test_chat(served: Served, client: openai.OpenAI) -> None:
    """A chat, whole and as a stream, reports what the SDK parses."""
    answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert answer.choices[0].message.content == WHOLE
    assert answer.usage is not None
    (row,) = served.records()
    assert told(row) == ("openai.chat", answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert parts(row) == (8, None, 12)
    stream = client.chat.completions.create(
        model="gpt-4o",
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == WHOLE
    (row,) = served.records()
    assert told(row) == ("openai.chat", 19, 30)
    assert (row["stream"], row["request_model"]) == (1, "gpt-4o")
    assert row["response_model"] == "gpt-4o-2024-08-06"


def test_chat_that_reports_nothing(served: Served) -> None:
    """A stream that was not asked for usage is counted as tiktoken counts it."""
    with openai.OpenAI(base_url=f"{served.url}/silent", api_key="k") as client:
        texts = [
            each.choices[0].delta.content or ""
            for each in client.chat.completions.create(
                model="gpt-4o", messages=QUESTION, stream=True
            )
        ]
    assert "".join(texts) == WHOLE
    (row,) = served.records()
    counter = TokenCounter()
    prompt = counter.count("user") + counter.count(QUESTION[0]["content"]) + 6
    assert told(row, row["usage_source"]) == ("openai.chat", prompt, counter.count(WHOLE))
    assert row["usage_source"] in {"counted", "estimated"}


def test_a_client_that_hangs_up(served: Served, client: openai.OpenAI) -> None:
    """A client that leaves at the end of its stream has a whole record."""
    with client.chat.completions.create(
        model="gpt-4o", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    ) as stream:
        for chunk in stream:
            if chunk.usage is not None:
                break
    (row,) = served.records()
    assert row["outcome"] in {"completed", "aborted"}
    assert (row["input_tokens"], row["output_tokens"]) == (19, 30)


def test_completions_and_embeddings(served: Served, client: openai.OpenAI) -> None:
    """Older endpoints have their records too."""
    stream = client.completions.create(model="davinci-002", prompt="Say hello", stream=True)
    assert "".join(each.choices[0].text for each in stream) == WHOLE
    (row,) = served.records()
    assert row["dialect"] == "openai.completions"
    assert row["usage_source"] in {"counted", "estimated"}
    assert client.embeddings.create(model="text-embedding-3-small", input="hi").usage
    (row,) = served.records()
    assert told(row) == ("openai.embeddings", 6, 0)


def test_responses(served: Served, client: openai.OpenAI) -> None:
    """Responses, whole, as a stream and by the stream helper; a stored one is not metered again."""
    answer = client.responses.create(model="gpt-4o", input="Say hello")
    assert answer.output_text == WHOLE
    assert answer.usage is not None
    (row,) = served.records()
    assert told(row) == ("openai.responses", answer.usage.input_tokens, answer.usage.output_tokens)
    assert parts(row) == (5, 3, 16)
    texts = [
        event.delta
        for event in client.responses.create(model="gpt-4o", input="Say hello", stream=True)
        if event.type == "response.output_text.delta"
    ]
    assert "".join(texts) == WHOLE
    (row,) = served.records()
    assert (*told(row), row["stream"]) == ("openai.responses", 25, 40, 1)
    with client.responses.stream(model="gpt-4o", input="Say hello") as stream:
        assert stream.get_final_response().output_text == WHOLE
    assert told(served.records()[0]) == ("openai.responses", 25, 40)
    assert client.responses.retrieve("resp_1").usage is not None
    assert told(served.records()[0], "unknown") == ("openai.stored_responses", None, None)


def test_sound_and_images(served: Served, client: openai.OpenAI) -> None:
    """Sound and images have what they report; what they do not report is unknown."""
    sound = ("a.wav", b"RIFF" + bytes(200_000))
    heard = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound)
    assert heard.text == WHOLE
    (row,) = served.records()
    assert told(row) == ("openai.transcriptions", 14, 45)
    assert (row["audio_input_tokens"], row["request_model"]) == (14, "gpt-4o-transcribe")
    events = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound, stream=True)
    assert [each.type for each in events][-1] == "transcript.text.done"
    (row,) = served.records()
    assert (*told(row), row["stream"]) == ("openai.transcriptions", 14, 45, 1)
    assert client.images.generate(model="gpt-image-1", prompt="a fox").usage is not None
    assert told(served.records()[0]) == ("openai.images", 50, 4160)
    spoken = client.audio.speech.create(model="tts-1", voice="ash", input="hello")
    assert len(spoken.read()) == 8000
    assert told(served.records()[0], "unknown") == ("openai.speech", None, None)
    client.moderations.create(input="hello")
    assert told(served.records()[0], "unknown") == ("openai.moderations", None, None)


def test_batches(served: Served, client: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    """Results of batches are taken at their first fetch alone."""
    assert client.batches.retrieve("batch_1").status == "completed"
    assert served.records()[0]["input_tokens"] is None
    for expected in (("openai.batch_results", 19, 30), ("openai.batch_results", None, None)):
        assert b"batch_req_1" in client.files.content("file_out").read()
        (row,) = served.records()
        assert (row["dialect"], row["input_tokens"], row["output_tokens"]) == expected
    for counts in ((254, 66), (None, None)):
        assert len(list(claude.messages.batches.results("msgbatch_1"))) == 2
        _, row = served.records(2)  # the SDK asks for the batch first
        assert row["dialect"] == "anthropic.batches"
        assert (row["input_tokens"], row["output_tokens"]) == counts


@pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")  # how the SDK calls websockets
def test_realtime(served: Served, client: openai.OpenAI) -> None:
    """A realtime session of two answers has one record with the sum of both."""
    with client.realtime.connect(
        model="gpt-realtime",
        websocket_connection_options={},
    ) as connection:
        assert connection.recv().type == "session.created"
        for _ in range(2):
            connection.response.create()
            while connection.recv().type != "response.done":
                pass
    (row,) = served.records()
    assert told(row) == ("openai.realtime", 240, 60)
    assert (row["audio_input_tokens"], row["audio_output_tokens"]) == (200, 40)
    assert (row["status"], row["request_model"]) == (101, "gpt-realtime")


def test_messages(served: Served, claude: anthropic.Anthropic) -> None:
    """A message, whole, as a stream and by the stream helper, reports what the SDK parses."""
    asked: Any = {"model": "claude-sonnet-5", "max_tokens": 99, "messages": QUESTION}
    answer = claude.messages.create(**asked)
    assert answer.usage.output_tokens == 33
    (row,) = served.records()
    assert told(row) == ("anthropic.messages", 127, 33)
    assert parts(row) == (100, 20, None)
    kinds = [event.type for event in claude.messages.create(**asked, stream=True)]
    assert kinds[-1] == "message_stop"
    (row,) = served.records()
    assert (*told(row), row["stream"]) == ("anthropic.messages", 127, 33, 1)
    with claude.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    usage = final.usage
    assert usage.input_tokens + 120 == served.records()[0]["input_tokens"]
    counted = claude.messages.count_tokens(model="claude-sonnet-5", messages=QUESTION)
    assert counted.input_tokens == 14
    assert told(served.records()[0], "unknown") == ("anthropic.count_tokens", None, None)


def test_async_clients(served: Served) -> None:
    """The asynchronous clients, streams and all, are metered alike."""

    async def talk() -> None:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="k") as client:
            stream = await client.chat.completions.create(
                model="gpt-4o",
                messages=QUESTION,
                stream=True,
                stream_options={"include_usage": True},
            )
            assert [chunk async for chunk in stream][-1].usage is not None
            events = await client.responses.create(model="gpt-4o", input="hi", stream=True)
            assert [event.type async for event in events][-1] == "response.completed"
        async with anthropic.AsyncAnthropic(base_url=served.url, api_key="k") as claude:
            told_ = await claude.messages.create(
                model="claude-sonnet-5", max_tokens=9, messages=QUESTION, stream=True
            )
            assert [event.type async for event in told_][-1] == "message_stop"

    asyncio.run(talk())
    rows = served.records(3)
    assert [told(row) for row in rows] == [
        ("openai.chat", 19, 30),
        ("openai.responses", 25, 40),
        ("anthropic.messages", 127, 33),
    ]
