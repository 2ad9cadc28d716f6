"""Subclasses: one method guarded on a class and on everything derived from it, now or later."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroret.guards.patches import Patches

_OURS: Final = "_zeroret_guards"


def guard_method(
    patches: Patches, base: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Replace method *name* of *base* and of its subclasses by ``make(method)``.

    A class made later is guarded when it is made. What a class inherits from a guarded one is left
    alone; what it inherits from elsewhere, such as a mixin, is guarded on the class.

    Args:
        patches: Who puts it back in the end.
        base: The class that the library derives its own from.
        name: The method.
        make: Returns the guarding function for an original.

    Raises:
        AttributeError: *base* has no such method.
    """

    def guarding(original: Any) -> Any:
        ours = make(original)
        setattr(ours, _OURS, True)
        return ours

    def guard(cls: Any) -> None:
        owner = next(each for each in cls.__mro__ if name in vars(each))
        if owner is not cls and issubclass(owner, base):
            return
        method = vars(owner)[name]
        if callable(method) and not hasattr(method, _OURS):
            patches.replace(cls, name, guarding)

    getattr(base, name)
    patches.replace(base, "__init_subclass__", partial(_hooking, patches, base, guard))
    for cls in _derived(base):
        guard(cls)


def _hooking(patches: Patches, base: Any, guard: Callable[[Any], None], original: Any) -> Any:
    """Return an ``__init_subclass__`` that guards what is derived from *base* from now on."""
    own = original if isinstance(original, classmethod) else None

    def __init_subclass__(cls: Any, /, **options: Any) -> None:  # noqa: N807 - the hook's own name
        if own is not None:
            own.__get__(None, cls)(**options)
        else:
            super(base, cls).__init_subclass__(**options)
        if patches.active:
            guard(cls)

    return classmethod(__init_subclass__)


def _derived(base: Any) -> set[Any]:
    """Return *base* and everything derived from it so far."""
    found: set[Any] = set()
    waiting = [base]
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found.add(cls)
            waiting += type.__subclasses__(cls)
    return found
