"""Usage that every retrieval tells: of batches, of responses made in the background."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zeroret.dialects import detect
from zeroret.journal.once import Once
from zeroret.tokens import TokenCounter
from zeroret.usage.meter import Meter, Metered
from zeroret.usage.meters import Marks

COUNTER = TokenCounter()
JSON = b"application/json"
CHAT = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
RESPONSES = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


def fetched(  # noqa: PLR0913 - a request and its answer
    path: str,
    body: bytes | dict[str, Any],
    marks: Marks | None,
    *,
    method: str = "GET",
    kind: bytes = JSON,
    status: int = 200,
    complete: bool = True,
) -> Metered:
    """Return what is metered when *path* is answered by *body*."""
    dialect = detect(path, method)
    assert dialect is not None
    meter = Meter(dialect, COUNTER, path=path, method=method, marks=marks)
    meter.request_end()
    meter.response_start(status, kind, b"")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    for start in range(0, len(data), 50):
        meter.response_chunk(data[start : start + 50])
    return meter.finish(complete=complete)


def lines(*objects: dict[str, Any]) -> bytes:
    """Return lines of JSON, the last one without its end."""
    return b"\n".join(json.dumps(each).encode() for each in objects)


def answer(number: int, usage: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    """Return one line of an output file."""
    body = {"model": "gpt-4o-mini", **fields, **({} if usage is None else {"usage": usage})}
    return {
        "id": f"batch_req_{number}",
        "custom_id": str(number),
        "response": {"status_code": 200, "body": body},
        "error": None,
    }


OUTPUT = lines(
    answer(1, CHAT),
    answer(2, RESPONSES),
    answer(3, {"prompt_tokens": 5, "total_tokens": 5}),
    answer(4, None),
    {"id": "batch_req_5", "custom_id": "5", "response": None, "error": {"code": "expired"}},
)


def batch(usage: dict[str, Any] | None, status: str = "completed") -> dict[str, Any]:
    """Return what a batch says of itself."""
    return {
        "id": "batch_1",
        "object": "batch",
        "status": status,
        "output_file_id": "file_out",
        "usage": usage,
    }


def test_an_output_file_adds_up_and_is_taken_once() -> None:
    """Every line has a usage, by the names of its endpoint; the second fetch has none."""
    marks = Once("memory", b"s")
    kind = b"application/octet-stream"
    first = fetched("/v1/files/file_out/content", OUTPUT, marks, kind=kind)
    assert (first.input_tokens, first.output_tokens) == (22, 7)
    assert (first.dialect, first.usage_source) == ("openai.batch_results", "reported")
    assert first.response_model == "gpt-4o-mini"
    again = fetched("/v1/files/file_out/content", OUTPUT, marks, kind=kind)
    assert (again.input_tokens, again.output_tokens, again.usage_source) == (None, None, "unknown")


def test_a_batch_and_its_file_are_one() -> None:
    """The usage that the batch tells and that its file tells are the same, and taken once."""
    marks = Once("memory", b"s")
    for status in ("validating", "in_progress", "finalizing"):
        assert fetched("/v1/batches/batch_1", batch(None, status), marks).input_tokens is None
    told = fetched("/v1/batches/batch_1", batch(RESPONSES), marks)
    assert (told.input_tokens, told.output_tokens) == (7, 3)
    assert fetched("/v1/batches/batch_1", batch(RESPONSES), marks).input_tokens is None
    assert fetched("/v1/files/file_out/content", OUTPUT, marks).input_tokens is None


def test_anthropics_results_add_up() -> None:
    """Results of messages count their cache into the input; errors used nothing."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 5}
    done = {"type": "succeeded", "message": {"model": "claude-haiku-4-5", "usage": usage}}
    results = lines(
        {"custom_id": "1", "result": done},
        {"custom_id": "2", "result": done},
        {"custom_id": "3", "result": {"type": "errored", "error": {"type": "x"}}},
    )
    marks = Once("memory", b"s")
    path = "/v1/messages/batches/msgbatch_1/results"
    got = fetched(path, results, marks, kind=b"application/x-jsonl")
    assert (got.input_tokens, got.output_tokens, got.cache_read_input_tokens) == (220, 10, 200)
    assert got.dialect == "anthropic.batches"
    assert fetched(path, results, marks).input_tokens is None


