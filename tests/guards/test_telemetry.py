"""Telemetry: what of a tracker's event may leave, decided without any tracker."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zeroret
from zeroret.content.flight import CURRENT, Flight
from zeroret.content.live import LIVE
from zeroret.guards import conventions, idents, judging, program, rules, source, tally, vouching
from zeroret.guards.judging import DROPPED, MOST_VALUES, Judge
from zeroret.guards.modes import Modes
from zeroret.guards.moments import moment, nanoseconds
from zeroret.guards.noting import note
from zeroret.guards.telemetry import Each, Shape, allowed, guarded
from zeroret.guards.vouching import Vouched, vouched

STAGE = "retrieval of documents"
MODEL = "gpt-test-1"
ROUTE = "/chat/{room}"


@pytest.fixture
def judge(flight: Flight) -> Judge:
    """Give a judge of an event that this test's exchange makes here."""
    flight.route = ROUTE
    return Judge(flight, sys._getframe())


def here() -> Judge:
    """Return a judge of an event that the caller makes."""
    return judging.here(sys._getframe(1))


def test_the_programs_own_texts_are_shown(flight: Flight, content: str) -> None:
    """Constants of the code on the stack pass, values and keys; what a client sent does not."""
    shown = here().attributes({"app.stage": STAGE, "app.kind": "a constant", "app.text": content})
    assert shown == {
        "app.stage": STAGE,
        "app.kind": "a constant",
        "app.text": f"[withheld {len(content)} chars]",
    }
    assert here().attributes({content: 1, content[:20]: "a constant"}) == {}


def test_numbers_are_shown_until_they_could_hold_a_text(flight: Flight, content: str) -> None:
    """Numbers pass; large integers, lists of numbers, bytes and objects become markers."""
    shown = here().attributes(
        {
            "an.int": 5,
            "a.float": 0.5,
            "a.bool": True,
            "a.none": None,
            "one.int": int.from_bytes(content.encode()),
            "token.ids": list(content.encode()),
            "the.bytes": content.encode(),
            "an.object": object(),
        }
    )
    assert (shown["an.int"], shown["a.float"], shown["a.bool"]) == (5, 0.5, True)
    assert "a.none" in shown
    for key in ("one.int", "token.ids", "the.bytes", "an.object"):
        assert str(shown[key]).startswith("[withheld "), key


def test_one_event_shows_so_many_values_and_no_more(flight: Flight) -> None:
    """The allowance is per event, however the values are nested."""
    judge = here()
    values = [judge.value(number) for number in range(MOST_VALUES + 3)]
    assert values[MOST_VALUES - 1] == MOST_VALUES - 1
    assert values[MOST_VALUES:] == ["[withheld int]"] * 3


def test_cycles_depth_and_breadth_are_bounded(flight: Flight) -> None:
    """A mapping that holds itself, a deep one and a wide one end somewhere, and leak nothing."""
    loop: dict[str, Any] = {"app.stage": STAGE}
    loop["the.loop"] = loop
    assert here().attributes({"the.loop": loop})["the.loop"]["app.stage"] == STAGE
    deep: Any = "the.end"
    for _ in range(2000):
        deep = {"the.loop": deep}
    assert "the.end" not in repr(here().attributes(deep))
    wide = dict.fromkeys((f"{'app.stage'}{n}" for n in range(10_000)), 1)
    assert len(here().attributes(wide)) == 0


@given(
    tree=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
        max_leaves=30,
    )
)
def test_nothing_a_client_sends_is_shown(tree: Any) -> None:
    """Whatever JSON a client sends, no text of it passes: but for keys that a library names."""
    shown = Judge(Flight("strict")).value(tree)
    known = frozenset[str]().union(*map(program.words, judging.NAMING))
    assert all(text.startswith("[withheld") or text in known for text in _texts(shown))


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from (*_texts(key), *_texts(value))
    elif isinstance(tree, (list, tuple)):
        for each in tree:
            yield from _texts(each)


