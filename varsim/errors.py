"""Errors for people: wrong input in one sentence, and functions for its words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_LONGEST_REASON = 300


class InputError(ValueError):
    """Wrong input: one sentence with the value, the allowed values and the remedy."""

    @property
    def reason(self) -> str:
        """The sentence without the remedy."""
        reason, _, advice = str(self).rpartition(";")
        return reason or advice


_NO_MEANINGS: Mapping[str, str] = MappingProxyType({})


def nearest(name: str, known: Iterable[str], meanings: Mapping[str, str] = _NO_MEANINGS) -> str:
    """Return a hint: what the word means here, the nearest known name, or all known names.

    Args:
        name: The unknown name.
        known: The known ones.
        meanings: Hints by word, in small letters with dashes, as in :mod:`varsim.synonyms`.

    >>> nearest("sqr", ["sqrt", "none"])
    'did you mean sqrt?'
    """
    known = list(known)
    if (meant := meanings.get(name.strip().lower().replace("_", "-"))) is not None:
        return meant
    close = near(name.lower(), known)
    return f"did you mean {close}?" if close else f"known are {', '.join(known)}"


def near(name: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """Return the nearest known name, or None if no similarity is at least ``least``, up to 1.

    >>> near("torch.nn.Linears", ["torch.nn.Linear"], least=0.9)
    'torch.nn.Linear'
    """
    import difflib  # only mistakes need it, and start-up time matters

    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=least)), None)


def installation(package: str) -> str:
    """Return the command that installs a package for the interpreter that runs."""
    import shlex
    import sys

    return f"{shlex.quote(sys.executable)} -m pip install {package}"


def needs(what: str, package: str) -> str:
    """Return the sentence for a feature whose package is missing.

    >>> needs("figures", "matplotlib").partition(";")[0]
    'figures need matplotlib, which is not installed'
    """
    return f"{what} need {package}, which is not installed; run: {installation(package)}"


def error_summary(error: BaseException) -> str:
    r"""Return the type and the first line of an error of other code.

    >>> error_summary(RuntimeError("no memory.\nDetails follow."))
    'RuntimeError: no memory'
    """
    try:
        text = str(error).strip().partition("\n")[0].rstrip(".")
    except Exception:  # noqa: BLE001  # other code defines __str__
        text = ""
    name = shortened(type(error).__name__)
    return f"{name}: {shortened(text, _LONGEST_REASON)}" if text else name


def shortened(value: object, most: int = 60) -> str:
    """Return a value for a sentence: at most its first characters."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}..."


def quoted(value: object, most: int = 60) -> str:
    r"""Return a value in quotes for a sentence: at most its first characters, escaped.

    >>> print(quoted("a\x1b[2J"))
    'a\x1b[2J'
    """
    text = str(value)
    return repr(text) if len(text) <= most else f"{text[:most]!r}..."


_HARMFUL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_control_characters(text: str) -> str:
    r"""Return text with its control characters escaped, except tabs and line ends.

    A terminal would obey those in a file or a name from elsewhere.

    >>> print(escape_control_characters("a\x1b[2J"))
    a\x1b[2J
    """
    return _HARMFUL.sub(lambda match: repr(match[0])[1:-1], text)
