"""Strict logging as an attacker tests it: no way of logging content shows sixteen bytes of it."""

from __future__ import annotations

import base64
import codecs
import hashlib
import html
import json
import logging
import sys
import threading
import urllib.parse
import zlib
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zeroret.content.flight import Flight

LEAST = 16

DISGUISES: dict[str, Callable[[str], Any]] = {
    "raw": str,
    "repr": repr,
    "json": json.dumps,
    "double json": lambda text: json.dumps(json.dumps(text)),
    "utf-8 json": lambda text: json.dumps(text, ensure_ascii=False),
    "bytes": lambda text: text.encode(),
    "bytes repr": lambda text: repr(text.encode()),
    "escapes": lambda text: "".join(f"\\u{ord(char) & 0xFFFF:04x}" for char in text),
    "url": urllib.parse.quote,
    "url plus": urllib.parse.quote_plus,
    "html": html.escape,
    "html numeric": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 +1": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "base64 +2": lambda text: base64.b64encode(b"xy" + text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "base85": lambda text: base64.b85encode(text.encode()).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "upper": str.upper,
    "no spaces": lambda text: text.replace(" ", ""),
    "spaced": " ".join,
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "zlib": lambda text: base64.b64encode(zlib.compress(text.encode())).decode(),
    "utf-16": lambda text: repr(text.encode("utf-16")),
    "ints": lambda text: str(list(text.encode())),
    "list of ints": lambda text: list(text.encode()),
    "one int": lambda text: int.from_bytes(text.encode()),
    "sha256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "token ids": lambda text: str([hash(word) % 200_000 for word in text.split()]),
    "dict": lambda text: {"messages": [{"role": "user", "content": text}]},
    "dict key": lambda text: {text: 1},
    "object": lambda text: type("Request", (), {"__repr__": lambda _: text})(),
    "str subclass": lambda text: type("Text", (str,), {"__str__": lambda _: text})("x"),
    "class": lambda text: type(text, (), {}),
    "instance": lambda text: type(text, (), {})(),
    "exception": ValueError,
    "tuple": lambda text: tuple(text.split(" ")),
}


def _percent(log: logging.Logger, value: Any) -> None:
    log.info("got %s and %r and %d and %.3f", value, value, value, value)


def _char(log: logging.Logger, value: Any) -> None:
    text = str(value)
    for at in range(0, len(text), 6):
        log.info("%c%c%c%c%c%c", *text[at : at + 6].ljust(6).encode("ascii", "replace"))


def _raised(log: logging.Logger, value: Any) -> None:
    try:
        try:
            raise KeyError(value)
        except KeyError as error:
            failure = RuntimeError(value)
            failure.add_note(str(value))
            failure.body = value  # type: ignore[attr-defined] # as the SDKs' errors have
            raise failure from error
    except RuntimeError:
        log.exception("failed for %s", value)


def _group(log: logging.Logger, value: Any) -> None:
    try:
        raise ExceptionGroup(str(value), [ValueError(value), ExceptionGroup("x", [OSError(value)])])
    except ExceptionGroup as error:
        log.error("failed", exc_info=error)  # noqa: TRY400 - by hand, as programs do


def _unnamed_class(log: logging.Logger, value: Any) -> None:
    cls = type(str(value).replace("\0", ""), (Exception,), {"__module__": str(value)})
    try:
        raise cls
    except Exception:
        log.exception("failed")


def _cancelled(log: logging.Logger, value: Any) -> None:
    log.error("gone", exc_info=KeyboardInterrupt(value))


def _extra_value(log: logging.Logger, value: Any) -> None:
    log.info("request", extra={"body": value, "nested": [value]})


def _extra_key(log: logging.Logger, value: Any) -> None:
    log.info("request", extra={str(value): 1, **dict.fromkeys(str(value).split(" "), 2)})


