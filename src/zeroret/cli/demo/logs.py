"""The sample server's logging: standard library only, and as talkative as logging gets."""

from __future__ import annotations

import json
import logging


class AllAttributes(logging.Formatter):
    """Dumps every attribute of a record as JSON, as formatters for log collectors do."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one JSON object, what is no JSON by its repr."""
        values = {**record.__dict__, "message": record.getMessage()}
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values, default=repr)


def configure() -> None:
    """Log to stderr, to ``app.log``, and with all attributes to ``log.jsonl``."""
    lines = logging.FileHandler("app.log", encoding="utf-8")
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    everything = logging.FileHandler("log.jsonl", encoding="utf-8")
    everything.setFormatter(AllAttributes())
    everywhere: list[logging.Handler] = [logging.StreamHandler(), lines, everything]
    logging.basicConfig(level=logging.INFO, handlers=everywhere)
    logging.getLogger("reseller").setLevel(logging.DEBUG)
    for name in ("uvicorn", "uvicorn.access"):
        for handler in (lines, everything):
            logging.getLogger(name).addHandler(handler)
