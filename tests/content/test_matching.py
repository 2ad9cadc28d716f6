"""Matching: whose content a text shares, from where to where."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroret.content.flight import Flight
from zeroret.content.folding import folded
from zeroret.content.matching import merged, shared, shares, threshold

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_LINES = [
    "Started server process [4242]",
    "Waiting for application startup.",
    "Application startup complete.",
    "Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)",
    '10.0.3.7:51234 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
    '127.0.0.1 - - [21/Nov/2026:10:55:01 +0000] "GET /healthz HTTP/1.1" 200 2 "-" "curl/8.5"',
    "HTTP Request: POST https://api.example.com/v1/chat/completions HTTP/1.1 200 OK",
    "2026-11-21 10:55:02,123 INFO sqlalchemy.engine.Engine BEGIN (implicit)",
    "2026-11-21 10:55:02,125 INFO sqlalchemy.engine.Engine COMMIT",
    "SELECT usage.id, usage.account FROM usage WHERE usage.account = ? LIMIT ? OFFSET ?",
    "request finished status=200 duration_ms=812 input_tokens=214 output_tokens=73 stream=true",
    '{"level": "info", "ts": 1700563, "msg": "request done", "route": "/v1/messages", "ms": 31}',
    "connection pool is full, discarding connection: api.example.com. Connection pool size: 10",
    "Retrying request to /chat/completions in 0.853 seconds",
    "Rate limit reached for key 8f14e45fceea167a5a36dedd4bea2543, retry after 12 s",
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 sampled=1",
    "job 018f2b3c-7d5e-7cc1-9d3e-2f6b1a0c4d5e enqueued on default, 3 waiting",
    "worker-2 heartbeat ok, rss=182MB, fds=48, threads=12, loop lag 0.4 ms",
    'File "/usr/local/lib/python3.11/site-packages/starlette/routing.py", line 715, in app',
    "Traceback (most recent call last):",
    "asyncio: Executing <Task pending name='Task-12'> took 0.120 seconds",
    "Closing connection 127.0.0.1:6379 after idle timeout of 300 s",
    "GET /static/css/main.4f2a9c.css 304 0.7 ms",
    "cache miss for model=gpt-4o-mini tenant=acme, hit ratio 0.93",
    "Finished migration 0007_add_usage_index in 1.42 s",
    "celery@worker1 ready. 4 processes, prefetch multiplier 1",
    "Task app.tasks.bill[018f2b3c] succeeded in 0.0312s: None",
    "TLS handshake with 10.0.0.12:443 completed, TLSv1.3, TLS_AES_256_GCM_SHA384",
    "upstream timed out after 30.0 s, attempt 2 of 3",
    "WARNING: 3 of 40 connections in use, 0 waiting",
    "gunicorn.error: Booting worker with pid: 31",
    "Shutting down",
    "Waiting for background tasks to complete. (CTRL+C to force quit)",
    "flushed 512 usage records to sqlite in 21 ms",
    "key rotated: kid=2026-11, previous kid=2026-10 stays valid for 24 h",
    "disk usage /var/lib/app 41% of 20 GiB",
    "signal 15 received, draining 7 exchanges",
    "config reloaded from /etc/app/config.toml, 14 routes, 3 upstreams",
    "websocket /v1/realtime accepted from 10.0.3.9, subprotocol realtime",
    "stream aborted by client after 1.9 s, 48 chunks sent",
]


def holding(*chunks: bytes | str) -> Flight:
    """Return a flight that holds some chunks."""
    flight = Flight()
    for chunk in chunks:
        flight.hold(chunk)
    return flight


def events(*deltas: str) -> list[bytes]:
    """Return a streamed answer as the frames of one API family."""
    return [
        b"data: "
        + json.dumps(
            {
                "id": "chatcmpl-7",
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": delta}}],
            }
        ).encode()
        + b"\n\n"
        for delta in deltas
    ]


words = st.text(st.sampled_from("abcdefgh ijklmé€😀"), max_size=60)


@settings(max_examples=200, deadline=None)
@given(words, words, words, st.booleans())
def test_spans_cut_exactly_the_shared_runs_out_of_text(
    before: str,
    secret: str,
    after: str,
    as_bytes: bool,  # noqa: FBT001 - drawn
) -> None:
    """In plain text the covered bytes are those of the oracle, widened to whole characters."""
    text, content = before + secret + after, secret + "|" + after[::-1]
    data, held = text.encode(), content.encode()
    flight = holding(held if as_bytes else content)
    expected = merged((at, at + 16) for at in range(len(data) - 15) if data[at : at + 16] in held)
    found = shared(data, flight)
    covered = {at for start, end in found for at in range(start, end)}
    assert covered >= {at for start, end in expected for at in range(start, end)}
    if len(folded(data)) < 16:
        assert found == expected
    characters = {at for start, end in shared(text, flight) for at in range(start, end)}
    byte = 0
    for at, character in enumerate(text):
        width = len(character.encode())
        assert (at in characters) == bool(covered & set(range(byte, byte + width)))
        byte += width


@pytest.mark.parametrize("size", [1000, 4000])
@pytest.mark.parametrize("start", [0, 9_000, 21_000, 33_000])
def test_ordinary_log_lines_stay_beside_prompts_of_prose(
    size: int, start: int, prose: str, asking: Callable[[str], Flight]
) -> None:
    """At least 95 % of a server's own lines are untouched by what a client happens to ask."""
    flight = asking(prose[start : start + size])
    touched = [line for line in LOG_LINES * 2 if shares(line, flight)]
    assert len(touched) <= len(LOG_LINES) * 2 * 0.05


