"""The runtime: one for equal options, started and closed at will, forked, and faithful."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

import zeroret.recording
import zeroret.usage.counting
from zeroret import (
    Policy,
    TokenCounter,
    ZeroRetention,
    ZeroRetentionMiddleware,
    ZeroRetentionWSGIMiddleware,
    testing,
)
from zeroret.errors import ConfigurationError
from zeroret.exchange import Exchange
from zeroret.sinks.memory import MemorySink
from zeroret.types import ASGIApp, Message, Receive, Scope, Send
from zeroret.usage.identity import Pseudonyms
from zeroret.usage.layout import layout
from zeroret.usage.record import UsageRecord

POLICIES: Final = ("crofai", "crouter", "kriora", "noorapi", "usage-only", "wallet")
PROMPT: Final = "the patient has a rare allergy to penicillin"
BODY: Final = json.dumps(
    {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
).encode()
SCOPE: Final = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "query_string": b"",
    "headers": [
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer sk-1"),
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"),
    ],
    "client": ("192.0.2.7", 4711),
}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream one word without usage, so that everything has to be counted."""
    await receive()
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    delta = {"model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "four"}}]}
    for data in (json.dumps(delta), "[DONE]"):
        body = f"data: {data}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body"})


async def careless(scope: Scope, receive: Receive, send: Send) -> None:
    """Log the prompt and fail with it."""
    body = (await receive())["body"].decode()
    logging.getLogger("careless").error("got %s", body)
    raise ValueError(body)


def serve(app: ASGIApp) -> None:
    """Make one call."""

    async def receive() -> Message:
        return {"type": "http.request", "body": BODY}

    async def send(message: Message) -> None:
        pass

    asyncio.run(app(dict(SCOPE), receive, send))  # type: ignore[arg-type] # an awaitable, here a coroutine


def rows(database: Path) -> list[dict[str, Any]]:
    """Return every row of the usage table."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM usage")]


# One runtime for equal options.


@pytest.fixture
def unshared() -> Iterator[None]:
    """Close what middlewares share, before and after."""
    testing.uninstall()
    yield
    testing.uninstall()


@pytest.mark.usefixtures("unshared")
def test_equal_options_share_one_runtime() -> None:
    """However often and in whichever shell options are given, equal ones have one runtime."""
    options: dict[str, Any] = {"sinks": ["memory:shared"], "journal": "memory"}
    asgi = [ZeroRetentionMiddleware(answer, **options).runtime for _ in range(3)]
    wsgi = ZeroRetentionWSGIMiddleware(answer, policy="usage-only", **options)  # type: ignore[arg-type] # never called
    assert len({id(runtime) for runtime in [*asgi, wsgi.runtime]}) == 1
    other = ZeroRetentionMiddleware(answer, **options, mode="report")
    assert other.runtime is not asgi[0]


@pytest.mark.usefixtures("unshared")
def test_uninstall_forgets_what_is_shared() -> None:
    """After ``testing.uninstall()`` equal options make a new runtime, and the old one is closed."""
    options: dict[str, Any] = {"sinks": ["memory:forgotten"], "journal": "memory"}
    first = ZeroRetentionMiddleware(answer, **options).runtime.start()
    testing.uninstall()
    assert not first.posture()["started"]
    assert ZeroRetentionMiddleware(answer, **options).runtime is not first


def test_a_runtime_has_its_options_already(runtime: ZeroRetention) -> None:
    """``runtime=`` together with options is refused, and names the options."""
    with pytest.raises(ConfigurationError, match="together with mode, policy"):
        ZeroRetentionMiddleware(answer, runtime=runtime, policy="kriora", mode="report")


def test_two_policies_on_one_journal_are_refused(tmp_path: Path) -> None:
    """A journal's killed exchanges obey one policy: the second is told to take its own folder."""
    sinks = [f"sqlite:///{tmp_path}/usage.db"]
    first = ZeroRetention("usage-only", sinks)
    with pytest.raises(ConfigurationError, match=r"belongs to policy usage-only@.* journal="):
        ZeroRetention("kriora", sinks)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match=r"belongs to policy"):
        ZeroRetention("kriora", sinks, journal=tmp_path / "link" / "usage.db.journal")
    assert ZeroRetention("usage-only", sinks).policy == first.policy
    ZeroRetention("kriora", sinks, journal=tmp_path / "another")


def test_two_policies_may_live_side_by_side() -> None:
    """With journals of their own two policies serve one process, each record under its own."""
    with testing.memory_runtime("kriora") as one, testing.memory_runtime("noorapi") as two:
        for runtime in (one, two):
            serve(runtime.asgi(answer))
            (record,) = testing.usage_records(runtime)
            assert record.as_dict().keys() == runtime.policy.columns


