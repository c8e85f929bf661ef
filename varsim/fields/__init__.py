"""Fields: one declaration per value of a row, for files, tables, captions and figures."""

from varsim.fields.field import Columns, Field, interval_text
from varsim.fields.question import Question
from varsim.fields.row import STATE, VERDICTS, WEAK, RowBase, level, many_seeds
from varsim.fields.schema import CHECKSUM, NUMBER, Schema

__all__ = [
    "CHECKSUM",
    "NUMBER",
    "STATE",
    "VERDICTS",
    "WEAK",
    "Columns",
    "Field",
    "Question",
    "RowBase",
    "Schema",
    "interval_text",
    "level",
    "many_seeds",
]  # fmt: skip
