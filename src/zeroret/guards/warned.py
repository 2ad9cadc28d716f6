"""The guard of warnings: what is shown of their texts, and what the registries keep of them.

It sits where every warning passes that is to be shown, those of C code included. The registries of
the modules remember each text for good; one that is not shown is taken out of them, and what stays
are its category and place, by which it is still shown once a place.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from contextlib import suppress
from functools import partial, wraps
from types import BuiltinFunctionType, ModuleType, WrapperDescriptorType
from typing import TYPE_CHECKING, Any, Final

from zeroret.guards import classes, exceptions, program, streams, tally
from zeroret.guards.owner import owner_of_text
from zeroret.guards.patches import Patches
from zeroret.guards.records import GUARD_ERROR
from zeroret.guards.tiers import Tier
from zeroret.guards.values import server_made
from zeroret.guards.writing import Writing, decided

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from zeroret.content.boundary import Boundary
    from zeroret.guards.owner import Owner

PATCHES: Final = Patches("warnings")
"""The functions of `warnings`, while the guard is in."""

WITHHELD: Final = "[withheld]"
"""What a registry keeps of a text, and what stands for a file of no module."""

_FILE: Final = warnings.WarningMessage.__init__.__code__.co_filename
_REGISTRY: Final = "__warningregistry__"
_ORDINARY_FILES: Final = frozenset(
    {"sys", "<string>", "<unknown>", "<frozen importlib._bootstrap>"}
)
_DEEPEST: Final = 64
_module_dict: Any = vars(ModuleType)["__dict__"]
_plain_str: Any = Warning.__str__
_args: Any = BaseException.__dict__["args"]
_logging_shows: Final = logging._showwarning  # type: ignore[attr-defined] # noqa: SLF001 - what `captureWarnings` sets


class _Local(threading.local):
    registry: Any = None
    """The registry that `warn_explicit` was given."""


_local: Final = _Local()


def install() -> None:
    """Guard the warnings of this process; each call needs its `uninstall`."""
    PATCHES.install()


def uninstall() -> None:
    """Undo one `install`; the last one leaves `warnings` as it was before the first."""
    PATCHES.uninstall()


def tiers(boundary: Boundary) -> dict[str, Tier]:
    """Return what the posture says of warnings."""
    if PATCHES.troubles:
        return {"warnings": Tier("out of reach", "the warnings module has an unknown shape")}
    return {
        "warnings": Tier(
            "closed" if boundary.enforce else "watched",
            "warnings show source text only, and their registries keep no other",
        )
    }


@PATCHES.when_imported("warnings")
def _watch(module: ModuleType) -> None:
    PATCHES.replace(module, "_showwarnmsg", partial(_showing, module))
    PATCHES.replace(module, "warn_explicit", _explicit)


def _showing(module: Any, original: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(original)
    def _showwarnmsg(msg: Any) -> None:
        frame = sys._getframe().f_back  # noqa: SLF001 - the documented way to the caller's frame
        try:
            free, shown, writing = _ruled(msg, frame)
        except Exception:  # noqa: BLE001 - fails closed
            tally.failed("warnings")
            with suppress(Exception):
                _forget(frame)
            failed = UserWarning(GUARD_ERROR)
            shown, writing = warnings.WarningMessage(failed, UserWarning, WITHHELD, 0), None
            free = False
        if free:
            original(msg)
        elif shown is not None:
            _show(module, original, shown)
        if writing is not None:
            with suppress(Exception):  # what is told of it must not become an error
                writing.tell("warnings")

    return _showwarnmsg


def _ruled(msg: Any, frame: FrameType | None) -> tuple[bool, Any, Writing | None]:
    """Return whether nothing holds *msg*, what is shown of it, and how that was decided."""
    owner = owner_of_text() if PATCHES.active else None
    if owner is None or not owner.enforce:
        return True, msg, None  # in report mode it is counted where it is written
    return False, *_judged(msg, owner, frame)


def _judged(msg: Any, owner: Owner, frame: FrameType | None) -> tuple[Any, Writing | None]:
    """Return what is shown of *msg*, None if it was shown before, and how that was decided."""
    text = _text_of(msg.message)
    shown, writing = decided(text, frame, Writing.one, owner)
    if shown is not text and _was_shown(text, shown, frame):
        return None, writing
    return _clean(msg, text, shown), writing


def _explicit(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def warn_explicit(*args: Any, **options: Any) -> None:
        before = _local.registry
        _local.registry = options.get("registry", args[5] if len(args) > 5 else None)  # noqa: PLR2004 - its place
        try:
            original(*args, **options)
        finally:
            _local.registry = before

    return warn_explicit


def _text_of(message: Any) -> str:
    """Return the very text of a warning, which tells a constant by its identity."""
    if isinstance(message, str):
        return message
    args = _args.__get__(message)
    if len(args) == 1 and type(args[0]) is str and type(message).__str__ is _plain_str:
        return args[0]
    return str(message)


def _show(module: Any, original: Callable[[Any], None], msg: Any) -> None:
    """Show a warning that was judged, by whatever the program shows warnings with."""
    shows = module.showwarning
    if shows is _logging_shows and msg.file is None:
        logger = logging.getLogger("py.warnings")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        logger.warning(server_made(module._formatwarnmsg(msg)))  # noqa: SLF001 - as it does itself
    elif shows is module._showwarning_orig and _is_standard(module._showwarnmsg_impl):  # noqa: SLF001 - likewise
        file = sys.stderr if msg.file is None else msg.file
        if file is not None:
            try:
                streams.say(file, module._formatwarnmsg(msg))  # noqa: SLF001 - likewise
            except OSError:
                return  # as the original: the warning is lost
            except Exception:  # noqa: BLE001 - the same, if the guard is broken
                tally.failed("warnings")
    else:
        original(msg)


def _is_standard(function: Any) -> bool:
    """Tell whether *function* is the standard library's: recorders put another in its place."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename == _FILE


