"""Text from users: numbers, ranges, lists, and calls with literal arguments.

A range is ``a:b``, ``a:b:step``, ``a:b:x2`` or ``a:b:log7``; its ends are inclusive. Arithmetic is
exact (decimals are fractions), so ``0.1:1:0.1`` has ten values and the last one is 1.
"""

from __future__ import annotations

import ast
import json
import math
import re
import sys
from collections.abc import Iterable
from fractions import Fraction
from functools import reduce
from operator import truediv
from typing import NamedTuple, TypeAlias, TypeGuard, TypeVar

from varsim.errors import InputError, quoted

MAX_VALUES = 100_000
"""The most values of one option, and the most experiments of one sweep."""

Argument: TypeAlias = "bool | int | float | str | list[Argument] | tuple[Argument, ...] | None"
"""A literal argument of a call."""

N = TypeVar("N", Fraction, float)
_Parts: TypeAlias = list[tuple[str, str, str]]  # decimal, multiple, symbol; empty at the end

_MULTIPLES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
# The pattern bounds the exponent: Fraction("1e999999999") would take all memory.
_DECIMAL = rf"(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?[0-9]{{1,3}})?"
_PART = re.compile(rf"({_DECIMAL})([{''.join(_MULTIPLES)}]?)|(sqrt|√|\*\*|[-+*/^()])")
_DASHED = re.compile(r"([0-9]{1,12})(?:-|–|\.{2,3})([0-9]{1,12})")
_MILLIONS = re.compile(r"[0-9.]{1,12}m")
_STARRED = re.compile(r"\*[0-9.]{1,12}")
_SPACED = re.compile(r"[0-9.]{1,12}(?:\s+[0-9.]{1,12})+")
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})*,0[0-9]{2}(?:,[0-9]{3})*")
_LOG = re.compile(r"log(\d{1,9})", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d][\w.]*(?:-[\w.]+)*(?::[^\W\d][\w.]*)?")
_QUOTED_OR_CHARACTER = re.compile(r"""(["'])(\\.?|(?!\1)[^\\])*(\1|\Z)|.""", re.DOTALL)

_LARGEST = 10**300
_MAX_PARTS = 100
_MAX_EXPONENT = 1000
_MAX_BITS = 2**17
_MAX_CALL = 1000


def evaluate(text: str, number_type: type[N]) -> N:
    """Return the value of a product or quotient of decimals, powers and roots, as one type.

    Operators of one rank go from left to right, except powers. A ``Fraction`` is exact, except
    that an irrational root is a double; a ``float`` is rounded at every step.

    Args:
        text: Decimals, also with a multiple: ``k``, ``M``, and ``G`` or ``B`` are a thousand, a
            million and a billion; ``*``, ``/``, ``^`` or ``**``, ``sqrt`` or ``√``, signs and
            brackets.
        number_type: The type of every number and of the result: Fraction or float.

    Raises:
        ValueError, ArithmeticError: There is no value, or it is too large or has too many digits.

    >>> evaluate("2/3/4", Fraction), evaluate("0.1/0.3", float), evaluate("sqrt(2)", float)
    (Fraction(1, 6), 0.33333333333333337, 1.4142135623730951)
    """
    parts = [*_PART.findall(text), ("", "", "")]
    if len(parts) > _MAX_PARTS or _PART.sub("", text).strip():
        raise ValueError
    value = _product(parts, number_type)
    if len(parts) > 1:
        raise ValueError
    return value


def _product(parts: _Parts, number_type: type[N]) -> N:
    value = _signed(parts, number_type)
    while (symbol := parts[0][2]) in ("*", "/"):
        parts.pop(0)
        factor = _signed(parts, number_type)
        value = value * factor if symbol == "*" else value / factor
        if _bits(value) > _MAX_BITS:
            raise OverflowError
    return value


def _signed(parts: _Parts, number_type: type[N]) -> N:
    sign = parts.pop(0)[2] if parts[0][2] in ("+", "-") else "+"
    value = _atom(parts, number_type)
    if parts[0][2] in ("^", "**"):
        parts.pop(0)
        value = _power(value, _signed(parts, number_type), number_type)
    return -value if sign == "-" else value


def _atom(parts: _Parts, number_type: type[N]) -> N:
    decimal, multiple, symbol = parts.pop(0)
    if decimal:
        return number_type(Fraction(decimal) * _MULTIPLES[multiple])
    if symbol in ("√", "sqrt"):
        return _power(_atom(parts, number_type), number_type(Fraction(1, 2)), number_type)
    if symbol != "(":
        raise ValueError
    value = _product(parts, number_type)
    if parts.pop(0)[2] != ")":
        raise ValueError
    return value


