"""The meter of one exchange: what is reported, counted or unknown, and that it never raises."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.dialects import DIALECTS, Dialect, detect
from zeroret.tokens import TokenCounter, vocabulary
from zeroret.usage.meter import COUNT_LIMIT, Meter, Metered
from zeroret.usage.record import TOKEN_COLUMNS

COUNTER = TokenCounter()
SSE = b"text/event-stream; charset=utf-8"
JSON = b"application/json"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
PROMPT = [{"role": "user", "content": "Say hello to the world."}]


def meter_for(path: str = "/v1/chat/completions") -> Meter:
    """Return a fresh meter."""
    return Meter(detect(path), COUNTER)


def asked(meter: Meter, encoding: str = "", **request: Any) -> Meter:
    """Send a request through *meter*."""
    body = json.dumps({"model": "gpt-4o", "messages": PROMPT, **request}).encode()
    if encoding == "gzip":
        body = gzip.compress(body)
    elif encoding == "deflate":
        body = zlib.compress(body)
    meter.request_start(JSON, encoding.encode())
    meter.request_chunk(body[:20])
    meter.request_chunk(body[20:])
    meter.request_end()
    return meter


def chunk(**fields: Any) -> bytes:
    """Return one event."""
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def delta(text: str) -> bytes:
    """Return one event that delivers *text*."""
    return chunk(model="gpt-4o-2024", choices=[{"index": 0, "delta": {"content": text}}])


DONE = b"data: [DONE]\n\n"


def answered(meter: Meter, chunks: list[bytes], *, complete: bool = True) -> Metered:
    """Send a stream through *meter* and finish it."""
    meter.response_start(200, SSE, b"")
    for piece in chunks:
        meter.response_chunk(piece)
    return meter.finish(complete=complete)


def test_a_reported_body_is_reported() -> None:
    """Usage in the answer is taken as it is; the models are as sent."""
    meter = asked(meter_for())
    assert meter.request_model == "gpt-4o"
    meter.response_start(200, "application/json", "")
    meter.response_chunk(json.dumps({"model": "gpt-4o-2024", "usage": USAGE}).encode())
    metered = meter.finish(complete=True)
    assert (metered.input_tokens, metered.output_tokens) == (7, 3)
    assert metered.usage_source == "reported"
    assert (metered.request_model, metered.response_model) == ("gpt-4o", "gpt-4o-2024")
    assert metered.dialect == "openai.chat"
    assert metered.stream is False
    assert metered.malformed == 0


def test_a_stream_without_usage_is_counted() -> None:
    """Delivered text is counted as one text, however it was cut."""
    meter = asked(meter_for(), stream=True)
    assert meter.stream is True
    metered = answered(meter, [delta("Hel"), delta("lo wor"), delta("ld"), DONE])
    assert metered.output_tokens == COUNTER.count("Hello world", model="gpt-4o")
    assert metered.input_tokens is not None
    assert metered.input_tokens > 5
    assert metered.usage_source in {"counted", "estimated"}
    assert metered.stream is True


def test_the_terminal_event_is_announced() -> None:
    """The chunk that completes the terminal event returns True, and only that one."""
    meter = asked(meter_for(), stream=True)
    meter.response_start(200, SSE, b"")
    assert [meter.response_chunk(piece) for piece in (delta("a"), DONE[:9], DONE[9:])] == [
        False,
        False,
        True,
    ]


def test_an_aborted_stream_is_counted_over_what_was_delivered() -> None:
    """Anthropic's start names the input; the output is counted, not its placeholder."""
    meter = asked(meter_for("/v1/messages"), model="claude-sonnet-4-5", stream=True)
    start = {"model": "claude", "usage": {"input_tokens": 9, "output_tokens": 1}}
    events = [chunk(type="message_start", message=start)]
    events += [
        chunk(
            type="content_block_delta", index=0, delta={"type": "text_delta", "text": f" word{n}"}
        )
        for n in range(100)
    ]
    metered = answered(meter, events, complete=False)
    assert metered.input_tokens == 9
    assert metered.output_tokens is not None
    assert metered.output_tokens >= 100
    assert metered.usage_source == "estimated"


def test_an_aborted_stream_that_promised_usage_is_counted() -> None:
    """The usage that would have come last is replaced by a count of both sides."""
    meter = asked(meter_for(), stream=True, stream_options={"include_usage": True})
    metered = answered(meter, [delta("Hello"), delta(" world")], complete=False)
    assert metered.output_tokens == COUNTER.count("Hello world", model="gpt-4o")
    assert metered.input_tokens is not None
    assert metered.usage_source in {"counted", "estimated"}


