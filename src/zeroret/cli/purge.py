"""``zeroret purge``: delete from a store what a policy's clocks make due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from zeroret.cli.stores import opened
from zeroret.errors import ConfigurationError
from zeroret.policy import Policy
from zeroret.retention import clocks

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    """Add this group to *commands*, argparse's subparsers."""
    parser = commands.add_parser(
        "purge",
        help="delete from a store what the policy's clocks make due",
        description=(
            "Deletes usage rows, totals and collections that are past the periods of the policy. "
            "Safe to repeat, and to run beside a server."
        ),
    )
    parser.add_argument("store", metavar="URI", help="the store, such as sqlite:///usage.db")
    parser.add_argument("--policy", required=True, metavar="NAME", help="a policy's name or file")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would go, and delete nothing"
    )
    parser.add_argument(
        "--now",
        default=None,
        metavar="ISO-8601",
        help="the time to measure from, such as 2026-01-31T00:00:00Z (default: now)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Delete what is due, print what it was table by table, and return 0.

    Raises:
        ConfigurationError: the store or the policy is none.
        SinkError: the store cannot be used now.
    """
    policy = Policy.load(arguments.policy)
    now = datetime.now(UTC) if arguments.now is None else moment(arguments.now)
    with opened(arguments.store) as store:
        expired = clocks.expire(store, policy, now, dry_run=arguments.dry_run)
    verb = "would go" if arguments.dry_run else "deleted"
    for each in expired:
        print(
            f"{each.due.table}: {each.rows:,} rows older than "
            f"{each.due.before:%Y-%m-%d %H:%M} UTC ({each.due.keep}) {verb}"
        )
    if not expired:
        print(f"policy {policy.name} has no clock: nothing is ever due")
    return 0


def moment(text: str) -> datetime:
    """Return the moment of an ISO 8601 text; without a zone it is UTC.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no moment: write one like 2026-01-31 or 2026-01-31T09:30:00Z"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