def test_what_is_set_in_a_function_that_has_returned_is_remembered(
    flight: Flight, content: str
) -> None:
    """A constant that is noted where it is handed over passes later, from any frame or thread."""

    def inner() -> dict[str, str]:
        given = {"inner.stage": "known only in here", "inner.text": content}
        note(sys._getframe(), "", given)
        return given

    shown = Judge(flight, None).attributes(inner())
    assert shown == {
        "inner.stage": "known only in here",
        "inner.text": f"[withheld {len(content)} chars]",
    }


def test_a_name_that_equals_a_literal_is_no_value(flight: Flight) -> None:
    """Equality with a literal is enough for names of spans and keys, never for values."""
    sent = "".join(list(STAGE))
    assert here().name(sent) == STAGE
    assert here().text(sent) == f"[withheld {len(sent)} chars]"


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("http.request.method", "POST", True),
        ("http.request.method", "SECRET", False),
        ("http.response.status_code", 200, True),
        ("http.response.status_code", "404", True),
        ("http.response.status_code", "4042", False),
        ("http.route", ROUTE, True),
        ("http.target", ROUTE, True),
        ("http.target", "/chat/secret", False),
        ("url.path", ROUTE, False),
        ("url.query", "a=b", False),
        ("url.scheme", "https", True),
        ("url.scheme", "secret", False),
        ("server.address", "localhost", True),
        ("server.address", "127.0.0.1:8000", True),
        ("server.address", "api.openai.com", True),
        ("server.address", "secret.example", False),
        ("net.peer.ip", "127.0.0.1", False),
        ("server.port", 443, True),
        ("server.port", 2**40, False),
        ("gen_ai.request.model", MODEL, True),
        ("gen_ai.request.model", "my secret", False),
        ("gen_ai.operation.name", "chat", True),
        ("gen_ai.operation.name", "secret", False),
        ("gen_ai.response.finish_reasons", ["stop", "length"], True),
        ("gen_ai.tool.name", "look_up", False),
        ("gen_ai.input.messages", "a constant", False),
        ("error.type", "ValueError", True),
        ("error.type", "json.decoder.JSONDecodeError", True),
        ("error.type", "500", True),
        ("error.type", "secret", False),
        ("exception.message", "a constant", False),
        ("code.function.name", "json.dumps", True),
        ("code.function.name", "json.secret", False),
        ("code.file.path", "/nowhere.py", False),
        ("code.file.path", rules.__file__, True),
        ("user_agent.original", "curl", False),
        ("thread.name", "MainThread", True),
        ("db.system", "postgresql", True),
        ("gen_ai.usage.input_tokens", 12, True),
    ],
)
def test_well_known_keys_have_rules(judge: Judge, key: str, value: Any, *, shown: bool) -> None:
    """Each key of the conventions shows members of its closed set, and no constant besides."""
    known = conventions.attributes(judge, {key: value})[key]
    assert (known == value) is shown
    if not shown:
        assert "[withheld" in str(known)


def test_headers_are_no_convention(judge: Judge) -> None:
    """A captured header has the client's own word in its key, so it goes altogether."""
    name = "x-" + "secret"
    assert conventions.attributes(judge, {f"http.request.header.{name}": ["value"]}) == {}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (STAGE, STAGE),
        ("POST /chat/{}", f"POST {ROUTE}"),
        ("POST /chat/{} http send", f"POST {ROUTE} http send"),
        (f"chat {MODEL}", f"chat {MODEL}"),
        ("chat {}", "chat"),
        ("json.dumps", "json.dumps"),
        ("json.{}", None),
        ("GET", "GET"),
        ("/chat/{}", None),
        ("{}", None),
    ],
)
def test_operations_are_named_by_what_is_known(
    judge: Judge, content: str, name: str, shown: str | None
) -> None:
    """Constants, routes, models and functions name an operation; the rest of a name goes."""
    assert conventions.operation(judge, name.format(content), {}) == shown


def test_a_request_to_somebody_else_has_not_our_route(judge: Judge, content: str) -> None:
    """A client's span is named by its method alone."""
    assert conventions.operation(judge, f"POST /{content}", {}, served=False) == "POST"


