"""What both careless apps do with a request's content: log it in every way, now and later."""

from __future__ import annotations

import logging
import os
import threading
import time

LATER = 0.3

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
logger = logging.getLogger("shop")


def log_all(text: str, user: str, agent: str) -> None:
    """Log *text* as careless people do, also 0.3 seconds after the reply."""
    logger.info("chat of %s: %s", user, text)
    logger.warning(f"agent {agent} said {text}")  # noqa: G004 - carelessness is the point
    logger.info(text)
    logger.info("context", extra={"prompt": text})
    try:
        raise LookupError(text)
    except LookupError:
        logger.exception("lookup of %r", text)
    threading.Thread(target=log_later, args=(text,), name=user).start()


def log_later(text: str) -> None:
    """Log *text* when the reply is long gone."""
    time.sleep(LATER)
    logger.info("later: %s", text)
    logger.error("a finished thread: " + text)  # noqa: G003 - likewise


def fail(text: str) -> None:
    """Fail with *text*."""
    reason = f"cannot read {text}"
    raise ValueError(reason)  # this line is what a traceback must lead to


def events(text: str) -> list[str]:
    """Return the head of a stream: the process that serves it, and an echo."""
    return [f"data: {os.getpid()}\n\n", f"data: {text}\n\n"]
