"""Formats: tables as text."""

from varsim.report.formats.table import (
    FOR_PEOPLE,
    FORMATS,
    MACHINE,
    SUFFIXES,
    Format,
    omitted,
    text_of,
)
from varsim.report.formats.text import markdown_prose, plain_text, to_ascii

__all__ = [
    "FORMATS", "FOR_PEOPLE", "MACHINE", "SUFFIXES", "Format", "markdown_prose", "omitted",
    "plain_text", "text_of", "to_ascii",
]  # fmt: skip
