"""CPU that the log guard adds to a clean record of 200 bytes written inside an exchange.

And what records cost beside a thousand live exchanges, whoever writes them.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import crowded
import variants
from rounds import Child, Estimate, Series, measure, serve, start
from table import Row, parser, report
from workloads import WORKLOADS, Receive, quiet_logger

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

VARIANTS: Final = ("bare", "bare2", "none", "strict", "match")
_TURN: Final = 1500  # records in one turn
_ARGUMENT: Final = "a value that only the caller can know: Ann, 7 Harbour Lane"
_LIMITS: Final = {"strict": 3, "match": 40}


def _constant(log: logging.Logger, count: int) -> None:
    for _ in range(count):
        log.info(
            "the request was accepted, checked against the account's limits, sent to the upstream "
            "that serves its model, and answered; nothing out of the ordinary happened"
        )


def _fstring(log: logging.Logger, count: int) -> None:
    for number in range(count):
        log.info(
            f"the request was accepted, checked against the limits, sent to the upstream that "  # noqa: G004 - the very thing that is measured
            f"serves its model, and answered with {number} tokens in {0.25 * number} seconds"
        )


def _numbers(log: logging.Logger, count: int) -> None:
    for number in range(count):
        log.info(
            "the request was accepted, checked against the limits, sent to the upstream that "
            "serves its model, and answered with %d tokens in %.3f seconds",
            number,
            0.25 * number,
        )


def _withheld(log: logging.Logger, count: int) -> None:
    for _ in range(count):
        log.info(
            "the request was accepted, checked against the limits, sent to the upstream, "
            "and answered for %s",
            _ARGUMENT,
        )


_KINDS: Final[dict[str, tuple[str, Callable[[logging.Logger, int], None]]]] = {
    "constant": ("constant message", _constant),
    "fstring": ("f-string with two numbers", _fstring),
    "numbers": ("constant message, two numbers as arguments", _numbers),
    "withheld": ("constant message, one string argument (strict withholds it)", _withheld),
}


def child(variant: str) -> None:
    """Write records inside an exchange of *variant*, as asked, until standard input ends."""
    log, workload = quiet_logger(), WORKLOADS["json"]
    asked: dict[str, Any] = {}

    async def app(_: Any, receive: Any, send: Any) -> None:
        await receive()
        _KINDS[asked["work"]][1](log, asked["count"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": workload.reply})

    with tempfile.TemporaryDirectory(prefix="zeroret-benchmark-") as folder:
        made = variants.wrapped(variant, Path(folder)) if variant in variants.OPTIONS else None
        guarded: Any = app if made is None else made.runtime.asgi(app)

        def answer(question: dict[str, Any]) -> dict[str, Any]:
            if question.get("facts"):
                return {"facts": {} if made is None else made.facts()}
            asked.update(question)
            receive = Receive(workload.pieces())
            asyncio.run(guarded(workload.scope(), receive, variants.discard()))
            return {}

        serve(answer)
        if made is not None:
            made.runtime.close()


def collect(rounds: int, restarts: int) -> tuple[dict[str, Series], dict[str, Any]]:
    """Run the rounds; return the series of each kind of record, and the facts."""
    series = {kind: Series() for kind in _KINDS}
    facts: dict[str, Any] = {}
    for _ in range(restarts):
        with ExitStack() as stack:
            commands = {v: ("logs.py", "--child", v) for v in VARIANTS}
            children: dict[str, Child] = start(stack, commands)
            for kind, measured in series.items():
                question = {"work": kind, "count": _TURN}
                measure(children, rounds, _TURN, question, measured)
            facts = {v: children[v].ask(facts=True)["facts"] for v in ("strict", "match")}
    return series, facts


def rows(series: dict[str, Series]) -> list[Row]:
    """Return a row for each guard and kind of record."""
    made = []
    for guard, limit in _LIMITS.items():
        for kind, (what, _) in _KINDS.items():
            measured = series[kind]
            estimate = Estimate.of(measured.added(guard), 1e6)
            control = Estimate.of(measured.added("bare2"), 1e6)
            made.append(
                Row(
                    f"log record, {what} ({guard})",
                    f"≤ +{limit} µs",
                    estimate.show(1, "µs", signed=True),
                    estimate.verdict(limit),
                    f"{measured.typical('bare') * 1e6:.1f} µs",
                    control.show(1, "µs", signed=True),
                )
            )
    return made


def main() -> None:
    """Run the comparison and print it."""
    if "--child" in sys.argv:
        child(sys.argv[-1])
        return
    options = parser(__doc__, rounds=7, restarts=3)
    options.add_argument("--crowd", action="store_true", help="only beside a thousand exchanges")
    arguments = options.parse_args()
    made: list[Row] = []
    facts: dict[str, Any] = {}
    if not arguments.crowd:
        series, facts = collect(arguments.rounds, arguments.restarts)
        made = rows(series)
    beside, facts["crowd"] = crowded.rows(arguments.rounds)
    report("Log records", [*made, *beside], facts, arguments.json)


if __name__ == "__main__":
    main()
