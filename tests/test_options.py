"""The options: each wrong value is refused with a sentence that says what to write."""

from __future__ import annotations

import math
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from zeroret import (
    Policy,
    UsageRecord,
    ZeroRetention,
    ZeroRetentionMiddleware,
    ZeroRetentionWSGIMiddleware,
)
from zeroret.errors import ConfigurationError
from zeroret.options import Options, checked


class BytesPath:
    """A path whose system form is bytes, as PEP 519 allows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"policy": "usage-onli"}, "did you mean 'usage-only'"),
    ({"policy": ""}, "allowed: crofai, crouter, kriora, noorapi, usage-only, wallet"),
    ({"policy": None}, "the name of a built-in"),
    ({"policy": True}, "given bool; allowed: the name of a built-in"),
    ({"policy": "missing.toml"}, "missing.toml: cannot be read"),
    (
        {"sinks": "sqlite:///usage.db"},
        r"sinks must be a list, such as sinks=\['sqlite:///usage.db'",
    ),
    ({"sinks": None}, "sinks must be a list"),
    ({"sinks": ["postgres://u:secret@host/db"]}, "scheme 'postgres:' is unknown; allowed are"),
    ({"sinks": ["sqlit:///usage.db"]}, "did you mean 'sqlite:///usage.db'"),
    ({"sinks": ["usage.db"]}, "write for example 'sqlite:///usage.db'"),
    ({"sinks": ["sqlite:/usage.db"]}, "write sqlite:///usage.db"),
    ({"sinks": ["sqlite://usage.db"]}, "sqlite:////usage.db"),
    ({"sinks": ["jsonl:"]}, "write jsonl:///usage"),
    ({"sinks": ["memory://x"]}, "write memory: or memory:name"),
    ({"sinks": [7]}, r"a URI, a callable or an object with write\(\) and close\(\), not int"),
    ({"sinks": [dict]}, "not the class dict"),
    ({"mode": "Enforce"}, "mode='Enforce' is not one of 'enforce', 'report'"),
    ({"mode": True}, "mode=True is not one of"),
    ({"mode": None}, "mode=None is not one of"),
    ({"log_guard": "off"}, "log_guard='off' is not one of 'strict', 'match', 'none'"),
    ({"log_guard": False}, "log_guard=False is not one of"),
    ({"dialects": ["/my/chat"]}, "dialects must map routes to names of dialects"),
    ({"dialects": {"my/chat": "openai.chat"}}, "'my/chat', which begins with no slash"),
    ({"dialects": {"/my/chat": "openai.chats"}}, "did you mean 'openai.chat'"),
    ({"dialects": {"/my/chat": 7}}, "Allowed are None, anthropic.batches"),
    ({"models": "gpt-4o"}, "models must be a list of model names, or a mapping"),
    ({"models": [""]}, "not a model's name"),
    ({"models": [7]}, "not a model's name"),
    ({"models": b"gpt"}, "not a model's name"),
    ({"models": {"mine": "o300k"}}, "is not one of 'o200k_base', 'cl100k_base'"),
    ({"models": {"mine": None}}, "is not one of 'o200k_base', 'cl100k_base'"),
    ({"identify": "acme"}, "identify must be a function that takes a credential"),
    ({"journal": 7}, 'journal must be a folder\'s path or "memory"; a int was given'),
    ({"journal": True}, "a bool was given"),
    ({"journal": ""}, "write a path, as in journal='/var/lib/yourapp/journal'"),
    ({"journal": "memory:"}, "or journal='memory'"),
    ({"journal": "sqlite:///journal"}, "is no directory: write a path"),
    ({"journal": "a\0b"}, "is no directory: write a path"),
    ({"grace": "2"}, "grace='2' must be a number of seconds"),
    ({"grace": -1}, "must be a number of seconds, from 0 to a day"),
    ({"grace": True}, "must be a number of seconds"),
    ({"grace": math.nan}, "must be a number of seconds"),
    ({"grace": math.inf}, "must be a number of seconds"),
    ({"grace": 10**400}, "must be a number of seconds"),
    ({"modes": "report"}, "unknown option 'modes': did you mean 'mode"),
    ({"polici": "kriora"}, "unknown option 'polici': did you mean 'policy'"),
    ({"sink": ["memory:"]}, "did you mean 'sinks'"),
    (
        {"admission": 1},
        "unknown option 'admission': Allowed are policy, sinks, children, dialects, fsync",
    ),
    ({"max_body": 0}, "max_body=0 must be a number of bytes, 1 or more"),
    ({"max_body": True}, "must be a number of bytes, 1 or more"),
    ({"upstreams": "api.openai.com"}, "upstreams must be a list; a str was given"),
    ({"upstreams": [""]}, "upstreams holds something"),
    ({"stores": [1]}, "stores holds something"),
    ({"writable": "folder"}, "writable must be a list"),
    ({"writable": [b""]}, "writable holds something that is not a path"),
    ({"children": ["no-such-program"]}, "'no-such-program', which is no program that can be"),
    ({"upstream_storage": "deny"}, "is not one of 'allow', 'forbid'"),
    ({"fsync": True}, "fsync=True is not one of 'never', 'interval', 'always'"),
    ({"journal_full": "block"}, "is not one of 'memory', 'shed', 'refuse'"),
    ({"journal_bytes": 1000}, "must be a number of bytes, 1048576 or more"),
    ({"on_violation": "print"}, "on_violation must be a function that takes a violation"),
]


def nothing(*_: Any) -> Any:
    """Stand for an application that is never called."""


@pytest.mark.parametrize(("wrong", "sentence"), WRONG, ids=lambda each: repr(each)[:40])
@pytest.mark.parametrize(
    "make",
    [
        ZeroRetention,
        partial(ZeroRetentionMiddleware, nothing),
        partial(ZeroRetentionWSGIMiddleware, nothing),
    ],
    ids=["runtime", "asgi", "wsgi"],
)
def test_a_wrong_value_is_refused(make: Any, wrong: dict[str, Any], sentence: str) -> None:
    """Whichever object takes the options, making it says what to write instead."""
    options = {"journal": "memory", **wrong}
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        make(**options)
    assert "secret" not in str(caught.value)


def test_a_missing_place_for_the_journal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file sink, a state directory or the option, the error names all three ways."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError, match="journal='/var/lib/yourapp/journal'") as caught:
        ZeroRetention(sinks=["memory:"])
    assert "journal='memory'" in str(caught.value)
    assert "STATE_DIRECTORY" in str(caught.value)


def test_every_option_is_known_to_the_check(tmp_path: Path) -> None:
    """Each documented option is taken with a right value, and none is forgotten."""

    def identify(credential: str) -> str | None:
        return None

    right: dict[str, Any] = {
        "mode": "report",
        "log_guard": "match",
        "models": {"mine": "o200k_base"},
        "identify": identify,
        "journal": tmp_path,
        "grace": 1,
        "upstreams": ["api.anthropic.com"],
        "stores": ["redis://cache.internal"],
        "writable": [tmp_path],
        "children": [sys.executable],
        "upstream_storage": "forbid",
        "max_body": 2**20,
        "on_violation": print,
        "fsync": "interval",
        "journal_full": "refuse",
        "journal_bytes": 2**21,
        "prices": {"mine": {"input": "2.50", "output": 10}},
        "dialects": {"/my/chat": "openai.chat", "/internal": None},
    }
    assert right.keys() == Options.__annotations__.keys()
    options = checked("usage-only", ["memory:", print], right)
    assert (options.mode, options.log_guard, options.grace) == ("report", "match", 1.0)
    assert (options.models, dict(options.encodings)) == (("mine",), {"mine": "o200k_base"})
    assert options.identify is identify
    assert options.journal == str(tmp_path)
    boundary = options.boundary
    assert boundary.writable == (os.path.realpath(tmp_path),)
    assert boundary.children == (os.path.realpath(sys.executable),)
    assert (boundary.upstream_storage, options.max_body) == ("forbid", 2**20)
    assert (boundary.enforce, boundary.on_violation) == (False, print)


def test_a_journal_may_be_any_path(tmp_path: Path) -> None:
    """A path object counts by what it names, bytes included."""
    options = checked("usage-only", [], {"journal": BytesPath(tmp_path)})
    assert options.journal == str(tmp_path)


def test_grace_can_only_tighten_the_policy() -> None:
    """A policy without grace stays without, whatever the option says."""
    assert checked("kriora", [], {"grace": 9}).grace == 0
    assert checked("usage-only", [], {"grace": 0.5}).grace == 0.5
    assert checked("usage-only", [], {"grace": 999}).grace == Policy.load("usage-only").grace


def test_equal_options_have_one_key() -> None:
    """Options are equal by value, callables by identity; what differs has another key."""

    def sink(records: list[UsageRecord]) -> None:
        """Take records."""

    same = [checked("usage-only", ["memory:", sink], {"models": ["a"], "grace": 1}) for _ in "ab"]
    assert same[0].key() == same[1].key()
    others: list[dict[str, Any]] = [
        {"mode": "report"}, {"log_guard": "none"}, {"models": ["b"]}, {"grace": 0},
        {"journal": "memory"}, {"identify": len}, {"models": {"a": "o200k_base"}},
    ]  # fmt: skip
    keys = {checked("usage-only", ["memory:", sink], each).key() for each in others}
    keys |= {checked("kriora", [], {}).key(), checked("usage-only", [print], {}).key()}
    assert len(keys | {same[0].key()}) == len(others) + 3
