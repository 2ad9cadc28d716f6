"""Real SDKs of five vendors stream through a wrapped server: replies unchanged, records right."""

from __future__ import annotations

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

import boto3
import cohere
import ollama
import pytest
from botocore.config import Config
from botocore.exceptions import EventStreamError
from google import genai
from google.genai import types
from mistralai.client import Mistral

Encode = Callable[..., bytes]
Rows = Callable[[Path, int], list[dict[str, Any]]]

SERVERS: Final = Path(__file__).parents[1] / "servers"
TEXTS: Final = ("Grüße ", "from ", "the ", "model.")
WHOLE: Final = "".join(TEXTS)


class Served:
    """A server that runs: its address, and the records of what it served, bare calls aside."""

    def __init__(self, port: int, database: Path, usage_rows: Rows) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._database = database
        self._rows = usage_rows
        self._seen = 0

    def records(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the next *count* records, the oldest first."""
        self._seen += count
        return self._rows(self._database, self._seen)[-count:]


def reply(body: bytes, kind: str, *headers: tuple[str, str], status: int = 200) -> dict[str, Any]:
    """Return a reply in pieces that end anywhere, inside characters too."""
    rng = random.Random(len(body))  # noqa: S311 - cuts, not secrets
    cuts = sorted(rng.randrange(len(body) + 1) for _ in range(9)) if "json;" not in kind else []
    places = [0, *cuts, len(body)]
    chunks = [b64encode(body[a:b]).decode() for a, b in pairwise(places)]
    return {"status": status, "headers": [("content-type", kind), *headers], "chunks": chunks}


def dumped(value: Any) -> bytes:
    """Return *value* as JSON, umlauts as they are."""
    return json.dumps(value, ensure_ascii=False).encode()


def events(*objects: Any, last: bytes = b"") -> bytes:
    """Return *objects* as server-sent events."""
    return b"".join(b"data: " + dumped(each) + b"\n\n" for each in objects) + last


def gemini() -> dict[str, Any]:
    """Return Gemini's replies."""
    usage = {
        "promptTokenCount": 9,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 6,
        "cachedContentTokenCount": 2,
        "totalTokenCount": 19,
    }

    def chunk(text: str, **more: Any) -> dict[str, Any]:
        content = {"parts": [{"text": text}], "role": "model"}
        candidate = {"content": content, "index": 0, **more}
        told = {"modelVersion": "gemini-2.5-flash", "usageMetadata": usage}
        return {"candidates": [candidate], **told}

    model = "/v1/models/gemini-2.5-flash"
    vertex = "/v1beta1/publishers/google/models/gemini-2.5-flash"
    answer = chunk(WHOLE, finishReason="STOP")
    stream = events(*(chunk(text) for text in TEXTS[:-1]), chunk(TEXTS[-1], finishReason="STOP"))
    kind = "application/json; charset=UTF-8"
    vectors = {"embeddings": [{"values": [0.5, 0.25]}], "usageMetadata": {"promptTokenCount": 3}}
    return {
        f"{model}:generateContent": reply(dumped(answer), kind),
        f"{model}:streamGenerateContent": reply(stream, "text/event-stream"),
        f"{vertex}:streamGenerateContent": reply(stream, "text/event-stream"),
        f"{model}:countTokens": reply(dumped({"totalTokens": 7}), kind),
        f"{model}:batchEmbedContents": reply(dumped(vectors), kind),
    }


def bedrock(encode: Encode) -> dict[str, Any]:
    """Return Bedrock's replies."""
    usage = {
        "inputTokens": 3,
        "outputTokens": 4,
        "totalTokens": 107,
        "cacheReadInputTokens": 100,
        "cacheWriteInputTokens": 0,
    }
    message = {"role": "assistant", "content": [{"text": WHOLE}]}
    answer = {
        "output": {"message": message},
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 5},
    }

    def event(kind: str, **data: Any) -> bytes:
        return encode(dumped(data), kind)

    converse = event("messageStart", role="assistant")
    for text in TEXTS:
        converse += event("contentBlockDelta", contentBlockIndex=0, delta={"text": text})
    converse += event("contentBlockStop", contentBlockIndex=0)
    converse += event("messageStop", stopReason="end_turn")
    converse += event("metadata", usage=usage, metrics={"latencyMs": 5})
    broken = encode(
        b'{"message":"slow"}', message_type="exception", exception_type="throttlingException"
    )

    metrics = {"inputTokenCount": 17, "outputTokenCount": 4}
    llama: list[Any] = [{"generation": text} for text in TEXTS]
    llama[-1] |= {"amazon-bedrock-invocationMetrics": metrics}
    invoked = b"".join(
        encode(dumped({"bytes": b64encode(dumped(each)).decode()})) for each in llama
    )
    counts = (
        ("x-amzn-bedrock-input-token-count", "12"),
        ("x-amzn-bedrock-output-token-count", "5"),
    )
    binary = "application/vnd.amazon.eventstream"
    return {
        "/model/us.amazon.nova-lite-v1:0/converse": reply(dumped(answer), "application/json"),
        "/model/us.amazon.nova-lite-v1:0/converse-stream": reply(converse, binary),
        "/model/amazon.nova-micro-v1:0/converse-stream": reply(
            event("messageStart", role="assistant") + broken, binary
        ),
        "/model/meta.llama3-70b-instruct-v1:0/invoke-with-response-stream": reply(invoked, binary),
        "/model/cohere.command-text-v14/invoke": reply(
            dumped({"generations": [{"text": WHOLE}]}), "application/json", *counts
        ),
    }


