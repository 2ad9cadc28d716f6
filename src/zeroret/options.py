"""The options of a runtime: what may be given, checked when the object is made."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fsdecode
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, get_args

from zeroret.content.boundary import Boundary, UpstreamStorage
from zeroret.content.destinations import Stores, Upstreams
from zeroret.content.flight import LogGuard
from zeroret.dialects.overrides import Overrides
from zeroret.errors import ConfigurationError
from zeroret.journal.durability import DEFAULT, LEAST_BYTES, Durability, Fsync, Full
from zeroret.policy import Policy
from zeroret.sinks import check
from zeroret.tokens import vocabulary
from zeroret.usage.prices import Prices, prices_of

if TYPE_CHECKING:
    from zeroret.guards.violations import Violation
    from zeroret.types import Identify

_LONGEST: Final = 86_400.0  # seconds that any option may state

Mode: TypeAlias = Literal["enforce", "report"]
"""``enforce`` withholds; ``report`` counts what would have been withheld and lets it pass."""


class Options(TypedDict, total=False):
    """The keyword options of `zeroret.ZeroRetention`; see there for what each means."""

    mode: Mode
    log_guard: LogGuard
    models: Iterable[str] | Mapping[str, str] | None
    identify: Identify | None
    journal: str | PathLike[str] | None
    grace: float
    upstreams: Iterable[str] | None
    stores: Iterable[str]
    writable: Iterable[str | PathLike[str]]
    children: Iterable[str | PathLike[str]]
    upstream_storage: UpstreamStorage
    max_body: int | None
    on_violation: Callable[[Violation], object] | None
    fsync: Fsync
    journal_full: Full
    journal_bytes: int
    prices: Any
    dialects: Mapping[str, str | None]


class ShellOptions(Options, total=False):
    """The options of the shells, which take policy and sinks by name too."""

    policy: str | PathLike[str] | Policy
    sinks: Iterable[Any]


@dataclass(frozen=True)
class Checked:
    """Options that are known to be good."""

    policy: Policy
    sinks: tuple[Any, ...]
    mode: Mode = "enforce"
    log_guard: LogGuard = "strict"
    models: tuple[str, ...] | None = None
    encodings: Mapping[str, str] = field(default_factory=dict)
    identify: Identify | None = None
    journal: str | None = None
    grace: float = 2.0
    upstreams: Upstreams | None = None
    stores: Stores = Stores()  # noqa: RUF009 - frozen, and shared on purpose
    writable: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    upstream_storage: UpstreamStorage = "allow"
    max_body: int | None = None
    on_violation: Callable[[Violation], object] | None = None

    durability: Durability = DEFAULT
    prices: Prices | None = None
    dialects: Overrides | None = None

    @property
    def boundary(self) -> Boundary:
        """Where the content of this runtime's exchanges may go."""
        return Boundary(
            enforce=self.mode == "enforce",
            upstreams=self.upstreams,
            stores=self.stores,
            writable=self.writable,
            children=self.children,
            upstream_storage=self.upstream_storage,
            on_violation=self.on_violation,
        )

    def key(self) -> tuple[object, ...]:
        """Return what two runtimes share if they are to be one; objects count by identity."""
        sinks = tuple(sink if isinstance(sink, str) else id(sink) for sink in self.sinks)
        encodings = tuple(sorted(self.encodings.items()))
        return (
            self.policy.stamp,
            sinks,
            self.mode,
            self.log_guard,
            self.models,
            encodings,
            id(self.identify),
            self.journal,
            self.grace,
            self.upstreams,
            self.stores,
            self.writable,
            self.children,
            self.upstream_storage,
            self.max_body,
            id(self.on_violation),
            self.durability,
            None if self.prices is None else self.prices.versions,
            None if self.dialects is None else self.dialects.key,
        )


