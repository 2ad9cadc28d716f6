"""loguru with sinks of every kind: useful records, and no word of a prompt."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from zeroret.content.flight import CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.guards import libraries, logs, tally
from zeroret.guards.records import GUARD_ERROR
from zeroret.integrations import loguru_records


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    """The guards, and a logger without handlers."""
    logger.remove()
    logs.install()
    libraries.install()
    yield
    libraries.uninstall()
    logs.uninstall()
    logger.remove()
    logger.configure(extra={}, patcher=None)


@pytest.fixture
def stream() -> io.StringIO:
    """What the sinks write."""
    return io.StringIO()


@pytest.fixture
def secret() -> str:
    """Words that nobody wrote before."""
    return " ".join(secrets.token_hex(5) for _ in range(6))


@pytest.fixture
def flight(secret: str) -> Iterator[Flight]:
    """A strict exchange that runs now."""
    yield from _running(Flight("strict"), secret)


@pytest.fixture
def matching(secret: str) -> Iterator[Flight]:
    """An exchange in match mode that runs now."""
    yield from _running(Flight("match"), secret)


def _running(flight: Flight, secret: str) -> Iterator[Flight]:
    flight.hold(secret.encode())
    LIVE.enter(flight)
    token = CURRENT.set(flight)
    yield flight
    CURRENT.reset(token)
    LIVE.leave(flight, 0)


def shows(text: str, secret: str) -> bool:
    """Tell whether a word of *secret* stands in *text*."""
    return any(word in text for word in secret.split())


class Root(logging.Handler):
    """A handler of `logging` that loguru writes to."""

    def __init__(self, stream: io.StringIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write its rendering, and all it holds."""
        self._stream.write(self.format(record) + "\n" + repr(record.__dict__) + "\n")


def diagnosing(stream: io.StringIO) -> None:
    """Show the values of variables in tracebacks, loguru's default."""
    logger.add(stream, level=0, diagnose=True, backtrace=True)


def coloured(stream: io.StringIO) -> None:
    """Render with colours."""
    logger.add(stream, level=0, colorize=True, format="<red>{level}</red> {message} {extra}")


def serialized(stream: io.StringIO) -> None:
    """Write JSON with all a record has."""
    logger.add(stream, level=0, serialize=True)


def queued(stream: io.StringIO) -> None:
    """Write from another thread."""
    logger.add(stream, level=0, enqueue=True, diagnose=True, serialize=True)


def called(stream: io.StringIO) -> None:
    """Hand messages and their records to a function."""

    def sink(message: Any) -> None:
        stream.write(message + repr(message.record) + json.dumps(message.record, default=str))

    logger.add(sink, level=0)


def rendered(stream: io.StringIO) -> None:
    """Render by a function of the program's own, as loguru's documentation shows."""

    def render(record: Any) -> str:
        record["extra"]["serialized"] = json.dumps(
            {"message": record["message"], "level": record["level"].name}
        )
        return "{extra[serialized]} at {function}\n{exception}"

    logger.add(stream, level=0, format=render)


def handed_on(stream: io.StringIO) -> None:
    """Hand records to `logging`."""
    logger.add(Root(stream), level=0, format="{message}")


SINKS = (diagnosing, coloured, serialized, queued, called, rendered, handed_on)


@pytest.fixture(params=SINKS, ids=lambda configure: configure.__name__)
def sink(request: pytest.FixtureRequest, stream: io.StringIO) -> io.StringIO:
    """A sink of each kind."""
    request.param(stream)
    return stream


def failing(text: str) -> None:
    """Log an exception, its cause and its locals."""
    held = {"held": text}
    try:
        try:
            raise KeyError(text)
        except KeyError as cause:
            error = type(text[:20], (ValueError,), held)(text)
            error.add_note(text)
            raise error from cause
    except ValueError:
        logger.exception(text)


def caught(text: str) -> None:
    """Have the decorator log what a function raises, and its arguments."""

    @logger.catch
    def fails(given: str) -> None:
        copy = given * 2
        raise ValueError(copy)

    fails(text)
    with logger.catch(message=text):
        raise LookupError(text)


def named(text: str) -> None:
    """Log from a function and at a level that bear the content as their names."""

    def speak() -> None:
        logger.info("hello")

    speak.__code__ = speak.__code__.replace(co_name=text)
    speak()
    logger.level(text, no=33, icon=text[:5])
    logger.log(text, "hello")


def patched(text: str) -> None:
    """Log through patchers that write on the record."""

    def patch(record: Any) -> None:
        record["extra"]["more"] = text
        record["message"] = f"{record['message']} {text}"
        record["function"] = record["module"] = record[text] = text

    logger.patch(patch).info("hello")


