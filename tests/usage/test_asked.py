"""The request's side: forms, queries, long prompts counted aside, ahead or after the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from zeroret.dialects import detect
from zeroret.dialects.request import read_form
from zeroret.tokens import TokenCounter, vocabulary
from zeroret.tokens.framing import PER_MESSAGE, PER_REPLY
from zeroret.usage import aside, asked
from zeroret.usage.asked import ASIDE, COUNT_LIMIT
from zeroret.usage.meter import Meter, Metered

COUNTER: Final = TokenCounter()
TEXT: Final = "the quick brown fox " * (2 * ASIDE // 20)
TOKENS: Final = COUNTER.count(TEXT, model="gpt-4o") + PER_MESSAGE + PER_REPLY + 1
SSE: Final = b"text/event-stream"
DONE: Final = b"data: [DONE]\n\n"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Begin with nothing learned and end with nothing waiting."""
    vocabulary.encoding("o200k_base")
    asked._silent.clear()
    yield
    asked._silent.clear()
    assert aside.settle(10)


def request(**fields: Any) -> bytes:
    """Return a long chat request."""
    message = {"role": "user", "content": TEXT}
    return json.dumps({"model": "gpt-4o", "messages": [message], **fields}).encode()


def delta(text: str, usage: Any = None) -> bytes:
    """Return one event."""
    event = {"choices": [{"index": 0, "delta": {"content": text}}], "usage": usage}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def answered(meter: Meter, chunks: list[bytes], *, complete: bool = True) -> Metered:
    """Feed a stream and return the result."""
    meter.response_start(200, SSE, b"")
    for chunk in chunks:
        meter.response_chunk(chunk)
    return meter.finish(complete=complete)


def opened(body: bytes) -> Meter:
    """Return a meter that has read a request."""
    meter = Meter(detect("/v1/chat/completions"), COUNTER)
    meter.request_chunk(body)
    meter.request_end()
    return meter


def job_of(meter: Meter) -> Any:
    """Return the count that is under way."""
    assert meter._asked is not None
    return meter._asked._job


def test_a_long_prompt_that_nobody_will_report_is_counted_ahead() -> None:
    """The count begins with the request, in a thread, and the reply finds it done."""
    meter = opened(request(stream=True))
    assert job_of(meter) is not None
    assert job_of(meter).wait(10)
    metered = answered(meter, [delta("hi"), DONE])
    assert (metered.input_tokens, metered.usage_source) == (TOKENS, "counted")
    assert meter.held == 0


@pytest.mark.parametrize(
    "fields", [{"stream": True, "stream_options": {"include_usage": True}}, {"stream": False}]
)
def test_nothing_is_counted_ahead_where_usage_is_to_come(fields: dict[str, Any]) -> None:
    """A prompt that the upstream will report costs no counting."""
    assert job_of(opened(request(**fields))) is None


def test_a_short_prompt_is_counted_in_place() -> None:
    """Below the stated size no thread is asked."""
    body = json.dumps({"model": "gpt-4o", "stream": True, "messages": [{"content": "hi"}]})
    meter = opened(body.encode())
    assert job_of(meter) is None
    metered = answered(meter, [delta("hi"), DONE])
    assert metered.input_tokens
    assert meter.owed is None


def test_an_aborted_reply_owes_the_count_of_its_long_prompt() -> None:
    """Where nobody waits for the record, the count comes after the end."""
    options = {"include_usage": True}
    meter = opened(request(stream=True, stream_options=options))
    metered = answered(meter, [delta("hi")], complete=False)
    assert metered.input_tokens is None
    assert metered.output_tokens == COUNTER.count("hi")
    assert meter.owed is not None
    assert meter.owed.wait(10)
    assert meter.owed.result is not None
    assert meter.owed.result.tokens == TOKENS
    assert meter.held == 0