def _power(base: N, exponent: N, number_type: type[N]) -> N:
    if abs(exponent) > _MAX_EXPONENT or _bits(base) * abs(exponent) > _MAX_BITS:
        raise OverflowError
    if exponent % 1 == 0:
        return number_type(base ** int(exponent))
    if base < 0:
        raise ValueError
    if exponent != Fraction(1, 2):
        return number_type(float(base) ** float(exponent))
    root = Fraction(*map(math.isqrt, base.as_integer_ratio()))
    return number_type(root if root**2 == base else math.sqrt(base))


def _bits(value: Fraction | float) -> int:
    return max(map(int.bit_length, value.as_integer_ratio()))


def number(text: str) -> Fraction:
    """Return a number, exactly: a decimal, a fraction, ``10k``, ``1M``, ``2^9`` or ``sqrt(2)``.

    :func:`evaluate` has the grammar.

    Raises:
        InputError: The text is no number, or its magnitude is outside 1e-300 to 1e300.

    >>> number("5/3"), number("1e-1"), number("2^9"), number("10k")
    (Fraction(5, 3), Fraction(1, 10), Fraction(512, 1), Fraction(10000, 1))
    """
    text = text.strip()
    try:
        value = evaluate(text, Fraction)
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
    if _STARRED.fullmatch(text):
        return f"write x{text[1:]} for a factor"
    if _SPACED.fullmatch(text):
        return f"separate values by commas: {quoted(','.join(text.split()))}"
    return "write one like 512, 1e3, 10k, 2^9 or 5/3"


def real(text: str) -> float:
    """Return a number in floating point, in any of the spellings of :func:`number`.

    The parts of a fraction of decimals are rounded before the division: ``0.1/0.3`` is not the
    float nearest to 1/3.

    Raises:
        InputError: The text is no number.

    >>> real("5/3"), real("0.1/0.3"), real("sqrt(2)")
    (1.6666666666666667, 0.33333333333333337, 1.4142135623730951)
    """
    try:
        return reduce(truediv, map(float, text.split("/")))
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
        reason, _, hint = str(error).partition("; ")
        hint = hint if step.startswith("*") else "write a:b, a:b:step, a:b:x2 or a:b:log7"
        raise InputError(f"{quoted(item)} is not a range: {reason}; {hint}") from None
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
        InputError: An item is empty, or the commas are those of a number's thousands.

    >>> items("64, 512")
    ['64', '512']
    """
    if _GROUPED.fullmatch(text):
        raise InputError(
            f"{quoted(text)} has the commas of a number, and a comma separates values; write "
            f"{text.replace(',', '')}"
        )
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
        raise InputError(
            f"{quoted(text)} has an empty item; write a list without spaces, like 64,512 or a,b"
        )
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

    @property
    def parameter(self) -> float | None:
        """The argument, or None unless there is one and it is a finite number."""
        value = self.positional[0] if len(self.positional) == 1 and not self.keywords else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if abs(value) <= sys.float_info.max else None


def parse_call(text: str) -> Call:
    """Return a call; its arguments are literals of Python, or numbers of :func:`evaluate`.

    Raises:
        InputError: The text is not a name, or an argument is neither.

    >>> parse_call("torch.nn.init.sparse_(std=sqrt(2/512), sparsity=0.1)").options
    {'sparsity': 0.1, 'std': 0.0625}
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
        arguments = rest[:-1].strip().removesuffix(",")
        positional: list[Argument] = []
        keywords: dict[str, Argument] = {}
        for item in split_calls(arguments) if arguments else ():
            word, equals, value = map(str.strip, item.partition("="))
            if equals and word.isidentifier() and word not in keywords:
                keywords[word] = _argument(value)
            elif keywords:  # a name twice, or a value after a name
                raise ValueError
            else:
                positional.append(_argument(item))
        result = Call(name, tuple(positional), tuple(sorted(keywords.items())))
        str(result).encode()  # fails on half a surrogate
        if len(str(result)) > _MAX_CALL:
            raise ValueError
    except (ValueError, TypeError, RecursionError, MemoryError, ArithmeticError):
        raise InputError(
            f"the arguments of {quoted(text)} are not literals; write numbers, quoted strings, "
            'True, False, None, or lists of them, like (gain=1.5, mode="fan_out")'
        ) from None
    return result


def name_and_number(text: str) -> tuple[str, float]:
    """Return the parts of a canonical call with one number.

    >>> name_and_number("bernoulli(0.1)")
    ('bernoulli', 0.1)
    """
    name, _, argument = text.removesuffix(")").partition("(")
    return name, float(argument)


def _argument(text: str) -> Argument:
    value: object
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = evaluate(text, float)
    if not _is_literal(value):
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