class Evil:
    """Shows what it holds however it is asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __format__(self, spec: str) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def contextualized(text: str) -> None:
    """Log in a context that holds the content."""
    with logger.contextualize(session=text):
        logger.info("hello")


WAYS: dict[str, Callable[[str], Any]] = {
    "message": logger.info,
    "f-string": lambda text: logger.warning(f"asked {text}"),
    "argument": lambda text: logger.info("asked {} {!r:>20} {a}", text, text, a=text),
    "object": lambda text: logger.info("asked {:>9} {a.text} {a}", Evil(text), a=Evil(text)),
    "object itself": lambda text: logger.info(Evil(text)),
    "bound": lambda text: logger.bind(user=text, **{text: text}).error("asked"),
    "context": contextualized,
    "lazy": lambda text: logger.opt(lazy=True).info("asked {} {a}", lambda: text, a=lambda: text),
    "colours": lambda text: logger.opt(colors=True).info("<red>asked</red> {} {a}", text, a=text),
    "coloured": lambda text: logger.opt(colors=True).info(f"<red>{text}</red>"),
    "raw": lambda text: logger.opt(raw=True).info("{} " + text, text),
    "record": lambda text: logger.opt(record=True).info("{record[extra]} {}", text),
    "specification": lambda text: logger.info("asked {:{}}", 3, text),
    "exception": failing,
    "given exception": lambda text: logger.opt(exception=ValueError(text)).info("no"),
    "catch": caught,
    "names": named,
    "patchers": patched,
    "number": lambda text: logger.info("asked {}", int.from_bytes(text.encode())),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_log_a_prompt_shows_a_word_of_it(
    way: str, sink: io.StringIO, flight: Flight, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the call and the sink, something is written, and no word of the prompt."""
    if way == "specification":
        with pytest.raises(ValueError, match="format"):  # as without us
            "{:{}}".format(3, secret)
    WAYS[way](secret)
    logger.complete()
    logger.remove()
    written = sink.getvalue() + "".join(capsys.readouterr())
    assert sink.getvalue()
    assert not shows(written, secret)
    assert GUARD_ERROR not in written


