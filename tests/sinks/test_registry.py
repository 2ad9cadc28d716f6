"""From a spec to a sink: what is allowed, and what an error says."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zeroret.errors import ConfigurationError
from zeroret.sinks import check, open_sink, registry, schemes, sink_key
from zeroret.sinks.callables import CallableSink
from zeroret.sinks.jsonl import JsonlSink
from zeroret.sinks.memory import MemorySink, get
from zeroret.sinks.sqlite import SqliteSink
from zeroret.types import UsageSink
from zeroret.usage.record import COLUMNS, UsageRecord


class Own:
    """A user's sink."""

    def __init__(self, uri: str = "", **_: Any) -> None:
        self.uri = uri
        self.got: list[UsageRecord] = []
        self.closed = False

    def write(self, records: list[UsageRecord]) -> None:
        """Keep the records."""
        self.got += records

    def close(self) -> None:
        """Note the end."""
        self.closed = True


GOOD = ["sqlite:///u.db", "sqlite:////x/u.db", "jsonl:///u.jsonl", "memory:", "memory:a", print]


@pytest.mark.parametrize("spec", [*GOOD, Own(), lambda _: None])
def test_good(spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is allowed passes the check and opens, and no file is made before the first write."""
    monkeypatch.chdir(tmp_path)
    check(spec)
    sink = open_sink(spec, columns=COLUMNS)
    assert isinstance(sink, UsageSink)
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "advice"),
    [
        ("sqlite:usage.db", "sqlite:///usage.db"),
        ("sqlite://usage.db", "sqlite:///usage.db"),
        ("sqlite:/var/usage.db", "sqlite:////var/usage.db"),
        ("sqlite://///var/usage.db", "sqlite:////var/usage.db"),
        ("jsonl://usage.jsonl", "jsonl:///usage.jsonl"),
        ("sqlite:///", "sqlite:///usage"),
        ("sqlite:///:x?mode=ro", "without '?' or '#'"),
        ("sqlit:///usage.db", "did you mean 'sqlite:///usage.db'"),
        ("json:///usage.jsonl", "did you mean 'jsonl:///usage.jsonl'"),
        ("usage.db", "sqlite:///usage.db"),
        ("", "sqlite:///usage.db"),
        ("memory://x", "memory:name"),
        (None, "NoneType"),
        (3, "sqlite:///usage.db"),
        (Own, "the class Own"),
    ],
)
def test_bad(spec: object, advice: str) -> None:
    """What is not allowed is refused at once, with what to write instead."""
    for attempt in (check, lambda each: open_sink(each, columns=COLUMNS)):
        with pytest.raises(ConfigurationError, match=re.escape(advice)):
            attempt(spec)


def test_unknown_scheme() -> None:
    """An unknown scheme lists the known ones, and a password in the URI is not quoted."""
    with pytest.raises(ConfigurationError) as caught:
        check("zzz://user:secret@host/db")
    assert "sqlite:, jsonl:, memory:" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_classes() -> None:
    """Each scheme has its class, whatever the case of its letters."""
    assert isinstance(open_sink("SQLITE:///u.db", columns=COLUMNS), SqliteSink)
    assert isinstance(open_sink("jsonl:///u", columns=COLUMNS), JsonlSink)
    assert isinstance(open_sink(print, columns=COLUMNS), CallableSink)
    assert open_sink("memory:one", columns=COLUMNS) is get("one")
    assert isinstance(get("one"), MemorySink)


def test_objects(make: Callable[..., UsageRecord]) -> None:
    """An object's write and close are called; removed columns do not reach it."""
    own = Own()
    sink = open_sink(own, columns={"id", "policy", "usage_source"})
    sink.write([make(1)])
    sink.close()
    assert [record.as_dict().keys() for record in own.got] == [{"id", "policy", "usage_source"}]
    assert own.closed


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution's sink is found by its scheme and called as the built-in ones are."""
    point = importlib.metadata.EntryPoint("own", f"{__name__}:Own", "zeroret.sinks")
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda _: Own)
    found = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(registry, "entry_points", found.select)
    assert schemes()[:3] == ("sqlite", "jsonl", "memory")
    assert schemes()[-1] == "own"
    sink: Any = open_sink("own://host/x", columns=COLUMNS)
    assert isinstance(sink, Own)
    assert sink.uri == "own://host/x"


def test_keys() -> None:
    """A URI has one key wherever it stands, others differ by place; none shows the URI."""
    key = sink_key("sqlite:///usage.db", 0)
    assert re.fullmatch("[0-9a-f]{12}", key)
    assert sink_key("sqlite:///usage.db", 5) == key
    assert sink_key("sqlite:///other.db", 0) != key
    assert sink_key(print, 0) == sink_key(print, 0) != sink_key(print, 1)
    assert sink_key(Own(), 0) == sink_key(Own(), 0) != sink_key(MemorySink(), 0)