def mistral() -> dict[str, Any]:
    """Return Mistral's replies."""
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}

    def chunk(text: str, **more: Any) -> dict[str, Any]:
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": text},
            "finish_reason": None,
        }
        told = {"id": "1", "object": "chat.completion.chunk", "created": 1}
        return {**told, "model": "codestral-2508", "choices": [choice], **more}

    said = {"role": "assistant", "content": WHOLE}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "codestral-2508"}
    answer |= {"choices": [choice], "usage": usage}
    done = b"data: [DONE]\n\n"
    stream = events(*map(chunk, TEXTS[:-1]), chunk(TEXTS[-1], usage=usage), last=done)
    replies = {}
    for kind in ("chat", "fim", "agents"):
        path = f"/v1/{kind}/completions"
        replies[path] = reply(dumped(answer), "application/json")
        replies[f"{path} stream"] = reply(stream, "text/event-stream; charset=utf-8")
    vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
    counted = {"prompt_tokens": 3, "total_tokens": 3, "completion_tokens": 0}
    vectors: dict[str, Any] = {"object": "list", "model": "mistral-embed", "data": [vector]}
    vectors |= {"id": "1", "usage": counted}
    replies["/v1/embeddings"] = reply(dumped(vectors), "application/json")
    return replies


def cohere_() -> dict[str, Any]:
    """Return Cohere's replies."""
    usage = {
        "billed_units": {"input_tokens": 2, "output_tokens": 3},
        "tokens": {"input_tokens": 70, "output_tokens": 4},
    }

    def event(kind: str, **data: Any) -> bytes:
        return b"event: " + kind.encode() + b"\ndata: " + dumped({"type": kind, **data}) + b"\n\n"

    two = event("message-start", id="1", delta={"message": {"role": "assistant"}})
    for text in TEXTS:
        two += event("content-delta", index=0, delta={"message": {"content": {"text": text}}})
    two += event("message-end", delta={"finish_reason": "COMPLETE", "usage": usage})

    def line(kind: str, **data: Any) -> bytes:
        return dumped({"is_finished": kind == "stream-end", "event_type": kind, **data}) + b"\n"

    one = line("stream-start", generation_id="1")
    one += b"".join(line("text-generation", text=text) for text in TEXTS)
    whole = {"text": WHOLE, "generation_id": "1", "finish_reason": "COMPLETE", "meta": usage}
    one += line("stream-end", finish_reason="COMPLETE", response=whole)
    message = {"role": "assistant", "content": [{"type": "text", "text": WHOLE}]}
    answer = {"id": "1", "message": message, "finish_reason": "COMPLETE", "usage": usage}
    ranks = {"id": "1", "results": [{"index": 0, "relevance_score": 0.9}]}
    units = {"meta": {"billed_units": {"search_units": 1}}}
    vectors = {"id": "1", "response_type": "embeddings_by_type", "embeddings": {"float": [[0.5]]}}
    counted = {"texts": ["a"], "meta": {"billed_units": {"input_tokens": 3}}}
    json_ = "application/json"
    return {
        "/v2/chat": reply(dumped(answer), json_),
        "/v2/chat stream": reply(two, "text/event-stream"),
        "/v1/chat": reply(dumped(whole), json_),
        "/v1/chat stream": reply(one, "application/stream+json"),
        "/v2/rerank": reply(dumped(ranks | units), json_),
        "/v2/embed": reply(dumped(vectors | counted), json_),
    }


