"""The guard of standard output and error: what the program prints, by whatever way.

In an exchange only source text, numbers and members of closed sets are shown, as in log messages.
Log handlers write what the log guard has judged, which passes.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import (
    descriptors,
    ending,
    handlers,
    names,
    printing,
    reopening,
    streams,
    sysmodule,
    tally,
)
from zeroret.guards.tiers import Tier

if TYPE_CHECKING:
    from zeroret.content.boundary import Boundary


_JUDGED: Final = (logging.StreamHandler.emit, handlers._handle_error)  # noqa: SLF001 - a neighbour's
"""What writes texts of the log guard as they are."""


class _State:
    count = 0
    lock = threading.Lock()


def install() -> None:
    """Guard the standard streams of this process; each call needs its `uninstall`."""
    with _State.lock:
        _State.count += 1
        if _State.count > 1:
            return
        names.learn()
        for function in _JUDGED:
            streams.passes(function)
        for name in streams.NAMES:
            vars(sys)[name] = _guarded(getattr(sys, name, None))
            sysmodule.filtered(name, _seen)
        ending.at_the_end(ending.flushing([sys.__stdout__, sys.__stderr__]))
        printing.PATCHES.install()
        descriptors.PATCHES.install()
        reopening.install()


def uninstall() -> None:
    """Undo one `install`; the last one leaves the streams as they were before the first."""
    with _State.lock:
        if _State.count == 0:
            return
        _State.count -= 1
        if _State.count:
            return
        ending.not_at_the_end()
        reopening.uninstall()
        descriptors.PATCHES.uninstall()
        printing.PATCHES.uninstall()
        for name in streams.NAMES:
            sysmodule.unfiltered(name)
            stream = getattr(sys, name, None)
            if type(stream) is streams.Proxy:
                setattr(sys, name, stream.__wrapped__)
        streams.release()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of the standard streams and their descriptors."""
    troubles = sorted({*printing.PATCHES.troubles, *descriptors.PATCHES.troubles})
    but = f"; of another shape than expected: {', '.join(troubles)}" if troubles else ""
    return {
        "stdio": Tier(
            "closed" if boundary.enforce else "watched",
            "print, sys.stdout, sys.stderr, their buffers and raw files show only what log "
            f"messages may show{but}",
        ),
        "descriptors": Tier(
            "watched",
            "os.write and its like are judged wherever they come out at 1 or 2, opening those anew "
            "is refused; C code, sockets made of them, names bound before the start and what code "
            "of no exchange opens after it are not seen, or late",
        ),
    }


def _seen(_name: str, stream: Any) -> Any:
    """Guard what the program sets as a standard stream, for as long as anybody has it."""
    return _guarded(stream)


def _guarded(stream: Any) -> Any:
    try:
        return streams.guarded(stream)
    except Exception:  # noqa: BLE001 - what the program sets must be set; `print` guards it, too
        tally.count("stdio", "failed")
        return stream