# Its life.


def test_start_and_close_are_idempotent(tmp_path: Path) -> None:
    """A runtime starts once, ends once, and starts anew with its journal and sinks."""
    runtime = ZeroRetention(sinks=[f"sqlite:///{tmp_path}/usage.db"])
    runtime.close()
    assert runtime.start().start() is runtime
    serve(runtime.asgi(answer))
    runtime.close()
    runtime.close()
    assert len(rows(tmp_path / "usage.db")) == 1
    serve(runtime.asgi(answer))  # the first exchange starts it
    assert runtime.posture()["started"]
    runtime.close()
    assert len(rows(tmp_path / "usage.db")) == 2


def test_it_is_a_context_manager(tmp_path: Path) -> None:
    """Inside it is started, after it everything is delivered, and an error passes through."""

    def fail_inside(zr: ZeroRetention) -> None:
        with zr as started:
            serve(started.asgi(answer))
            raise KeyError

    zr = ZeroRetention(sinks=[f"jsonl:///{tmp_path}/usage.jsonl"])
    with pytest.raises(KeyError):
        fail_inside(zr)
    assert not zr.posture()["started"]
    assert len((tmp_path / "usage.jsonl").read_text().splitlines()) == 1


def hooks() -> tuple[Any, ...]:
    """Return what guards replace."""
    handler = logging.Handler
    return (
        handler.handle,
        handler.handleError,
        handler.__dict__.get("__init_subclass__"),
        logging.StreamHandler.__dict__.get("handle"),
        threading.Thread.start,
        ThreadPoolExecutor.submit,
    )


def test_close_leaves_the_interpreter_as_it_was() -> None:
    """The last runtime to close takes every patch with it; the ones before leave them."""
    before = hooks()
    one = ZeroRetention(sinks=["memory:"], journal="memory").start()
    patched = hooks()
    assert patched[0] is not before[0]
    assert patched[4] is not before[4]
    assert patched[5] is not before[5]
    two = ZeroRetention("kriora", ["memory:"], journal="memory").start()
    one.close()
    one.close()
    assert hooks() == patched
    two.close()
    assert hooks() == before


def test_without_a_log_guard_logging_is_never_touched() -> None:
    """``log_guard="none"`` patches nothing of logging, and the record passes as it is."""
    before, output = hooks(), io.StringIO()
    with testing.memory_runtime(log_guard="none") as runtime, logged_to(output):
        assert hooks()[:4] == before[:4]
        with pytest.raises(ValueError, match="withheld"):
            serve(runtime.asgi(careless))
    assert PROMPT in output.getvalue()


class logged_to:  # noqa: N801 - reads as the context it makes
    """Let the careless app's logger write to *output* meanwhile."""

    def __init__(self, output: io.StringIO) -> None:
        self.handler = logging.StreamHandler(output)

    def __enter__(self) -> None:
        logging.getLogger("careless").addHandler(self.handler)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("careless").removeHandler(self.handler)


def test_report_mode_counts_and_lets_pass() -> None:
    """In report mode nothing is withheld, and the posture says how much would have been."""
    output = io.StringIO()
    with testing.memory_runtime(mode="report") as runtime, logged_to(output):
        before = runtime.tally
        with pytest.raises(ValueError, match="penicillin"):
            serve(runtime.asgi(careless))
        counted = {kind: n - before.get(kind, 0) for kind, n in runtime.tally.items()}
        (record,) = testing.usage_records(runtime)
    assert PROMPT in output.getvalue()
    assert sum(counted.values()) >= 1
    assert (record.outcome, record.error_type) == ("error", "ValueError")


def test_enforce_mode_withholds_the_same() -> None:
    """The counterpart of the test above: the same call shows nothing."""
    output = io.StringIO()
    with (
        testing.memory_runtime() as runtime,
        logged_to(output),
        pytest.raises(ValueError, match="withheld"),
    ):
        serve(runtime.asgi(careless))
    assert "got " in output.getvalue()
    assert "penicillin" not in output.getvalue()


def test_a_journal_that_cannot_be_used_refuses_to_start(tmp_path: Path) -> None:
    """A folder that everybody may write is refused with what to do, and at lifespan startup."""
    folder = tmp_path / "journal"
    folder.mkdir()
    folder.chmod(0o777)
    runtime = ZeroRetention(sinks=["memory:"], journal=folder)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        runtime.start()
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ConfigurationError, match="chmod 700"):
        asyncio.run(runtime.asgi(app)({"type": "lifespan"}, receive, send))  # type: ignore[arg-type] # a coroutine
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "chmod 700" in sent[0]["message"]


