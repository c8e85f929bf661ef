"""The layout of the house: imports point down, and the two routes to a number never meet."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import varsim

PACKAGE = Path(varsim.__file__).parent

FLOORS = [
    {"_version", "parsing"},
    {"compute"},
    {"catalog", "statistics"},
    {"activations"},
    {"initializers"},
    {"layer"},
    {"stack"},
    {"comparison"},
    {"report"},
    {"storage", "plots"},
    {"cli"},
    {"__init__", "__main__"},
]
"""Rooms from the ground up. A room imports from floors below its own, and a folder from itself."""

FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(module: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)}


def imports(module: Path) -> Iterator[str]:
    """Every name of ours that a module imports, such as layers.theory.predict."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "varsim":
                yield rest


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_point_down(module: Path) -> None:
    """A room knows only rooms below it, so a reader can begin anywhere and read downwards."""
    room = room_of(module)
    for other in imported_rooms(module):
        assert other == room or FLOOR_OF[other] < FLOOR_OF[room], f"{room} imports {other}"


def test_every_room_has_its_floor() -> None:
    """A new module is given its place before it is built."""
    assert {room_of(module) for module in MODULES} == set(FLOOR_OF)


def test_theory_and_sampling_share_no_facts() -> None:
    """Neither knows the other, and what one knows of a distribution the other cannot read."""
    theory, density, sampling = (
        set(imports(PACKAGE / "layer" / f"{room}.py")) for room in ("theory", "density", "sampling")
    )
    assert not any("sampl" in name for name in theory | density)
    assert not any("theory" in name or "distributions" in name for name in sampling)
    knows = {
        module.stem: list(imports(module)) for module in (PACKAGE / "initializers").rglob("*.py")
    }
    for stem in knows.keys() - {"__init__", "theory", "documented"}:  # all that draw
        assert not any(
            "theory" in n or "distributions" in n or "documented" in n for n in knows[stem]
        )
    for stem in ("theory", "documented"):
        assert not any("sampl" in n or "initializers" in n for n in knows[stem])


def test_theory_and_sampling_of_layers_share_no_facts() -> None:
    """As for one layer; quadrature is for theory alone."""
    folder = PACKAGE / "stack"
    theory, sampling = (list(imports(folder / f"{m}.py")) for m in ("theory", "sampling"))
    assert not any("sampl" in name for name in theory)
    assert not any(
        word in name for name in sampling for word in ("theory", "distributions", "quadrature")
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_only_the_command_line_prints_and_exits(module: Path) -> None:
    """What is below the command line returns or raises."""
    if room_of(module) in {"cli", "__main__"}:
        pytest.skip("the command line itself")
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"print", "exit", "quit", "sys.exit", "os._exit", "open", "click.echo"}