def _clean(msg: Any, text: str, shown: str) -> Any:
    """Return *msg* with *shown* instead of *text*, and with a file of the program's own."""
    known = msg.filename in _ORDINARY_FILES or program.module_at(msg.filename) is not None
    message = msg.message
    if not isinstance(message, Warning):
        message = UserWarning(message)
    plain = _is_native(type(message)) and not vars(message)
    if shown is text and plain and known and msg.line is None:
        return msg
    if shown is not text or not plain:
        message = _message(message, shown)
    place = msg.filename if known else WITHHELD
    return warnings.WarningMessage(message, type(message), place, msg.lineno, file=msg.file)


def _message(message: Warning, shown: str) -> Warning:
    """Return a warning of the same class, or of its nearest known base, that says *shown*."""
    base: Any = classes.held_base(type(message))
    if _is_native(base):
        made: Warning = base(shown)
        return made
    stand_in = exceptions.substitute(message, None)
    return stand_in if isinstance(stand_in, Warning) else UserWarning(shown)


def _is_native(cls: Any) -> bool:
    """Tell whether *cls* is known, and making a warning of it runs no code of the program's."""
    if classes.held_name(cls) is None:
        return False
    made, set_up = isinstance(cls.__new__, BuiltinFunctionType), cls.__init__
    return made and isinstance(set_up, WrapperDescriptorType) and cls.__str__ is _plain_str


def _was_shown(text: str, shown: str, frame: FrameType | None) -> bool:
    """Take *text* out of every registry; tell whether what stays for it stood there already."""
    kept = shown if "{…}" in shown else WITHHELD
    found = False
    for registry in _registries(frame):
        for key in [each for each in registry if type(each) is tuple and each[0] == text]:
            del registry[key]
            new = (
                kept,
                *(classes.held_base(each) if isinstance(each, type) else each for each in key[1:]),
            )
            found = found or new in registry
            registry[new] = True
    return found


def _forget(frame: FrameType | None) -> None:
    """Empty every registry: what could not be judged is not kept either."""
    for registry in _registries(frame):
        registry.clear()


def _registries(frame: FrameType | None) -> list[dict[Any, Any]]:
    """Return every registry that can hold a warning's text, each once."""
    found: list[Any] = [_local.registry, warnings.onceregistry]  # type: ignore[attr-defined] # not in the stubs
    depth = 0
    while frame is not None and depth < _DEEPEST:
        found.append(frame.f_globals.get(_REGISTRY))
        frame, depth = frame.f_back, depth + 1
    # not isinstance: `_cffi_backend.Lib` lies
    modules = [each for each in list(sys.modules.values()) if issubclass(type(each), ModuleType)]
    found += [_module_dict.__get__(module).get(_REGISTRY) for module in modules]
    return list({id(each): each for each in found if type(each) is dict}.values())