# Columns.


@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_keeps_exactly_its_columns(policy: str, tmp_path: Path) -> None:
    """What lands in a file and in a table are the policy's columns, no more and no fewer."""
    sinks = [f"sqlite:///{tmp_path}/usage.db", f"jsonl:///{tmp_path}/usage.jsonl"]
    with ZeroRetention(policy, sinks) as runtime:
        serve(runtime.asgi(answer))
    (line,) = (tmp_path / "usage.jsonl").read_text().splitlines()
    (row,) = rows(tmp_path / "usage.db")
    columns = Policy.load(policy).columns
    assert json.loads(line).keys() == columns
    assert row.keys() == columns
    assert PROMPT not in line


def explode(*_: Any, **__: Any) -> Any:
    """Stand for what must not be touched."""
    raise AssertionError("a removed column was computed")


SOURCES: Final[list[tuple[Any, str]]] = [
    (Pseudonyms, "key_id"),
    (TokenCounter, "count"),
    (TokenCounter, "stream"),
    (zeroret.usage.counting, "count_prompt"),
    (zeroret.recording, "client_family"),
    (zeroret.recording, "_client"),
    (zeroret.recording, "_duration"),
    (zeroret.recording, "_time_to_first_token"),
    (zeroret.recording, "_method"),
    (zeroret.recording, "_provider"),
]


def explosive(monkeypatch: pytest.MonkeyPatch, runtime: ZeroRetention) -> None:
    """Let every source of a column that Kriora's policy removes blow up when it is touched."""
    for owner, name in SOURCES:
        monkeypatch.setattr(owner, name, explode)
    monkeypatch.setattr(runtime._recorder, "_known", explode)


def test_a_removed_column_is_never_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under ``kriora`` no key, model, token, duration, route or browser is looked at."""
    with testing.memory_runtime("kriora") as runtime:
        explosive(monkeypatch, runtime)
        serve(runtime.asgi(answer))
        (record,) = testing.usage_records(runtime)
        assert runtime.failures == {}
    assert record.as_dict().keys() == runtime.policy.columns
    assert record.usage_source == "unknown"
    assert (record.status, record.client_ip) == (200, "192.0.2.7")


def test_a_kept_column_is_computed_from_these_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: under a policy that keeps them, the same sources are touched."""
    with testing.memory_runtime() as runtime:
        explosive(monkeypatch, runtime)
        serve(runtime.asgi(answer))
        (record,) = testing.usage_records(runtime)
        assert runtime.failures["record"] == 1
    assert record.as_dict().keys() == runtime.policy.columns, "the record itself is never lost"


# Other processes.

PROGRAM: Final = """
import asyncio, os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_runtime as t
from zeroret import ZeroRetention
"""

FORKING: Final = (
    PROGRAM
    + """
runtime = ZeroRetention(sinks=["sqlite:///usage.db"]).start()
app = runtime.asgi(t.answer)
t.serve(app)
child = os.fork()
for _ in range(3):
    t.serve(app)
if child == 0:
    grandchild = os.fork()
    t.serve(app)
    if grandchild:
        os.waitpid(grandchild, 0)
    assert runtime.flush(20)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
runtime.close(20)
"""
)


