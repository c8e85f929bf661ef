"""Text from users: numbers, ranges, lists, and calls with literal arguments.

A range is ``a:b``, ``a:b:step``, ``a:b:x2`` or ``a:b:log7``; its ends are inclusive. Arithmetic is
exact (decimals are fractions), so ``0.1:1:0.1`` has ten values and the last one is 1.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple, TypeAlias, TypeGuard

from varsim.errors import InputError, quoted

MAX_VALUES = 100_000
"""The most values of one option, and the most experiments of one sweep."""

Argument: TypeAlias = "bool | int | float | str | list[Argument] | tuple[Argument, ...] | None"
"""A literal argument of a call."""


_DIGITS = r"[0-9]+(?:_[0-9]+)*"


# The pattern bounds the exponent: Fraction("1e999999999") would take all memory.
_DECIMAL = rf"\s*([+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:e[+-]?[0-9]{{1,3}})?)\s*"


_NUMBER = re.compile(f"{_DECIMAL}(?:/{_DECIMAL})?", re.IGNORECASE)


_PART = re.compile(
    rf"\s*((?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:e[+-]?[0-9]{{1,3}})?)([kKMGB]?)"
    r"|\s*(sqrt|√|\*\*|[-+*/^()])"
)


_DASHED = re.compile(r"([0-9]{1,12})(?:-|–|\.{2,3})([0-9]{1,12})")


_MILLIONS = re.compile(r"[0-9.]{1,12}m")


_MULTIPLES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}


_MAX_EXPRESSION = 100


_MAX_EXPONENT = 1000


_LARGEST = 10**300


_MAX_BITS = 2**17


_LOG = re.compile(r"log(\d{1,9})", re.IGNORECASE)


_NAME = re.compile(r"[^\W\d][\w.]*(?::[^\W\d][\w.]*)?")


_MAX_CALL = 1000


_QUOTED_OR_CHARACTER = re.compile(r"""(["'])(\\.?|(?!\1)[^\\])*(\1|\Z)|.""", re.DOTALL)


def number(text: str) -> Fraction:
    """Return a number, exactly: a decimal, a fraction, ``10k``, ``1M``, ``2^9`` or ``sqrt(2)``.

    ``k``, ``M`` and ``G`` or ``B`` are a thousand, a million and a billion. A root that is not
    rational is the nearest double.

    Raises:
        InputError: The text is none of these, or its magnitude is outside 1e-300 to 1e300.

    >>> number("5/3"), number("1e-1"), number("2^9"), number("10k")
    (Fraction(5, 3), Fraction(1, 10), Fraction(512, 1), Fraction(10000, 1))
    """
    text = text.strip()
    match = _NUMBER.fullmatch(text)
    try:
        value = Fraction(match[1]) / Fraction(match[2] or 1) if match else _expression(text)
    except ZeroDivisionError:
        raise InputError(f"{quoted(text)} divides by zero; give another denominator") from None
    except (ValueError, OverflowError):
        raise InputError(f"{quoted(text)} is not a number; {_hint(text)}") from None
    if value and not 1 <= abs(value) * _LARGEST <= _LARGEST**2:
        raise InputError(
            f"{quoted(text)} is out of range; give 0 or a magnitude between 1e-300 and 1e300"
        )
    return value


def _hint(text: str) -> str:
    if (ends := _DASHED.fullmatch(text)) is not None:
        return f"write {ends[1]}:{ends[2]} for a range"
    if _MILLIONS.fullmatch(text):
        return f"write {text[:-1]}M for millions"
    return "write one like 512, 1e3, 10k, 2^9 or 5/3"


def _expression(text: str) -> Fraction:
    """Return the value of one product or quotient of powers, roots and decimals.

    Raises:
        ValueError, OverflowError, ZeroDivisionError: There is none.
    """
    parts: list[tuple[str, str, str]] = []
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None or len(text) > _MAX_EXPRESSION:
            raise ValueError(text)
        parts.append((match[1] or "", match[2] or "", match[3] or ""))
        place = match.end()
    parts.append(("", "", "end"))
    value = _product(parts)
    if parts.pop(0)[2] != "end":
        raise ValueError(text)
    return value


def _product(parts: list[tuple[str, str, str]]) -> Fraction:
    value = _signed(parts)
    if parts[0][2] == "*":
        parts.pop(0)
        return value * _signed(parts)
    if parts[0][2] == "/":
        parts.pop(0)
        return value / _signed(parts)
    return value


def _signed(parts: list[tuple[str, str, str]]) -> Fraction:
    sign = parts.pop(0)[2] if parts[0][2] in ("+", "-") else "+"
    base = _atom(parts)
    if parts[0][2] in ("^", "**"):
        parts.pop(0)
        base = _power(base, _signed(parts))
    return -base if sign == "-" else base


def _atom(parts: list[tuple[str, str, str]]) -> Fraction:
    decimal, multiple, symbol = parts.pop(0)
    if decimal:
        return Fraction(decimal) * _MULTIPLES[multiple]
    if symbol == "(":
        value = _product(parts)
        if parts.pop(0)[2] != ")":
            raise ValueError
        return value
    if symbol in ("√", "sqrt"):
        return _power(_atom(parts), Fraction(1, 2))
    raise ValueError


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if abs(exponent) > _MAX_EXPONENT:
        raise OverflowError
    if exponent.denominator == 1:
        return base ** int(exponent)
    if base < 0:
        raise ValueError
    if exponent == Fraction(1, 2):
        roots = math.isqrt(base.numerator), math.isqrt(base.denominator)
        if roots[0] ** 2 == base.numerator and roots[1] ** 2 == base.denominator:
            return Fraction(*roots)
        return Fraction(math.sqrt(base))
    return Fraction(float(base) ** float(exponent))


def real(text: str) -> float:
    """Return a number in floating point, in any of the spellings of :func:`number`.

    The parts of a fraction of decimals are rounded before the division: ``0.1/0.3`` is not the
    float nearest to 1/3.

    Raises:
        InputError: The text is no number.

    >>> real("5/3"), real("0.1/0.3"), real("sqrt(2)")
    (1.6666666666666667, 0.33333333333333337, 1.4142135623730951)
    """
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator) if slash else float(numerator)
    except (ValueError, ZeroDivisionError):
        pass
    try:
        return float(number(text))
    except InputError:
        raise InputError(
            f"{quoted(text)} is not a number; write one like 2, 1e3, 5/3 or sqrt(2)"
        ) from None