def ollama_() -> dict[str, Any]:
    """Return Ollama's replies."""
    counts = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 4}

    def line(**data: Any) -> bytes:
        return dumped({"model": "llama3.2", "created_at": "2025-01-01T00:00:00Z", **data}) + b"\n"

    def said(text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    chat = b"".join(line(**said(text), done=False) for text in TEXTS) + line(**said(""), **counts)
    generate = b"".join(line(response=text, done=False) for text in TEXTS)
    generate += line(response="", **counts)
    kind, lines = "application/json; charset=utf-8", "application/x-ndjson"
    return {
        "/api/chat": reply(line(**said(WHOLE), **counts), kind),
        "/api/chat stream": reply(chat, lines),
        "/api/generate": reply(line(response=WHOLE, **counts), kind),
        "/api/generate stream": reply(generate, lines),
        "/api/embed": reply(line(embeddings=[[0.5]], prompt_eval_count=3), kind),
    }


@pytest.fixture(scope="module")
def replies(encode_message: Encode) -> dict[str, Any]:
    """Give what the server answers, by path."""
    return {**gemini(), **bedrock(encode_message), **mistral(), **cohere_(), **ollama_()}


@pytest.fixture(scope="module")
def served(
    replies: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, usage_rows: Rows
) -> Iterator[Served]:
    """Give a running server that answers with *replies*, wrapped and bare."""
    folder = tmp_path_factory.mktemp("sdks")
    (folder / "replies.json").write_text(json.dumps(replies))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database = folder / "usage.db"
    environ = {"REPLIES": str(folder / "replies.json"), "USAGE_SINK": f"sqlite:///{database}"}
    command = ["-m", "uvicorn", "--app-dir", str(SERVERS), "--port", str(port), "replaying_app:app"]
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


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a record says of the usage."""
    assert row["outcome"] == "completed"
    assert row["usage_source"] == "reported"
    return row["dialect"], row["input_tokens"], row["output_tokens"], bool(row["stream"])


def test_every_reply_is_unchanged(served: Served, replies: dict[str, Any]) -> None:
    """Status, headers and bytes are those of the bare app, whatever is read of them."""

    def fetched(prefix: str, path: str) -> tuple[int, list[tuple[str, str]], bytes]:
        plain, _, streamed = path.partition(" ")
        body = json.dumps({"stream": bool(streamed)}).encode()
        request = urllib.request.Request(served.url + prefix + plain, body, method="POST")
        with urllib.request.urlopen(request) as response:
            headers = [pair for pair in response.getheaders() if pair[0].lower() != "date"]
            return response.status, headers, response.read()

    for path in replies:
        assert fetched("", path) == fetched("/bare", path), path
    rows = served.records(len(replies))
    assert {row["provider"] for row in rows} == {
        "gemini",
        "bedrock",
        "mistral",
        "openai",
        "cohere",
        "ollama",
    }


def test_google_genai(served: Served) -> None:
    """Gemini's own SDK, for Google AI and for Vertex."""
    options = types.HttpOptions(base_url=served.url)
    with genai.Client(api_key="k", http_options=options) as client:
        answer = client.models.generate_content(model="gemini-2.5-flash", contents="hi")
        assert answer.text == WHOLE
        stream = client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")
        assert "".join(chunk.text or "" for chunk in stream) == WHOLE
        assert client.models.count_tokens(model="gemini-2.5-flash", contents="hi").total_tokens == 7
        vectors = client.models.embed_content(model="gemini-2.5-flash", contents="hi")
        assert vectors.embeddings
    with genai.Client(vertexai=True, api_key="k", http_options=options) as client:
        stream = client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")
        assert "".join(chunk.text or "" for chunk in stream) == WHOLE
    whole, events_, counted, embedded, vertex = served.records(5)
    assert told(whole) == ("gemini.generateContent", 9, 10, False)
    assert told(events_) == told(vertex) == ("gemini.streamGenerateContent", 9, 10, True)
    assert told(embedded) == ("gemini.embedContent", 3, 0, False)
    assert (counted["dialect"], counted["input_tokens"]) == ("gemini.countTokens", None)
    for row in (whole, events_, vertex):
        assert row["request_model"] == row["response_model"] == "gemini-2.5-flash"
        assert (row["reasoning_output_tokens"], row["cache_read_input_tokens"]) == (6, 2)


def test_boto3(served: Served) -> None:
    """AWS's SDK: Converse and InvokeModel, whole and streamed."""
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=served.url,
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="k",
        config=Config(retries={"max_attempts": 1}),
    )
    messages = [{"role": "user", "content": [{"text": "hi"}]}]
    nova = "us.amazon.nova-lite-v1:0"
    answer = client.converse(modelId=nova, messages=messages)
    assert answer["output"]["message"]["content"][0]["text"] == WHOLE
    stream = client.converse_stream(modelId=nova, messages=messages)["stream"]
    deltas = [
        event["contentBlockDelta"]["delta"] for event in stream if "contentBlockDelta" in event
    ]
    assert "".join(delta["text"] for delta in deltas) == WHOLE
    body = json.dumps({"prompt": "hi"})
    llama = client.invoke_model_with_response_stream(
        modelId="meta.llama3-70b-instruct-v1:0", body=body
    )
    chunks = [json.loads(event["chunk"]["bytes"]) for event in llama["body"]]
    assert "".join(chunk["generation"] for chunk in chunks) == WHOLE
    invoked = client.invoke_model(modelId="cohere.command-text-v14", body=body)
    assert json.loads(invoked["body"].read())["generations"][0]["text"] == WHOLE
    whole, events_, wrapped, headers = served.records(4)
    assert told(whole) == ("bedrock.converse", 103, 4, False)
    assert told(events_) == ("bedrock.converse_stream", 103, 4, True)
    assert told(wrapped) == ("bedrock.invoke_stream", 17, 4, True)
    assert told(headers) == ("bedrock.invoke", 12, 5, False)
    assert whole["request_model"] == events_["request_model"] == nova
    assert whole["cache_read_input_tokens"] == 100

    broken = client.converse_stream(modelId="amazon.nova-micro-v1:0", messages=messages)["stream"]
    with pytest.raises(EventStreamError):
        list(broken)
    broken.close()  # a stream that raised keeps its socket
    client.close()
    (thrown,) = served.records()
    assert (thrown["status"], thrown["outcome"]) == (200, "error")
    assert (thrown["output_tokens"], thrown["usage_source"]) == (0, "estimated")


