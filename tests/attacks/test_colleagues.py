"""A colleague logs the prompt, in every way that logging has: no word of it is written."""

from __future__ import annotations

import contextvars
import logging
import logging.config
import logging.handlers
import pickle
import queue
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from zeroret import RedactingFilter

Inside = Callable[[Callable[[], object]], None]
log = logging.getLogger("tests.attacks.colleague")


class Evil:
    """Shows what it holds however it is asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return self.text

    def __int__(self) -> int:
        return int.from_bytes(self.text.encode())


class EvilMessage(str):
    """A str whose every rendering says more."""

    __slots__ = ("more",)
    more: str

    def __mod__(self, args: object) -> str:
        return self.more

    def __str__(self) -> str:
        return self.more


def evil_message(text: str) -> EvilMessage:
    """Return a harmless str that says *text* when it is rendered."""
    message = EvilMessage("harmless")
    message.more = text
    return message


class Chatty(logging.LogRecord):
    """A record that renders itself."""

    secret = ""

    def getMessage(self) -> str:  # noqa: N802 - the name logging calls
        """Return what the class holds."""
        return self.secret


def raising(text: str) -> None:
    """Log a chain and a group of errors whose texts, notes, classes and attributes are *text*."""
    try:
        try:
            raise KeyError(text)
        except KeyError as cause:
            error = type(text[:30], (ValueError,), {"held": text})(text, {text: text})
            error.add_note(text)
            raise ExceptionGroup(text, [error, OSError(2, text, text)]) from cause
    except ExceptionGroup:
        log.exception(text, stack_info=True)


def adapted(text: str) -> None:
    """Log through adapters that put content before, behind and beside the message."""

    class Adapter(logging.LoggerAdapter[logging.Logger]):
        def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
            return f"[{text}] {msg}", {**kwargs, "extra": {text: text, "note": text}}

    Adapter(log, {}).info("hello %s", text)
    logging.LoggerAdapter(log, {"note": text}).warning("hello")


def made(text: str) -> None:
    """Hand a record made by hand to the logger."""
    log.handle(
        logging.makeLogRecord(
            {
                "name": text,
                "msg": text,
                "args": {"a": text},
                "levelno": 40,
                "levelname": text,
                "pathname": text,
                "filename": text,
                "funcName": text,
                "threadName": text,
                "exc_text": text,
                "stack_info": text,
                text: text,
            }
        )
    )


def renamed(text: str) -> None:
    """Log from a function, a thread and a level that bear the content as their names."""

    def speak() -> None:
        log.info("hello")

    speak.__code__ = speak.__code__.replace(co_name=text)
    speak()
    logging.addLevelName(33, text)
    log.log(33, "hello")
    thread = threading.Thread(target=lambda: log.info("hello"), name=text)
    thread.start()
    thread.join()
    logging.getLogger(f"tests.attacks.{text}").info("hello")


def executed(text: str) -> None:
    """Log from code that was made of the content, in this module's clothes."""
    source = f"def speak():\n    log.info({text!r})\n    log.info(f'{text} {{1}}')\nspeak()"
    for name in ("<string>", __file__):
        exec(compile(source, name, "exec"), globals())  # noqa: S102 - that is the attack
    del globals()["speak"]


def factored(text: str) -> None:
    """Log with a record factory whose class renders itself and whose attributes are content."""
    original = logging.getLogRecordFactory()
    Chatty.secret = text

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = Chatty(*args, **kwargs)
        record.note = text
        return record

    logging.setLogRecordFactory(factory)
    try:
        log.info("hello")
    finally:
        logging.setLogRecordFactory(original)


