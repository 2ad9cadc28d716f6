"""``zeroret demo``: one careless server, bare and wrapped; what leaks and what is counted."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zeroret.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGES: Final = ("anthropic", "fastapi", "httpx", "openai", "rich", "uvicorn")
"""What the extra ``demo`` brings."""

DEFAULT_COUNT: Final = 300
MOST: Final = 20_000


def add_parser(commands: Any) -> None:
    """Add this group to *commands*, argparse's subparsers."""
    parser = commands.add_parser(
        "demo",
        help="see what a careless server leaks, bare and wrapped, and what is counted",
        description=(
            "Starts a fake upstream and one careless FastAPI server twice, bare and wrapped; "
            "drives both with the openai and anthropic SDKs; compares usage with the truth and "
            "searches every surface for what was said. Exit status 1 on a leak or a wrong count."
        ),
    )
    parser.add_argument(
        "--exchanges",
        type=Path,
        metavar="FILE",
        help="replay recorded provider answers (JSON lines, gzip or not) instead",
    )
    parser.add_argument(
        "--count",
        type=_count,
        default=None,
        metavar="N",
        help=f"exchanges per server (default {DEFAULT_COUNT}; with --exchanges: all)",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep everything the servers wrote in this folder"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and return the exit status.

    Raises:
        MissingExtraError: the packages of the extra ``demo`` are not installed.
        ConfigurationError: the file or folder given cannot be used.
    """
    require(PACKAGES)
    if arguments.exchanges is not None:
        from zeroret.cli.demo.replaying import replay

        return replay(arguments.exchanges, count=arguments.count, keep=arguments.keep)
    from zeroret.cli.demo.session import demonstrate

    return demonstrate(arguments.count or DEFAULT_COUNT, keep=arguments.keep)


def require(packages: Iterable[str]) -> None:
    """Raise `MissingExtraError` unless every one of *packages* can be imported."""
    if not all(_is_there(name) for name in packages):
        raise MissingExtraError("zeroret demo", "demo")


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:  # an import hook refuses it
        return False


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"given {text!r}; allowed: a number from 1 to {MOST}")
    return int(text)
