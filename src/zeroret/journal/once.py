"""What is taken once and must not be taken again: usage that is told at every retrieval.

A batch's results can be fetched any number of times, by any process. The first fetch leaves a mark,
an empty file that is named by an HMAC of the batch's id, so that the next one finds it there. An
answer that is made in the background leaves its mark when it is asked for: whoever fetches it whole
removes the mark, and only one can.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from zeroret.errors import ConfigurationError
from zeroret.journal.folder import Folder

FOLDER: Final = "taken"
"""The folder of the marks, in the journal's."""

KEPT: Final = 90 * 86_400.0
"""Seconds that a mark is kept; providers let results expire within 30 days."""

REMEMBERED: Final = 65_536
"""The most marks that are kept in memory where there is no folder."""

_DIGITS: Final = 40
_EXPECTED: Final = "expected "


class Once:
    """Tells whether something is taken for the first time, across processes that share a *place*.

    Where the mark cannot be made the answer is no: nothing is taken rather than twice.
    """

    def __init__(self, place: Path | Literal["memory"], secret: bytes) -> None:
        self._place = place
        self._secret = secret
        self._memory: OrderedDict[str, Any] = OrderedDict()
        self._pruned = False

    def first(self, key: str) -> bool:
        """Return whether *key* is taken for the first time; from now on it is taken."""
        name = self._name(key)
        if self._place == "memory":
            return self._first_in_memory(name)
        try:
            folder = Folder(Path(self._place, FOLDER))
        except ConfigurationError:
            return False
        try:
            self._prune(folder)
            os.close(folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except OSError:
            return False
        finally:
            folder.close()
        return True

    def expect(self, key: str) -> None:
        """Note that *key* may be claimed later, once."""
        self.first(_EXPECTED + key)

    def claim(self, key: str) -> bool:
        """Return whether *key* was expected; from now on it is not."""
        name = self._name(_EXPECTED + key)
        if self._place == "memory":
            return self._memory.pop(name, self) is None
        try:
            os.unlink(Path(self._place, FOLDER, name))  # noqa: PTH108 - tells whether it was there
        except OSError:
            return False
        return True

    def _name(self, key: str) -> str:
        digest = hmac.new(self._secret, key.encode(errors="replace"), hashlib.sha256)
        return digest.hexdigest()[:_DIGITS]

    def _first_in_memory(self, name: str) -> bool:
        if name in self._memory:
            return False
        self._memory[name] = None
        if len(self._memory) > REMEMBERED:
            self._memory.popitem(last=False)
        return True

    def _prune(self, folder: Folder) -> None:
        """Remove the marks that nobody will ask for any more, once a process."""
        if self._pruned:
            return
        self._pruned = True
        before = time.time() - KEPT
        with suppress(OSError), os.scandir(folder.path) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_mtime < before:
                    folder.unlink(entry.name)