def test_half_a_report_is_completed_by_a_count() -> None:
    """The missing side is counted, and the source is the weaker of the two."""
    meter = asked(meter_for(), stream=True)
    metered = answered(meter, [delta("Hello"), chunk(choices=[], usage={"prompt_tokens": 7}), DONE])
    assert metered.input_tokens == 7
    assert metered.output_tokens == COUNTER.count("Hello", model="gpt-4o")
    assert metered.usage_source in {"counted", "estimated"}


def test_the_handlers_word_wins() -> None:
    """What the handler reports stands above the response's usage; no count is left out."""
    meter = asked(meter_for())
    meter.report(input_tokens=100)
    meter.report(output_tokens=0, model="mine")
    meter.response_start(200, JSON, b"")
    meter.response_chunk(json.dumps({"model": "theirs", "usage": USAGE}).encode())
    metered = meter.finish(complete=True)
    assert (metered.input_tokens, metered.output_tokens) == (100, 0)
    assert metered.response_model == "mine"
    assert metered.usage_source == "reported"


def test_a_report_needs_no_dialect() -> None:
    """A handler of any other endpoint can say what it used."""
    meter = Meter(None, COUNTER)
    meter.request_chunk(b"x" * 100)
    assert meter.held == 0
    meter.response_start(200, JSON, b"")
    assert not meter.response_chunk(b"{}")
    meter.report(input_tokens=5)
    metered = meter.finish(complete=True)
    assert (metered.input_tokens, metered.output_tokens) == (5, None)
    assert metered.usage_source == "reported"
    assert metered.dialect is None


@pytest.mark.parametrize("wrong", [-1, 1.5, "7", True, float("nan"), 2**53 + 1, [1]])
def test_a_report_that_is_no_count_is_left_out(wrong: Any) -> None:
    """A wrong value is noted as malformed and changes nothing."""
    meter = Meter(None, COUNTER)
    meter.report(input_tokens=wrong)
    metered = meter.finish(complete=True)
    assert metered.input_tokens is None
    assert metered.malformed == 1
    assert metered.usage_source == "unknown"


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_refused_request_is_not_counted(status: int) -> None:
    """Of an error nothing is counted; what it reports all the same is kept."""
    error = {"error": {"message": "no"}}
    for body, source in ((error, "unknown"), ({**error, "usage": USAGE}, "reported")):
        meter = asked(meter_for())
        meter.response_start(status, JSON, b"")
        meter.response_chunk(json.dumps(body).encode())
        metered = meter.finish(complete=True)
        assert metered.usage_source == source
        assert metered.error
        assert (metered.input_tokens is None) == (source == "unknown")


def test_an_answer_of_another_kind_is_unknown() -> None:
    """A body that is not this dialect's leaves every count unknown, not zero."""
    for body in (b"{}", b"[]", b"<html>", b'{"result": "hi"}', b"data: hi\n\n"):
        meter = asked(meter_for())
        meter.response_start(200, JSON, b"")
        meter.response_chunk(body)
        metered = meter.finish(complete=True)
        assert all(getattr(metered, name) is None for name in TOKEN_COLUMNS)
        assert metered.usage_source == "unknown"


def test_a_body_cut_short_still_has_its_prompt() -> None:
    """The prompt of an answer that broke off was spent; its output is unknown."""
    meter = asked(meter_for())
    meter.response_start(200, JSON, b"")
    meter.response_chunk(b'{"choices": [{"message": {"content": "hal')
    metered = meter.finish(complete=False)
    assert metered.input_tokens is not None
    assert metered.output_tokens is None
    assert metered.malformed == 0


def test_no_response_is_unknown() -> None:
    """Where no response started nobody knows what was used."""
    metered = asked(meter_for()).finish(complete=False)
    assert metered.usage_source == "unknown"
    assert metered.request_model == "gpt-4o"