def test_a_fetch_that_broke_off_takes_nothing() -> None:
    """Half of a file is not the usage of the whole: the next fetch has it."""
    marks = Once("memory", b"s")
    path = "/v1/files/file_out/content"
    assert fetched(path, OUTPUT[:400], marks, complete=False).input_tokens is None
    assert fetched(path, OUTPUT, marks, status=206).input_tokens is None
    assert fetched(path, OUTPUT, marks).input_tokens == 22


@pytest.mark.parametrize(
    "body",
    [b"", b"\x89PNG\r\n\x1a\n" + b"\x00" * 500, b'{"prompt": "a training file"}\n' * 20, b"[1, 2]"],
)
def test_other_files_are_passed_by(body: bytes) -> None:
    """A file of anything else is no result, and no fault; nothing of it is held."""
    got = fetched("/v1/files/file_in/content", body, Once("memory", b"s"))
    assert (got.input_tokens, got.malformed) == (None, 0)


def test_results_that_are_damaged_are_counted_as_such() -> None:
    """A line that cannot be read among results is a fault; the others are taken."""
    body = lines(answer(1, CHAT)) + b"\n{broken\n" + lines(answer(2, CHAT))
    got = fetched("/v1/files/file_out/content", body, Once("memory", b"s"))
    assert (got.input_tokens, got.malformed) == (20, 1)


def test_nobody_who_remembers_means_nothing_is_taken() -> None:
    """Where no marks can be kept, usage that may have been taken is not taken again."""
    assert fetched("/v1/files/file_out/content", OUTPUT, None).input_tokens is None


def response(status: str, usage: dict[str, Any] | None) -> dict[str, Any]:
    """Return a response object."""
    return {"id": "resp_1", "object": "response", "model": "gpt-4o", "status": status,
            "usage": usage, "output": []}  # fmt: skip


def test_a_stored_response_is_not_metered_again() -> None:
    """What was metered when it was made is not metered when it is fetched."""
    marks = Once("memory", b"s")
    made = fetched("/v1/responses", response("completed", RESPONSES), marks, method="POST")
    assert (made.input_tokens, made.output_tokens) == (7, 3)
    for _ in range(2):
        again = fetched("/v1/responses/resp_1", response("completed", RESPONSES), marks)
        assert (again.input_tokens, again.usage_source) == (None, "unknown")
        assert again.dialect == "openai.stored_responses"


def test_a_background_response_is_metered_when_it_is_first_whole() -> None:
    """Nobody knew its usage when it was asked for; the first fetch that tells it has it."""
    marks = Once("memory", b"s")
    asked = fetched("/v1/responses", response("queued", None), marks, method="POST")
    assert (asked.input_tokens, asked.output_tokens) == (None, None)
    path = "/v1/responses/resp_1"
    assert fetched(path, response("in_progress", None), marks).input_tokens is None
    first = fetched(path, response("completed", RESPONSES), marks)
    assert (first.input_tokens, first.output_tokens) == (7, 3)
    assert fetched(path, response("completed", RESPONSES), marks).input_tokens is None


def test_a_stored_stream_is_passed_by() -> None:
    """A stored response that is streamed again was streamed before."""
    body = b'data: {"type":"response.completed","response":{"usage":{"input_tokens":1}}}\n\n'
    got = fetched("/v1/responses/resp_1", body, Once("memory", b"s"), kind=b"text/event-stream")
    assert (got.input_tokens, got.malformed) == (None, 0)