def test_what_remains_is_of_use(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """Constants, numbers with their formats, templates, places and tracebacks stay."""
    diagnosing(stream)
    logger.info("took {} ms, {:.2f} of {:>5}|{!r}", 12, 2.5, 7, 3)
    logger.info("{b} then {a}, {user}", a=1, b=2, user=secret)
    logger.info(f"asked {secret} twice")
    logger.opt(record=True).info("in {record[function]} at {record[level].name}")
    logger.opt(colors=True).info("<red>red</red> {}", 3)
    try:
        int(secret)  # the planted bug
    except ValueError:
        logger.exception("failed")
    written = stream.getvalue()
    assert "test_what_remains_is_of_use" in written
    assert "took 12 ms, 2.50 of     7|3" in written
    assert "2 then 1, [withheld 65 chars test_loguru.py:" in written
    assert "asked {…} twice" in written
    assert "in test_what_remains_is_of_use at INFO" in written
    assert "red 3" in written
    assert "int(secret)  # the planted bug" in written
    assert "ValueError at test_loguru.py" in written
    assert "└" not in written  # no value of a variable


def test_extras_keep_numbers_and_own_names(
    stream: io.StringIO, flight: Flight, secret: str
) -> None:
    """Bound values obey the rules of values; keys are those of the source."""
    serialized(stream)
    logger.bind(attempt=2, ratio=0.5, region="europe", user=secret).info("hello")
    extra = json.loads(stream.getvalue())["record"]["extra"]
    assert (extra["attempt"], extra["ratio"], extra["region"]) == (2, 0.5, "europe")
    assert extra["user"].startswith("[withheld 65 chars")


def test_a_formatting_function_is_held(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """Its own words and what it makes of the record stay; what it adds from elsewhere goes."""

    def render(record: Any) -> str:
        record["extra"]["q"] = secret
        return "<level>took part</level> {message} " + secret + " {extra[q]}\n"

    logger.add(stream, format=render)
    logger.info("hello {}", 3)
    rendered(stream)
    logger.info("hello {}", 4)
    assert "took part" in stream.getvalue()
    assert "hello 3" in stream.getvalue()
    assert '{"message": "hello 4", "level": "INFO"} at test_a_formatting' in stream.getvalue()
    assert not shows(stream.getvalue(), secret)


def test_records_of_logging_pass_on(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """The handler of loguru's documentation: what the log guard has judged is judged."""

    class Intercept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            options = logger.opt(depth=6, exception=record.exc_info)
            options.log(record.levelname, record.getMessage())

    logger.add(stream, format="{message}")
    log = logging.Logger("tests.intercepted")  # noqa: LOG001 - it lives as long as the test
    log.addHandler(Intercept())
    for _ in range(2):
        log.info("took %d ms of %s", 3, secret)
        log.info("a constant")
    assert stream.getvalue().count("took 3 ms of [withheld 65 chars test_loguru.py:") == 2
    assert stream.getvalue().count("a constant\n") == 2


def test_a_failing_sink_tells_no_content(
    flight: Flight, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What loguru prints about an error in a sink holds no text of record or error."""

    def sink(message: Any) -> None:
        raise ValueError(secret)

    logger.add(sink)
    logger.info("hello {}", secret)
    printed = capsys.readouterr().err
    assert "Logging error in Loguru Handler" in printed
    assert "ValueError" in printed
    assert not shows(printed, secret)


def test_a_coroutine_sink(flight: Flight, secret: str) -> None:
    """A sink that runs later is given a judged message."""
    seen: list[str] = []

    async def main() -> None:
        async def sink(message: Any) -> None:
            seen.append(message + repr(message.record))

        logger.add(sink)
        logger.info("hello {}", secret)
        await logger.complete()

    asyncio.run(main())
    assert "hello" in seen[0]
    assert not shows(seen[0], secret)


def test_a_file_sink(tmp_path: Path, flight: Flight, secret: str) -> None:
    """What goes to a file is judged like all else."""
    logger.add(tmp_path / "log.txt", serialize=True)
    logger.info("hello {}", secret)
    written = (tmp_path / "log.txt").read_text()
    assert "hello" in written
    assert not shows(written, secret)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("number", "specification")])
def test_match_mode_takes_out_what_matches(
    way: str, sink: io.StringIO, matching: Flight, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In match mode records stay whole but for what they share; exceptions are content."""
    WAYS[way](secret)
    logger.complete()
    logger.remove()
    assert sink.getvalue()
    assert secret not in sink.getvalue() + "".join(capsys.readouterr())


def test_match_mode_keeps_what_does_not(stream: io.StringIO, matching: Flight, secret: str) -> None:
    """Messages and values of no content stay as they are."""
    logger.add(stream, format="{message} {extra[who]}")
    logger.bind(who="ann").info("hello {} " + str(3), "you")
    assert stream.getvalue() == "hello you 3 ann\n"


def test_records_of_no_exchange_are_matched(sink: io.StringIO, flight: Flight, secret: str) -> None:
    """After the reply, in the grace, records lose what they share; later, nothing."""
    CURRENT.set(None)
    LIVE.leave(flight, 60)
    logger.info("late {} {}", secret, "ann")
    logger.complete()
    assert "ann" in sink.getvalue()
    assert secret not in sink.getvalue()
    LIVE.leave(flight, 0)
    logger.info("late {}", secret)
    logger.complete()
    assert secret in sink.getvalue()


def test_report_mode_counts_and_passes(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """With `enforce` off the record is as it was, and counted."""
    flight.enforce = False
    diagnosing(stream)
    before = tally.snapshot().get("logs.withheld", 0)
    logger.info("hello {}", secret)
    assert secret in stream.getvalue()
    assert tally.snapshot()["logs.withheld"] > before


@pytest.mark.parametrize("function", ["judged_record", "message_of", "rendered", "held"])
def test_an_error_inside_costs_the_record(
    function: str,
    sink: io.StringIO,
    flight: Flight,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever breaks while a record is judged, nothing of it is shown, and nobody hears of it."""
    for error in (ValueError(secret), MemoryError(), RecursionError()):

        def breaks(*_: object, error: Exception = error, **__: object) -> Any:
            raise error

        monkeypatch.setattr(loguru_records, function, breaks)
        logger.info("hello {}", secret)
        logger.info(secret)
    logger.complete()
    assert not shows(sink.getvalue(), secret)


def test_levels_that_nobody_hears_cost_nothing(flight: Flight, secret: str) -> None:
    """Lazy arguments are not asked for a record that no handler takes."""
    logger.add(lambda _: None, level="ERROR")
    logger.opt(lazy=True).debug("hello {}", lambda: pytest.fail("asked"))
    logger.remove()
    logger.opt(lazy=True).error("hello {}", lambda: pytest.fail("asked"))


def test_uninstalled_loguru_is_as_it_was() -> None:
    """Every attribute is put back."""
    from loguru import _handler, _logger, _simple_sinks

    libraries.uninstall()
    owners = (_logger.Logger, _handler.Handler, _simple_sinks.StreamSink)
    before = [dict(vars(owner)) for owner in owners]
    libraries.install()
    assert [dict(vars(owner)) for owner in owners] != before
    libraries.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before
    libraries.install()