def _level(log: logging.Logger, value: Any) -> None:
    logging.addLevelName(61, str(value))
    try:
        log.log(61, "level")
    finally:
        del logging._levelToName[61]


def _thread(log: logging.Logger, value: Any) -> None:
    current = threading.current_thread()
    name = current.name
    current.name = str(value)
    try:
        log.info("thread")
    finally:
        current.name = name


def _stack(log: logging.Logger, value: Any) -> None:
    record = log.makeRecord(
        log.name, 20, str(value), 1, value, (), None, str(value), None, str(value)
    )
    record.exc_text = str(value)
    record.processName = str(value)
    record.process = value
    record.message = str(value)
    log.handle(record)


def _child(log: logging.Logger, value: Any) -> None:
    name = log.name + "." + str(value)[:64]
    try:
        logging.getLogger(name).warning("child")
    finally:
        logging.root.manager.loggerDict.pop(name, None)


def _executed(log: logging.Logger, value: Any) -> None:
    text = str(value)
    name = "f" + text.encode().hex()
    source = f"def {name}(log):\n    log.info({text!r})\n    log.info('%s', {text!r})\n    1 / 0\n"
    for path in (text.replace("\0", ""), __file__, "<string>"):
        namespaces: list[dict[str, Any]] = [{"__name__": __name__}, dict(globals()), globals()]
        for namespace in namespaces:
            code = compile(source, path, "exec")
            exec(code, namespace)  # noqa: S102 - what model output must not get through
            try:
                namespace[name](log)
            except ZeroDivisionError:
                log.exception("executed", stack_info=True)
            finally:
                namespace.pop(name)


def _renamed_code(log: logging.Logger, value: Any) -> None:
    text = str(value)
    code: CodeType = _shows_constant.__code__
    consts = tuple(text if const == "a constant" else const for const in code.co_consts)
    FunctionType(code.replace(co_consts=consts), globals())(log)


def _shows_constant(log: logging.Logger) -> None:
    log.info("a constant")


_assigned: Any = ""


def _global(log: logging.Logger, value: Any) -> None:
    global _assigned  # noqa: PLW0603 - a global that holds content is the point
    _assigned = str(value)
    log.info(_assigned)
    _assigned = ""


def _formatted(log: logging.Logger, value: Any) -> None:
    log.info(f"{value}")  # noqa: G004 - as programs do
    log.info(f"{value}{value}")  # noqa: G004 - as programs do
    log.info(f"a {value} b {value!r:>300} c")  # noqa: G004 - as programs do
    log.info("a {} b".format(value))  # noqa: UP032, G001 - as programs do
    log.info("a %s" % (value,))  # noqa: UP031, G002 - as programs do
    log.info("a " + str(value))  # noqa: G003 - as programs do
    log.info(str(value) + " %s", value)  # noqa: G003 - as programs do
    log.info("".join(("a ", str(value))))


def _wrapper(log: logging.Logger, value: Any) -> None:
    _wrapped(log, f"{value} and more")
    _wrapped(log, str(value))


def _wrapped(log: logging.Logger, message: str) -> None:
    log.info(message)


CARRIERS: list[Callable[[logging.Logger, Any], None]] = [
    lambda log, value: log.info(value),
    lambda log, value: log.info("named %(a)s %(a)d", {"a": value, str(value): value}),
    lambda log, value: log.info("whole %s", {"a": value}),
    lambda log, value: log.info("too many %d", 1, value),  # noqa: PLE1205 - as programs do
    lambda log, value: log.info("starred %*d", value, 1),
    lambda log, value: log.info("eight %s %s %s %s %s %s %s %s %s", *[value] * 9),
    _percent,
    _char,
    _raised,
    _group,
    _unnamed_class,
    _cancelled,
    _extra_value,
    _extra_key,
    _level,
    _thread,
    _stack,
    _child,
    _executed,
    _renamed_code,
    _global,
    _formatted,
    _wrapper,
]

