"""``zeroret journal``: show, verify, drain and repair the durable queue before the sinks."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroret.errors import ConfigurationError, ZeroRetentionError
from zeroret.journal import Journal, inspection
from zeroret.journal.delivery import Delivery
from zeroret.journal.folder import Folder
from zeroret.policy import Policy
from zeroret.sinks import open_sink, sink_key

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def add_parser(commands: Any) -> None:
    """Add this group to *commands*, argparse's subparsers."""
    group = commands.add_parser(
        "journal",
        help="show, verify, drain or repair the queue between a server and its sinks",
        description="Looks into a journal's directory. None of it holds content.",
    )
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, about in (
        ("show", show, "one line per process's set: what it holds, and for whom"),
        ("verify", verify, "read every line; exit status 1 and the places if any is damaged"),
        ("drain", drain, "deliver what dead processes left, then exit"),
        ("repair", repair, "blank damaged lines of dead sets; queue dead letters again"),
    ):
        action = actions.add_parser(name, help=about, description=about[0].upper() + about[1:])
        action.add_argument("directory", type=Path, metavar="DIR", help="the journal's directory")
        action.set_defaults(run=run)
        if name == "drain":
            action.add_argument(
                "--sink",
                action="append",
                required=True,
                metavar="URI",
                help="where to deliver, written exactly as the server has it; may be repeated",
            )
            action.add_argument("--policy", default="usage-only", help="the policy's name or file")
            action.add_argument(
                "--timeout", type=float, default=60.0, metavar="S", help="seconds (default 60)"
            )
        if name == "repair":
            action.add_argument(
                "--requeue",
                action="append",
                default=[],
                metavar="KEY",
                help="queue the dead letters of this sink again (keys: zeroret journal show)",
            )


def show(arguments: argparse.Namespace) -> int:
    """Print what the journal holds; returns 0."""
    with _folder(arguments.directory) as folder:
        sets = inspection.survey(folder)
        dead = inspection.dead_keys(folder)
    print(f"{'process':>8}  {'state':<6}  {'records':>9}  {'bytes':>12}  {'open':>5}  damaged")
    for contents in sets:
        size = sum(segment.size for segment in contents.segments)
        state = "living" if contents.living else "dead"
        print(
            f"{contents.pid:>8}  {state:<6}  {contents.records:>9,}  {size:>12,}  "
            f"{contents.open_slots:>5}  {contents.damaged}"
        )
        for key in sorted(contents.cursors):
            print(f"{'':>8}  sink {key}: {contents.waiting(key):,} bytes to take")
    for key, count in dead.items():
        print(f"{'':>8}  sink {key}: {count:,} dead letters")
    records = sum(contents.records for contents in sets)
    print(f"{len(sets)} sets, {records:,} records, {sum(dead.values()):,} dead letters")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Print each damaged place; returns 1 if there is one."""
    damaged = records = 0
    with _folder(arguments.directory) as folder:
        for contents in inspection.survey(folder):
            records += contents.records
            for segment in contents.segments:
                for start, end in segment.damaged:
                    damaged += 1
                    print(f"{contents.name}.{segment.number}.segment: bytes {start} to {end}")
    print(f"{records:,} records are whole; {damaged:,} places are damaged")
    return 1 if damaged else 0


def drain(arguments: argparse.Namespace) -> int:
    """Deliver what dead processes left; returns 0 when nothing of theirs is left.

    Raises:
        ConfigurationError: a sink or the policy is not one.
        ZeroRetentionError: something stayed undelivered.
    """
    columns = Policy.load(arguments.policy).columns
    _require(arguments.directory)
    journal = Journal(arguments.directory).open()
    delivery = Delivery(
        journal,
        [
            (sink_key(uri, index), open_sink(uri, columns=columns))
            for index, uri in enumerate(arguments.sink)
        ],
    )
    adopted = journal.adopt()
    delivery.start()
    flushed = delivery.flush(arguments.timeout)
    sinks = delivery.counters()["sinks"]
    delivery.close(timeout=0.0)
    for key, counters in sinks.items():
        trouble = f", last error {counters['last_error']}" if counters["last_error"] else ""
        print(f"sink {key}: {counters['delivered']:,} records delivered{trouble}")
    if not flushed:
        raise ZeroRetentionError(
            f"not everything was delivered within {arguments.timeout:g} seconds; "
            "what is left stays in the journal: mend the sink and start again"
        )
    print(f"{adopted} sets of dead processes are delivered and gone")
    return 0


def repair(arguments: argparse.Namespace) -> int:
    """Blank what is damaged, queue the dead letters asked for; returns 0."""
    with _folder(arguments.directory) as folder:
        known = inspection.dead_keys(folder)
        for key in arguments.requeue:
            if key not in known:
                raise ConfigurationError(
                    f"no sink {key!r} has dead letters; "
                    f"those that have: {', '.join(known) or 'none'}"
                )
        mended = inspection.mend(folder)
        queued = sum(inspection.requeue(folder, key) for key in arguments.requeue)
    print(f"{mended:,} damaged places blanked, {queued:,} dead letters queued again")
    return 0


@contextmanager
def _folder(directory: Path) -> Iterator[Folder]:
    _require(directory)
    folder = Folder(directory.absolute())
    try:
        yield folder
    except OSError as error:
        raise ZeroRetentionError(
            f"{directory} cannot be read: {type(error).__name__}, errno {error.errno}"
        ) from None
    finally:
        folder.close()


def _require(directory: Path) -> None:
    # Opening makes the directory; a typo must not.
    if not directory.is_dir():
        raise ConfigurationError(
            f"there is no directory {str(directory)!r}: give the one of journal=, or the "
            "'….journal' folder beside the first file sink"
        )
