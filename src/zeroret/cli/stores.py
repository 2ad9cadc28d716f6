"""Opening the store that a command names: it must be there already."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from zeroret.errors import ConfigurationError, ZeroRetentionError
from zeroret.sinks import open_store
from zeroret.sinks.location import file_path
from zeroret.sinks.tables import USAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeroret.types import UsageStore
    from zeroret.usage.layout import Layout


@contextmanager
def opened(uri: str, layout: Layout | None = None) -> Iterator[UsageStore]:
    """Give the store at *uri*, and close it; without *layout* its tables stay as they are.

    Raises:
        ConfigurationError: *uri* is no store, or nothing was ever written there.
        ZeroRetentionError: the store failed; the text names the error's class, never a record.
    """
    store = open_store(uri, layout)
    if uri.startswith("sqlite:") and not file_path(uri).is_file():
        raise ConfigurationError(f"there is no file {str(file_path(uri))!r}")
    try:
        _require_table(store)
        yield store
    except (ZeroRetentionError, OSError):
        raise
    except Exception as error:
        raise ZeroRetentionError(f"the store failed: {type(error).__name__}") from error
    finally:
        store.close()


def _require_table(store: UsageStore) -> None:
    if not store.columns(USAGE):
        raise ConfigurationError(
            "the store has no usage table: nothing was written there yet, or it is another's"
        )
