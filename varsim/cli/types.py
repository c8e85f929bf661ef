"""Parameter types: from what was typed to values, with one sentence for what cannot be."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import click
from click.shell_completion import CompletionItem

from varsim import parsing
from varsim.initializers.theory import INITIALIZERS
from varsim.parsing import nearest

_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^/\s]+:[0-9]{1,5}")
_AMOUNT = r"([0-9]{1,9}(?:\.[0-9]{0,9})?)"
_TIME = re.compile(f"(?:{_AMOUNT}d)?(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s?)?")


class Values(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 only
    """A comma-separated list; a subclass says what one item stands for."""

    def values(self, item: str) -> Sequence[Any]:
        """Return what an item stands for.

        Raises:
            ValueError: It stands for nothing.
        """
        raise NotImplementedError

    def items(self, text: str) -> list[str]:
        """Return the items of a list."""
        return parsing.items(text)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Any]:
        """Return the values of one use of the option."""
        try:
            return [each for item in self.items(value) for each in self.values(item)]
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)


class WholeNumbers(Values):
    """Whole numbers and ranges of them."""

    name = "whole numbers"

    def values(self, item: str) -> list[int]:
        """Return the numbers of a range."""
        return [whole_number(value) for value in parsing.expand(item, whole=True)]


class Numbers(Values):
    """Numbers, fractions, and ranges of them."""

    name = "numbers"

    def values(self, item: str) -> list[float]:
        """Return the numbers of a range."""
        return [float(value) for value in parsing.expand(item)]


class GainValues(Numbers):
    """Numbers, fractions, ranges, and gains by the names of activations."""

    name = "gains"

    def values(self, item: str) -> list[float]:
        """Return the numbers of a range, or the gain of an activation."""
        if not item[:1].isalpha():
            return super().values(item)
        from varsim.activations.gains import gain  # loads NumPy and SciPy
        from varsim.parsing import user_code

        with user_code():
            return [gain(item)]


class Residuals(Numbers):
    """Factors on residual branches: numbers, or ``gpt2`` for one that the depth gives."""

    name = "residuals"

    def values(self, item: str) -> list[Any]:
        """Return the numbers of a range, or the name."""
        return ["gpt2"] if item.lower() == "gpt2" else list(super().values(item))


class Names(Values):
    """Names; whether they are known is for the experiment to say."""

    name = "names"

    def __init__(self, known: Iterable[str]) -> None:
        """Take the names that shell completion offers."""
        self.known = tuple(known)

    def values(self, item: str) -> list[str]:
        """Return the name."""
        return [item]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the last item of the list."""
        before, comma, start = incomplete.rpartition(",")
        return [
            CompletionItem(before + comma + name) for name in self.known if name.startswith(start)
        ]


class Scales(Names):
    """Schemes, and ranges of numbers."""

    name = "schemes"

    def values(self, item: str) -> list[str]:
        """Return the scheme, or the numbers of a range as schemes."""
        if not parsing.is_range(item):
            return [item]
        return [
            str(value) if value.denominator == 1 else repr(float(value))
            for value in parsing.expand(item)
        ]


class Initializers(Names):
    """Initializers with their arguments; whether they are known is for the experiment to say."""

    name = "initializers"

    def __init__(self) -> None:
        """Offer the built-in ones for shell completion."""
        super().__init__(INITIALIZERS)

    def items(self, text: str) -> list[str]:
        """Split at the commas that are not among arguments."""
        return parsing.split_calls(text)


class Count(click.ParamType):  # type: ignore[type-arg]
    """A whole number, also written as 1e6 or 1_000_000."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the count."""
        try:
            return whole_number(parsing.number(str(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Number(click.ParamType):  # type: ignore[type-arg]
    """A decimal number or a fraction."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        try:
            return float(parsing.number(str(value)))
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)


class Share(Number):
    """A number, a fraction, or a percentage."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the share: 0.001 for 0.1%."""
        text = str(value).strip()
        try:
            share = parsing.number(text.removesuffix("%"))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return float(share / 100 if text.endswith("%") else share)


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A time: seconds, or a number with a unit each, like 1h30m."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the time in seconds."""
        parts = _TIME.fullmatch(str(value).strip().lower())
        amounts = zip(parts.groups(), (86400, 3600, 60, 1), strict=True) if parts else ()
        seconds = sum(float(amount) * unit for amount, unit in amounts if amount)
        if not seconds > 0:
            self.fail(f"{value!r} is no time; write one like 90, 90s, 5m or 1h30m", param, ctx)
        return seconds


class Scheduler(click.ParamType):  # type: ignore[type-arg]
    """``local``, or the address of a Dask scheduler."""

    name = "scheduler"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address."""
        address = str(value).strip()
        if address != "local" and not _ADDRESS.fullmatch(address):
            self.fail(
                f"{value!r} is no address of a scheduler; give local, or one like "
                "tcp://localhost:8786",
                param,
                ctx,
            )
        return address


class Seed(Count):
    """A whole number, or ``random`` for one that is drawn and echoed."""

    name = "seed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seed; a drawn one is short enough to be typed again."""
        if str(value).lower() == "random":
            return secrets.randbits(32)
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(
                f"{error.message.partition(';')[0]}; give a whole number, or random", param, ctx
            )


class Name(click.Choice[str]):
    """One name of several, with the nearest known one named for a slip of the finger."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the sentence for an unknown name."""
        return f"{value!r} is unknown; {nearest(str(value), self.choices)}"


def whole_number(value: Fraction) -> int:
    """Return a whole number as an int.

    Raises:
        ValueError: It is not whole.
    """
    if value.denominator != 1:
        raise ValueError(f"{float(value):g} is not a whole number; give one like 512 or 1e3")
    return int(value)