def is_range(item: str) -> bool:
    """Return whether an item is a range."""
    return ":" in item


def expand(item: str, *, whole: bool = False) -> list[Fraction]:
    """Return the values of a number or a range; ``whole`` rounds the inner ones of ``log``.

    Raises:
        InputError: The range is malformed, empty, or has over MAX_VALUES values.

    >>> [int(v) for v in expand("16:256:x4")]
    [16, 64, 256]
    >>> [float(v) for v in expand("0:1:0.25")]
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if not is_range(item):
        return [number(item)]
    first, last, step = (*map(str.strip, item.split(":")), "1", "")[:3]
    log, times = _LOG.fullmatch(step), step[:1] in ("x", "X")
    try:
        if item.count(":") > 2:
            raise InputError("more than three parts")
        start, stop = number(first), number(last)
        stride = Fraction(0) if log else number(step[1:] if times else step)
    except InputError as error:
        reason = str(error).partition(";")[0]
        raise InputError(
            f"{quoted(item)} is not a range: {reason}; write a:b, a:b:step, a:b:x2 or a:b:log7"
        ) from None
    if (log or times) and (start <= 0 or stop <= 0):
        what = "is log-spaced" if log else "multiplies"
        raise InputError(f"{quoted(item)} {what}, so both of its ends must be above 0")
    if log:
        return _logarithmic(item, start, stop, int(log[1]), whole)
    return (_geometric if times else _linear)(item, start, stop, stride)


def _linear(item: str, start: Fraction, stop: Fraction, step: Fraction) -> list[Fraction]:
    if step == 0:
        raise InputError(
            f"{quoted(item)} has a step of 0; give a step that leads from start to end"
        )
    if (stop - start) / step < 0:
        raise InputError(
            f"{quoted(item)} is empty: its step leads away from its end; swap the ends or "
            "the step's sign"
        )
    count = (stop - start) // step + 1
    _check_count(item, count)
    return [start + i * step for i in range(count)]


def _geometric(item: str, start: Fraction, stop: Fraction, factor: Fraction) -> list[Fraction]:
    if factor <= 0 or factor == 1:
        raise InputError(
            f"{quoted(item)} multiplies by {factor}; give a factor above 0 that is not 1"
        )
    if (factor > 1) != (stop > start) and start != stop:
        raise InputError(
            f"{quoted(item)} is empty: its factor leads away from its end; swap the ends or "
            "invert it"
        )
    values, value = [], start
    while value <= stop if factor > 1 else value >= stop:
        values.append(value)
        _check_count(item, len(values))
        value *= factor
        # The digits of exact powers grow with each step, and so does the time for the next one.
        if value.denominator.bit_length() > _MAX_BITS:
            raise InputError(
                f"{quoted(item)} needs too many digits; take a larger or a rounder factor"
            )
    return values


def _logarithmic(
    item: str, start: Fraction, stop: Fraction, count: int, whole: bool
) -> list[Fraction]:
    if count < 2:
        raise InputError(
            f"{quoted(item)} has {count} value(s); a log range has at least 2: its ends"
        )
    _check_count(item, count)
    low, high = math.log(start), math.log(stop)
    exponents = (low + (high - low) * i / (count - 1) for i in range(1, count - 1))
    # Twelve digits: 1:1000:log4 has 10 and 100, not 9.999999999999998.
    inner = [Fraction(f"{math.exp(exponent):.12g}") for exponent in exponents]
    return [start, *(Fraction(round(v)) if whole else v for v in inner), stop]


def _check_count(item: str, count: int) -> None:
    if count > MAX_VALUES:
        raise InputError(f"{quoted(item)} has more than {MAX_VALUES:,} values; take larger steps")


def items(text: str) -> list[str]:
    """Split a list at its commas.

    Raises:
        InputError: An item is empty.

    >>> items("64, 512")
    ['64', '512']
    """
    return _non_empty(text, text.split(","))


def split_calls(text: str) -> list[str]:
    """Split a list at its commas, except those inside brackets or quotes.

    Raises:
        InputError: An item is empty.

    >>> split_calls("f(a=1, b='x,y'), g")
    ["f(a=1, b='x,y')", 'g']
    """
    parts, depth = [""], 0
    for token in _QUOTED_OR_CHARACTER.finditer(text):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token[0], 0)
        if token[0] == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token[0]
    return _non_empty(text, parts)


def _non_empty(text: str, parts: Iterable[str]) -> list[str]:
    stripped = [part.strip() for part in parts]
    if not all(stripped):
        raise InputError(f"{quoted(text)} has an empty item; write a list like 64,512 or a,b")
    return stripped


class Call(NamedTuple):
    """A name, dotted or ``module:name``, with literal arguments; keywords are sorted by name."""

    name: str
    positional: tuple[Argument, ...] = ()
    keywords: tuple[tuple[str, Argument], ...] = ()

    def __str__(self) -> str:
        """Return the canonical spelling."""
        arguments = [_literal(value) for value in self.positional]
        arguments += [f"{name}={_literal(value)}" for name, value in self.keywords]
        return f"{self.name}({', '.join(arguments)})" if arguments else self.name

    @property
    def options(self) -> dict[str, Argument]:
        """The keyword arguments."""
        return dict(self.keywords)


def parse_call(text: str) -> Call:
    """Return a call; its arguments are read as literals and never evaluated.

    A fraction like 5/3 is a number, and so is sqrt(2).

    Raises:
        InputError: The text is not a name, or its arguments are not literals.

    >>> parse_call("torch.nn.init.sparse_(std=1/2, sparsity=0.1)").options
    {'sparsity': 0.1, 'std': 0.5}
    >>> str(parse_call("f( mode = 'fan_out' , gain=2 )"))
    'f(gain=2, mode="fan_out")'
    """
    text = text.strip()
    name, bracket, rest = text.partition("(")
    name = name.strip()
    if len(text) > _MAX_CALL or not _NAME.fullmatch(name) or (bracket and not rest.endswith(")")):
        raise InputError(
            f"{quoted(text)} is not a name or a call; write it like name or name(gain=1.5)"
        )
    if not bracket:
        return Call(name)
    try:
        call = ast.parse(f"_({rest}", mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            raise ValueError
        keywords = {word.arg: _value(word.value) for word in call.keywords if word.arg is not None}
        if len(keywords) < len(call.keywords):  # a name twice, or **more
            raise ValueError
        positional = tuple(map(_value, call.args))
        result = Call(name, positional, tuple(sorted(keywords.items())))
        str(result).encode()  # fails on half a surrogate
        if len(str(result)) > _MAX_CALL:
            raise ValueError
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError):
        raise InputError(
            f"the arguments of {quoted(text)} are not literals; write numbers, quoted strings, "
            'True, False, None, or lists of them, like (gain=1.5, mode="fan_out")'
        ) from None
    return result


def _value(node: ast.expr) -> Argument:
    value: object
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        numerator, denominator = _real_value(node.left), _real_value(node.right)
        if denominator == 0:
            raise ValueError
        value = numerator / denominator
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        (radicand,) = map(_real_value, node.args)  # a ValueError if there are more
        if node.func.id != "sqrt" or node.keywords:
            raise ValueError
        value = math.sqrt(radicand)
    else:
        value = ast.literal_eval(node)
    if not _is_literal(value):
        raise ValueError
    return value


def _real_value(node: ast.expr) -> float:
    value = _value(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return value


def _is_literal(value: object) -> TypeGuard[Argument]:
    if isinstance(value, list | tuple):
        return all(map(_is_literal, value))
    if isinstance(value, float):
        return math.isfinite(value)  # infinity has no literal
    return value is None or isinstance(value, bool | int | str)


def _literal(value: Argument) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
    return repr(value)
