"""What users type: numbers, ranges, lists and calls."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim import InputError, errors, parsing
from varsim.parsing import Call, parse_call, split_calls

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
        "1/2/",
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


NUMBERS: list[tuple[str, Fraction | int, float]] = [
    ("512", 512, 512.0),
    ("-.5e1", -5, -5.0),
    ("1_000.", 1000, 1000.0),
    ("10k", 10_000, 1e4),
    ("1M", 10**6, 1e6),
    ("1.5G", 1_500_000_000, 1.5e9),
    ("7B", 7 * 10**9, 7e9),
    ("1k/8", 125, 125.0),
    ("5/3", Fraction(5, 3), 5 / 3),
    ("0.1/0.3", Fraction(1, 3), 0.1 / 0.3),
    ("-1/3", Fraction(-1, 3), -1 / 3),
    ("1/-3", Fraction(-1, 3), -1 / 3),
    ("(5/3)", Fraction(5, 3), 5 / 3),
    ("2 * 3", 6, 6.0),
    ("3*0.1", Fraction(3, 10), 3 * 0.1),
    ("2*3/4", Fraction(3, 2), 1.5),
    ("2/3*4", Fraction(8, 3), 2 / 3 * 4),
    ("1/2/3", Fraction(1, 6), 1 / 2 / 3),
    ("1/(2/3)", Fraction(3, 2), 1 / (2 / 3)),
    ("(1/3)/512", Fraction(1, 1536), 1 / 3 / 512),
    ("2^9", 512, 512.0),
    ("2**9", 512, 512.0),
    ("2^-1", Fraction(1, 2), 0.5),
    ("-2^2", -4, -4.0),
    ("2^3^2", 512, 512.0),
    ("2*3^2", 18, 18.0),
    ("0.1^2", Fraction(1, 100), 0.1**2),
    ("8^(1/3)", 2, 2.0),
    ("2^0.5", Fraction(math.sqrt(2)), math.sqrt(2)),
    ("sqrt(16)", 4, 4.0),
    ("sqrt(1/4)", Fraction(1, 2), 0.5),
    ("sqrt(0.09)", Fraction(3, 10), 0.3),
    ("sqrt4", 2, 2.0),
    ("√9", 3, 3.0),
    ("√4^2", 4, 4.0),
    ("√√16", 2, 2.0),
    ("-sqrt(4)", -2, -2.0),
    ("1/sqrt(4)", Fraction(1, 2), 0.5),
    ("sqrt( 2 )", Fraction(math.sqrt(2)), math.sqrt(2)),
    ("√2", Fraction(math.sqrt(2)), math.sqrt(2)),
    ("sqrt(2/3/1024)", Fraction(math.sqrt(Fraction(1, 1536))), math.sqrt(2 / 3 / 1024)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "exact", "rounded"), NUMBERS)
def test_a_number_is_read_as_people_write_it(
    text: str, exact: Fraction | int, rounded: float
) -> None:
    """A fraction is exact where the value is rational; a float is that of Python's operators."""
    assert parsing.number(text) == exact
    assert parsing.evaluate(text, float) == rounded
    assert type(parsing.evaluate(text, float)) is float


TERMS = st.tuples(
    st.decimals("0.01", 99, places=2).map(str), st.sampled_from(["", "**2", "**-3", "**0.5"])
).map("".join)
FACTORS = st.recursive(
    TERMS,
    lambda inner: st.tuples(
        st.sampled_from(["sqrt({})", "({})", "({})**2", "2.5*{}", "-{}"]),
        st.lists(inner, min_size=1, max_size=3),
        st.sampled_from("*/"),
    ).map(lambda parts: parts[0].format(parts[2].join(parts[1]))),
    max_leaves=8,
)


@given(st.lists(FACTORS, min_size=1, max_size=3), st.sampled_from("*/"))
def test_fractions_and_floats_agree_to_rounding(factors: list[str], operator: str) -> None:
    """The float has the bits of Python's operators, whose order and ranks the grammar shares."""
    text = operator.join(factors)
    try:
        rounded = parsing.evaluate(text, float)
        exact = parsing.evaluate(text, Fraction)
    except (ValueError, OverflowError):
        return  # a root of a negative number, two signs, or too long
    assert rounded == eval(text, {"sqrt": math.sqrt})  # noqa: S307  # of the strategy above
    if 1e-290 < abs(exact) < 1e290:
        assert rounded == pytest.approx(float(exact), rel=1e-10)


LIKE_512 = "is not a number; write one like 512, 1e3, 10k, 2^9 or 5/3"
REFUSALS = {
    **dict.fromkeys(
        ["", "k", "10kk", "2 k", "1e", "1e9999", "1e999999999", "0x10", "1/0x10", "2x3",
         "2√3", "2^", "^2", "2^^3", "1/", "1//2", "--1", "1+2", "sqrt", "sqrt k", "sqrt()", "√",
         "abs(2)", "(", "(2", "2)", "()", "sqrt(-1)", "(-8)^0.5", "(-8)^(1/3)", "2^9999", "9^9^9",
         "((9^999)^999)^999", "(" * 5000, "1*" * 5000 + "1", "*".join(["(1/3)^999"] * 99)],
        LIKE_512,
    ),
    "1m": "is not a number; write 1M for millions",
    "1-4": "is not a number; write 1:4 for a range",
    "1/0": "divides by zero; give another denominator",
    "1 2": "is not a number; separate values by commas: '1,2'",
    "1/2/0": "divides by zero; give another denominator",
    "0^-1": "divides by zero; give another denominator",
    "1e200^2": "is out of range; give 0 or a magnitude between 1e-300 and 1e300",
    "1e999": "is out of range; give 0 or a magnitude between 1e-300 and 1e300",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSALS)
