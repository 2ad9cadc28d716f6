"""Formatters of one's own: they stay useful, JSON stays JSON, and what they add is held."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import pickle
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroret.content.flight import CURRENT, Flight
from zeroret.guards import formatted, formatters, logs, tally
from zeroret.guards.records import GUARD_ERROR


class Dumping(logging.Formatter):
    """Dumps everything a record has, as JSON loggers do."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        return json.dumps({**record.__dict__, "text": record.getMessage()}, default=str)


class Cloud(logging.Formatter):
    """Maps a record to the keys that a log service asks for, with fields of its own."""

    def __init__(self, **static: str) -> None:
        super().__init__()
        self.static = static
        self.more: dict[str, Any] = {}

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        entry = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "severity": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "host": socket.gethostname(),
            "source": f"{record.filename}:{record.lineno}",
            **self.static,
            **self.more,
        }
        if record.exc_info:
            entry["stack"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class Plain(logging.Formatter):
    """Puts words, colours and a short form of the message around it."""

    more = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line of text."""
        when = time.strftime("%H:%M:%S", time.localtime(record.created))
        return (
            f"\x1b[32m{record.levelname:<8}\x1b[0m [{when}] took part in {record.name.upper()}: "
            f"{record.getMessage()[:300]}{self.more} | line={record.lineno}"
        )


@pytest.fixture
def stream() -> io.StringIO:
    """What the handler writes."""
    return io.StringIO()


Writing = Callable[[logging.Formatter], logging.Logger]


@pytest.fixture
def writing(stream: io.StringIO) -> Writing:
    """Make a logger whose one handler has the given formatter."""

    def make(formatter: logging.Formatter) -> logging.Logger:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        log = logging.Logger("tests.guards.formatted")  # noqa: LOG001 - it lives as long as the test
        log.addHandler(handler)
        return log

    return make


def test_a_dump_of_the_record_stays_as_it_was(
    writing: Writing, stream: io.StringIO, flight: Flight, content: str
) -> None:
    """Every value of a guarded record is known, so the line is what the formatter made."""
    log = writing(Dumping())
    try:
        raise ValueError(content)
    except ValueError:
        log.exception("failed %d of %s", 3, content, extra={"user": content, "count": 7})
    entry = json.loads(stream.getvalue())
    assert entry["text"].startswith("failed 3 of [withheld 87 chars test_formatted.py:")
    assert entry["count"] == 7
    assert entry["levelname"] == "ERROR"
    assert entry["lineno"] > 1
    assert any("ValueError" in each for each in entry["exc_info"])
    assert "raise ValueError(content)" in entry["exc_text"]
    assert content not in stream.getvalue()


def test_a_log_services_keys_and_fields_stay(
    output: Any, guarded: None, writing: Writing, stream: io.StringIO, content: str
) -> None:
    """What the formatter's source spells and what it held from the start is shown; no more."""
    formatter = Cloud(service="chat-api " + str(2), version="1.2." + str(3))
    log = writing(formatter)
    flight = Flight()
    token = CURRENT.set(flight)
    try:
        formatter.more = {"prompt": content, content: "chat-api 2", "ratio": 0.5}
        try:
            raise ValueError(content)
        except ValueError:
            log.exception("took %d ms", 12)
    finally:
        CURRENT.reset(token)
    entry = json.loads(stream.getvalue())
    assert entry["severity"] == "error"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["timestamp"])
    assert (entry["service"], entry["version"]) == ("chat-api 2", "1.2.3")
    assert entry["host"] == socket.gethostname()
    assert entry["message"] == "took 12 ms"
    assert entry["ratio"] == 0.5
    assert "raise ValueError(content)" in entry["stack"]
    assert entry["prompt"] == "[withheld 87 chars]"
    assert not any(word in stream.getvalue() for word in content.split())


