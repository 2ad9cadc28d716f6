"""The two vocabularies, shipped with the library and loaded without a network, once per process.

tiktoken's own ``get_encoding`` downloads on first use, with no timeout; here the encoding is built
directly from the packaged ranks. The patterns and special tokens are those of tiktoken 0.14's
``tiktoken_ext/openai_public.py``. Loading takes about 0.3 s and 90 MB for ``o200k_base``.
"""

from __future__ import annotations

import atexit
import contextlib
import lzma
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zeroret.errors import ConfigurationError
from zeroret.tokens import local
from zeroret.tokens.local import LocalTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    import tiktoken

DATA: Final = Path(__file__).with_name("data")
"""Where ``scripts/build-vocabularies`` writes."""

THREAD_NAME: Final = "zeroret-vocabulary"

_PATIENCE: Final = 5.0
"""The most seconds that a fork or the interpreter's exit waits for a load that is running."""

_PATTERNS: Final[dict[str, str]] = {
    "o200k_base": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
}

_SPECIAL: Final[dict[str, dict[str, int]]] = {
    "o200k_base": {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    "cl100k_base": {
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
}

NAMES: Final = frozenset(_PATTERNS)
"""The encodings that can be counted with."""

_encodings: dict[str, tiktoken.Encoding] = {}
_files: dict[str, LocalTokenizer] = {}
_threads: dict[str, threading.Thread] = {}
_ending = False
# reentrant, so that a signal handler that forks while its thread loads does not wait for itself
_lock = threading.RLock()


def is_named(name: str) -> bool:
    """Tell whether *name* is one of `NAMES`, or looks like the path of a tokenizer's file."""
    return name in NAMES or name.endswith(local.SUFFIX)


def check(name: str) -> None:
    """Refuse what is neither one of `NAMES` nor the path of a tokenizer's file.

    Raises:
        ConfigurationError: it is neither.
        MissingExtraError: it is a file, and the package that reads it is not installed.
    """
    if not is_named(name):
        raise ConfigurationError(f"unknown encoding {name!r}: use {' or '.join(sorted(NAMES))}")
    if name not in NAMES:
        local.check(name)


def encoder(name: str) -> Callable[[str], list[int]]:
    """Return what turns text into the ids of *name*, loading it on first use; any thread may ask.

    Raises what `check` raises, and `ConfigurationError` for a file that holds no tokenizer.
    """
    check(name)
    if name in NAMES:
        return encoding(name).encode_ordinary
    found = _files.get(name)
    if found is None:
        with _lock:
            found = _files.get(name) or _files.setdefault(name, LocalTokenizer(name))
    return found.encode_ordinary


def encoding(name: str) -> tiktoken.Encoding:
    """Return the encoding *name* of `NAMES`, loading it on first use; any thread may ask.

    Raises `ConfigurationError` if there is no such encoding.
    """
    found = _encodings.get(name)
    if found is not None:
        return found
    if name not in NAMES:
        raise ConfigurationError(f"unknown encoding {name!r}: use {' or '.join(sorted(NAMES))}")
    with _lock:
        found = _encodings.get(name)
        if found is None:
            found = _encodings[name] = _load(name)
        return found


def loaded(name: str) -> bool:
    """Return whether `encoding` answers at once."""
    return name in _encodings or name in _files


def load_in_background(name: str) -> None:
    """Start to load *name* in a thread, unless it is loaded, loading or unknown. Never raises."""
    if loaded(name) or _ending:
        return
    with contextlib.suppress(Exception):
        # tiktoken imports this and it registers fork hooks, which must not happen during a fork
        import concurrent.futures.thread  # noqa: F401 - as said above

        # no lock: two callers at once cost a second thread that finds the work done
        running = _threads.get(name)
        if running is not None and running.is_alive():
            return
        thread = threading.Thread(target=_warm, args=(name,), name=THREAD_NAME, daemon=True)
        _threads[name] = thread
        thread.start()


def ranks(name: str) -> dict[bytes, int]:
    """Return the tokens of *name* with their ranks, read from the packaged file."""
    packed = lzma.decompress((DATA / f"{name}.xz").read_bytes())
    tokens: list[bytes] = []
    append = tokens.append
    start, size = 0, len(packed)
    while start < size:
        end = start + packed[start] + 1
        append(packed[start + 1 : end])
        start = end
    return dict(zip(tokens, range(len(tokens)), strict=True))


def _load(name: str) -> tiktoken.Encoding:
    import tiktoken

    return tiktoken.Encoding(
        name,
        pat_str=_PATTERNS[name],
        mergeable_ranks=ranks(name),
        special_tokens=_SPECIAL[name],
    )


def _warm(name: str) -> None:
    # what fails here fails again, in the thread that counts, and is handled there
    with contextlib.suppress(Exception):
        encoder(name)


def _before_fork() -> None:
    # a child of a half-done load would inherit import locks that no thread of it can release
    _lock.acquire(timeout=_PATIENCE)


def _after_fork_in_parent() -> None:
    with contextlib.suppress(RuntimeError):  # the wait before the fork ran out
        _lock.release()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - the parent's lock may be held by a thread that is not here
    _lock = threading.RLock()
    _threads.clear()


def _at_exit() -> None:
    # a daemon thread that is stopped inside the native constructor could take the process down,
    # and starting one after this point waits for ever for it to begin
    global _ending  # noqa: PLW0603 - the end of the process is a fact about the process
    _ending = True
    for thread in list(_threads.values()):
        with contextlib.suppress(RuntimeError):  # it never started
            thread.join(_PATIENCE)


atexit.register(_at_exit)
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