def test_events_of_no_exchange_keep_what_is_not_content(flight: Flight, content: str) -> None:
    """Outside of an exchange a text keeps all but what it shares with content in flight."""
    token = CURRENT.set(None)
    try:
        judge = Judge(None, strict=False)
        assert judge.text("a pool of " + str(4)) == "a pool of 4"
        assert judge.text(f"saw {content} today") == f"saw [withheld {len(content)} chars] today"
        assert judge.attributes({content: 1, "any": [1, 2]}) == {"any": [1, 2]}
        shown = conventions.attributes(judge, {"url.query": "a=b", "url.full": "http://a/b"})
        assert shown == {"url.query": "[withheld 3 chars]", "url.full": "http://a/b"}
    finally:
        CURRENT.reset(token)


def test_a_vouched_text_survives_and_a_copy_of_it_does_not(flight: Flight, content: str) -> None:
    """What was judged is shown again in any thread; a slice or a copy has lost its proof."""
    tree = vouched({"a": ["b", 1], "c": (None, "d")})
    judge = Judge(flight)
    assert judge.text(tree["a"][0]) == "b"
    assert type(judge.text(tree["a"][0])) is str
    assert isinstance(str(tree["a"][0]), Vouched)
    lost = Vouched(content)[:20]
    assert judge.text(lost) == "[withheld 20 chars]"


def test_server_made_values_are_shown(flight: Flight, content: str) -> None:
    """An operator may vouch for a value; it is still compared with the content."""
    judge = Judge(flight)
    assert judge.text(zeroret.server_made("job-" + "17")) == "job-17"
    assert judge.text(zeroret.server_made(content)) == f"[withheld {len(content)} chars]"


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"my secret prompt", False),
        (bytes.fromhex("49170123456789012345678901234567"), False),
        (bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736"), True),
        (bytes.fromhex("0000000000000000a3ce929d0e0e4736"), True),
        (bytes.fromhex("00000000000000000000000000000017"), True),
    ],
)
def test_trace_ids_that_spell_something_are_replaced(data: bytes, *, kept: bool) -> None:
    """An id is passed on, but for one that spells text or digits; the same one every time."""
    number = int.from_bytes(data)
    shown = idents.trace_id(number)
    assert (shown == number) is kept
    assert shown == idents.trace_id(number)
    assert idents.hex_id(data.hex(), 32) == f"{shown:032x}"


@given(st.binary(min_size=16, max_size=16))
def test_a_trace_id_is_never_a_text(data: bytes) -> None:
    """Whatever is shown as an id is sixteen bytes and not all of them printable."""
    shown = idents.trace_id(int.from_bytes(data)).to_bytes(16, "big")
    assert not all(0x20 <= byte < 0x7F for byte in shown)


def test_times_lie_near_now(judge: Judge) -> None:
    """A time is kept if it is one; a number or text that only poses as one is not."""
    now = time.time_ns()
    assert nanoseconds(now) == now
    assert nanoseconds(int.from_bytes(b"secret!!")) == 0
    assert moment(judge, time.time() + 5) != DROPPED
    assert moment(judge, 12.5) is DROPPED
    assert moment(judge, "secret") is DROPPED
    written = datetime.now(UTC).isoformat()
    assert datetime.fromisoformat(moment(judge, written)) == datetime.fromisoformat(written)
    assert moment(judge, (datetime.now(UTC) - timedelta(days=900)).isoformat()) is DROPPED


def test_a_shape_drops_what_it_does_not_name(flight: Flight, content: str) -> None:
    """Fields, members and types that a shape does not know stay here, and are counted."""
    judge = here()
    shape: Shape = {"a": rules.number, "b": Each({"c": rules.text}, 2), "d": {"e": rules.flag}}
    tree = {
        "a": 1,
        "b": [{"c": "first"}, {"c": content, "x": content}, {"c": "a constant"}],
        "d": content,
        "f": content,
    }
    assert allowed(tree, shape, judge) == {
        "a": 1,
        "b": [{"c": f"[withheld {len(content)} chars]"}, {"c": "a constant"}],
    }
    assert judge.withheld == 5
    assert allowed("text", shape, judge) is DROPPED


