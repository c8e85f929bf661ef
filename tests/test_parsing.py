"""What users type: numbers, ranges, lists, calls, and functions."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim import InputError, errors, parsing
from varsim.errors import error_summary
from varsim.parsing import Call, parse_call, split_calls
from varsim.usercode import load_function

RANGES = {
    "7": [7],
    "1:4": [1, 2, 3, 4],
    "1:10:4": [1, 5, 9],
    "5:5": [5],
    "10:1:-3": [10, 7, 4, 1],
    "16:128:x2": [16, 32, 64, 128],
    "100:1:x0.1": [100, 10, 1],
    "3:3:x2": [3],
    "1:100:log3": [1, 10, 100],
    "100:1:log3": [100, 10, 1],
    "-1:1:1": [-1, 0, 1],
    "1:1000:log4": [1, 10, 100, 1000],
    "1e3": [1000],
    "1:2:1/2": [1, Fraction(3, 2), 2],
}

MISTAKES = [
    *("", "a", "1:", ":1", "1:2:3:4", "1:10:0", "10:1", "1:10:-1", "1:10:x1", "1:10:x0.5"),
    *("10:1:x2", "0:10:x2", "-1:10:x2", "1:10:x0", "1:10:x-2", "1:10:log1", "0:10:log3"),
    *(
        "1:1e9",
        "1:10:1e-9",
        "1:2:log999999",
        "1:2:x1.0000001",
        "1:2:x1.00000000000000000000000000000001",
        "nan",
        "inf",
        "1e9999999999",
    ),
    *(
        "1/0",
        "1/2/3",
        "0x10",
        "1:10:log",
        "1:10:x",
        "1:2:x1.000000000000000000000001",
        "--1",
        "1..2",
        "５：",
    ),
]


@pytest.mark.parametrize("text", RANGES)
def test_a_range_has_the_values_it_says(text: str) -> None:
    """Ends are inclusive."""
    assert parsing.expand(text, whole=True) == RANGES[text]


def test_decimals_are_exact() -> None:
    """0.1:1:0.1 has ten values, and the last is 1, which no float loop gives."""
    values = parsing.expand("0.1:1:0.1")
    assert [float(value) for value in values] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_sentence(text: str) -> None:
    """It says what is wrong, at once, and never hangs or fills the memory."""
    with pytest.raises(InputError, match=r"^[^\n]{15,160}$"):
        parsing.expand(text)


SPELLINGS: dict[str, int | Fraction] = {
    "10k": 10_000, "1M": 10**6, "1.5G": 1_500_000_000, "7B": 7 * 10**9, "2^9": 512, "2**9": 512,
    "2^-1": Fraction(1, 2), "-2^2": -4, "sqrt(16)": 4, "sqrt(1/4)": Fraction(1, 2), "sqrt4": 2,
    "√9": 3, "sqrt( 2 )": Fraction(math.sqrt(2)), "√2": Fraction(math.sqrt(2)), "2 * 3": 6,
    "(5/3)": Fraction(5, 3), "1/sqrt(4)": Fraction(1, 2), "8^(1/3)": 2, "1k/8": 125,
}  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_number_is_read_as_people_write_it(text: str) -> None:
    """Exactly, where its value is rational."""
    assert parsing.number(text) == SPELLINGS[text]
    assert parsing.real(text) == float(SPELLINGS[text])


@pytest.mark.parametrize(
    "text",
    ["1m", "10kk", "k", "2^", "^2", "2^^3", "sqrt", "sqrt k", "sqrt()", "sqrt(-1)", "(-8)^0.5",
     "0^-1", "2^9999", "(2", "2)", "1/2/3", "2x3", "9^9^9", "(" * 5000, "1/0", "1e200^2",
     "√", "abs(2)"],
)  # fmt: skip
def test_what_is_no_number_is_one_short_sentence(text: str) -> None:
    """At once, whatever it would amount to."""
    with pytest.raises(InputError, match=r"^[^\n]{15,160}$"):
        parsing.number(text)


def test_a_range_takes_the_same_numbers() -> None:
    """At both ends and as its step."""
    assert parsing.expand("2^4:1k:x2^2") == [16, 64, 256]


def test_what_was_given_is_shown_in_part_and_without_control_characters() -> None:
    """A sentence stays one, and a terminal obeys nobody else's text."""
    assert errors.quoted("a" * 6000) == repr("a" * 60) + "..."
    assert errors.quoted("\x1b[2J\n") == repr("\x1b[2J\n")
    assert errors.escape_control_characters("√ \x1b]0;x\x07\x9b1m\u202e\r\n\t") == (
        r"√ \x1b]0;x\x07\x9b1m\u202e\r" + "\n\t"
    )