def run(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run *program* in *folder* with this module in reach."""
    here = str(Path(__file__).parent)
    # Python 3.12 warns of every fork beside a thread: here the fork is the point.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, here, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_a_forked_child_writes_its_own_records(tmp_path: Path) -> None:
    """After ``os.fork`` parent, child and grandchild each deliver what they served, once."""
    done = run(FORKING, tmp_path)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "usage.db")
    assert len(found) == 1 + 3 + 3 + 2
    assert len({row["id"] for row in found}) == len(found)
    assert {row["outcome"] for row in found} == {"completed"}


KILLED: Final = (
    PROGRAM
    + """
async def half(scope, receive, send):
    await receive()
    if scope["path"] == "/early":
        die.set()
        await asyncio.sleep(60)
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: {}\\n\\n", "more_body": True})
    die.set()
    await asyncio.sleep(60)

async def main():
    global die
    die = asyncio.Event()
    runtime = ZeroRetention(sys.argv[2], ["sqlite:///usage.db"]).start()
    app = runtime.asgi(half)
    async def receive():
        return {"type": "http.request", "body": t.BODY}
    async def send(message):
        pass
    calls = [app({**t.SCOPE, "path": path}, receive, send) for path in (t.SCOPE["path"], "/early")]
    tasks = [asyncio.ensure_future(call) for call in calls]
    await die.wait()
    await asyncio.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_killed_record_obeys_the_policy(policy: str, tmp_path: Path) -> None:
    """The records of exchanges whose process died have the policy's columns and nothing else."""
    assert run(KILLED, tmp_path, policy).returncode == -9
    leftovers = b"".join(f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())
    for removed, text in [("client_ip", b"192.0.2.7"), ("request_model", b"gpt-4o")]:
        assert (text in leftovers) <= (removed in layout(Policy.load(policy)).recorded), removed
    assert b"penicillin" not in leftovers
    assert b"sk-1" not in leftovers
    with ZeroRetention(policy, [f"sqlite:///{tmp_path}/usage.db"]) as runtime:
        assert runtime.flush(20)
    early, noted = sorted(rows(tmp_path / "usage.db"), key=lambda row: row.get("status") or 0)
    for row in (early, noted):
        assert row.keys() == runtime.policy.columns
        assert row["policy"] == runtime.policy.stamp
        assert row.get("outcome", "killed") == "killed"
        assert row.get("duration") is None
        assert row.get("started_at") is not None
    assert noted.get("status", 200) == 200
    assert early.get("status") is None


def test_a_failing_part_costs_details_only(
    runtime: ZeroRetention, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of ours is counted, logged once by its type, and the exchange has its record."""

    class Broken:
        def record(self, *_: Any) -> UsageRecord:
            raise LookupError(PROMPT)

        minimal = runtime._recorder.minimal

    runtime._recorder = Broken()  # type: ignore[assignment] # what breaks is the point
    for _ in range(2):
        serve(runtime.asgi(answer))
    assert len(testing.usage_records(runtime)) == 2
    assert runtime.failures["record"] == 2
    assert caplog.text.count("record failed: LookupError") == 1
    assert "penicillin" not in caplog.text


def test_its_repr_names_policy_and_mode_alone() -> None:
    """Neither sinks nor paths stand in a runtime's repr: they may hold passwords."""
    runtime = ZeroRetention("kriora", ["sqlite:///secret.db"], mode="report")
    assert repr(runtime) == f"<ZeroRetention {runtime.policy.stamp} report>"
    assert os.sep not in repr(runtime)


def test_an_unusable_journal_costs_durability_and_not_the_reply(tmp_path: Path) -> None:
    """Without a lifespan that could refuse, the first call is answered and the failure counted."""
    (tmp_path / "journal").write_text("a file where the folder should be")
    sink = MemorySink()
    runtime = ZeroRetention(sinks=[sink], journal=tmp_path / "journal")
    try:
        with pytest.raises(ConfigurationError):
            runtime.start()
        app = runtime.wsgi(lambda _, start: (start("200 OK", []), [b"hello"])[1])
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": io.BytesIO()}
        assert list(app(environ, lambda *_: lambda _: None)) == [b"hello"]
        assert runtime.flush()
        assert [record.outcome for record in sink.records] == ["completed"]
        assert runtime.posture()["failures"] == {"journal": 1}
    finally:
        runtime.close()


def test_an_exchange_outlives_the_close_of_its_runtime(tmp_path: Path) -> None:
    """Its record goes to the journal it began in; closing is not undone by it."""
    database = tmp_path / "usage.db"
    runtime = ZeroRetention(sinks=[f"sqlite:///{database}"])
    exchange = Exchange(runtime, "GET", "/late")
    runtime.close()
    exchange.response_start(200, b"", b"")
    exchange.complete()
    exchange.leave()
    assert not runtime.posture()["started"]
    with ZeroRetention(sinks=[f"sqlite:///{database}"]) as heir:
        assert heir.flush()
    with closing(sqlite3.connect(database)) as rows:
        assert rows.execute("SELECT id, outcome FROM usage").fetchall() == [
            (exchange.id, "completed")
        ]


def test_what_lasts_is_noted_in_its_slot() -> None:
    """A websocket and a stream of no known dialect are noted as they begin, for if they die."""
    notes: list[UsageRecord] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def nothing(_: Any = None) -> Message:
        return {"type": "websocket.connect"}

    with testing.memory_runtime(identify=lambda key: key) as runtime:
        runtime.journal.note = lambda _slot, record: notes.append(record)  # type: ignore[method-assign,assignment] # looks on
        for kind, app in (("http", stream), ("websocket", socket)):
            scope = {**SCOPE, "type": kind, "path": "/live"}
            asyncio.run(runtime.asgi(app)(scope, nothing, nothing))  # type: ignore[arg-type] # a coroutine
    assert [(note.status, note.account, note.outcome) for note in notes] == [
        (200, "sk-1", "killed"),
        (101, "sk-1", "killed"),
    ]