def test_embeddings_without_usage_are_counted() -> None:
    """The input of an embedding is counted where nobody reported it; its output is zero."""
    meter = asked(meter_for("/v1/embeddings"), model="text-embedding-3-small", input="Hello world")
    meter.response_start(200, JSON, b"")
    meter.response_chunk(b'{"object":"list","data":[{"index":0,"embedding":[0.1,0.2]}]}')
    metered = meter.finish(complete=True)
    assert metered.input_tokens == COUNTER.count("Hello world", model="text-embedding-3-small")
    assert metered.output_tokens == 0
    assert metered.usage_source == "counted"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_bodies_are_read(encoding: str) -> None:
    """Request and response may be packed; the terminal event is seen through it."""
    plain = asked(meter_for(), stream=True)
    expected = answered(plain, [delta("Hello"), delta(" world"), DONE])
    meter = asked(meter_for(), encoding, stream=True)
    assert meter.request_model == "gpt-4o"
    meter.response_start(200, SSE, encoding.encode())
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    seen = [
        meter.response_chunk(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH))
        for piece in (delta("Hello"), delta(" world"), DONE)
    ]
    assert seen == [False, False, True]
    meter.response_chunk(packer.flush())
    assert meter.finish(complete=True) == expected


def test_an_unreadable_coding_is_unknown() -> None:
    """A coding that is not read gives unknown and says so."""
    meter = asked(meter_for())
    meter.response_start(200, JSON, b"br")
    meter.response_chunk(b"abc")
    metered = meter.finish(complete=True)
    assert metered.usage_source == "unknown"
    assert metered.malformed == 1


def test_finish_lets_go_and_stays() -> None:
    """After finish nothing is held, later bytes change nothing, and the result is the same."""
    meter = asked(meter_for(), stream=True)
    meter.response_start(200, SSE, b"")
    meter.response_chunk(delta("Hello"))
    assert meter.held > 0
    metered = meter.finish(complete=False)
    assert meter.held == 0
    assert not meter.response_chunk(delta("more"))
    meter.request_chunk(b"more")
    meter.response_start(200, SSE, b"")
    meter.response_chunk(delta("more"))
    assert meter.held == 0
    assert meter.finish(complete=True) is metered
    assert meter.peek() is metered


def test_peek_tells_what_is_known_so_far() -> None:
    """Before the end the request's side is known, and the reported usage as far as it was read."""
    meter = asked(meter_for(), stream=True)
    assert meter.peek().request_model == "gpt-4o"
    meter.response_start(200, SSE, b"")
    meter.response_chunk(chunk(choices=[], usage=USAGE))
    meter.response_chunk(DONE)
    peeked = meter.peek()
    assert peeked.stream is True
    assert peeked.usage_source == "reported"
    assert peeked.output_tokens == 3


def test_an_error_in_the_stream_has_failed() -> None:
    """A stream that says it is an error has failed, though its status was 200."""
    meter = asked(meter_for(), stream=True)
    meter.response_start(200, SSE, b"")
    meter.response_chunk(chunk(error={"message": "overloaded"}))
    assert meter.failed


def test_a_fault_of_ours_is_unknown_and_quiet() -> None:
    """An error inside the meter gives unknown; the handler's own word survives it."""
    meter = asked(meter_for(), stream=True)
    meter.response_start(200, SSE, b"")
    meter.report(output_tokens=4)
    assert not meter.response_chunk(None)  # type: ignore[arg-type] # a shell that went wrong
    metered = meter.finish(complete=True)
    assert (metered.input_tokens, metered.output_tokens) == (None, 4)
    assert metered.malformed >= 1
    assert meter.held == 0


CHUNKS = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            delta("hi"),
            DONE,
            chunk(choices=[], usage=USAGE),
            b'data: {"usage":[]}\n\n',
            b'data: {"choices":7,"usage":{"prompt_tokens":1e999}}\n\n',
            b"data: " + b"[" * 5000 + b"\n\n",
            b'event: error\ndata: {"type":"error"}\n\n',
            b'data: {"type":"message_start","message":[]}\n\n',
            b'data: {"type":"content_block_delta","index":"x","delta":{"text":7}}\n\n',
            b'{"choices":[{"message":{"content":[[[[[[[["x"]]]]]]]]}}]}',
            gzip.compress(b"{}"),
        ]
    ),
)
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("request_start"), st.binary(max_size=9), st.sampled_from([b"", b"gzip"])),
        st.tuples(st.just("request_chunk"), CHUNKS),
        st.tuples(st.just("request_end")),
        st.tuples(
            st.just("response_start"),
            st.sampled_from([0, 200, 204, 404, 999]),
            st.sampled_from([JSON, SSE, b"", b"\xff"]),
            st.sampled_from([b"", b"gzip", b"deflate", b"br", b"\xff"]),
        ),
        st.tuples(st.just("response_chunk"), CHUNKS),
        st.tuples(st.just("response_chunk"), CHUNKS),
    ),
    max_size=25,
)