@given(st.integers(-1000, 1000), st.integers(0, 200), st.integers(1, 50))
def test_linear_ranges_are_pythons(start: int, length: int, step: int) -> None:
    """For whole numbers, a range with its end included."""
    stop = start + length
    assert parsing.expand(f"{start}:{stop}:{step}") == list(range(start, stop + 1, step))


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(2, 50))
def test_log_ranges_keep_their_ends_and_their_ratio(start: int, stop: int, count: int) -> None:
    """The ends are exact, and neighbours have one ratio."""
    values = parsing.expand(f"{start}:{stop}:log{count}")
    assert values[0] == start
    assert values[-1] == stop
    assert len(values) == count
    ratio = (stop / start) ** (1 / (count - 1))
    for low, high in pairwise(values):
        assert float(high / low) == pytest.approx(ratio)


@given(st.text(max_size=30))
def test_no_text_breaks_the_grammar(text: str) -> None:
    """Whatever is typed is a list of numbers or an InputError."""
    try:
        values = [value for item in parsing.items(text) for value in parsing.expand(item)]
    except InputError:
        return
    assert all(isinstance(value, Fraction) for value in values)


@pytest.mark.parametrize(
    ("text", "value"), [("5/3", 5 / 3), (" 2 ", 2.0), ("1e3", 1e3), ("0.1/0.3", 0.1 / 0.3)]
)
def test_a_real_number_is_that_of_floating_point(text: str, value: float) -> None:
    """Names of scales, and so random streams, depend on its last digit."""
    assert parsing.real(text) == value


@pytest.mark.parametrize("text", ["", "a", "1/0", "1/2/3", "0x10", "D"])
def test_what_is_no_real_number_is_refused(text: str) -> None:
    """In one sentence."""
    with pytest.raises(InputError, match="is not a number; write"):
        parsing.real(text)


ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
LITERALS = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
)
NAMES = st.from_regex(r"[a-z]{1,5}(\.[a-z_]{1,5}){0,2}(:[a-z]{1,5})?", fullmatch=True)


def finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(finite, value))
    return not isinstance(value, float) or abs(value) < float("inf")


@given(NAMES, st.lists(LITERALS, max_size=2), st.dictionaries(st.sampled_from("abc"), LITERALS))
def test_a_call_is_read_as_it_is_written(
    name: str, positional: list[Any], keywords: dict[str, Any]
) -> None:
    """Its one spelling is read as itself."""
    call = Call(name, tuple(positional), tuple(sorted(keywords.items())))
    if finite(list(positional)) and finite(list(keywords.values())) and len(str(call)) <= 1000:
        assert parse_call(str(call)) == call


@pytest.mark.parametrize(
    "text",
    [
        "", "9f", "f(", "f)", "f(1))", "f(1)(2)", "f(1)+g(2)", "f(x)", "f(**{})", "f(*[1])",
        "f(a=1, a=2)", "f(a=b'1')", "f(a={1: 2})", "f(a=1j)", "f(a=1e999)", "f(a=1/0)",
        "f(a=True/2)", "f(a=10**9)", "f(a=[]*9)", "f(lambda: 0)", "f(__import__('os'))",
        "f(a=[x for x in ()])", r"f('\ud800')", "f(a=sqrt(-1))", "f(a=sqrt(True))",
        "f(a=sqrt(2, 3))", "f(a=abs(2))", "f(a=1e300/1e-300)",
        "f(" + "[" * 200 + "]" * 200 + ")", "f(" + "1," * 600 + ")",
    ],
)  # fmt: skip
def test_what_is_no_literal_is_refused(text: str) -> None:
    """In one sentence; above all, nothing is evaluated."""
    with pytest.raises(InputError, match=r"not a name or a call|not literals"):
        parse_call(text)


def test_lists_split_between_calls_only() -> None:
    """Commas among arguments and in texts stay."""
    assert split_calls(r"f('\',\''), g") == [r"f('\',\'')", "g"]
    assert split_calls("f(a=1, b=[2, 3]), g('x,y)'),h") == ["f(a=1, b=[2, 3])", "g('x,y)')", "h"]
    with pytest.raises(InputError, match="empty item"):
        split_calls("f,,g")


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


def test_an_error_without_a_text_is_its_type() -> None:
    """Also one that fails to say what it is."""

    class Mute(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

    assert error_summary(Mute()) == "Mute"
    assert error_summary(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_long_error_is_cut() -> None:
    """A sentence stays one that can be read."""
    assert error_summary(ValueError("x" * 10**6)) == f"ValueError: {'x' * 300}..."


def test_an_async_function_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it returns is no array, and Python would warn that nobody awaits it."""
    (tmp_path / "later.py").write_text("async def f(h):\n    return h\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^'later:f' is an async function; give one that returns"):
        load_function("later:f")
    monkeypatch.delitem(sys.modules, "later")