def test_sixteen_bytes_of_the_own_exchange_count_and_fifteen_do_not() -> None:
    """The threshold of content up to 4 kB."""
    flight = holding(b'{"q": "?!Zq-8.vW+x_K,y:T/e;R"}')
    assert shared("job ?!Zq-8.vW+x_K,y: end", flight) == [(4, 20)]
    assert shared("job ?!Zq-8.vW+x_K,y end", flight) == []


def test_long_content_needs_twenty_four_bytes(prose: str) -> None:
    """The threshold rises past 4 kB, where ordinary lines would collide."""
    flight = holding(prose[:4200])
    assert threshold(flight) == 24
    run = prose[1000:1023]
    assert shared(f"\x01{run}\x02", flight) == []
    run = prose[1000:1024]
    assert shared(f"\x01{run}\x02", flight) == [(1, 25)]


def test_no_client_can_blank_the_lines_of_another() -> None:
    """Another exchange's content acts from 64 bytes on; the own from 16."""
    line = "request finished status=200 duration_ms=812 input_tokens=214 output_tokens=73 ok"
    hostile, own = holding(line[:63].encode()), Flight()
    assert shared(line, own, [hostile, own]) == []
    assert shared(line, None, [hostile]) == []
    assert shared(line, hostile) == [(0, 63)]
    assert shared(line, own, [holding(line[:64])]) == [(0, 64)]


def test_others_are_found_at_every_alignment(prose: str) -> None:
    """A run of exactly 64 bytes of another exchange is found wherever it begins, 63 is not."""
    other = holding(prose[:3000])
    for start in range(1200, 1300):
        run = prose[start : start + 64]
        assert shared(f"\x01{run}\x02", None, [other]) == [(1, 65)]
        assert shared(f"\x01{run[:63]}\x02", None, [other]) == []


def test_a_text_of_no_exchange_is_matched_as_everyones_own() -> None:
    """What a finaliser or callback writes may quote anyone."""
    flights = [holding(b"nothing of interest"), holding(b"the patient is called Alva Berg")]
    text = "leaked: patient is called Alva"
    assert shared(text, None, flights) == []
    assert shared(text, None, flights, background=True) == [(7, 30)]


def test_an_answer_cut_into_deltas_is_matched_joined() -> None:
    """The handler logs the whole answer; the stream carried it in pieces of a few bytes."""
    answer = "The ward will call you — before nine o'clock on Thursday."
    deltas = [answer[at : at + 3] for at in range(0, len(answer), 3)]
    flight = holding(*events(*deltas))
    assert shared(f"answer: {answer}", flight)[0] == (8, 8 + len(answer))


def test_frames_cut_anywhere_are_put_together_and_later_chunks_count() -> None:
    """The index grows with the stream, however the frames fall into chunks."""
    answer = 'She said "yes"\nand then\\or "no", naïve as ever, in Ürümqi \U0001f600 at last.'
    stream = b"".join(events(*[answer[at : at + 2] for at in range(0, len(answer), 2)]))
    for size in (1, 7, 64, 1000):
        flight = Flight()
        for at in range(0, len(stream), size):
            flight.hold(stream[at : at + size])
            if at % 3 == 0:
                shares("whatever is being asked in the meantime", flight)
        assert shared(f"[{answer}]", flight) == [(1, 1 + len(answer))]


def test_tool_arguments_are_json_within_json() -> None:
    """What a handler parses twice is matched as it then stands."""
    note = 'buy 3 "red" apples\nand tell Åsa nothing of it'
    arguments = json.dumps({"note": note})
    flight = holding(json.dumps({"function": {"arguments": arguments}}).encode())
    assert shared(f"tool got {note}", flight)[0] == (9, 9 + len(note))


def test_a_form_body_is_matched_as_the_handler_reads_it() -> None:
    """Percent signs and plus signs are decoded on the side of the content, too."""
    flight = holding(b"q=my+secret+wish+is+%E2%82%AC+100&x=1")
    assert shared("wish: my secret wish is € 100.", flight) == [(6, 29)]


def test_constants_of_the_program_are_not_content() -> None:
    """A prompt that quotes the program's own lines does not blank them, the rest goes."""
    constant = "the queue is full, try again later"
    flight = holding(f"why does it say {constant} to my sister Alva Berg?")
    keep = frozenset([constant, " "])
    assert shared(constant, flight) == [(0, len(constant))]
    assert shared(constant, flight, keep=keep) == []
    text = f"{constant} to my sister Alva Berg"
    assert shared(text, flight, keep=keep) == [(len(constant), len(text))]


def test_a_dropped_flight_is_no_longer_matched() -> None:
    """Dropping takes content and index away at once."""
    flight = holding(b"the patient is called Alva Berg")
    text = "patient is called Alva Berg"
    assert shares(text, flight)
    flight.drop()
    assert not shares(text, flight)
    assert not shares(text, None, [flight], background=True)
    assert flight.index is None


def test_threads_may_ask_while_the_stream_grows(prose: str) -> None:
    """Every thread sees every chunk that was held before it asked."""
    flight = Flight()
    missed: list[int] = []

    def stream() -> None:
        for at in range(0, 6000, 60):
            flight.hold(prose[at : at + 60])
            if not shares(prose[at : at + 60], flight):
                missed.append(at)

    asking = [threading.Thread(target=stream) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert missed == []


def test_bytes_that_are_no_text_are_matched_too() -> None:
    """Files are content; spans of bytes count bytes."""
    data = bytes(range(200, 256)) * 2
    assert shared(b"<" + data[3:40] + b">", holding(data)) == [(1, 38)]