def test_mistralai(served: Served) -> None:
    """Mistral's SDK: chat, completion in the middle, agents, embeddings."""
    with Mistral(api_key="k", server_url=served.url) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        calls: list[tuple[Any, dict[str, Any]]] = [
            (client.chat, {"model": "codestral-2508", "messages": messages}),
            (client.fim, {"model": "codestral-2508", "prompt": "a", "suffix": "b"}),
            (client.agents, {"agent_id": "a", "messages": messages}),
        ]
        for part, arguments in calls:
            assert part.complete(**arguments).choices[0].message.content == WHOLE
            with part.stream(**arguments) as stream:
                said = [event.data.choices[0].delta.content for event in stream]
            assert "".join(said) == WHOLE
        client.embeddings.create(model="mistral-embed", inputs=["hi"])
    *rows, vectors = served.records(7)
    for (whole, streamed), name in zip(
        zip(rows[::2], rows[1::2], strict=True),
        ("openai.chat", "mistral.fim", "mistral.agents"),
        strict=True,
    ):
        assert told(whole) == (name, 9, 4, False)
        assert told(streamed) == (name, 9, 4, True)
        assert whole["response_model"] == "codestral-2508"
    assert told(vectors) == ("openai.embeddings", 3, 0, False)


def test_cohere(served: Served) -> None:
    """Cohere's SDK, in both versions of its API."""
    messages: Any = [{"role": "user", "content": "hi"}]
    named = {"model": "command-a-03-2025", "messages": messages}
    with cohere.ClientV2(api_key="k", base_url=served.url) as two:
        answer: Any = two.chat(**named)
        assert answer.message.content[0].text == WHOLE
        stream: Any = two.chat_stream(**named)
        said = [each.delta.message.content.text for each in stream if each.type == "content-delta"]
        assert "".join(said) == WHOLE
        assert two.rerank(model="rerank-v3.5", query="a", documents=["b"]).results
        two.embed(model="embed-v4.0", input_type="search_query", texts=["a"])
    with cohere.Client(api_key="k", base_url=served.url) as one:
        assert one.chat(message="hi").text == WHOLE
        lines: Any = one.chat_stream(message="hi")
        texts = [each.text for each in lines if each.event_type == "text-generation"]
        assert "".join(texts) == WHOLE
    whole, events_, ranks, vectors, old, lines_ = served.records(6)
    assert told(whole) == ("cohere.v2.chat", 70, 4, False)
    assert told(events_) == ("cohere.v2.chat", 70, 4, True)
    assert (ranks["dialect"], ranks["input_tokens"]) == ("cohere.v2.rerank", None)
    assert told(vectors) == ("cohere.v2.embed", 3, 0, False)
    assert told(old) == ("cohere.v1.chat", 70, 4, False)
    assert told(lines_) == ("cohere.v1.chat", 70, 4, True)
    assert whole["request_model"] == "command-a-03-2025"


def test_ollama(served: Served) -> None:
    """Ollama's SDK: chat, generate, embed."""
    messages = [{"role": "user", "content": "hi"}]
    client = ollama.Client(host=served.url)
    assert client.chat("llama3.2", messages).message.content == WHOLE
    chat = client.chat("llama3.2", messages, stream=True)
    assert "".join(part.message.content or "" for part in chat) == WHOLE
    assert client.generate("llama3.2:1b", "hi").response == WHOLE
    generated = client.generate("llama3.2:1b", "hi", stream=True)
    assert "".join(part.response or "" for part in generated) == WHOLE
    assert client.embed("nomic-embed-text", "hi").embeddings
    client.close()  # type: ignore[no-untyped-call] # as its SDK has it
    rows = served.records(5)
    assert [told(row) for row in rows] == [
        ("ollama.chat", 9, 4, False),
        ("ollama.chat", 9, 4, True),
        ("ollama.generate", 9, 4, False),
        ("ollama.generate", 9, 4, True),
        ("ollama.embed", 3, 0, False),
    ]
    models = ["llama3.2", "llama3.2", "llama3.2:1b", "llama3.2:1b", "nomic-embed-text"]
    assert [row["request_model"] for row in rows] == models
