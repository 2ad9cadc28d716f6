"""The options of a runtime: what may be given, checked when the object is made."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fsdecode
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, get_args

from zeroret.content.flight import LogGuard
from zeroret.errors import ConfigurationError
from zeroret.policy import Policy
from zeroret.sinks import check

if TYPE_CHECKING:
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
        identify=_callable("identify", options.get("identify")),
        journal=_journal(options.get("journal")),
        # The policy is a promise: the option can only tighten it.
        grace=min(_seconds("grace", options.get("grace", 2.0)), loaded.grace),
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


def _callable(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise ConfigurationError(
            f"{name} must be a function that takes a credential and returns an account or None; "
            f"a {type(value).__name__} was given"
        )
    return value


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
        if encoding not in _ENCODINGS:
            raise ConfigurationError(
                f"models[{name!r}]={encoding!r} is not one of {', '.join(map(repr, _ENCODINGS))}"
            )
    return names, encodings


_ENCODINGS: Final = ("o200k_base", "cl100k_base")
