"""Users' functions: loading, errors, output."""

from __future__ import annotations

import sys
import warnings
from fractions import Fraction
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from varsim import InputError
from varsim.usercode import load_function, reraise_as_input_error, stdout_to_stderr


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
    (tmp_path / "beside.py").write_text(
        "import helper\n"
        "def f(): return helper.number\n"
        "def late():\n"
        "    import inside\n"
        "    return inside.number\n"
    )
    (tmp_path / "helper.py").write_text("number = 3\n")
    (tmp_path / "inside.py").write_text("number = 4\n")
    (tmp_path / "fractions.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    path = [*sys.path]
    assert load_function("beside:f")() == 3
    assert load_function("beside:late")() == 4
    assert load_function("fractions:Fraction")(6, 4) == Fraction(3, 2)
    assert sys.path == path
    for name in ("beside", "helper", "inside"):
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


def test_a_loaded_function_has_its_signature() -> None:
    """The arguments of a call are checked against it."""
    assert signature(load_function("fractions:Fraction")) == signature(Fraction)


class Bang(BaseException):
    """Of no class that is usually caught."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no way.\nDetails follow."), "f fails: ValueError: no way"),
        (SystemExit(3), "f fails: SystemExit: 3"),
        (GeneratorExit(), "f fails: GeneratorExit"),
        (Bang("no"), "f fails: Bang: no"),
        (InputError("as it is"), "as it is"),
    ],
)
def test_whatever_other_code_raises_is_one_sentence(error: BaseException, sentence: str) -> None:
    """An InputError has its sentence already."""
    with pytest.raises(InputError) as raised, reraise_as_input_error(lambda why: f"f fails: {why}"):
        raise error
    assert str(raised.value) == sentence


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_and_a_lack_of_memory_are_no_fault_of_other_code(
    error: type[BaseException],
) -> None:
    """The program has its sentences for them."""
    with pytest.raises(error), reraise_as_input_error(str):
        raise error


def test_output_of_other_code_goes_to_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its warnings are dropped, unless PYTHONWARNINGS asks for them."""
    monkeypatch.setattr(sys, "warnoptions", [])
    with stdout_to_stderr():
        print("hello")  # noqa: T201
        warnings.warn("careful", stacklevel=1)
    assert capsys.readouterr() == ("", "hello\n")
    monkeypatch.setattr(sys, "warnoptions", ["default"])
    with pytest.warns(UserWarning, match="careful"), stdout_to_stderr():
        warnings.warn("careful", stacklevel=1)


def test_a_program_without_streams_has_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a Python without a console."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with stdout_to_stderr():
        print("hello")  # noqa: T201
