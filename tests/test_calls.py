"""Names with arguments: literals, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim.calls import Call, parse, split

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
        assert parse(str(call)) == call


@pytest.mark.parametrize(
    "text",
    [
        "", "9f", "f(", "f)", "f(1))", "f(1)(2)", "f(1)+g(2)", "f(x)", "f(**{})", "f(*[1])",
        "f(a=1, a=2)", "f(a=b'1')", "f(a={1: 2})", "f(a=1j)", "f(a=1e999)", "f(a=1/0)",
        "f(a=True/2)", "f(a=10**9)", "f(a=[]*9)", "f(lambda: 0)", "f(__import__('os'))",
        "f(a=[x for x in ()])", r"f('\ud800')", "f(a=1e300/1e-300)",
        "f(" + "[" * 200 + "]" * 200 + ")", "f(" + "1," * 600 + ")",
    ],
)  # fmt: skip
def test_what_is_no_literal_is_refused(text: str) -> None:
    """In one sentence; above all, nothing is evaluated."""
    with pytest.raises(ValueError, match=r"no name with arguments|no literals"):
        parse(text)


def test_lists_split_between_calls_only() -> None:
    """Commas among arguments and in texts stay."""
    assert split(r"f('\',\''), g") == [r"f('\',\'')", "g"]
    assert split("f(a=1, b=[2, 3]), g('x,y)'),h") == ["f(a=1, b=[2, 3])", "g('x,y)')", "h"]
    with pytest.raises(ValueError, match="empty item"):
        split("f,,g")