def checked(policy: Any, sinks: Any, options: Mapping[str, Any]) -> Checked:
    """Return the options, checked.

    Raises:
        ConfigurationError: an option is unknown or has a value that is not allowed.
    """
    unknown = [name for name in options if name not in Options.__annotations__]
    if unknown:
        raise ConfigurationError(_unknown_option(unknown[0]))
    loaded = Policy.load(policy)
    models, encodings = _models(options.get("models"))
    return Checked(
        policy=loaded,
        sinks=_sinks(sinks),
        mode=_one_of("mode", options.get("mode", "enforce"), get_args(Mode)),
        log_guard=_one_of("log_guard", options.get("log_guard", "strict"), get_args(LogGuard)),
        models=models,
        encodings=encodings,
        identify=_called(
            "identify",
            options.get("identify"),
            "a credential and returns an account or None",
        ),
        journal=_journal(options.get("journal")),
        # The policy is a promise: the option can only tighten it.
        grace=min(_seconds("grace", options.get("grace", 2.0)), loaded.grace),
        upstreams=_upstreams(options.get("upstreams")),
        stores=Stores.of(_listed("stores", options.get("stores", ()))),
        writable=_paths("writable", options.get("writable", ())),
        children=_programs(options.get("children", ())),
        upstream_storage=_one_of(
            "upstream_storage", options.get("upstream_storage", "allow"), get_args(UpstreamStorage)
        ),
        max_body=None
        if options.get("max_body") is None
        else _size("max_body", options["max_body"]),
        on_violation=_called("on_violation", options.get("on_violation"), "a violation"),
        prices=prices_of(options.get("prices")),
        dialects=_dialects(options.get("dialects")),
        durability=Durability(
            fsync=_one_of("fsync", options.get("fsync", DEFAULT.fsync), get_args(Fsync)),
            full=_one_of("journal_full", options.get("journal_full", DEFAULT.full), get_args(Full)),
            most_bytes=_size(
                "journal_bytes", options.get("journal_bytes", DEFAULT.most_bytes), LEAST_BYTES
            ),
        ),
    )


def _unknown_option(name: str) -> str:
    known = ["policy", "sinks", *sorted(Options.__annotations__)]
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown option {name!r}: {hint}Allowed are {', '.join(known)}"


def _one_of(name: str, value: Any, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise ConfigurationError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")
    return value


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise ConfigurationError(f"{name}={value!r} must be a number of seconds, from 0 to a day")
    return float(value)


def _called(name: str, value: Any, takes: str) -> Any:
    if value is not None and not callable(value):
        raise ConfigurationError(
            f"{name} must be a function that takes {takes}; a {type(value).__name__} was given"
        )
    return value


def _size(name: str, value: Any, least: int = 1) -> int:
    if type(value) is int and value >= least:
        return value
    raise ConfigurationError(f"{name}={value!r} must be a number of bytes, {least} or more")


def _listed(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | PathLike) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{name} must be a list; a {type(value).__name__} was given")
    return tuple(value)


def _dialects(value: Any) -> Overrides | None:
    if not value:
        return None
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            "dialects must map routes to names of dialects, such as {'/my/chat': 'openai.chat'}; "
            f"a {type(value).__name__} was given"
        )
    return Overrides(value)


def _upstreams(value: Any) -> Upstreams | None:
    return None if value is None else Upstreams.of(_listed("upstreams", value))


def _paths(name: str, value: Any) -> tuple[str, ...]:
    """Return real paths, so that a link cannot lead elsewhere later."""
    paths = _listed(name, value)
    if not all(isinstance(path, str | PathLike) and fsdecode(path) for path in paths):
        raise ConfigurationError(f"{name} holds something that is not a path")
    return tuple(os.path.realpath(fsdecode(path)) for path in paths)


def _programs(value: Any) -> tuple[str, ...]:
    found: list[str] = []
    for program in _listed("children", value):
        path = shutil.which(program) if isinstance(program, str | PathLike) else None
        if path is None:
            raise ConfigurationError(
                f"children names {program!r}, which is no program that can be started here"
            )
        found.append(os.path.realpath(path))
    return tuple(found)


def _journal(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, PathLike):
        return fsdecode(value)
    raise ConfigurationError(
        f'journal must be a folder\'s path or "memory"; a {type(value).__name__} was given'
    )


def _sinks(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationError(
            f"sinks must be a list, such as sinks=['sqlite:///usage.db']; "
            f"a {type(value).__name__} was given"
        )
    sinks = tuple(value)
    for sink in sinks:
        check(sink)
    return sinks


def _models(value: Any) -> tuple[tuple[str, ...] | None, Mapping[str, str]]:
    """Return the model names that records may show, and the vocabularies given for them."""
    if value is None:
        return None, {}
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationError(
            "models must be a list of model names, or a mapping from model names to "
            f"vocabularies such as 'o200k_base'; a {type(value).__name__} was given"
        )
    encodings = dict(value) if isinstance(value, Mapping) else {}
    names = tuple(value)
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigurationError("models holds something that is not a model's name")
    for name, encoding in encodings.items():
        if not isinstance(encoding, str) or not vocabulary.is_named(encoding):
            raise ConfigurationError(
                f"models[{name!r}]={encoding!r} is not one of 'o200k_base', 'cl100k_base', nor the "
                "path of a tokenizer.json"
            )
        vocabulary.check(encoding)
    return names, encodings
