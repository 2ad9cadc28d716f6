"""The folder in which the demo's servers work."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zeroret.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """Give a folder to work in: a temporary one, or *keep*, which must be new or empty.

    Raises:
        ConfigurationError: *keep* cannot be used.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="zeroret-demo-") as folder:
            yield Path(folder).resolve()
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        occupied = any(keep.iterdir())
    except OSError as error:
        raise ConfigurationError(f"--keep {keep}: {error.strerror}") from None
    if occupied:
        raise ConfigurationError(f"--keep {keep}: given a folder with files in it; give a new one")
    yield keep.resolve()
