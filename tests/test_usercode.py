"""Users' functions: loading, errors, output."""

from __future__ import annotations

import sys
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import pytest

from varsim import InputError
from varsim.usercode import load_function


@pytest.mark.parametrize(
    ("source", "text", "sentence"),
    [
        ("", "absent_module:f", r"\(ModuleNotFoundError: No module named 'absent_module'\); give"),
        ("", "loaded:f", r"\(AttributeError: module 'loaded' has no attribute 'f'\); give"),
        ("f = 3", "loaded:f", "is not a function but int; give module:function"),
        ("1 / 0", "loaded:f", r"\(ZeroDivisionError: division by zero\); give"),
        ("raise SystemExit(3)", "loaded:f", r"\(SystemExit: 3\); give module:function"),
        ("raise RuntimeError('a\\nb')", "loaded:f", r"\(RuntimeError: a\); give"),
        ("def", "loaded:f", r"\(SyntaxError: .*\); give"),
        ("class Own(BaseException): pass\nraise Own('no')", "loaded:f", r"\(Own: no\); give"),
        ("", ":f", "does not name a function; write module:function"),
        ("", ".:f", "does not name a function"),
        ("", "..:tanh", "does not name a function"),
        ("", "loaded:", "does not name a function"),
        ("", "loaded", "does not name a function"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_one_sentence(
    source: str, text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its module raises."""
    (tmp_path / "loaded.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "loaded", raising=False)
    with pytest.raises(InputError, match=rf"^'{text}' [^\n]*{sentence}"):
        load_function(text)
    monkeypatch.delitem(sys.modules, "loaded", raising=False)


def test_the_current_folder_is_for_users_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after all other places, and nothing else is imported from it."""
    (tmp_path / "beside.py").write_text("import helper\ndef f(): return helper.number\n")
    (tmp_path / "helper.py").write_text("number = 3\n")
    (tmp_path / "fractions.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    path = [*sys.path]
    assert load_function("beside:f")() == 3
    assert load_function("fractions:Fraction")(6, 4) == Fraction(3, 2)
    assert sys.path == path
    for name in ("beside", "helper"):
        monkeypatch.delitem(sys.modules, name)
        with pytest.raises(ModuleNotFoundError):
            import_module(name)


def test_functions_are_loaded_by_their_path() -> None:
    """Methods of classes too."""
    assert load_function("fractions:Fraction.from_float")(0.5) == Fraction(1, 2)


def test_an_async_function_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it returns is no array, and Python would warn that nobody awaits it."""
    (tmp_path / "later.py").write_text("async def f(h):\n    return h\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^'later:f' is an async function; give one that returns"):
        load_function("later:f")
    monkeypatch.delitem(sys.modules, "later")
