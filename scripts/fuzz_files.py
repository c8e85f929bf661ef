"""Cases of ``scripts.fuzz`` with files: what varsim wrote, damaged or edited, and read again."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scripts.fuzz_cases import STACK, SUFFIXES, Bases, Case, Ended

WRITTEN = {
    "r": "-d 4,9 -s sqrt,he -n 640 --histogram", "l": f"{STACK} --histogram",
    "c": "init orthogonal trunc_normal sparse -d 8 --draws 8",
    "x": "-d 5,6 -s none --design fixed-x -n 640 -x rectified",
    "i": "-d 6 -i orthogonal -n 640 --x-mean 1", "p": "-d 8 -p 5% --max-samples 1e4 -s he -g 5/3",
    "h": f"{STACK} --correlation 0.5 -a relu", "n": f"{STACK} --norm batch --residual gpt2",
    "b": f"{STACK} --no-backward -p 10% --max-networks 20",
}  # fmt: skip
"""Commands that write the files which are damaged."""


def damaged_case(rng: random.Random, bases: Bases) -> Case:
    """Make a file with damaged bytes, and a command that reads it."""
    name, suffix = rng.choice(list(bases)), rng.choice(SUFFIXES)
    content = bases[name].files[suffix]
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        content = damaged(rng, content, bases)
    return reading(rng, name, suffix, content, bases)


def damaged(rng: random.Random, content: bytes, bases: Bases) -> bytes:
    """Return bytes with one fault."""
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice([0, 1, 1, 1, 2, 8, 100, 10_000]))
    part, lines = content[start:end], content.splitlines(keepends=True) or [b""]
    line = rng.choice(lines)
    with_part = [
        b"", part * 2, bytes([rng.randrange(256)]), rng.choice(b"0123456789").to_bytes(),
        b"\0" * 9, bytes(byte ^ 1 << rng.randrange(8) for byte in part), part.upper(), part[::-1],
        b"\r", b"\n", b"\xef\xbb\xbf", b'"', b",", b"{", b"[" * 100_000, b"NaN", b"-", b"e999",
        "\x1b[2J\u202e".encode(),
    ]  # fmt: skip
    other = rng.choice(list(bases.values())).files[rng.choice(SUFFIXES)]
    whole = [
        content[:start], content[start:], content + content, content + line, content + other, b"",
        b"".join(rng.sample(lines, len(lines))), content.replace(b"\n", b"\r\n"), other + content,
        b"\xef\xbb\xbf" + content, content.replace(line, b"", 1),
        content.decode(errors="replace").encode("utf-16"),
    ]  # fmt: skip
    if rng.random() < 0.3:
        return rng.choice(whole)
    return content[:start] + rng.choice(with_part) + content[end:]


VALUES = [
    "NaN", "Infinity", "-Infinity", "1" + "0" * 400, "-5", "1e-400", "1e400", "null", "[]", "{}",
    '""', "true", '"\\u001b[2J"', '"\\ud800"', "0", "-0.0", "0.5", "1", "2", "[1, 2]", '{"a": 1}',
    '"x"', "1e308", "-1e308", "5e-324", '"none"', '"normal"', "9" * 5000, "[" * 2000 + "]" * 2000,
    '"' + "x" * 100_000 + '"', "3.0", "64", '"\\u0000"', '"a\\nb"', "false", '"\\u202e"', "1e16",
    "18446744073709551616", '"nan"', "0.1", "[null]", "x",
]  # fmt: skip


def edited_case(rng: random.Random, bases: Bases) -> Case:
    """Make a file with an edited field, and a command that reads it."""
    name, suffix = rng.choice(list(bases)), rng.choice(SUFFIXES)
    content = bases[name].files[suffix].decode()
    for _ in range(rng.choice([1, 1, 1, 2])):
        content = (edited_csv if suffix == ".csv" else edited_json)(rng, content)
    return reading(rng, name, suffix, content.encode(errors="surrogatepass"), bases)


def edited_json(rng: random.Random, content: str) -> str:
    """Return JSON, or lines of it, with one value replaced or one name changed."""
    found = rng.choice(list(re.finditer(r'("\w+"): ("[^"]*"|[^,{}\[\]\n]+)', content)))
    name, old = found.groups()
    new = f"{name}: {nearby(rng, old)}"
    odd = ["", f"{found[0]}, {found[0]}", f'"other": {old}', f"{found[0]}, {new}"]
    return content[: found.start()] + rng.choice([*[new] * 8, *odd]) + content[found.end() :]


def nearby(rng: random.Random, old: str) -> str:
    """Return another value, or an old one with one digit changed."""
    digits = [place for place, letter in enumerate(old) if letter.isdigit()]
    if not digits or rng.random() < 0.6:
        return rng.choice(VALUES)
    place = rng.choice(digits)
    return old[:place] + rng.choice("0123456789") + old[place + 1 :]


def edited_csv(rng: random.Random, content: str) -> str:
    """Return CSV with one cell of one line replaced."""
    rows = list(csv.reader(io.StringIO(content)))
    row = rng.choice(rows)
    place = rng.randrange(len(row))
    row[place] = nearby(rng, row[place]).strip('"') if rng.random() < 0.9 else ""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def reading(rng: random.Random, name: str, suffix: str, content: bytes, bases: Bases) -> Case:
    """Return a case in which a command reads a file that is not as varsim wrote it."""
    base = bases[name]
    file, whole = f"f{suffix}", f"whole{suffix}"
    files = {file: content, whole: base.files[suffix]}
    readers = {
        "merge": ["merge", file, "-f", "jsonl", "-q"],
        "compare": ["compare", whole, file, "-f", "jsonl"],
        "table": ["merge", file, "-f", rng.choice(["table", "markdown", "latex", "html", "typst"])],
        "plot": ["plot", file, "-o", "f.svg"], "resume": [*base.args, "--resume", "-o", file],
    }  # fmt: skip
    how = rng.choices(list(readers), [4, 4, 2, 1, 4 * (suffix != ".json")])[0]
    verify = READ_FAULTS.get(how)
    columns = rng.choice([0, 0, 80]) if how == "table" else 0
    more = {} if verify is None else {"verify": partial(verify, name, file, bases)}
    return Case([readers[how]], files=files, columns=columns, **more)  # type: ignore[arg-type]


def merge_faults(_: str, __: str, bases: Bases, ended: Sequence[Ended]) -> Iterator[str]:
    """Yield the rows that were accepted, and are not those of the whole file."""
    if ended[0].code != 0:
        return
    whole = [base.files[".jsonl"].decode() for base in bases.values()]
    rows = [judged_apart(line) for text in whole for line in text.splitlines()]
    for line in ended[0].out.splitlines():
        row = judged_apart(line)
        if row not in rows:
            names = [name for name in row if all(row[name] != other.get(name) for other in rows)]
            yield f"a row was accepted that was changed: {', '.join(names) or 'no single field'}"


def judged_apart(line: str) -> dict[str, Any]:
    """Return a row without what depends on the other rows of its table."""
    of_table = {"agrees", "alpha", "checksum"}
    return {name: value for name, value in json.loads(line).items() if name not in of_table}


def compare_faults(_: str, __: str, ___: Bases, ended: Sequence[Ended]) -> Iterator[str]:
    """Yield verdicts on rows that are not the same as those of the whole file."""
    verdicts = [json.loads(line)["verdict"] for line in ended[0].out.splitlines()]
    if ended[0].code == 0 and set(verdicts) - {"identical", "not compared"}:
        yield f"a changed file is compared: {', '.join(verdicts)}"


def resume_faults(name: str, file: str, bases: Bases, ended: Sequence[Ended]) -> Iterator[str]:
    """Yield that a file is not as the command writes it, though it could be continued."""
    whole = bases[name].files[Path(file).suffix]
    if ended[0].code == 0 and not ended[0].after[file].startswith(whole):  # others' rows follow
        yield "a continued file is not the whole one"


READ_FAULTS = {"merge": merge_faults, "compare": compare_faults, "resume": resume_faults}
