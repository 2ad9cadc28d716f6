"""``zeroret usage``: what a store says of usage, as a table with bars, CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zeroret.cli.purge import moment
from zeroret.cli.stores import opened
from zeroret.errors import ConfigurationError, MissingExtraError
from zeroret.sinks import report
from zeroret.sinks.report import Answer, Question

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

FORMATS: Final = ("table", "csv", "json", "parquet")

_LAST: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_BAR: Final = 24
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_CLEAR: Final = "\x1b[2J\x1b[H"


def add_parser(commands: Any) -> None:
    """Add this group to *commands*, argparse's subparsers."""
    parser = commands.add_parser(
        "usage",
        help="usage by account, key, model, route and period, from a store",
        description="Totals from a store that keeps tables (SQLite, PostgreSQL).",
    )
    parser.add_argument("store", metavar="URI", help="the store, such as sqlite:///usage.db")
    parser.add_argument(
        "--by",
        default="model",
        metavar="NAMES",
        help=(
            f"what to divide by, separated by commas: {', '.join(report.COLUMNS_BY)}, "
            f"{', '.join(report.PERIODS)} (default: model)"
        ),
    )
    parser.add_argument("--since", metavar="ISO-8601", help="from this moment on")
    parser.add_argument("--until", metavar="ISO-8601", help="up to this moment, itself left out")
    parser.add_argument("--last", metavar="SPAN", help="such as 24h, 7d or 4w, up to now")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only this account, key, model or route; may be repeated",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="the N lines with most exchanges")
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead")
    parser.add_argument(
        "--follow", action="store_true", help="show it again every two seconds, until Ctrl-C"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write what the store says, and return 0.

    Raises:
        ConfigurationError: the store is none, or does not keep what is asked for.
        MissingExtraError: Parquet was asked for, and its package is not installed.
    """
    if arguments.format == "parquet" and arguments.output is None:
        raise ConfigurationError("--format parquet needs --output FILE: it is no text")
    if arguments.follow and (arguments.output is not None or arguments.format != "table"):
        raise ConfigurationError("--follow shows a table: leave --format and --output out")
    with opened(arguments.store) as store:
        while True:
            answer = report.ask(store, question(arguments, datetime.now(UTC)))
            if not arguments.follow:
                write(answer, arguments.format, arguments.output)
                return 0
            print(_CLEAR * sys.stdout.isatty() + table(answer), flush=True)
            time.sleep(2)


def question(arguments: argparse.Namespace, now: datetime) -> Question:
    """Return the question that the command line asks.

    Raises:
        ConfigurationError: a name, a moment or a span is none.
    """
    by = tuple(name for name in (part.strip() for part in arguments.by.split(",")) if name)
    where = dict(_condition(text) for text in arguments.where)
    known = (*report.COLUMNS_BY, *report.PERIODS)
    for name in (*by, *where):
        if name not in known:
            raise ConfigurationError(
                f"usage cannot be divided by {name!r}; allowed are {', '.join(known)}"
            )
    asked = Question(by=by, where=where, limit=arguments.limit)
    if arguments.last is not None:
        if arguments.since or arguments.until:
            raise ConfigurationError("--last is a period by itself: leave --since and --until out")
        return replace(asked, since=now - _span(arguments.last))
    return replace(
        asked,
        since=None if arguments.since is None else moment(arguments.since),
        until=None if arguments.until is None else moment(arguments.until),
    )


def write(answer: Answer, form: str, output: Path | None) -> None:
    """Write *answer* in one of `FORMATS` to a file, or to standard output."""
    if form == "parquet":
        assert output is not None  # asked beforehand
        _parquet(answer, output)
        return
    text = {"table": table, "csv": _csv, "json": _json}[form](answer)
    if output is None:
        print(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


def table(answer: Answer) -> str:
    """Return *answer* as aligned text, with a bar for the share of each line's exchanges."""
    shown = [_texts(answer.header, line) for line in answer.lines]
    widths = [
        max(len(name), *(len(line[at]) for line in shown)) if shown else len(name)
        for at, name in enumerate(answer.header)
    ]
    at = answer.header.index("exchanges")
    most = max((line[at] for line in answer.lines), default=0)
    rows = [_aligned(answer.header, answer.header, widths)]
    for line, texts in zip(answer.lines, shown, strict=True):
        rows.append(_aligned(answer.header, texts, widths) + "  " + _bar(line[at], most))
    total = sum(line[at] for line in answer.lines)
    return "\n".join([*(row.rstrip() for row in rows), f"{total:,} exchanges"])


def _texts(header: Sequence[str], line: Sequence[Any]) -> list[str]:
    return [
        "-"
        if value is None or value == ""
        else f"{value:,.4f}"
        if name == "cost"
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
        for name, value in zip(header, line, strict=True)
    ]


def _aligned(header: Sequence[str], texts: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        text.rjust(width) if name in report.MEASURES else text.ljust(width)
        for name, text, width in zip(header, texts, widths, strict=True)
    )


def _bar(value: int, most: int) -> str:
    eighths = round(value / most * _BAR * 8) if most else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _csv(answer: Answer) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.header)
    writer.writerows(answer.lines)
    return text.getvalue().rstrip("\n")


def _json(answer: Answer) -> str:
    return json.dumps(
        [dict(zip(answer.header, line, strict=True)) for line in answer.lines], indent=2
    )


def _parquet(answer: Answer, output: Path) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("--format parquet", "parquet") from None
    kinds = {"cost": pa.float64()} | dict.fromkeys(
        (name for name in report.MEASURES if name != "cost"), pa.int64()
    )
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in answer.header])
    lines = [dict(zip(answer.header, line, strict=True)) for line in answer.lines]
    parquet.write_table(pa.Table.from_pylist(lines, schema=schema), output)


def _condition(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigurationError(f"--where {text!r} is no condition: write one like account=acme")
    return name.strip(), value.strip()


def _span(text: str) -> timedelta:
    unit = _LAST.get(text[-1:])
    if unit is None or not text[:-1].isascii() or not text[:-1].isdigit():
        raise ConfigurationError(f"--last {text!r} is no span: write one like 24h, 7d or 4w")
    return int(text[:-1]) * unit
