"""structlog, in every configuration it documents: useful events, and no word of a prompt."""

from __future__ import annotations

import asyncio
import contextvars
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog import contextvars as bound
from structlog import dev, processors, stdlib

from zeroret.content.flight import CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.guards import libraries, logs, tally
from zeroret.guards.records import GUARD_ERROR
from zeroret.integrations import structlog_events

Log = Callable[[], Any]


@pytest.fixture
def stream() -> io.StringIO:
    """What the loggers at the end of the chain write."""
    return io.StringIO()


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    """The guards, and structlog as it was before."""
    logs.install()
    libraries.install()
    yield
    libraries.uninstall()
    logs.uninstall()
    bound.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def secret() -> str:
    """Words that nobody wrote before."""
    import secrets

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


SHARED: list[Any] = [
    bound.merge_contextvars,
    processors.add_log_level,
    processors.TimeStamper(fmt="iso"),
    processors.CallsiteParameterAdder(),
    processors.StackInfoRenderer(),
]


def console(stream: io.StringIO) -> None:
    """Render for people, exceptions with rich and their locals."""
    formatter = dev.RichTracebackFormatter(show_locals=True)
    structlog.configure(
        [*SHARED, dev.ConsoleRenderer(colors=False, exception_formatter=formatter)],
        logger_factory=structlog.PrintLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )


def plain(stream: io.StringIO) -> None:
    """Render as JSON, exceptions as dicts with their locals."""
    tracebacks = processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=True)
    )
    structlog.configure(
        [*SHARED, tracebacks, processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(stream),
    )


def raw(stream: io.StringIO) -> None:
    """Render as JSON bytes."""
    structlog.configure(
        [
            *SHARED,
            processors.format_exc_info,
            processors.JSONRenderer(serializer=lambda *a, **k: json.dumps(*a, **k).encode()),
        ],
        logger_factory=structlog.BytesLoggerFactory(_Bytes(stream)),
    )


class _Bytes(io.BytesIO):
    def __init__(self, stream: io.StringIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: Any) -> int:
        return self._stream.write(bytes(data).decode())


class Root(logging.Handler):
    """Formats what reaches it, and writes it."""

    def __init__(self, stream: io.StringIO, formatter: logging.Formatter | None = None) -> None:
        super().__init__()
        self._stream = stream
        self.setFormatter(formatter or logging.Formatter("%(levelname)s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write its rendering, and all it holds."""
        self._stream.write(self.format(record) + "\n" + repr(record.__dict__))


def _bridge(stream: io.StringIO, last: Any, formatter: logging.Formatter | None = None) -> None:
    logging.root.handlers[:0] = [Root(stream, formatter)]
    structlog.configure(
        [
            bound.merge_contextvars,
            stdlib.add_logger_name,
            stdlib.add_log_level,
            stdlib.PositionalArgumentsFormatter(),
            processors.TimeStamper(fmt="iso"),
            last,
        ],
        logger_factory=stdlib.LoggerFactory(),
        wrapper_class=stdlib.BoundLogger,
    )


def to_logging(stream: io.StringIO) -> None:
    """Hand keyword arguments to the standard library."""
    _bridge(stream, stdlib.render_to_log_kwargs)


def to_logging_with_args(stream: io.StringIO) -> None:
    """Hand positional arguments to the standard library."""
    _bridge(stream, stdlib.render_to_log_args_and_kwargs)


def to_logging_rendered(stream: io.StringIO) -> None:
    """Hand a rendered text to the standard library."""
    _bridge(stream, processors.JSONRenderer())


def formatter(stream: io.StringIO) -> None:
    """Have the standard library's formatter render the event."""
    made = stdlib.ProcessorFormatter(
        processors=[
            stdlib.ProcessorFormatter.remove_processors_meta,
            processors.dict_tracebacks,
            processors.JSONRenderer(),
        ],
        foreign_pre_chain=[bound.merge_contextvars, stdlib.ExtraAdder()],
    )
    _bridge(stream, stdlib.ProcessorFormatter.wrap_for_formatter, made)


def logfmt(stream: io.StringIO) -> None:
    """Render as keys and values."""
    structlog.configure(
        [*SHARED, processors.format_exc_info, processors.LogfmtRenderer(bool_as_flag=False)],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )


CONFIGURATIONS = (
    console,
    plain,
    raw,
    logfmt,
    to_logging,
    to_logging_with_args,
    to_logging_rendered,
    formatter,
)


@pytest.fixture(params=CONFIGURATIONS, ids=lambda configure: configure.__name__)
def configured(request: pytest.FixtureRequest, stream: io.StringIO) -> Iterator[io.StringIO]:
    """Structlog in each of its configurations."""
    level, handlers = logging.root.level, logging.root.handlers[:]
    logging.root.setLevel(1)
    request.param(stream)
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def failing(log: Any, text: str) -> None:
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
        log.exception(text, stack_info=True)


WAYS: dict[str, Callable[[Any, str], Any]] = {
    "event": lambda log, text: log.info(text),
    "f-string": lambda log, text: log.warning(f"asked {text}"),  # noqa: G004 - the attack
    "value": lambda log, text: log.info("asked", prompt=text, messages=[{"content": text}]),
    "key": lambda log, text: log.info("asked", **{text: 1, "count": 3}),
    "argument": lambda log, text: log.info("asked %s in %d ms", text, 12),
    "bound": lambda log, text: log.bind(user=text, **{text: text}).error("asked"),
    "new": lambda log, text: log.new(user=text).debug("asked"),
    "exception": failing,
    "error value": lambda log, text: log.error("no", error=ValueError(text)),
    "error": lambda log, text: log.error("no", exc_info=ValueError(text)),
    "number": lambda log, text: log.info("asked", number=int.from_bytes(text.encode())),
    "object": lambda log, text: log.info("asked", request=type(text, (), {"__repr__": str})()),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_log_a_prompt_shows_a_word_of_it(
    way: str, configured: io.StringIO, flight: Flight, secret: str
) -> None:
    """Whatever the call and the configuration, something is written, and no word of it."""
    WAYS[way](structlog.get_logger(), secret)
    assert configured.getvalue()
    assert not shows(configured.getvalue(), secret)
    assert GUARD_ERROR not in configured.getvalue()


def test_context_variables_are_content(
    configured: io.StringIO, flight: Flight, secret: str
) -> None:
    """What was bound to the context, wherever that was, is judged as it is merged."""
    bound.bind_contextvars(session=secret, attempt=2, **{secret: 1})
    structlog.get_logger().info("hello")
    assert "hello" in configured.getvalue()
    assert not shows(configured.getvalue(), secret)


def test_foreign_records_are_judged(configured: io.StringIO, flight: Flight, secret: str) -> None:
    """Records of `logging` pass the formatter's own chain, contexts included."""
    bound.bind_contextvars(session=secret)
    logging.getLogger("tests.foreign").warning("got %s", secret, extra={"q": secret})
    assert not shows(configured.getvalue(), secret)


def test_what_remains_is_of_use(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """Constants, numbers, templates, times, places and tracebacks stay; keys are the source's."""
    plain(stream)
    log = structlog.get_logger(service="chat")
    log.bind(attempt=2).info("answered", took=1.5, ok=True, status=200, model=secret)
    log.info(f"asked {secret} twice")  # noqa: G004 - the very thing that is tested
    try:
        int(secret)  # the planted bug
    except ValueError:
        log.exception("failed")
    answered, asked, failed = map(json.loads, stream.getvalue().splitlines())
    assert (answered["event"], answered["took"], answered["status"]) == ("answered", 1.5, 200)
    assert (answered["service"], answered["attempt"], answered["ok"]) == ("chat", 2, True)
    assert answered["model"].startswith("[withheld 65 chars test_structlog.py:")
    assert answered["timestamp"][:2] == "20"
    assert answered["func_name"] == "test_what_remains_is_of_use"
    assert answered["level"] == "info"
    assert asked["event"] == "asked {…} twice"
    frame = failed["exception"][0]["frames"][-1]
    assert frame["name"] == "test_what_remains_is_of_use"
    assert "ValueError at test_structlog.py" in failed["exception"][0]["exc_value"]
    assert "/work" not in str(frame["locals"])


def test_arguments_keep_their_numbers(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """A filtering logger fills in arguments before any processor: numbers stay."""
    console(stream)
    structlog.get_logger().info("took %d ms of %s", 12, secret)
    structlog.get_logger().info("%(a)s and %(b)d", {"a": secret, "b": 3})
    assert "took 12 ms of [withheld 65 chars" in stream.getvalue()
    assert "] and 3" in stream.getvalue()


def test_processors_of_the_programs_own(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """They see no content, and what they add is judged: values, texts around texts, renderings."""
    seen: list[str] = []

    def peeks(_: Any, __: str, event: Any) -> Any:
        seen.append(repr(event))
        return event

    def adds(_: Any, __: str, event: Any) -> Any:
        event["prompt"], event["region"], event[secret] = secret, "eu-central", 1
        event["body"] = {"a": [secret]}
        event["event"] = f"[{secret}] {event['event']}"
        return event

    def renders(_: Any, name: str, event: Any) -> str:
        return f"{name}: {event['event']} in {event['region']} for {secret}"

    structlog.configure([peeks, adds, peeks, renders], logger_factory=_factory(stream))
    structlog.get_logger().info("hello", user=secret)
    assert len(seen) == 2
    assert not shows("".join(seen), secret)
    assert "hello" in stream.getvalue()
    assert "eu-central" in stream.getvalue()
    assert not shows(stream.getvalue(), secret)


def _factory(stream: io.StringIO) -> Any:
    return structlog.PrintLoggerFactory(stream)


def test_a_logger_of_the_programs_own_at_the_end(flight: Flight, secret: str) -> None:
    """Whatever takes the event in the end is given one that is known to be good."""
    seen: list[Any] = []

    class Shipping:
        def info(self, *args: Any, **values: Any) -> None:
            seen.append((args, values))

    for chain in ([], [processors.JSONRenderer()], [stdlib.render_to_log_kwargs]):
        structlog.configure(chain, logger_factory=Shipping)
        structlog.get_logger().info("hello", user=secret, count=3)
    assert len(seen) == 3
    assert not shows(repr(seen), secret)


def test_output_loggers_by_themselves(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """A text that came by no chain is shown if it is source, under any of the methods' names."""
    for log in (structlog.PrintLogger(stream), structlog.WriteLogger(stream)):
        log.msg(secret)
        log.critical("a constant")
        log.info(f"asked {secret}")  # noqa: G004 - likewise
    structlog.BytesLogger(_Bytes(stream)).error(secret.encode())
    assert stream.getvalue().count("a constant\n") == 2
    assert stream.getvalue().count("asked {…}\n") == 2
    assert not shows(stream.getvalue(), secret)


def test_a_coroutine_that_logs_in_a_thread(
    stream: io.StringIO, flight: Flight, secret: str
) -> None:
    """The asynchronous methods find the exchange, and the place that awaits."""
    plain(stream)

    async def main() -> None:
        log = structlog.get_logger()
        await log.ainfo("hello", user=secret)
        try:
            raise ValueError(secret)
        except ValueError:
            await log.aexception("failed %s", secret)

    contextvars.copy_context().run(asyncio.run, main())
    hello, failed = map(json.loads, stream.getvalue().splitlines())
    assert hello["event"] == "hello"
    assert hello["func_name"] == "main"
    assert failed["exception"]
    assert not shows(stream.getvalue(), secret)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "number"])
def test_match_mode_takes_out_what_matches(
    way: str, configured: io.StringIO, matching: Flight, secret: str
) -> None:
    """In match mode events stay whole but for what they share; exceptions are content."""
    WAYS[way](structlog.get_logger(), secret)
    assert configured.getvalue()
    assert secret not in configured.getvalue()


def test_match_mode_keeps_what_does_not(stream: io.StringIO, matching: Flight, secret: str) -> None:
    """Values of no content stay, under keys of any source."""
    plain(stream)
    structlog.get_logger().info("hello " + str(3), user="ann", path=["a"], **{"x y": 1})
    entry = json.loads(stream.getvalue())
    assert (entry["event"], entry["user"], entry["x y"]) == ("hello 3", "ann", 1)


def test_events_of_no_exchange_are_matched(
    configured: io.StringIO, flight: Flight, secret: str
) -> None:
    """After the reply, in the grace, events lose what they share; later, nothing."""
    CURRENT.set(None)
    LIVE.leave(flight, 60)
    structlog.get_logger().info("late", user=secret, who="ann")
    assert "ann" in configured.getvalue()
    assert secret not in configured.getvalue()
    LIVE.leave(flight, 0)
    structlog.get_logger().info("late", user=secret)
    assert secret in configured.getvalue()


def test_report_mode_counts_and_passes(stream: io.StringIO, flight: Flight, secret: str) -> None:
    """With `enforce` off the event is as it was, and counted."""
    flight.enforce = False
    plain(stream)
    before = tally.snapshot().get("logs.withheld", 0)
    structlog.get_logger().info("hello", user=secret)
    assert secret in stream.getvalue()
    assert tally.snapshot()["logs.withheld"] > before


@pytest.mark.parametrize("method", ["admit", "review", "finish"])
def test_an_error_inside_costs_the_event(
    method: str,
    configured: io.StringIO,
    flight: Flight,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever breaks while an event is judged, nothing of it is shown, and nobody hears of it."""
    for error in (ValueError(secret), MemoryError(), RecursionError()):

        def breaks(*_: object, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(structlog_events.Event, method, breaks)
        structlog.get_logger().info("hello", user=secret)
    assert not shows(configured.getvalue(), secret)


def test_uninstalled_structlog_is_as_it_was(stream: io.StringIO, flight: Flight) -> None:
    """Every attribute is put back, the methods' other names included."""
    libraries.uninstall()
    owners = (structlog.PrintLogger, structlog._base.BoundLoggerBase, stdlib.ProcessorFormatter)
    before = [dict(vars(owner)) for owner in owners]
    libraries.install()
    assert [dict(vars(owner)) for owner in owners] != before
    libraries.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before
    libraries.install()
