"""Patches: attributes of other modules that are replaced while anyone needs it, then put back.

The first `Patches.install` puts them in, the last `Patches.uninstall` takes them out. What is not
loaded yet is patched when it is. A module whose shape is not the expected one is left as it is and
named in `Patches.troubles`: the posture says so, nothing breaks.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeAlias

import wrapt

Watch: TypeAlias = Callable[[ModuleType], None]

_MISSING: Final = object()


class _Replaced(NamedTuple):
    owner: Any
    name: str
    original: Any
    ours: Any


class Patches:
    """The replaced attributes of one guard; forks inherit them with the modules they stand in.

    Args:
        guard: The guard's name, as the posture says it.
    """

    def __init__(self, guard: str) -> None:
        self.guard = guard
        self.count = 0
        """How many installs wait for their uninstall."""
        self.troubles: dict[str, str] = {}
        """Modules that could not be guarded: name, and the class name of what went wrong."""
        self.watched: set[str] = set()
        """Modules that are patched now."""
        self._watches: dict[str, list[Watch]] = {}
        self._hooked: set[str] = set()
        self._replaced: list[_Replaced] = []
        # Re-entrant: a watch may import what another watch waits for.
        self._lock = threading.RLock()

    @property
    def active(self) -> bool:
        """Whether the patches are in; a replacement that outlives them must pass everything on."""
        return self.count > 0

    def when_imported(self, module: str) -> Callable[[Watch], Watch]:
        """Have the decorated function patch *module* at install, or when it is imported."""

        def register(watch: Watch) -> Watch:
            self._watches.setdefault(module, []).append(watch)
            return watch

        return register

    def leave_to(self, integrations: Mapping[str, str]) -> None:
        """Leave each module to its integration's ``watch(module)``, which is imported with it."""

        def watching(integration: str) -> Watch:
            def watch(module: ModuleType) -> None:
                import_module(f"zeroret.integrations.{integration}").watch(module)

            return watch

        for module, integration in integrations.items():
            self.when_imported(module)(watching(integration))

    def install(self) -> None:
        """Patch every module that is loaded, and the others when they are; count this call."""
        with self._lock:
            self.count += 1
            if self.count > 1:
                return
            for name in self._watches:
                module = sys.modules.get(name)
                if module is not None and not _is_loading(module):
                    self._patch(name, module)
                elif name not in self._hooked:
                    self._hooked.add(name)
                    wrapt.register_post_import_hook(self._imported, name)

    def uninstall(self) -> None:
        """Undo one `install`; the last one puts back what is still ours."""
        with self._lock:
            if self.count == 0:
                return
            self.count -= 1
            if self.count:
                return
            for owner, name, original, ours in reversed(self._replaced):
                if _held(owner, name) is not ours:
                    continue  # somebody patched over ours, which passes everything on from now
                if original is _MISSING:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)
            self._replaced.clear()
            self.watched.clear()
            self.troubles.clear()

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace attribute *name* of *owner* by ``make(original)``.

        *original* is what attribute access gives of a module or instance, and what the class's own
        ``__dict__`` holds (a function, a ``staticmethod``, …) of a class, or an inherited one.

        Raises:
            AttributeError: *owner* has no such attribute.
        """
        original = _held(owner, name)
        ours = make(getattr(owner, name) if original is _MISSING else original)
        setattr(owner, name, ours)
        self._replaced.append(_Replaced(owner, name, original, ours))

    def _imported(self, module: ModuleType) -> None:
        with self._lock:
            if self.active and module.__name__ not in self.watched:
                self._patch(module.__name__, module)

    def _patch(self, name: str, module: ModuleType) -> None:
        self.watched.add(name)
        for watch in self._watches[name]:
            try:
                watch(module)
            except Exception as error:  # noqa: BLE001 - another version's shape is no reason to fail
                self.troubles[name] = type(error).__name__


def _held(owner: Any, name: str) -> Any:
    """Return what *owner* itself holds under *name*, inheritance left aside."""
    return vars(owner).get(name, _MISSING)


def _is_loading(module: ModuleType) -> bool:
    """Tell whether *module* is still being imported: then its hook comes when it is whole."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))
