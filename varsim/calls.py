"""Names with arguments, ``name(gain=1.5, mode="fan_out")``: read as literals, never evaluated."""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any, NamedTuple

_LONGEST = 1000
_NAME = re.compile(r"[^\W\d][\w.]*(?::[^\W\d][\w.]*)?")


class Call(NamedTuple):
    """What a text names, and the arguments it gives.

    Attributes:
        name: A dotted name, or ``module:name``.
        positional: Arguments without names: numbers, texts, truth values, None, lists, tuples.
        keywords: Arguments with names, sorted by them.
    """

    name: str
    positional: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        """Return the one spelling of the call."""
        arguments = [_literal(value) for value in self.positional]
        arguments += [f"{name}={_literal(value)}" for name, value in self.keywords]
        return f"{self.name}({', '.join(arguments)})" if arguments else self.name

    @property
    def options(self) -> dict[str, Any]:
        """The arguments with names."""
        return dict(self.keywords)


def parse(text: str) -> Call:
    """Return the call that a text writes; a fraction like 5/3 is a number.

    Raises:
        ValueError: It writes none: a sentence why.

    >>> parse("torch.nn.init.sparse_(std=1/2, sparsity=0.1)").options
    {'sparsity': 0.1, 'std': 0.5}
    >>> str(parse("f( mode = 'fan_out' , gain=2 )"))
    'f(gain=2, mode="fan_out")'
    """
    text = text.strip()
    name, bracket, rest = text.partition("(")
    name = name.strip()
    if len(text) > _LONGEST or not _NAME.fullmatch(name) or (bracket and not rest.endswith(")")):
        raise ValueError(
            f"{_shortened(text)} is no name with arguments; write it like name, or name(gain=1.5)"
        )
    if not bracket:
        return Call(name)
    try:
        call = ast.parse(f"_({rest}", mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            raise ValueError
        positional = tuple(map(_value, call.args))
        keywords = {str(_keyword(word)): _value(word.value) for word in call.keywords}
        if len(keywords) < len(call.keywords):
            raise ValueError
        found = Call(name, positional, tuple(sorted(keywords.items())))
        str(found).encode()  # half a surrogate cannot be
        if len(str(found)) > _LONGEST:
            raise ValueError
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError):
        raise ValueError(
            f"the arguments of {_shortened(text)} are no literals; write numbers, texts in quotes, "
            'True, False, None, or lists of them, like (gain=1.5, mode="fan_out")'
        ) from None
    return found


def split(text: str) -> list[str]:
    """Split a list at those of its commas that are in no brackets and no quotes.

    Raises:
        ValueError: An item is empty.

    >>> split("f(a=1, b='x,y'), g")
    ["f(a=1, b='x,y')", 'g']
    """
    parts, depth, quote, escaped = [""], 0, "", False
    for character in text:
        if escaped:
            escaped = False
        elif quote:
            escaped = character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()[]":
            depth += 1 if character in "([" else -1
        elif character == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += character
    parts = [part.strip() for part in parts]
    if not all(parts):
        raise ValueError(
            f"{_shortened(text)} has an empty item; write a list like a,b without gaps"
        )
    return parts


def _keyword(word: ast.keyword) -> str:
    if word.arg is None:  # **more
        raise ValueError
    return word.arg


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        numerator, denominator = _value(node.left), _value(node.right)
        if not all(type(number) in (int, float) for number in (numerator, denominator)):
            raise ValueError
        if not denominator:
            raise ValueError
        value = numerator / denominator
    else:
        value = ast.literal_eval(node)
    _check(value)
    return value


def _check(value: Any) -> None:
    if isinstance(value, list | tuple):
        for each in value:
            _check(each)
    elif isinstance(value, float):
        if not math.isfinite(value):  # there is no literal for it
            raise ValueError
    elif not (value is None or isinstance(value, bool | int | str)):
        raise ValueError


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
    return repr(value)


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}..."