contents = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=24, max_size=48
).filter(lambda text: len(set(text)) >= 12)


def _shown(content: str, out: str) -> list[str]:
    """Return the runs of sixteen bytes of *content* that *out* shows."""
    raw, everything = content.encode(), out.encode()
    runs = (raw[at : at + LEAST] for at in range(len(raw) - LEAST + 1))
    return [run.decode(errors="replace") for run in runs if run in everything]


@pytest.mark.usefixtures("flight")
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=contents, disguise=st.sampled_from(sorted(DISGUISES)))
def test_no_way_of_logging_content_shows_it(output: Any, content: str, disguise: str) -> None:
    """Whatever the content, its disguise and its carrier: sixteen bytes of neither are shown."""
    value = DISGUISES[disguise](content)
    for carrier in CARRIERS:
        output.lines.clear()
        output.records.clear()
        output.log.setLevel(1)
        # Python itself may refuse to make such a name, key or class.
        with suppress(ValueError, TypeError, SyntaxError, KeyError):
            carrier(output.log, value)
        assert not _shown(content, output.text)
        assert not isinstance(value, str) or not _shown(value, output.text)
        assert not isinstance(value, int) or str(value) not in output.text


@pytest.mark.parametrize("disguise", sorted(DISGUISES))
def test_every_disguise_through_every_carrier(
    output: Any, flight: Flight, content: str, disguise: str
) -> None:
    """Each disguise of a real prompt goes through each carrier at least once."""
    value = DISGUISES[disguise](content)
    for carrier in CARRIERS:
        try:
            carrier(output.log, value)
        except (ValueError, TypeError, SyntaxError, KeyError):
            continue
    assert output.lines
    assert not _shown(content, output.text)
    assert not isinstance(value, str) or not _shown(value, output.text)


def test_words_and_characters_one_by_one(output: Any, flight: Flight, content: str) -> None:
    """A prompt logged word by word, or character by character, shows no word and no character."""
    words = content.split(" ")
    for word in words:
        for carrier in CARRIERS:
            carrier(output.log, word)
    assert not [word for word in words if word in output.text]
    output.records.clear()
    for char in content:
        output.log.info("%s", char)
        output.log.info("%s %r", char * 2, f"{char}")
        output.log.info(char)
    assert len(output.records) == 3 * len(content)
    assert all(record.getMessage().startswith("[withheld ") for record in output.records)


def test_interned_content_is_still_content(output: Any, flight: Flight, content: str) -> None:
    """Interning a word makes it no constant of the program."""
    for word in content.split(" "):
        interned = sys.intern("w" + word)
        output.log.info("%s", interned, extra={interned: interned})
    assert not [word for word in content.split(" ") if word in output.text]


def test_at_most_eight_values(output: Any, flight: Flight, content: str) -> None:
    """A record shows eight numbers, however many it is given, wherever they stand."""
    numbers = [4_000_000_000 + value for value in content.encode()[:20]]
    output.log.info("%d " * 20, *numbers, extra={"one": numbers[0], "two": numbers[1]})
    args = output.records[-1].args
    shown = [value for value in args if value in numbers]
    assert len(args) == 20
    assert len(shown) <= 8
    assert not isinstance(output.records[-1].one, int)


def test_no_foreign_code_runs(output: Any, flight: Flight) -> None:
    """Strict logging asks an object nothing: no str, repr, len, equality, hash or class."""

    class Hostile(str):
        __slots__ = ()

        def _fail(self, *_: object) -> Any:
            raise AssertionError("foreign code ran")

        __str__ = __repr__ = __len__ = __eq__ = __hash__ = __format__ = _fail
        __iter__ = __contains__ = __getitem__ = __mod__ = _fail

    value = Hostile("secret")
    output.log.info("got %s", value)
    assert "[withheld 6 chars test_strict.py:" in output.message
    output.log.info(value)
    assert "[withheld 6 chars test_strict.py:" in output.message
