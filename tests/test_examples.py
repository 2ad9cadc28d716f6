"""The examples, each started with one command and driven with the vendors' own SDKs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest
from anthropic.types import TextBlock

from zeroret.tokens.vocabulary import encoding

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
PROMPT: Final = "My diagnosis is krelvonitis <|endoftext|>: was heißt das? 🙂"
SECRETS: Final = ("krelvonitis", "diagnosis", "sk-secret-of-ann", "heißt", "hei\\u00dft")
CHAT: Final = "/v1/chat/completions"

SERVERS: Final = {
    "fastapi": (str(EXAMPLES / "fastapi_server.py"),),
    "flask": (str(EXAMPLES / "flask_server.py"),),
    "django": (str(EXAMPLES / "django_server.py"),),
    "flask under gunicorn": ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "--access-logfile", "-",
                             "--chdir", str(EXAMPLES), "flask_server:app"),
    "django under gunicorn": ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "--access-logfile", "-",
                              "--chdir", str(EXAMPLES), "django_server:application"),
}  # fmt: skip


def tokens(text: str) -> int:
    """Count *text* with the plain tokenizer of gpt-4o."""
    return len(encoding("o200k_base").encode(text, disallowed_special=()))


def assert_no_secret(folder: Path) -> None:
    """Search every byte that a server has left anywhere."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.name.startswith("usage.db") for file in files)
    for file in files:
        content = file.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in content, f"{secret} stands in {file.name}"


@pytest.mark.parametrize("name", SERVERS)
def test_an_example_answers_and_counts(
    name: str, start_server: Any, usage_rows: Any, tmp_path: Path
) -> None:
    """The SDK gets the whole answer as JSON and as a stream; usage is exact; no prompt is kept."""
    database = tmp_path / "usage.db"
    server = start_server(*SERVERS[name], folder=tmp_path, USAGE_SINK=f"sqlite:///{database}")
    client = openai.OpenAI(
        base_url=f"http://127.0.0.1:{server.port}/v1", api_key="sk-secret-of-ann", max_retries=0
    )
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": PROMPT}]
    )
    assert answer.choices[0].message.content == f"You said: {PROMPT}"
    stream = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": PROMPT}], stream=True
    )
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert streamed == f"You said: {PROMPT} "
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="gpt-4o-mini", input=PROMPT)
    rows = usage_rows(database, 3)
    server.stop()
    assert_no_secret(tmp_path)
    assert "answering" in server.output, "the constant text of a careless log call stays"
    assert len(rows) == 3
    for row, text in zip(rows, (f"You said: {PROMPT}", streamed), strict=False):
        assert (row["route"], row["method"], row["status"]) == (CHAT, "POST", 200)
        assert (row["outcome"], row["usage_source"]) == ("completed", "counted")
        assert row["input_tokens"] == tokens(PROMPT) + 7  # a message 3, its role 1, the answer 3
        assert row["output_tokens"] == tokens(text)
        assert row["request_model"] == row["response_model"] == "gpt-4o-mini"
        assert len(row["key_id"]) == 40
    assert [bool(row["stream"]) for row in rows] == [False, True, False]
    assert (rows[2]["route"], rows[2]["outcome"], rows[2]["key_id"]) == ("other", "rejected", None)


class Upstream(BaseHTTPRequestHandler):
    """A small fake of Anthropic's messages: it repeats the prompt, as JSON or as a stream."""

    protocol_version = "HTTP/1.1"
    keys: Final[list[str | None]] = []

    def do_POST(self) -> None:
        """Answer one call."""
        self.keys.append(self.headers["x-api-key"])
        chunked = self.headers["Transfer-Encoding"] == "chunked"
        size = int(self.headers["Content-Length"] or 0)
        body = json.loads(self._dechunked() if chunked else self.rfile.read(size))
        text = body["messages"][0]["content"]
        if body["max_tokens"] > 1000:
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": text}}
            self._reply(400, "application/json", json.dumps(error).encode())
        elif body.get("stream"):
            self._reply(200, "text/event-stream", b"".join(events(body["model"], text)))
        else:
            usage = {"input_tokens": 11, "cache_read_input_tokens": 5,
                     "cache_creation_input_tokens": 2, "output_tokens": 9}  # fmt: skip
            content = [{"type": "text", "text": text}]
            message = start(body["model"], content, usage)
            self._reply(200, "application/json", json.dumps(message).encode())

    def _dechunked(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for at in range(0, len(body), 50):
            self.wfile.write(body[at : at + 50])
            self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def start(model: str, content: list[Any], usage: dict[str, int]) -> dict[str, Any]:
    """Return a message as Anthropic shapes it."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": content, "stop_reason": "end_turn", "stop_sequence": None,
            "usage": usage}  # fmt: skip


def events(model: str, text: str) -> Iterator[bytes]:
    """Yield a stream's events; its usage is cumulative."""
    block = {"type": "text", "text": ""}
    opening = start(model, [], {"input_tokens": 11, "output_tokens": 1})
    items: list[dict[str, Any]] = [
        {"type": "message_start", "message": opening},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}
          for part in text.split(" ")),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
         "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]  # fmt: skip
    for item in items:
        yield f"event: {item['type']}\ndata: {json.dumps(item)}\n\n".encode()


