"""The contract of the trunk: a type checker refuses what does not keep it, and nothing else."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import varsim

ROOT = Path(__file__).parents[2]

HEAD = """
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from varsim import (
    Block, Experiment, InitializerCheck, LayerResult, ModuleResult, Result, Totals, judge, layers,
    simulate, sweep
)
from varsim.check.kind import CHECK
from varsim.check.result import CHECKS
from varsim.comparison import match, merge
from varsim.compute import lazy, threads
from varsim.fields import Schema
from varsim.kinds import kind_of, tables_of
from varsim.layer.kind import LAYER
from varsim.layer.result import RESULTS
from varsim.layer.study import LayerStudy
from varsim.model.kind import MODEL
from varsim.model.result import MODULES
from varsim.notebook import Rows
from varsim.runner import ResumePoint, RunOptions, run
from varsim.stack.kind import STACK
from varsim.stack.result import LAYERS
from varsim.storage.ledger import Ledger
from varsim.study import Question, Resumed

if TYPE_CHECKING:
    from varsim.layer import explanation
else:
    explanation = lazy("varsim.layer.explanation")
"""

GIVEN = (
    "experiment: Experiment, result: Result, layer: LayerResult, check: InitializerCheck, "
    "module: ModuleResult"
)

STATEMENTS = {  # wrong: right
    # A column that is misspelt.
    "result.theroy": "result.theory",
    "layer.theroy": "layer.theory",
    "check.forward_theroy": "check.forward_theory",
    "module.varaince": "module.variance",
    "result.layer": "layer.layer",
    "Result.theroy.text(result)": "Result.theory.text(result)",
    "simulate(experiment).emprical": "simulate(experiment).empirical",
    "layers()[0].theroy": "layers()[0].theory",
    # A column of another type.
    "result.theory.upper()": "result.scale.upper()",
    "len(result.dim)": "len(result.scale)",
    "1.0 + check.forward_theory": "1.0 + check.forward",
    "Result.theory.text(layer)": "LayerResult.theory.text(layer)",
    # A setting that is misspelt, or of another type.
    "simulate(dmi=3, scale='sqrt')": "simulate(dim=3, scale='sqrt')",
    "sweep(smaples=640)": "sweep(samples=640)",
    "layers(wdith=3)": "layers(width=3)",
    "layers(dim=3)": "sweep(dim=3)",
    "simulate(dim=3, scale='sqrt', x_dist=3)": "simulate(dim=3, scale='sqrt', x_dist='normal')",
    # What is no study, no totals and no row.
    "ResumePoint(study=42, totals='x')": "ResumePoint(study=LayerStudy(experiment))",
    "ResumePoint(LayerStudy(experiment), 'x')": "ResumePoint(LayerStudy(experiment), Totals())",
    "ResumePoint(LayerStudy(experiment), done=[1])":
        "ResumePoint(LayerStudy(experiment), done=[result])",
    "LayerStudy(experiment).resume([layer])": "LayerStudy(experiment).resume([result])",
    "Totals().plus(1.0)": "Totals().plus(*LayerStudy(experiment).sample(range(2)))",
    "LayerStudy(experiment).sample(0)": "LayerStudy(experiment).sample(range(1))",
    "judge([1, 2])": "judge([result, result])",
    "kind_of([1, 2])": "kind_of([result, result])",
    "tables_of([1, 2])": "tables_of([result, result])",
    "Rows([1, 2])": "Rows([result, result])",
    # A kind with what is no row of its own.
    "LAYER.table([1, 2, 3], ())": "LAYER.table([result, result], ())",
    "STACK.table([1, 2, 3], ())": "STACK.table([layer, layer], ())",
    "CHECK.table([1, 2, 3], ())": "CHECK.table([check, check], ())",
    "MODEL.table([1, 2, 3], ())": "MODEL.table([module, module], ())",
    "LAYER.table([layer], ())": "STACK.table([layer], ())",
    "STACK.explain([check])": "CHECK.explain([check])",
    "RESULTS.record('not a row')": "RESULTS.record(result)",
    "LAYERS.record(result)": "LAYERS.record(layer)",
    "CHECKS.record(layer)": "CHECKS.record(check)",
    "MODULES.record(layer)": "MODULES.record(module)",
    "match(LAYER, [result], [layer])": "match(LAYER, [result], [result])",
    "merge(STACK, [result])": "merge(LAYER, [result])",
    "Ledger(Path(), RESULTS).add([layer])": "Ledger(Path(), RESULTS).add([result])",
    # What a late module does not have.
    "explanation.nonsense": "explanation.explain",
    "explanation.explain([layer])": "explanation.explain([result])",
}  # fmt: skip

MEMBERS = {
    "question": "@property\ndef question(self) -> Question: raise NotImplementedError",
    "confidence": "confidence = 0.95",
    "minimum": "minimum = 3",
    "batch": "batch = 1",
    "cost": "cost = 1",
    "memory": "memory = 8",
    "prepare": "def prepare(self) -> None: ...",
    "empty": "def empty(self) -> Totals: raise NotImplementedError",
    "sample": "def sample(self, indices: range) -> list[Block]: raise NotImplementedError",
    "next_check": "def next_check(self, totals: Totals) -> int | None: raise NotImplementedError",
    "rows": "def rows(self, totals: Totals) -> list[Result]: raise NotImplementedError",
    "resume": "def resume(self, rows: Sequence[Result]) -> Resumed[Block, Totals, Result]:"
    " raise NotImplementedError",
}
"""What a study has."""


class Snippet:
    """A file of functions with a statement each, and the lines of these."""

    def __init__(self) -> None:
        self.lines = HEAD.splitlines()
        self.statements: dict[int, str] = {}

    def add(self, statement: str, *before: str) -> None:
        number = len(self.statements)
        self.lines += [*before, f"def statement_{number}({GIVEN}) -> None:", f"    {statement}"]
        self.statements[len(self.lines)] = statement

    def refused(self, folder: Path) -> list[str]:
        """The statements that mypy refuses, as the repository has set it up."""
        file = folder / "snippet.py"
        file.write_text("\n".join(self.lines), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--no-pretty", str(file)],
            cwd=ROOT, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True,
            encoding="utf-8", check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        found = re.findall(r"^.*snippet\.py:(\d+): error: ", done.stdout, re.MULTILINE)
        at = {int(number) for number in found}
        assert at <= self.statements.keys(), done.stdout
        assert done.stdout.count(": error: ") == len(found), done.stdout
        return [self.statements[number] for number in sorted(at)]


def study_without(name: str | None) -> Iterator[str]:
    """The class of a study that lacks a member."""
    yield f"class StudyWithout_{name}:"
    for member, text in MEMBERS.items():
        if member != name:
            yield from (f"    {line}" for line in text.splitlines())


def test_a_type_checker_refuses_each_wrong_statement_and_no_right_one(
    tmp_path: Path,
) -> None:
    """A misspelt column or setting, rows of another kind, and a study that lacks a member."""
    pytest.importorskip("mypy")
    snippet = Snippet()
    wrong = []
    for statement, twin in STATEMENTS.items():
        wrong.append(statement)
        snippet.add(statement)
        snippet.add(twin)
    for name in (None, *MEMBERS):
        statement = f"run([ResumePoint(StudyWithout_{name}())], RunOptions(), threads(1))"
        wrong += [] if name is None else [statement]
        snippet.add(statement, *study_without(name))
    assert snippet.refused(tmp_path) == wrong


MODULES = sorted(Path(varsim.__file__).parent.rglob("*.py"))


def late(statements: list[ast.stmt]) -> dict[str, str]:
    """The late modules that are assigned to names."""
    found = {}
    for statement in statements:
        if isinstance(statement, ast.Assign):
            for target, value in pairs(statement.targets[0], statement.value):
                if isinstance(value, ast.Call) and ast.unparse(value.func) == "lazy":
                    found[ast.unparse(target)] = str(ast.literal_eval(value.args[0]))
    return ours(found)


def pairs(target: ast.expr, value: ast.expr) -> Iterable[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return zip(target.elts, value.elts, strict=True)
    return [(target, value)]


def ours(modules: dict[str, str]) -> dict[str, str]:
    return {name: module for name, module in modules.items() if module.startswith("varsim.")}


def imported(statements: list[ast.stmt]) -> dict[str, str]:
    """What is imported from packages, by the names that stand for it."""
    return {
        alias.asname or alias.name: f"{statement.module}.{alias.name}"
        for statement in statements
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_a_type_checker_sees_through_the_door_of_every_late_module(module: Path) -> None:
    """An import of the same module, under the same name, stands beside each."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    seen: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            assert late(node.orelse).items() <= imported(node.body).items()
            seen |= set(late(node.orelse).values())
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    doors = {ast.unparse(each): each for each in calls if ast.unparse(each.func) == "lazy"}
    loaded = {text: str(ast.literal_eval(each.args[0])) for text, each in doors.items()}
    assert set(ours(loaded).values()) == seen
