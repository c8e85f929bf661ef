"""Formats: tables as text."""

from varsim.report.formats.table import FOR_PEOPLE, FORMATS, MACHINE, SUFFIXES, Format, text_of
from varsim.report.formats.text import plain_text, to_ascii

__all__ = [
    "FORMATS", "FOR_PEOPLE", "MACHINE", "SUFFIXES", "Format", "plain_text", "text_of", "to_ascii",
]  # fmt: skip