@pytest.fixture
def upstream() -> Iterator[int]:
    """Give the port of a fake Anthropic."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_proxy_passes_on_and_counts(
    start_server: Any, usage_rows: Any, upstream: int, tmp_path: Path
) -> None:
    """The SDK gets the upstream's answers, errors included; usage is the upstream's own."""
    database = tmp_path / "usage.db"
    server = start_server(
        str(EXAMPLES / "anthropic_proxy.py"), folder=tmp_path,
        USAGE_SINK=f"sqlite:///{database}", UPSTREAM=f"http://127.0.0.1:{upstream}",
        ANTHROPIC_API_KEY="operators-key",
    )  # fmt: skip
    url = f"http://127.0.0.1:{server.port}"
    client = anthropic.Anthropic(base_url=url, api_key="customer-1-secret", max_retries=0)
    asked: dict[str, Any] = {
        "model": "claude-haiku-4-5", "max_tokens": 99,
        "messages": [{"role": "user", "content": PROMPT}],
    }  # fmt: skip
    block = client.messages.create(**asked).content[0]
    assert isinstance(block, TextBlock)
    assert block.text == PROMPT
    with client.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == PROMPT.replace(" ", "")
    with pytest.raises(anthropic.BadRequestError, match="krelvonitis"):
        client.messages.create(**{**asked, "max_tokens": 5000})
    stranger = anthropic.Anthropic(base_url=url, api_key="sk-secret-of-ann", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(**asked)
    rows = usage_rows(database, 4)
    server.stop()
    assert_no_secret(tmp_path)
    assert "customer-1-secret" not in server.output
    assert Upstream.keys == ["operators-key"] * 3
    whole, streamed, refused, unknown = rows
    for row in (whole, streamed):
        assert (row["route"], row["account"], row["outcome"]) == (
            "/v1/messages", "customer-1", "completed",
        )  # fmt: skip
        assert (row["usage_source"], row["output_tokens"]) == ("reported", 9)
        assert row["response_model"] == "claude-haiku-4-5"
    assert (whole["input_tokens"], whole["cache_read_input_tokens"]) == (18, 5)
    assert (streamed["input_tokens"], bool(streamed["stream"])) == (11, True)
    assert (refused["status"], refused["outcome"], refused["account"]) == (
        400, "rejected", "customer-1",
    )  # fmt: skip
    assert (unknown["status"], unknown["account"], unknown["key_id"]) == (401, None, None)


class ChatUpstream(BaseHTTPRequestHandler):
    """A small fake of OpenAI's chat, which tells the usage of a stream only if it is asked."""

    protocol_version = "HTTP/1.1"
    asked: Final[list[bool]] = []

    def do_POST(self) -> None:
        """Answer one call with a stream."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        self.asked.append(asked)
        stream = b"".join(self.chunks(body["model"], usage=asked))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(stream)))
        self.end_headers()
        for at in range(0, len(stream), 33):
            self.wfile.write(stream[at : at + 33])
            self.wfile.flush()

    @staticmethod
    def chunks(model: str, *, usage: bool) -> Iterator[bytes]:
        """Yield the events of the answer."""
        for word in ("kein ", "Wort ", "bleibt"):
            delta = {"model": model, "choices": [{"index": 0, "delta": {"content": word}}]}
            yield f"data: {json.dumps(delta)}\n\n".encode()
        if usage:
            told = {"prompt_tokens": 77, "completion_tokens": 33, "total_tokens": 110}
            yield f"data: {json.dumps({'model': model, 'choices': [], 'usage': told})}\n\n".encode()
        yield b"data: [DONE]\n\n"

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def test_the_openai_proxy_asks_and_hides(
    start_server: Any, usage_rows: Any, tmp_path: Path
) -> None:
    """The upstream is asked, the caller gets the bytes it would have had, the row the truth."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), ChatUpstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    database = tmp_path / "usage.db"
    server = start_server(
        str(EXAMPLES / "openai_proxy.py"),
        folder=tmp_path,
        USAGE_SINK=f"sqlite:///{database}",
        UPSTREAM=f"http://127.0.0.1:{upstream.server_port}",
        OPENAI_API_KEY="sk-operator",
    )
    import httpx

    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
    answer = httpx.post(
        f"http://127.0.0.1:{server.port}{CHAT}",
        json=body,
        headers={"authorization": "Bearer customer-1-secret"},
        timeout=30,
    )
    (row,) = usage_rows(database, 1)
    server.stop()
    upstream.shutdown()
    upstream.server_close()
    assert answer.content == b"".join(ChatUpstream.chunks("gpt-4o", usage=False))
    assert ChatUpstream.asked == [True]
    assert (row["input_tokens"], row["output_tokens"], row["usage_source"]) == (77, 33, "reported")
    assert (row["account"], row["stream"], row["outcome"]) == ("customer-1", 1, "completed")
    assert_no_secret(tmp_path)