@pytest.mark.parametrize("dialect", [None, *DIALECTS], ids=lambda d: d.name if d else "none")
@given(calls=CALLS, complete=st.booleans())
def test_nothing_that_is_sent_raises(
    dialect: Dialect | None, calls: list[tuple[Any, ...]], *, complete: bool
) -> None:
    """Any bytes in any order raise nothing, and counts are counts or unknown."""
    meter = Meter(dialect, COUNTER)
    sent = 0
    for name, *arguments in calls:
        getattr(meter, name)(*arguments)
        sent += sum(len(a) for a in arguments if isinstance(a, bytes))
        assert meter.held <= 100 * sent + 4096
    metered = meter.finish(complete=complete)
    assert meter.held == 0
    for name in TOKEN_COLUMNS:
        value = getattr(metered, name)
        assert value is None or (type(value) is int and value >= 0)


@given(st.lists(CHUNKS, max_size=12), st.integers(1, 60))
def test_the_cut_does_not_matter(chunks: list[bytes], step: int) -> None:
    """The same bytes in other pieces, packed or not, are metered alike."""
    body = b"".join(chunks)
    packed = gzip.compress(body)
    results = []
    for data, encoding in ((body, b""), (packed, b"gzip")):
        for size in (step, len(data) + 1):
            meter = asked(meter_for(), stream=True)
            meter.response_start(200, SSE, encoding)
            for i in range(0, len(data), size):
                meter.response_chunk(data[i : i + size])
            results.append(meter.finish(complete=True))
    assert all(result == results[0] for result in results)


def test_a_look_at_a_running_stream_tells_its_input() -> None:
    """What the first event of a stream reported is known before the stream ends."""
    meter = Meter(detect("/v1/messages"), TokenCounter())
    meter.request_chunk(b'{"model": "claude-haiku-4-5", "stream": true}')
    meter.request_end()
    meter.response_start(200, "text/event-stream", "")
    start = {"usage": {"input_tokens": 12, "cache_read_input_tokens": 30, "output_tokens": 1}}
    event = {"type": "message_start", "message": start}
    meter.response_chunk(b"event: message_start\ndata: " + json.dumps(event).encode() + b"\n\n")
    assert meter.peek().input_tokens == 42


def test_nothing_is_counted_where_no_count_is_kept() -> None:
    """A policy without token columns costs no counting; what is reported is still read."""
    meter = Meter(detect("/v1/chat/completions"), TokenCounter(), may_count=False)
    meter.request_chunk(b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}')
    meter.response_start(200, "application/json", "")
    meter.response_chunk(b'{"choices": [{"message": {"content": "hello"}}]}')
    metered = meter.finish(complete=True)
    assert (metered.input_tokens, metered.output_tokens) == (None, None)
    assert metered.usage_source == "unknown"


def test_a_huge_prompt_is_estimated() -> None:
    """A prompt whose counting would hold up the reply is estimated by its size."""
    meter = Meter(detect("/v1/chat/completions"), TokenCounter())
    content = "a b " * (COUNT_LIMIT // 4 + 1)
    meter.request_chunk(json.dumps({"model": "gpt-4o", "messages": [content]}).encode())
    meter.response_start(200, "application/json", "")
    meter.response_chunk(b'{"choices": [{"message": {"content": "hello"}}]}')
    metered = meter.finish(complete=True)
    assert metered.input_tokens is not None
    assert abs(metered.input_tokens - COUNT_LIMIT // 4) < 100
    assert metered.usage_source == "estimated"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_stream_that_will_report_loads_no_vocabulary(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where usage is expected nothing is made ready to count, and no memory is spent on it."""
    loaded: list[str] = []
    monkeypatch.setattr(vocabulary, "loaded", lambda _: False)
    monkeypatch.setattr(vocabulary, "load_in_background", loaded.append)
    for options in ({"include_usage": True}, None):
        meter = Meter(detect(path), TokenCounter())
        request = {"model": "gpt-4o", "stream": True, "stream_options": options}
        meter.request_chunk(json.dumps(request).encode())
        meter.request_end()
        meter.response_start(200, "text/event-stream", "")
    assert bool(loaded) == (path == "/v1/chat/completions"), "only the second chat asked for none"
    assert len(loaded) <= 2
