"""The layout of the package: imports point down, and theory and sampling share no facts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import varsim
from varsim.kinds import KINDS

PACKAGE = Path(varsim.__file__).parent

FLOORS = [
    {"errors", "synonyms"},
    {"parsing", "usercode"},
    {"compute"},
    {"catalog", "statistics"},
    {"fields"},
    {"table"},
    {"study"},
    {"activations"},
    {"initializers"},
    {"settings"},
    {"layer"},
    {"stack", "check", "model", "tolerance"},
    {"comparison", "runner"},
    {"storage"},
    {"report"},
    {"plots"},
    {"kinds"},
    {"notebook"},
    {"api", "cli", "testing"},
    {"__init__", "__main__"},
]
"""Rooms from the ground up. A room imports from floors below its own, and a folder from itself."""

FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}

OF_A_KIND = {"kind", "explanation", "plan"}
"""Files of a study that stand on the floor of the kinds: they say how its rows are shown, and so
use reports and plots, which stand above what they show; they lie beside the study that they are
of."""

LATE = {"fields/row.py": {"notebook.rendered"}}
"""Imports from floors above. A notebook asks a row to show itself, by the name of a method, and the
tables that it is shown in stand above all rows; so the method imports them when it is called."""

STUDIES = {module.parent.name for module in PACKAGE.glob("*/kind.py")}
"""Folders of studies."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    """The room of a module: of what it is part of, or the kinds, for some files of a study."""
    return room_named(".".join(module.relative_to(PACKAGE).with_suffix("").parts))


def room_named(name: str) -> str:
    """The room of a name of ours, such as layer.theory.predict."""
    room, *rest = name.split(".")
    of_a_kind = room in STUDIES and OF_A_KIND.intersection(rest[:1])
    return "kinds" if of_a_kind else room


def imports(module: Path) -> Iterator[str]:
    """Every name of ours that a module imports, now or later, such as layer.theory.predict."""
    for node in ast.walk(tree_of(module)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy":
            names = [ast.literal_eval(node.args[0])]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "varsim" and rest != "__version__":  # which the package itself holds
                yield rest


def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_point_down(module: Path) -> None:
    """A room imports only from rooms below it: a reader can begin anywhere and read downwards."""
    room, path = room_of(module), module.relative_to(PACKAGE).as_posix()
    names = set(imports(module))
    late = LATE.get(path, set())
    assert late <= names, f"{path} no longer needs its late import"
    for name in names - late:
        other = room_named(name)
        assert other == room or FLOOR_OF[other] < FLOOR_OF[room], f"{path} imports {name}"


@pytest.mark.parametrize("path", LATE)
def test_late_imports_are_within_functions(path: str) -> None:
    """Importing a module of rows loads nothing from the floors above."""
    now = {each.module for each in tree_of(PACKAGE / path).body if isinstance(each, ast.ImportFrom)}
    assert now.isdisjoint(f"varsim.{name.rpartition('.')[0]}" for name in LATE[path])


def test_every_room_has_its_floor() -> None:
    """A new room is given its floor before it is built."""
    assert {room_of(module) for module in MODULES} == set(FLOOR_OF)


def test_theory_and_sampling_of_a_layer_share_no_facts() -> None:
    """Neither imports the other, and sampling cannot read the facts on distributions."""
    theory, density, sampling = (
        set(imports(PACKAGE / "layer" / f"{room}.py")) for room in ("theory", "density", "sampling")
    )
    assert not any("sampl" in name for name in theory | density)
    assert not any("theory" in name or "distributions" in name for name in sampling)
    knows = {
        module.stem: list(imports(module)) for module in (PACKAGE / "initializers").rglob("*.py")
    }
    for stem in knows.keys() - {
        "__init__",
        "theory",
        "documented",
        "initializer",
        "keras_modules",
        "modules",
        "registry",
    }:  # all that draw
        assert not any(
            "theory" in n or "distributions" in n or "documented" in n for n in knows[stem]
        )
    for stem in ("theory", "documented"):
        assert not any("sampl" in n or "initializers" in n for n in knows[stem])


def test_theory_and_sampling_of_a_stack_share_no_facts() -> None:
    """Neither imports the other, and quadrature is for theory alone."""
    folder = PACKAGE / "stack"
    sampling = list(imports(folder / "sampling.py"))
    for module in (folder / "theory").glob("*.py"):
        assert not any("sampl" in name for name in imports(module))
    assert not any(
        word in name for name in sampling for word in ("theory", "distributions", "quadrature")
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_only_the_command_line_prints_and_exits(module: Path) -> None:
    """What is below the command line returns or raises: it opens no file of its own either."""
    if room_of(module) in {"cli", "__main__"}:
        pytest.skip("the command line itself")
    calls = {
        ast.unparse(node.func) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)
    }
    assert not calls & {"print", "exit", "quit", "sys.exit", "os._exit", "open", "click.echo"}


def test_every_study_is_in_the_tuple_of_kinds() -> None:
    """Else its rows could be written, and never read."""
    assert {kind.schema.row.__module__.split(".")[1] for kind in KINDS} == STUDIES