def test_what_is_no_number_is_one_short_sentence(text: str) -> None:
    """At once, whatever it would amount to."""
    with pytest.raises(InputError) as refused:
        parsing.number(text)
    assert str(refused.value) == f"{errors.quoted(text)} {REFUSALS[text]}"


@pytest.mark.parametrize("text", ["1e200*1e200", "1e300/1e-300", "1e999", "1e-999/0", "2^1e400"])
def test_a_float_is_finite(text: str) -> None:
    """Infinity is no value of an expression."""
    with pytest.raises(ArithmeticError):
        parsing.evaluate(text, float)


def test_a_range_takes_the_same_numbers() -> None:
    """At both ends and as its step."""
    assert parsing.expand("2^4:1k:x2^2") == [16, 64, 256]


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


REALS = {
    " 2 ": 2.0, "1e3": 1e3, "1_0": 10.0, "inf": math.inf, "1e400": math.inf, "1e-310": 1e-310,
    "0.1/0.3": 0.1 / 0.3, "-1/3": -1 / 3, "1/2/3": 1 / 2 / 3, "2/3/1024": 2 / 3 / 1024,
}  # fmt: skip


@pytest.mark.parametrize("text", REALS)
def test_a_real_number_is_that_of_floating_point(text: str) -> None:
    """Names of scales, and so random streams, depend on its last digit."""
    assert parsing.real(text) == REALS[text]


@pytest.mark.parametrize(("text", "exact", "rounded"), NUMBERS)
def test_a_real_number_is_rounded_once(text: str, exact: Fraction | int, rounded: float) -> None:
    """Except for a quotient of decimals, whose parts are rounded."""
    is_quotient = set(text) <= set("0123456789.-/")
    assert parsing.real(text) == (rounded if is_quotient else float(exact))


@pytest.mark.parametrize("text", ["", "a", "1/0", "1/2/0", "0x10", "D", "1/", "9^9^9", "sqrt(-1)"])
def test_what_is_no_real_number_is_refused(text: str) -> None:
    """In one sentence."""
    with pytest.raises(InputError) as refused:
        parsing.real(text)
    sentence = f"{text!r} is not a number; write one like 2, 1e3, 5/3 or sqrt(2)"
    assert str(refused.value) == sentence


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


ARGUMENTS: dict[str, object] = {
    "2": 2, "2.0": 2.0, "-2": -2, "0x10": 16, "1e5": 1e5, "1e-310": 1e-310, "5/3": 5 / 3,
    "4/2": 2.0, "0.1/0.3": 0.1 / 0.3, "1/2/3": 1 / 2 / 3, "sqrt(2/512)": 0.0625, "-sqrt(4)": -2.0,
    "√4": 2.0, "10k": 1e4, "2^-3": 0.125, "10**9": 1e9, "True": True, "None": None,
    "'5/3'": "5/3", '"a=b, c"': "a=b, c", "[1, (2, 'x')]": [1, (2, "x")], "(1,)": (1,),
}  # fmt: skip


@pytest.mark.parametrize("text", ARGUMENTS)
def test_an_argument_is_a_literal_or_a_number_of_the_same_grammar(text: str) -> None:
    """A literal has the type that Python gives it, and any other number is a float."""
    for call in (f"f({text})", f"f({text},)", f"f(a={text})", f"f( 1, b = {text} , a=2)"):
        values = [*parse_call(call).positional, *parse_call(call).options.values()]
        assert repr(ARGUMENTS[text]) in map(repr, values)
    assert parse_call(f"f({text})") == Call("f", (ARGUMENTS[text],))  # type: ignore[arg-type]


def test_a_call_may_have_no_arguments() -> None:
    """Empty brackets are left out of its spelling."""
    assert str(parse_call(" f ( ) ")) == str(parse_call("f")) == "f"


@pytest.mark.parametrize(
    "text",
    [
        "", "9f", "f(", "f)", "f(1))", "f(1)(2)", "f(1)+g(2)", "f(x)", "f(**{})", "f(*[1])",
        "f(a=1, a=2)", "f(a=b'1')", "f(a={1: 2})", "f(a=1j)", "f(a=1e999)", "f(a=1/0)",
        "f(a=True/2)", "f(a=9**9**9)", "f(a=[]*9)", "f(a=1, 2)", "f(=1)",
        "f(a=)", "f(1,,2)", "f(lambda: 0)", "f(__import__('os'))",
        "f(a=[x for x in ()])", r"f('\ud800')", "f(a=sqrt(-1))", "f(a=sqrt(True))",
        "f(a=sqrt(2, 3))", "f(a=abs(2))", "f(a=1e300/1e-300)",
        "f(" + "[" * 300 + "]" * 300 + ")", "f(" + "1," * 600 + ")",
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


def test_the_commas_of_thousands_are_named() -> None:
    """1,000 is two values, which nobody means; 64,128 and 1,100 are lists."""
    with pytest.raises(InputError, match=r"write 1000000$"):
        parsing.items("1,000,000")
    assert parsing.items("64,128") == ["64", "128"]
    assert parsing.items("1,100") == ["1", "100"]
