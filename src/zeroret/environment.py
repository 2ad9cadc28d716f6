"""Options from the environment: ``ZERORET_*`` variables, and Django's ``settings.ZERORET``."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from zeroret.errors import ConfigurationError

_PREFIX: Final = "ZERORET_"
_LISTS: Final = frozenset(
    {"sinks", "models", "upstreams", "stores", "writable", "children", "prices"}
)
_NUMBERS: Final[Mapping[str, type[int | float]]] = {
    "grace": float,
    "journal_bytes": int,
    "max_body": int,
}
_NAMES: Final = (
    *("policy", "sinks", "mode", "log_guard", "models", "journal", "grace"),
    *("upstreams", "stores", "writable", "children", "upstream_storage", "max_body"),
    *("fsync", "journal_full", "journal_bytes", "prices"),
)
_ONLY_IN_CODE: Final = frozenset({"ZERORET_IDENTIFY", "ZERORET_ON_VIOLATION", "ZERORET_DIALECTS"})


def from_environment(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the options that the environment states; a variable wins over Django's setting.

    Lists are separated by commas. Raises `ConfigurationError` for a number that is none, and for
    a variable that looks like a misspelt option: a typo must not mean the default.
    """
    environ = os.environ if environ is None else environ
    options = _django_settings()
    for name in _NAMES:
        value = environ.get(_PREFIX + name.upper(), "").strip()
        if value:
            options[name] = _parsed(name, value)
    _refuse_typos(environ)
    return options


def _parsed(name: str, value: str) -> Any:
    if name in _LISTS:
        return [item for item in (part.strip() for part in value.split(",")) if item]
    number = _NUMBERS.get(name)
    if number is None:
        return value
    try:
        return number(value)
    except ValueError:
        raise ConfigurationError(
            f"ZERORET_{name.upper()}={value!r} must be a number of "
            + ("seconds, such as 2 or 0.5" if number is float else "bytes, such as 1048576")
        ) from None


def _refuse_typos(environ: Mapping[str, str]) -> None:
    known = [_PREFIX + name.upper() for name in _NAMES]
    for name in environ:
        if name in _ONLY_IN_CODE:
            raise ConfigurationError(
                f"the environment sets {name}, which can only be given in code"
            )
        upper = name.upper()
        if upper.startswith(_PREFIX[:-1]) and name not in known:
            close = difflib.get_close_matches(upper, known, 1, cutoff=0.85)
            if close:
                raise ConfigurationError(
                    f"the environment sets {name}, which is no option; did you mean {close[0]}?"
                )


def _django_settings() -> dict[str, Any]:
    if "django.conf" not in sys.modules:
        return {}
    from django.conf import settings

    given = getattr(settings, "ZERORET", {}) if settings.configured else {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"Django's settings.ZERORET must be a dict of options; "
            f"a {type(given).__name__} was given"
        )
    for name in given:
        if not isinstance(name, str):
            raise ConfigurationError(
                f"Django's settings.ZERORET holds a key of type {type(name).__name__}; "
                "write options by name, as in {'policy': 'usage-only'}"
            )
    return dict(given)
