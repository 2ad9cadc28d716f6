"""The log guard where records leave: every handler, every thread, and nothing left behind."""

from __future__ import annotations

import asyncio
import io
import logging
import logging.handlers
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from zeroret.content.flight import CHUNK_BUDGET, CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.guards import logs, tally, threads
from zeroret.guards.records import GUARD_ERROR, GuardedRecord
from zeroret.guards.values import server_made


def fresh(text: str) -> str:
    """Return an equal text made at run time: a literal would be source, and shown."""
    return text[:1] + text[1:]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What a handler of the root logger writes."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.root.addHandler(handler)
    yield out
    logging.root.removeHandler(handler)


def test_install_and_uninstall_leave_logging_as_it_was() -> None:
    """The guard is counted; after the last uninstall every class has its own methods again."""

    class Own(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            return True

    classes = [logging.Handler, logging.handlers.SocketHandler, Own]
    before = [dict(vars(cls)) for cls in classes]
    logs.install()
    logs.install()
    assert logging.Handler.handle is not before[0]["handle"]
    assert vars(Own)["handle"] is not before[2]["handle"]
    logs.uninstall()
    assert logging.Handler.handle is not before[0]["handle"]
    logs.uninstall()
    logs.uninstall()
    assert [dict(vars(cls)) for cls in classes] == before


def test_a_clean_record_passes_as_it_is(output: Any, flight: Flight) -> None:
    """A known constant with numbers is emitted uncopied, where the formatter is logging's own."""
    output.handler.setFormatter(logging.Formatter())
    for number in range(3):
        output.log.info("took %d ms, %.1f %s %s", number, 2.5, True, None)
    assert type(output.records[0]) is GuardedRecord
    assert type(output.records[2]) is logging.LogRecord
    assert output.message == "took 2 ms, 2.5 True None"


def test_outside_an_exchange_nothing_is_touched(output: Any, guarded: None, content: str) -> None:
    """With nothing live, records pass as they are."""
    output.log.info("got %s", content)
    assert type(output.records[0]) is logging.LogRecord
    assert output.message == f"got {content}"


def test_closed_sets_and_vouched_values_pass(output: Any, flight: Flight) -> None:
    """Models, routes, methods, logger names, enum members and server-made values are shown."""
    flight.route = "/v1/{thing}"
    made = fresh("id-4711")
    output.log.info(
        "%s %s %s %s %s",
        *(fresh("POST"), fresh("/v1/{thing}"), fresh("gpt-test-1")),
        server_made(made),
        type(flight),
    )
    assert output.message == "POST /v1/{thing} gpt-test-1 id-4711 Flight"


def test_a_vouched_value_that_quotes_content_is_withheld(
    output: Any, flight: Flight, content: str
) -> None:
    """`server_made` is a claim, and it is checked."""
    output.log.info("id %s", server_made(content))
    assert content not in output.text
    with pytest.raises(TypeError):
        server_made(b"x")  # type: ignore[arg-type] # what is refused


def test_enum_members_show_their_names_and_numbers(output: Any, flight: Flight) -> None:
    """An enum's member is its name; where the format asks for a number, its number."""
    from http import HTTPStatus

    output.log.info("%s %d", HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND)
    assert output.message == "NOT_FOUND 404"


def test_conversions_of_withheld_values_still_format(
    output: Any, flight: Flight, content: str
) -> None:
    """Numeric conversions of withheld values become text; arity and keys are kept."""
    output.log.info("%5d|%-8.3f|%x|%r", content, content, content, content)
    assert len(output.records[-1].args) == 4
    assert output.message.count("[withheld 87 chars test_logs.py:") == 4
    output.log.info("%(a)s %(b)04d", {"a": content, "b": 7, "c": content})
    assert output.records[-1].args["b"] == 7
    assert output.message.endswith("] 0007")


def test_a_planted_bug_is_found_from_its_log(output: Any, flight: Flight, content: str) -> None:
    """The stack trace names file, line, function, source line and class, and no message."""
    try:
        int(content)  # the planted bug
    except ValueError:
        output.log.exception("failed")
    text = output.records[-1].exc_text
    line = test_a_planted_bug_is_found_from_its_log.__code__.co_firstlineno + 3
    assert f'File "{__file__}", line {line}, in test_a_planted_bug_is_found_from_its_log' in text
    assert "int(content)  # the planted bug" in text
    assert "ValueError: [withheld]" in text
    assert f"test_logs.py:{line} in test_a_planted_bug" in str(output.records[-1].exc_info[1])
    assert content not in output.text


def test_a_queue_handler_gets_guarded_records(flight: Flight, content: str, output: Any) -> None:
    """The producer's thread guards; the listener's thread, without context, passes it on."""
    waiting: queue.Queue[Any] = queue.Queue()
    log = logging.Logger("queued")  # noqa: LOG001 - a private logger is the case
    handler = logging.handlers.QueueHandler(waiting)
    log.addHandler(handler)
    listener = logging.handlers.QueueListener(waiting, output.handler)
    listener.start()
    for _ in range(2):
        log.warning("got %s", content)
        log.warning("took %d", 3)
    listener.stop()
    assert [type(record) for record in output.records] == [GuardedRecord] * 4
    assert output.records[-1].getMessage() == "took 3"
    assert content not in output.text


def test_private_loggers_and_handlers_called_directly(flight: Flight, content: str) -> None:
    """A logger of one's own, one that does not propagate, a handler called by hand: all guarded."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    private = logging.Logger("private")  # noqa: LOG001 - a private logger is the case
    private.addHandler(handler)
    private.warning(content)
    handler.handle(logging.makeLogRecord({"msg": content, "secret": content}))
    memory = logging.handlers.MemoryHandler(9, target=handler)
    private.handlers = [memory]
    private.warning("kept %s", content)
    memory.close()
    assert out.getvalue().count("[withheld") == 3
    assert content not in out.getvalue()


def test_the_handler_of_last_resort(
    flight: Flight, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A logger without handlers writes to stderr through a guarded handler, too."""
    lost = logging.Logger("lost")  # noqa: LOG001 - a private logger is the case
    lost.warning("got %s", content)
    shown = capsys.readouterr().err
    assert shown.startswith("got [withheld 87 chars test_logs.py:")


def test_a_subclass_made_later_that_overrides_handle(flight: Flight, content: str) -> None:
    """Handlers that bring their own `handle` are guarded, whenever they are defined."""
    seen: list[Any] = []

    class Later(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            seen.append(record.getMessage())
            return bool(super().handle(record))

        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.__dict__.get("trace"))

    handler = Later()

    def adds(record: logging.LogRecord) -> bool:
        record.trace = content
        return True

    handler.addFilter(adds)
    log = logging.Logger("later")  # noqa: LOG001 - a private logger is the case
    log.addHandler(handler)
    log.warning("got %s", content)
    assert len(seen) == 2
    assert content not in str(seen)


def test_what_filters_add_is_guarded_and_still_formats(flight: Flight, content: str) -> None:
    """An attribute that a handler's filter adds stays, with its value withheld."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(trace_id)s %(message)s"))

    def adds(record: logging.LogRecord) -> bool:
        record.trace_id = content
        return True

    handler.addFilter(adds)
    log = logging.Logger("filtered")  # noqa: LOG001 - a private logger is the case
    log.addHandler(handler)
    log.warning("hello")
    assert out.getvalue().startswith("[withheld 87 chars test_logs.py:")
    assert out.getvalue().endswith("] hello\n")


def test_a_failing_formatter_prints_no_content(
    flight: Flight, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What logging prints about its own errors is content-free, for handlers of every kind."""

    class Breaking(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise LookupError(record.getMessage())

    class Loud(logging.StreamHandler[Any]):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - likewise
            sys.excepthook(*sys.exc_info())
            super().handleError(record)

    for kind in (logging.StreamHandler, Loud):
        handler = kind(io.StringIO())
        handler.setFormatter(Breaking())
        log = logging.Logger("breaking")  # noqa: LOG001 - a private logger is the case
        log.addHandler(handler)
        try:
            raise ValueError(content)
        except ValueError:
            log.warning("got %s", content)
    shown = capsys.readouterr().err
    assert shown.count("--- Logging error ---") == 2
    assert "LookupError" in shown
    assert content not in shown


def test_an_error_in_the_guard_costs_the_text(
    output: Any, flight: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks inside, the record says only so, and it is counted."""
    for error in (ValueError(content), MemoryError(), RecursionError()):

        def breaks(*_: object, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr("zeroret.guards.records.names.logger", breaks)
        failed = tally.snapshot().get("logs.failed", 0)
        output.log.error("got %s", content)
        assert output.message == GUARD_ERROR
        assert output.records[-1].levelname == "ERROR"
        assert tally.snapshot()["logs.failed"] > failed
    assert content not in output.text


def test_logging_inside_the_guard_does_not_recurse(
    output: Any, flight: Flight, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record made while a record is guarded shows a fixed text."""

    def logs_too(_: object) -> str | None:
        output.log.warning("inner %s", content)
        return None

    monkeypatch.setattr(Flight, "route_template", logs_too)
    output.log.warning("outer %s", content)
    messages = [record.getMessage() for record in output.records]
    assert GUARD_ERROR in messages
    assert any(message.startswith("outer [withheld") for message in messages)
    assert not any(message.startswith("inner") for message in messages)
    assert content not in output.text


def test_report_mode_counts_and_passes(output: Any, flight: Flight, content: str) -> None:
    """With `enforce` off the record is emitted as it was, and counted."""
    flight.enforce = False
    before = tally.snapshot().get("logs.withheld", 0)
    output.log.info("got %s", content)
    assert output.message == f"got {content}"
    assert tally.snapshot()["logs.withheld"] > before


def test_a_record_after_the_reply_is_matched(output: Any, flight: Flight, content: str) -> None:
    """Within the grace a record of no exchange loses what it shares, and only that."""
    CURRENT.set(None)
    LIVE.leave(flight, 60)
    output.log.info("late %s and %s", content, "more")
    output.log.info("nothing of it")
    assert content not in output.text
    assert "late [withheld" in output.records[0].getMessage()
    assert output.records[0].getMessage().endswith(" and more")
    assert output.message == "nothing of it"
    LIVE.leave(flight, 0)
    output.log.info("late %s", content)
    assert output.message == f"late {content}"


def test_work_in_threads_stays_in_the_exchange(output: Any, flight: Flight, content: str) -> None:
    """A thread, a pool's worker and an executor's job log as strictly as their exchange."""
    word = content[:10]  # too short for any match: only the exchange itself withholds it
    threads.install()
    try:
        thread = threading.Thread(target=output.log.info, args=(word,))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(output.log.info, word).result()

            async def job() -> None:
                await asyncio.get_running_loop().run_in_executor(pool, output.log.info, word)
                await asyncio.to_thread(output.log.info, word)

            asyncio.run(job())
    finally:
        threads.uninstall()
    assert len(output.records) == 4
    assert word not in output.text


def test_match_mode_redacts_what_matches_and_keeps_the_rest(
    output: Any, matching_flight: Flight, content: str
) -> None:
    """Arguments one by one, then the whole; exceptions are content in every mode."""
    output.log.info("user %s asked %r of %s, %d", "bob", content, {"q": content}, 3)
    assert "user bob asked [withheld" in output.message
    assert output.message.endswith(", 3")
    assert len(output.records[-1].args) == 4
    half = len(content) // 2
    output.log.info("%s%s", content[half - 12 : half], content[half : half + 12])
    output.log.info("plain %s", "text", extra={"body": content, content: 1})
    assert output.message == "plain text"
    try:
        raise ValueError(content)
    except ValueError:
        output.log.exception("failed")
    assert content not in output.text
    assert content[half - 8 : half + 8] not in output.text
    assert "raise ValueError(content)" in output.records[-1].exc_text


def test_root_handlers_and_children(stream: io.StringIO, flight: Flight, content: str) -> None:
    """Child loggers that propagate to the root are guarded by the root's handler."""
    logging.getLogger("tests.guards.child").warning("got %s", content)
    assert content not in stream.getvalue()
    assert "WARNING tests.guards.child got [withheld 87" in stream.getvalue()


def test_other_record_classes_are_guarded(output: Any, flight: Flight, content: str) -> None:
    """A record factory's own class, however it renders itself, shows no more than others."""

    class Braces(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 - the name logging calls
            return content

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Braces)
    try:
        output.log.warning("hello %d", 3)
    finally:
        logging.setLogRecordFactory(before)
    assert output.message == "hello 3"
    assert Path(output.records[0].pathname) == Path(__file__)


@pytest.mark.parametrize("lost", ["too large to hold", "dropped"])
def test_match_mode_is_strict_where_content_was_lost(
    output: Any, flight: Flight, content: str, lost: str
) -> None:
    """What cannot be matched, because it is no longer or never was referenced, is withheld."""
    flight.log_guard = "match"
    if lost == "dropped":
        flight.drop()
    else:
        flight.hold(b"x" * (CHUNK_BUDGET + 1))
        flight.chunks.clear()
    output.log.info("it is %s", content)
    assert content not in output.text
    assert "it is " in output.text