def test_plain_text_keeps_words_times_and_colours(
    writing: Writing, stream: io.StringIO, flight: Flight, content: str
) -> None:
    """The formatter's words stay; a stretch with a word of somebody else's goes as a whole."""
    formatter = Plain()
    log = writing(formatter)
    log.warning("answered in %d ms", 812)
    assert re.fullmatch(
        r"\x1b\[32mWARNING \x1b\[0m \[\d\d:\d\d:\d\d\] took part in TESTS\.GUARDS\.FORMATTED: "
        r"answered in 812 ms \| line=\d+\n",
        stream.getvalue(),
    )
    formatter.more = f" for {content}"
    log.warning("answered in %d ms", 812)
    assert "answered in 812 ms [withheld " in stream.getvalue()
    assert not any(word in stream.getvalue() for word in content.split())


def test_a_name_twice_in_one_object_hides_nothing(
    writing: Writing, stream: io.StringIO, flight: Flight, content: str
) -> None:
    """JSON keeps the last of two equal names; both are judged."""

    class Twice(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f'{{"message": "{content}", "message": "{record.getMessage()}"}}'

    writing(Twice()).info("hello")
    assert json.loads(stream.getvalue())["message"] == "hello"
    assert content not in stream.getvalue()


def test_numbers_are_counted(writing: Writing, stream: io.StringIO, flight: Flight) -> None:
    """A list of numbers can spell a prompt: eight of them are shown, and no large one."""

    class Numbers(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps({"message": [*b"a secret prompt"], "id": 2**70})

    writing(Numbers()).info("hello")
    assert stream.getvalue().count("[withheld]") == 8


@pytest.mark.parametrize("formatter", [Cloud(), Plain()])
def test_match_mode_takes_out_what_a_formatter_adds(
    formatter: Any, writing: Writing, stream: io.StringIO, matching_flight: Flight, content: str
) -> None:
    """In match mode the rendering is compared as one text."""
    formatter.more = {"q": content} if isinstance(formatter, Cloud) else f" for {content}"
    writing(formatter).info("hello %s", "you")
    formatter.more = type(formatter.more)()
    assert "hello you" in stream.getvalue()
    assert content not in stream.getvalue()


def test_late_formatters_are_matched(
    writing: Writing, stream: io.StringIO, flight: Flight, content: str
) -> None:
    """A listener's thread has no exchange: what it adds is compared with what is live."""
    formatter = Plain()
    formatter.more = f" for {content}"
    log = writing(formatter)
    token = CURRENT.set(None)
    log.info("hello")
    CURRENT.reset(token)
    assert "hello [withheld" in stream.getvalue() or "hello for [withheld" in stream.getvalue()
    assert content not in stream.getvalue()


def test_report_mode_counts_and_passes(
    writing: Writing, stream: io.StringIO, flight: Flight, content: str
) -> None:
    """With `enforce` off the text stays, and is counted."""
    flight.enforce = False
    formatter = Plain()
    formatter.more = f" for {content}"
    before = tally.snapshot().get("logs.withheld", 0)
    writing(formatter).info("hello %d", 3)
    assert content in stream.getvalue()
    assert tally.snapshot()["logs.withheld"] > before


def test_an_error_inside_costs_the_line(
    writing: Writing,
    stream: io.StringIO,
    flight: Flight,
    content: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever breaks while a rendering is judged, the line says only so."""
    formatter = Plain()
    formatter.more = content
    log = writing(formatter)
    for error in (ValueError(content), MemoryError(), RecursionError()):

        def breaks(*_: object, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(formatted.Known, "hold", breaks)
        log.info("hello")
    assert stream.getvalue() == f"{GUARD_ERROR}\n" * 3


def test_a_format_made_of_content_is_no_plain_one(
    writing: Writing, stream: io.StringIO, flight: Flight, content: str
) -> None:
    """The standard formatter with a format, a date format or defaults made of a prompt."""
    for formatter in (
        logging.Formatter(f"{content} %(message)s"),
        logging.Formatter("%(q)s %(message)s", defaults={"q": content}),
        logging.Formatter("%(asctime)s %(message)s", datefmt=content),
    ):
        writing(formatter).info("hello")
    assert stream.getvalue().count("hello") == 3
    assert not any(word in stream.getvalue() for word in content.split())


def test_a_format_of_the_source_is_plain(flight: Flight) -> None:
    """A format that stands in a source that was read needs no second look."""
    logging.getLogger("tests.guards.formatted").info("read this module")
    logs.guard(logging.makeLogRecord({"msg": "look at my source"}))
    formatter = logging.Formatter("%(levelname)s of this very module: %(message)s")
    assert formatters.is_plain(formatter)
    formatter._style._fmt = "%(message)s" + str(time.time())
    assert not formatters.is_plain(formatter)


def test_a_handler_that_is_told_to_emit_is_guarded(
    flight: Flight, content: str, stream: io.StringIO
) -> None:
    """`emit` by itself, without `handle`: what it renders, pickles or maps is guarded there."""
    record = logging.makeLogRecord({"msg": f"asked {content}", "note": content})
    logging.StreamHandler(stream).emit(record)
    assert stream.getvalue().startswith("[withheld 93 chars")
    pickled = logging.handlers.SocketHandler("127.0.0.1", 9).makePickle(record)
    mapped = logging.handlers.HTTPHandler("127.0.0.1", "/").mapLogRecord(record)
    prepared = logging.handlers.QueueHandler(None).prepare(record)  # type: ignore[arg-type] # it is not used
    for shown in (pickled, pickle.dumps(mapped), pickle.dumps(prepared.__dict__)):
        assert not any(word.encode() in shown for word in content.split())


def test_a_handler_that_renders_in_its_own_way(
    flight: Flight, content: str, stream: io.StringIO
) -> None:
    """A `format` that a handler class overrides is held like a formatter's."""

    class Own(logging.StreamHandler[Any]):
        def format(self, record: logging.LogRecord) -> str:
            return f"own {super().format(record)}"

    class Owner(Own):
        formatter = Plain()

    log = logging.Logger("tests.guards.own")  # noqa: LOG001 - it lives as long as the test
    log.addHandler(Own(stream))
    log.addHandler(Owner(stream))
    log.info("hello %s", content)
    assert stream.getvalue().count("hello [withheld 87") == 2
    assert content not in stream.getvalue()


def test_a_handler_that_is_none(flight: Flight, content: str) -> None:
    """Loggers call `handle` on whatever was added; what it gets is guarded."""
    seen: list[str] = []

    class Strange:
        level = 0

        def handle(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    log = logging.Logger("tests.guards.strange")  # noqa: LOG001 - it lives as long as the test
    log.addHandler(Strange())  # type: ignore[arg-type] # that is the case
    log.info("hello %s", content)
    assert seen[0].startswith("hello [withheld 87")


@given(st.text(max_size=60), st.text(max_size=40))
def test_what_is_known_is_shown_whole(message: str, more: str) -> None:
    """Whatever the record says, a JSON dump of it is left as it is; held twice changes nothing."""
    known = formatted.Known([message], formatters.phrases_of({"message", "more"}))
    text = json.dumps({"message": message})
    assert known.hold(text) == text
    assert known.hold(message) == message
    once = known.hold(json.dumps({"message": message, "more": more}))
    assert json.loads(once)["message"] == message
    assert known.hold(once) == once


@given(st.lists(st.sampled_from(["alpha", "beta", "gamma"]), min_size=1, max_size=5), st.data())
def test_a_word_that_nobody_knows_never_stays(words: list[str], data: st.DataObject) -> None:
    """Wherever an unknown word stands between known ones, in whatever punctuation, it goes."""
    at = data.draw(st.integers(0, len(words)))
    glue = data.draw(st.sampled_from([" ", ", ", "=", "/", '"', "\n", "\t", "-", "|", "\\"]))
    text = glue.join([*words[:at], "lithium", *words[at:]])
    known = formatted.Known(["alpha", "beta", "gamma"], frozenset())
    assert "lithium" not in known.hold(text)
