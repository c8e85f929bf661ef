"""Sentences for people: other code's errors, and text from elsewhere."""

from __future__ import annotations

from varsim import errors
from varsim.errors import error_summary


def test_what_was_given_is_shown_in_part_and_without_control_characters() -> None:
    """A sentence stays one, and a terminal obeys nobody else's text."""
    assert errors.quoted("a" * 6000) == repr("a" * 60) + "..."
    assert errors.quoted("\x1b[2J\n") == repr("\x1b[2J\n")
    assert errors.escape_control_characters("√ \x1b]0;x\x07\x9b1m\u202e\r\n\t") == (
        r"√ \x1b]0;x\x07\x9b1m\u202e\r" + "\n\t"
    )


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
