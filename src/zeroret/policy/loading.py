"""Where a policy comes from: a built-in by its name, or a TOML file by its path."""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from zeroret.errors import ConfigurationError

BUILTIN: Final = ("crofai", "crouter", "kriora", "noorapi", "usage-only", "wallet")
"""The names of the policies that come with the package."""

MOST: Final = 2**20
"""The most bytes a policy file may have: one that is longer is something else."""


def read(source: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """Return a label of the place and the TOML document there.

    A path object, and a string that ends in ``.toml`` or holds a path separator, is a file; any
    other string is the name of a built-in. Raises `ConfigurationError`.
    """
    if isinstance(source, os.PathLike) or (isinstance(source, str) and _is_path(source)):
        path = Path(source)
        return f"policy file {path}", _parsed(_bytes(path), f"policy file {path}")
    if isinstance(source, str) and source in BUILTIN:
        data = files("zeroret.policy").joinpath("builtin", f"{source}.toml").read_bytes()
        return f"built-in policy {source}", _parsed(data, f"built-in policy {source}")
    if not isinstance(source, str):
        raise ConfigurationError(
            f"policy: given {type(source).__name__}; allowed: the name of a built-in "
            f"({', '.join(BUILTIN)}), the path of a .toml file, or a Policy"
        )
    close = get_close_matches(source, BUILTIN, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ConfigurationError(
        f"policy: no built-in is called {source[:80]!r}{hint}; "
        f"allowed: {', '.join(BUILTIN)}, or the path of a .toml file"
    )


def _is_path(source: str) -> bool:
    separators = {os.sep, os.altsep} - {None}
    return source.endswith(".toml") or any(str(mark) in source for mark in separators)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(f"policy file {path}: cannot be read: {reason}") from None
    if len(data) > MOST:
        raise ConfigurationError(f"policy file {path}: longer than {MOST} bytes")
    return data


def _parsed(data: bytes, place: str) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{place}: not UTF-8 at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{place}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{place}: not TOML: nested too deep") from None
