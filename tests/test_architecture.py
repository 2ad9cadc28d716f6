"""The shape of the source: who may import whom, and what importing the package costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parents[1] / "src/zeroret"

ALLOWED: Final[dict[str, set[str]]] = {
    "errors": set(),
    "types": set(),
    "policy": {"errors", "types"},
    "content": {"errors", "types", "policy"},
    "dialects": {"errors", "types"},
    "tokens": {"errors", "types"},
    "usage": {"errors", "types", "policy", "dialects", "tokens"},
    "journal": {"errors", "types", "usage"},
    "sinks": {"errors", "types", "usage"},
    "retention": {"errors", "types", "policy", "usage", "sinks"},
    "guards": {"errors", "types", "policy", "content", "integrations"},
    "integrations": {"errors", "types", "policy", "content", "guards"},
}
"""What each room may import beside itself; rooms that are not named are put together at the end."""

LAST: Final = {"cli", "testing", "__init__", "__main__"}
"""What nothing else may import: the command, the users' tests, the public names."""


def room_of(module: str) -> str:
    """Return the room of a module named ``zeroret.room.file``."""
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path) -> list[str]:
    """Return the modules of ours that *path* imports when it runs, type hints left aside."""
    found: list[str] = []
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zeroret"):
            found.append(str(node.module))
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.startswith("zeroret.")]
        pending.extend(ast.iter_child_nodes(node))
    return found


MODULES: Final = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    """A module imports only from rooms that stand before its own."""
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for module in imports_of(path):
        target = room_of(module)
        if room in ALLOWED:
            assert target in ALLOWED[room] | {room}, f"{path.name} imports {module}"
        elif room not in LAST and module != "zeroret":
            assert target not in LAST, f"{path.name} imports {module}"


def test_the_walk_sees_the_source() -> None:
    """The import test looks at all rooms, so that it cannot pass by finding nothing."""
    rooms = {path.relative_to(SOURCE).parts[0] for path in MODULES if path.parent != SOURCE}
    assert set(ALLOWED) - {"errors", "types"} <= rooms


def test_importing_the_package_loads_the_standard_library_only() -> None:
    """``import zeroret`` imports nothing from site-packages but itself."""
    program = (
        "import sys; before = set(sys.modules); import zeroret; "
        "print(*sorted({n.split('.')[0] for n in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "zeroret" in loaded
    assert loaded - {"zeroret"} <= sys.stdlib_module_names


def test_every_public_name_is_there() -> None:
    """Each name the package promises can be imported, and nothing else is promised."""
    import zeroret

    for name in zeroret.__all__:
        assert getattr(zeroret, name) is not None
    assert set(zeroret.__all__) <= set(dir(zeroret))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = zeroret.nothing