def warned(text: str) -> None:
    """Warn of the content while warnings go to logging."""
    logging.captureWarnings(capture=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn(text, stacklevel=1)
    finally:
        logging.captureWarnings(capture=False)


def stacked(text: str) -> None:
    """Name other frames by stacklevel, and hand over an error and its traceback as a tuple."""
    for level in (1, 2, 50):
        log.info(text, stacklevel=level)
    error = ValueError(text)
    log.error("no", exc_info=(ValueError, error, None))
    log.error("no", exc_info=error)
    log.error("%s", traceback.format_stack())


def numbered(text: str) -> None:
    """Log the content as numbers too large to be counts, and as one list of small ones."""
    log.info("%d", int.from_bytes(text.encode()))
    log.info("%s", list(text.encode()))
    log.info("%c%c", text[0], ord(text[1]))


WAYS: dict[str, Callable[[str], object]] = {
    "message": log.info,
    "argument": lambda text: log.info("asked %s %r %a %.99s %*d", text, text, text, text, 3, text),
    "f-string": lambda text: log.info(f"asked {text} {text!r:>40}"),  # noqa: G004 - the attack
    "format": lambda text: log.info("asked {}".format(text)),  # noqa: G001, UP032 - the attack
    "percent": lambda text: log.info("asked %s" % text),  # noqa: G002, UP031 - the attack
    "joined": lambda text: log.info("asked " + text),  # noqa: G003 - the attack
    "mapping": lambda text: log.info("asked %(a)s", {"a": text, text: 1}),
    "keys": lambda text: log.info("asked %s", dict.fromkeys([text])),
    "object": lambda text: log.info(Evil(text)),
    "object argument": lambda text: log.info("%s %d", Evil(text), Evil(text)),
    "str subclass": lambda text: log.info(evil_message(text)),
    "str subclass argument": lambda text: log.info("%s", evil_message(text)),
    "class": lambda text: log.info("%s", type(text, (), {})),
    "level": lambda text: log.log(31, text),
    "extra": lambda text: log.info("hello", extra={"filename_": text, text: text}),
    "root function": logging.error,
    "no context": lambda text: contextvars.Context().run(log.info, "asked %s", text),
    "exceptions": raising,
    "adapters": adapted,
    "record by hand": made,
    "names": renamed,
    "exec": executed,
    "record factory": factored,
    "warnings": warned,
    "stacks": stacked,
    "numbers": numbered,
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_log_a_prompt_shows_a_word_of_it(
    way: str, inside: Inside, output: Any, secret: str
) -> None:
    """Whatever the call, the handler writes something, and no word of the prompt."""
    inside(lambda: WAYS[way](secret))
    assert output.text
    assert not output.shows(secret)


class Locked:
    """A mixin that brings a `handle` of its own, as handlers with other locks do."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit without asking `logging.Handler`."""
        self.emit(record)  # type: ignore[attr-defined] # mixed into a handler
        return True


class LockedHandler(Locked, logging.StreamHandler[Any]):
    """Takes `handle` from the mixin."""


class Forwarding(logging.Handler):
    """Writes on the record it was given, and hands it on."""

    def __init__(self, text: str, target: logging.Handler) -> None:
        super().__init__()
        self.text, self.target = text, target

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on more than was given."""
        record.msg = f"{record.msg} {self.text}"
        self.target.handle(record)


class Writing(logging.Filter):
    """Writes content on every record that passes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message."""
        record.msg, record.args = self.text, ()
        return True


class Asking(logging.Formatter):
    """Adds an attribute while it formats, as Flask's documentation shows."""

    def __init__(self, text: str) -> None:
        super().__init__("%(message)s %(url)s")
        self.text = text

    def format(self, record: logging.LogRecord) -> str:
        """Set what the format names."""
        record.url = self.text
        return super().format(record)


def mixed_in(output: Any, text: str) -> logging.Handler:
    """Return a handler whose `handle` comes from a mixin."""
    return LockedHandler(output.stream)


def forwarding(output: Any, text: str) -> logging.Handler:
    """Return a handler that writes on the record and hands it on."""
    return Forwarding(text, logging.StreamHandler(output.stream))


def filtered_twice(output: Any, text: str) -> logging.Handler:
    """Return a handler whose own filter writes behind the redacting one."""
    handler = logging.StreamHandler(output.stream)
    handler.addFilter(RedactingFilter())
    handler.addFilter(Writing(text))
    return handler


def formatting(output: Any, text: str) -> logging.Handler:
    """Return a handler whose formatter adds an attribute."""
    handler = logging.StreamHandler(output.stream)
    handler.setFormatter(Asking(text))
    return handler


def buffering(output: Any, text: str) -> logging.Handler:
    """Return a handler that keeps records and flushes them later."""
    return logging.handlers.MemoryHandler(1, target=logging.StreamHandler(output.stream))


def configured(output: Any, text: str) -> logging.Handler:
    """Return a handler that `dictConfig` makes inside the exchange."""
    logging.config.dictConfig(
        {
            "version": 1,
            "incremental": False,
            "disable_existing_loggers": False,
            "formatters": {"f": {"format": "%(levelname)s %(message)s"}},
            "handlers": {
                "h": {
                    "class": "logging.StreamHandler",
                    "formatter": "f",
                    "stream": output.stream,
                }
            },
            "loggers": {"tests.attacks.configured": {"handlers": ["h"]}},
        }
    )
    return logging.getLogger("tests.attacks.configured").handlers[0]


HANDLERS = (mixed_in, forwarding, filtered_twice, formatting, buffering, configured)


@pytest.mark.parametrize("make", HANDLERS, ids=lambda make: make.__name__)
def test_no_handler_brings_content_back(
    make: Callable[[Any, str], logging.Handler], inside: Inside, output: Any, secret: str
) -> None:
    """What handlers, filters and formatters set on a guarded record is guarded again."""

    def work() -> None:
        handler = make(output, secret)
        own = logging.Logger("tests.attacks.own")  # noqa: LOG001 - it lives as long as the test
        own.addHandler(handler)
        for _ in range(3):  # a constant that is known already takes the short way
            own.info("hello %s", secret)
            own.info("hello")
        handler.close()

    inside(work)
    assert "\n" in output.text
    assert not output.shows(secret)


def test_a_formatter_does_not_bring_content_back(inside: Inside, output: Any, secret: str) -> None:
    """The text that a formatter of one's own returns is held to the rules, too."""

    class Adding(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"{secret} {super().format(record)}"

    output.handler.setFormatter(Adding())
    output.handler.setLevel(logging.INFO)  # the loop's own lines stand outside of the exchange
    inside(lambda: log.info("hello"))
    assert "hello" in output.text
    assert not output.shows(secret)


def test_a_failing_handler_prints_no_content(
    inside: Inside, output: Any, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`Handler.handleError`, its own or an override, tells of the failure without its values."""

    class Breaking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                local = secret  # noqa: F841 - it stands in a frame of the traceback
                raise ValueError(secret)
            except ValueError:
                self.handleError(record)

    class Telling(Breaking):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
            error = sys.exc_info()[1]
            assert error is not None
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            sys.stderr.write("".join(told.format()) + str(record.__dict__))

    for handler in (Breaking(), Telling()):
        own = logging.Logger("tests.attacks.own")  # noqa: LOG001 - it lives as long as the test
        own.addHandler(handler)
        inside(lambda own=own: own.info("hello %s", secret))  # type: ignore[misc] # bound at once
    printed = capsys.readouterr().err
    assert "ValueError" in printed
    assert not any(word in printed for word in secret.split())


@pytest.fixture
def queued() -> tuple[logging.handlers.QueueHandler, queue.SimpleQueue[Any]]:
    """A queue handler and its queue."""
    line: queue.SimpleQueue[Any] = queue.SimpleQueue()
    return logging.handlers.QueueHandler(line), line


def test_records_that_travel_hold_no_content(
    inside: Inside, secret: str, queued: tuple[logging.handlers.QueueHandler, Any]
) -> None:
    """What a queue handler enqueues, and its pickle, hold no word; a constant travels whole."""
    handler, line = queued
    own = logging.Logger("tests.attacks.own")  # noqa: LOG001 - it lives as long as the test
    own.addHandler(handler)

    def work() -> None:
        own.info("a constant of this file that travels")
        own.info("asked %s", secret, extra={"note": secret})

    inside(work)
    constant, asked = line.get(), line.get()
    assert constant.getMessage() == "a constant of this file that travels"
    for record in (constant, asked):
        data = pickle.dumps(record) + repr(record.__dict__).encode()
        assert not any(word.encode() in data for word in secret.split())


def test_a_module_in_disguise_vouches_for_nothing(inside: Inside, output: Any, secret: str) -> None:
    """A module made at run time, under a real file's name, makes no constants of content."""

    def work() -> None:
        module = types.ModuleType("tests_attacks_disguise")
        module.__file__ = __file__
        module.__dict__["log"] = log
        sys.modules[module.__name__] = module
        try:
            exec(compile(f"log.info({secret!r})", __file__, "exec"), module.__dict__)  # noqa: S102 - the attack
        finally:
            del sys.modules[module.__name__]

    inside(work)
    assert output.text
    assert not output.shows(secret)