def test_who_does_not_report_is_remembered() -> None:
    """A dialect that left a long prompt unreported is counted ahead the next time."""
    fields = {"stream": True, "stream_options": {"include_usage": True}}
    assert answered(opened(request(**fields)), [delta("hi"), DONE]).input_tokens == TOKENS
    again = opened(request(**fields))
    assert job_of(again) is not None
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    reported = answered(again, [delta("hi", usage), DONE])
    assert (reported.input_tokens, reported.usage_source) == (5, "reported")
    assert job_of(opened(request(**fields))) is None, "it reports again"


def test_where_nothing_can_be_done_aside_it_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread and no time: a long prompt is estimated by its size, never a wrong exact count."""
    monkeypatch.setattr(aside, "start", lambda _: None)
    fields = {"stream": True, "stream_options": {"include_usage": True}}
    metered = answered(opened(request(**fields)), [delta("hi")], complete=False)
    assert metered.usage_source == "estimated"
    assert metered.input_tokens == pytest.approx(TOKENS, rel=0.5)


def test_a_prompt_past_the_limit_is_estimated() -> None:
    """What would take too long anywhere is estimated."""
    body = json.dumps({"model": "gpt-4o", "stream": True, "prompt": "a " * COUNT_LIMIT}).encode()
    metered = answered(opened(body), [delta("hi"), DONE])
    assert metered.usage_source == "estimated"
    assert metered.input_tokens == len(body) // 4


def form(*parts: tuple[str, bytes], end: str = "\r\n") -> bytes:
    """Return a multipart form of (head, content) parts."""
    body = b""
    for head, content in parts:
        body += f"--bound{end}Content-Disposition: form-data; {head}{end}{end}".encode()
        body += content + end.encode()
    return body + f"--bound--{end}".encode()


FILE: Final = ('name="file"; filename="a.wav"\r\nContent-Type: audio/wav', b"RIFF" + bytes(200_000))


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (form(('name="model"', b"whisper-1"), FILE), "whisper-1", False),
        (form(FILE, ('name="model"', b"whisper-1"), ('name="stream"', b"true")), "whisper-1", True),
        (form(('name="stream"', b"True"), ('name="model"', b"m"), FILE), "m", True),
        (form(("name=model", b"m"), end="\n"), "m", False),
        (form(FILE), None, False),
        (form(('name="model"', b"x" * 300)), None, False),
        (form(('name="models"', b"m")), None, False),
        (b"--", None, False),
        (b"--bound\r\n" + b"\xff" * 5000, None, False),
    ],
)
def test_forms_name_their_model(body: bytes, model: str | None, *, stream: bool) -> None:
    """A form's fields stand before or after its files; files are not searched through."""
    head = read_form(body)
    assert (head.model, head.stream, head.malformed) == (model, stream, False)


def test_a_form_is_read_through_the_meter() -> None:
    """A transcription's request is no fault, whatever pieces it comes in."""
    body = form(('name="model"', b"whisper-1"), FILE)
    meter = Meter(detect("/v1/audio/transcriptions"), COUNTER)
    for start in range(0, len(body), 30_000):
        meter.request_chunk(body[start : start + 30_000])
    meter.request_end()
    assert meter.request_model == "whisper-1"
    assert meter.finish(complete=True).malformed == 0


@pytest.mark.parametrize(
    ("query", "model"),
    [
        (b"model=gpt-realtime", "gpt-realtime"),
        (b"a=1&model=gpt%2Drealtime&model=x", "gpt-realtime"),
        (b"model=", None),
        (b"\xff&&&=&%", None),
        (b"&".join([b"a=1"] * 500), None),
        (b"model=" + b"x" * 5000, None),
    ],
)
def test_a_websocket_names_its_model_in_the_query(query: bytes, model: str | None) -> None:
    """The query of a websocket's address is all of its request; anything is borne."""
    meter = Meter(detect("/v1/realtime", "GET"), COUNTER, method="GET")
    meter.request_query(query)
    assert meter.request_model == model


def test_a_query_is_no_request_of_a_post() -> None:
    """A posted body is read whatever the query says."""
    meter = Meter(detect("/v1/responses"), COUNTER)
    meter.request_query(b"model=other")
    meter.request_chunk(b'{"model": "gpt-4o"}')
    meter.request_end()
    assert meter.request_model == "gpt-4o"
