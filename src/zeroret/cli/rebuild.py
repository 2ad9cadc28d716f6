"""``zeroret rebuild``: make a store's hourly totals anew from its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroret.cli.stores import opened
from zeroret.policy import Policy
from zeroret.usage.layout import layout

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    """Add this group to *commands*, argparse's subparsers."""
    parser = commands.add_parser(
        "rebuild",
        help="make a store's totals anew from its rows",
        description=(
            "Adds up the usage rows again, hour by hour. Hours that no row is left of keep their "
            "totals, and so do the collections that the policy keeps apart."
        ),
    )
    parser.add_argument("store", metavar="URI", help="the store, such as sqlite:///usage.db")
    parser.add_argument("--policy", required=True, metavar="NAME", help="a policy's name or file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Rebuild, say how many totals stand, and return 0.

    Raises:
        ConfigurationError: the store or the policy is none.
    """
    policy = Policy.load(arguments.policy)
    priced = False
    with opened(arguments.store) as store:
        priced = "price_version" in store.columns("usage")
    with opened(arguments.store, layout(policy, priced=priced)) as store:
        print(f"{store.rebuild():,} hourly totals stand")
    return 0
