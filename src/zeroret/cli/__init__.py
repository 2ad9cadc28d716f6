"""The ``zeroret`` command: one file or package per command group."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from zeroret.errors import ConfigurationError, MissingExtraError, ZeroRetentionError

if TYPE_CHECKING:
    from collections.abc import Sequence

OK: Final = 0
FAILED: Final = 1
"""What the command looked for does not hold, or it could not be done."""
MISUSED: Final = 2
"""The command could not start: its arguments, its configuration or the installation."""
INTERRUPTED: Final = 130
"""Ended by the keyboard, as shells count it: 128 and SIGINT's number."""

GROUPS: Final[dict[str, str]] = {
    "demo": "zeroret.cli.demo",
    "journal": "zeroret.cli.journal",
    "purge": "zeroret.cli.purge",
    "rebuild": "zeroret.cli.rebuild",
    "usage": "zeroret.cli.usage",
    "run": "zeroret.cli.run",
}
"""Command groups by name. Each module has ``add_parser(commands)``, whose parser sets ``run``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (default: the process's own) and return the exit status."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has said why, or shown its help
        return end.code if isinstance(end.code, int) else MISUSED
    try:
        status: int = arguments.run(arguments)
    except (ConfigurationError, MissingExtraError) as error:
        print(f"zeroret: {error}", file=sys.stderr)
        return MISUSED
    except ZeroRetentionError as error:
        print(f"zeroret: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("zeroret: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zeroret",
        description="Zero retention for LLM API servers: keep no prompt, meter every exchange.",
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in GROUPS.values():
        import_module(module).add_parser(commands)
    return parser


class _Version(argparse.Action):
    """Prints the version; asks for it only then, since reading package metadata takes a while."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002 - argparse calls it by this name
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - argparse hands these over
        values: object,  # noqa: ARG002 - likewise
        option_string: str | None = None,  # noqa: ARG002 - likewise
    ) -> None:
        import zeroret

        print(f"zeroret {zeroret.__version__}")
        parser.exit()