@pytest.mark.parametrize("error", [ValueError, MemoryError, RecursionError, KeyError])
def test_an_error_within_drops_the_event(
    judge: Judge, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that breaks costs the event, counted, and nothing else."""

    def broken(_judge: Judge, _value: Any) -> Any:
        raise error("a secret")

    counts: list[str] = []
    monkeypatch.setattr(tally, "count", lambda guard, kind: counts.append(f"{guard}.{kind}"))
    assert guarded({"a": 1}, {"a": broken}, judge) is None
    assert guarded({"a": 1}, {"a": broken}, judge, failed="nothing") == "nothing"
    assert counts == ["telemetry.failed"] * 2


def test_a_broken_matcher_hides_the_text(flight: Flight, monkeypatch: pytest.MonkeyPatch) -> None:
    """If matching fails, an event of no exchange keeps none of the text."""
    monkeypatch.setattr("zeroret.content.matching.shared", _raise)
    assert Judge(None, strict=False).text("text") == "[withheld]"


def _raise(*_: Any, **__: Any) -> Any:
    raise MemoryError


def test_report_mode_changes_nothing(content: str) -> None:
    """In report mode the event passes as it was, and what would be withheld is counted."""
    flight = Flight("strict", enforce=False)
    before = tally.snapshot().get("telemetry.withheld", 0)
    event = {"a": content, "b": content}
    assert guarded(event, {"a": rules.text}, Judge(flight)) is event
    assert tally.snapshot()["telemetry.withheld"] == before + 1


def test_without_an_exchange_the_runtimes_decide() -> None:
    """Events of no exchange are withheld unless all runtimes of the process only report."""
    modes = Modes()
    assert modes.enforcing
    modes.enter(enforce=False)
    assert not modes.enforcing
    modes.enter(enforce=True)
    assert modes.enforcing
    modes.leave(enforce=True)
    assert not modes.enforcing


def test_places_are_vouched_for_by_their_source() -> None:
    """A frame's texts are shown if the module's file holds the function; the line is read anew."""
    line = program.place.__code__.co_firstlineno
    found = program.place(program.__name__, program.__file__, "place", line)
    assert found is not None
    assert found.text.startswith("def place(")
    assert program.place(None, program.__file__, "place", line) == found
    assert program.place(program.__name__, "/nowhere/secret.py", "place", line) is None
    assert program.place(program.__name__, program.__file__, "secret", line) is None
    assert program.place("secret", "/nowhere/secret.py", "place", line) is None
    made: dict[str, Any] = {"__name__": "secret"}
    exec("def run(): pass", made)  # noqa: S102 - what models write is run like that
    assert program.place("secret", "<string>", "run", 1) is None


def test_classes_made_at_run_time_have_no_name(content: str) -> None:
    """Only a class that a loaded module holds is an error that may be named."""
    made = type(content, (Exception,), {})
    assert not program.is_error(made.__name__)
    assert program.is_error("ValueError")
    assert program.is_error("zeroret.errors.ConfigurationError")
    assert program.is_error("ConfigurationError")
    assert not program.is_class("zeroret.errors", "secret")


def test_what_only_says_that_it_is_a_module_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of `sys.modules` whose class lies about being a module breaks no look-up."""

    class Lib:
        @property  # type: ignore[misc] # the lie
        def __class__(self) -> Any:
            return ModuleType

    monkeypatch.setitem(sys.modules, "a_lib_of_a_test", Lib())
    assert program.module_at("/nowhere.py") is None
    assert program.namespace_of("a_lib_of_a_test") is None
    assert not source.is_global_constant("no such text", sys._getframe())
    assert source.source_of({"__name__": "a_lib_of_a_test"}) is None


def test_the_stack_is_asked_only_for_its_own_constants(
    within: Callable[..., AbstractContextManager[Flight]], content: str
) -> None:
    """`prove` accepts constants by identity and globals of the caller, nothing that was built."""
    with within(content.encode()):
        frame = sys._getframe()
        assert vouching.prove("a constant here", frame)
        assert vouching.prove(STAGE, frame)
        assert not vouching.prove(content, frame)
        assert not vouching.prove("".join(list(STAGE)), frame)
        assert vouching.prove("".join(list(STAGE)), frame, name=True)
        assert not vouching.prove(5, frame)
    assert not LIVE.busy
