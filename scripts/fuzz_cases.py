"""Cases of ``scripts.fuzz``: command lines, stacks and users' functions, of random numbers."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from typing import Any, TypeAlias

from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.scales import SCALES
from varsim.report.formats import FORMATS

Files: TypeAlias = dict[str, bytes]

SUFFIXES = (".jsonl", ".csv", ".json")
"""Formats that are read again."""

SPAM = "SPAM"
"""What users' functions print, which is not varsim's."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus a signal; what it wrote, and what it left.

    A pipe or a device has no bytes there.
    """

    code: int
    out: str
    err: str
    seconds: float
    before: Files
    after: Files


@dataclass(frozen=True)
class Case:
    """What is run: commands, one after the other in one folder, until one fails.

    Attributes:
        steps: The arguments of each.
        files: What is in the folder at first.
        env: Variables of the environment.
        stdin: What they read.
        stdout: Where they write, if not to a file that is read: a device.
        encoding: That of stdout and stderr.
        columns: Width of the terminal that they write to; 0 for none.
        large: Whether they may ask for more than a minute's work, and are interrupted.
        ends: Exit codes that it may have besides those of the contract.
        signals: Numbers of signals that the first command gets, in a fresh process, and the seconds
            after its start.
        verify: Yields what is wrong besides the contract.
    """

    steps: Sequence[Sequence[str]]
    files: Files = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    stdout: str = ""
    encoding: str = "utf-8"
    columns: int = 0
    large: bool = False
    ends: tuple[int, ...] = ()
    signals: Sequence[tuple[int, float]] = ()
    verify: Callable[[Sequence[Ended]], Iterator[str]] = lambda _: iter(())


@dataclass(frozen=True)
class Base:
    """A file that varsim wrote, in every format.

    Attributes:
        files: Its bytes, by suffix.
        args: The command that wrote it.
    """

    files: Mapping[str, bytes]
    args: Sequence[str]


Bases: TypeAlias = Mapping[str, Base]

# Command lines: options of every command, as the program itself lists them.

LONG = ["9" * 240_000, "x" * 240_000, "[" * 240_000, "(" * 2000, "9" * 400, "é" * 5000]
HARMFUL = [
    "\x1b[2J", "\x1b]0;title\x07", "\udcff", "a\nb", "a\rb", "\u202e", "\u2028", "a\x7fb",
    "\x9b2J",
]  # fmt: skip
ODD_WORDS = """
    nan inf -inf -1 0 -0 1e400 1e-400 1e999999999 1/0 0/0 ² ٣ １２ 1:2:3:4 : :: 1:1e9
    1:1e-300:x0.999 1:10:log0 1:10:log999999999 10:1 1:2:0 0:1:x2 -- - -1:-5 % 100% 150% -5% 0x10
    1_000 1__0 __import__('os') {} %s {0} $HOME ~ ../.. . .. √2 sqrt(-1) 2^1000 2^-1000 2^2^2^2
    9^999 1e300*1e300 1e308 1e300 1e-300 -1e300 0.1 1e3 10k 2^53 18446744073709551616 true None
    null random 🙂 e 1e + f( f(1 f(a=b) f(**{}) f(1,1,1) relu(2) elu(1e308) celu(-1) no_such:f
    math:pi math:sqrt os:getcwd a.b:c.d :f m: torch.nn.Nothing D^ D^1000 D^-1000 D^nan
    orthogonal(gain=1e300)
"""
ODD = [*ODD_WORDS.split(), "", " ", ",", ",,", "1 2", "/", *HARMFUL, *LONG]

VALID = {
    "dim": "1 2 7 64 1:4 16:64:x2 8,9 2^5 1:64:log3 sqrt(64) 1k 512",
    "scale": f"{' '.join(SCALES)} 2 D^0.25 sqrt(D) "
    "1:4 kaiming 1e300 1e-300 D^3",
    "fan_out": "1 3 64 2,5 1:9:log3",
    "gain": "1 5/3 gelu torch:tanh sqrt(2) 0.5:2:0.5 relu 1e-300 1e150",
    "init": "orthogonal sparse sparse(sparsity=0.9,std=0.1) truncated_normal trunc_normal(std=2)",
    "design": "crossed paired fixed-x",
    "x_dist": f"{' '.join(DISTRIBUTIONS)} relu bernoulli(0.5) bernoulli(0.001) onehot student-t(5)",
    "w_dist": "normal uniform truncated rademacher laplace exponential gaussian student-t(6)",
    "x_mean": "0 1 -3 1e3 1e-300", "w_mean": "0 1 -2.5 1e6", "bias_std": "0 0.5 1e6 0.1:1:x3",
    "x_std": "1 0 0.5 1e300 1e-300", "w_std": "1 0 2 1e150 1e-40", "samples": "1 64 640 6400 1e4",
    "precision": "1% 5% 10% 0.01", "max_samples": "64 1e3 1e4", "max_time": "1s 0.1s 1m30s",
    "seed": "0 7 random 1e9 4294967295", "dtype": "float32 float64", "workers": "1 2",
    "confidence": "0.95 99% 1/2 0.999999", "alpha": "0.001 5% 1e-9 0.5",
    "format": f"{' '.join(FORMATS)} md tex",
    "output": "o.csv o.jsonl o.json o.md o.tex o.typ o.html o.txt O.CSV o.svg no/o.csv r.csv",
    "columns": "dim scale,ratio empirical layer,width z name,claim theory ratio,ratio",
    "sort": "dim -dim z -p empirical -layer", "width": "1 2 8 16 1,3", "depth": "1 2 5 20",
    "widths": "3,4 8,8,8 1,1,1",
    "activation": "tanh relu gelu leaky_relu(0.2) elu(2) sin erf relu2 swish identity celu(0.5)",
    "norm": "none batch layer rms", "residual": "1 0.5 gpt2 0 1e6", "correlation": "0 0.5 1 1e-9",
    "batch": "1 2 4 64", "networks": "8 9 16", "max_networks": "8 16 100", "draws": "8 9 20",
    "variance": "1 1:4 1e-6 100", "title": "results σ $x^2$ $\\frac", "dpi": "50 100",
    "topic": "sweeps formats layers init gains",
    "activations": "relu gelu tanh elu(0.1) sin,erf softplus", "names": "orthogonal sparse",
    "files": "r.jsonl r.csv r.json l.jsonl l.csv c.jsonl -", "results": "r.jsonl l.jsonl c.csv -",
    "entries": "2 100 2500 100:1e6:x10 1e9", "dist": "normal laplace,uniform student-t(5)",
    "rows": "1 2 64", "false_failure": "1e-6 1% 1e-300", "power": "0.9 99%",
    "sees": "5% -5% 50%,1% 0.1",
    "scheduler": "tcp:// host http://x:1 tcp://x:99999999",
}  # fmt: skip

SOUND = {
    "dim": "1 2 7 64 1:4 16:64:x2 8,9 2^5 sqrt(64) 512", "fan_out": "1 3 64 2,5",
    "scale": "none sqrt he,xavier lecun 2 D^0.25 sqrt(D)", "gain": "1 5/3 sqrt(2) 2",
    "x_dist": f"{' '.join(DISTRIBUTIONS)} bernoulli(0.5) student-t(6)", "x_mean": "0 1 -3",
    "w_dist": "normal uniform truncated rademacher laplace student-t(6)", "w_mean": "0 1 -2.5",
    "x_std": "1 0.5", "w_std": "1 2", "width": "2 8 3", "networks": "8 9",
    "seed": "0 7 random 1e9 4294967295", "alpha": "0.001 5% 1e-9",
    "activation": "tanh relu gelu leaky_relu(0.2) elu(2) sin erf swish identity celu(0.5)",
    "bias_std": "0 0.5", "residual": "1 0.5 gpt2", "correlation": "0 0.5", "batch": "3 4 16",
    "init": "orthogonal sparse(sparsity=0.5) trunc_normal(std=2)",
    "output": "o.csv o.jsonl o.json o.md o.tex o.typ o.html o.txt O.CSV",
    "files": "r.jsonl r.csv r.json", "results": "r.jsonl l.jsonl r.csv", "workers": "1 2",
    "variance": "1 1:4 100", "names": "orthogonal sparse trunc_normal trunc_normal(std=2)",
}  # fmt: skip
"""Values that any command line can have together; of others all that are valid."""

COLUMNS = {
    "varsim": "z dim scale,ratio empirical all", "layers": "z layer,width empirical all",
    "init": "draws init,claim all", "compare": "z all", "merge": "ratio z all",
    "gains": "activation all", "tolerance": "low all",
}  # fmt: skip
"""Columns of each command, of which the first can be sorted by."""

UNSOUND = {
    "entries", "dist", "open", "scheduler", "resume", "no_header", "check", "gain", "samples",
    "precision", "widths",
    "networks", "depth", "width", "max_time", "max_samples", "max_networks", "version",
}  # fmt: skip
"""Options that need others or exclude them; some are in STARTS."""

ALONE = [
    {"init", "design", "w_dist", "w_mean", "w_std", "fan_out"}, {"critical", "variance"},
    {"correlation", "x_dist", "norm"}, {"norm", "infinite_width"},
    {"x_mean", "x_dist", "x_std"}, {"w_mean", "w_dist"}, {"dry_run", "columns", "sort"},
    {"no_backward", "residual"},
]  # fmt: skip
"""Options of which a sound line has only one."""

OUTPUTS = ["fifo.csv", "full.csv", "loop.csv", "folder.csv", "null.jsonl", "no/o.csv", "o.svg"]
"""A pipe, a device, a circle of links and others, which :mod:`scripts.fuzz` makes."""

SHARES = {
    "varsim": 8, "plot": 1, "compare": 2, "merge": 2, "layers": 6, "gains": 4, "init": 3,
    "tolerance": 2, "help": 1,
}  # fmt: skip
"""How often each command comes."""

STARTS = {
    "varsim": ["-n 640", "-p 10% --max-samples 1e4", "-p 5% --max-time 1s", "-n 64 -s he -g 5/3"],
    "layers": [
        "layers --width 4 --networks 8", "layers --widths 4,4,4 --networks 9",
        "layers --width 4 -p 20% --max-networks 100", "layers --width 4 --networks 8 -s he -g 1",
    ],
    "init": ["init --draws 8 -d 8"], "plot": ["plot -o o.svg"],
    "tolerance": ["tolerance --dim 64"],
}  # fmt: skip
"""Beginnings of small work."""

ARGUMENTS = {"plot": "results", "compare": "files", "merge": "files", "gains": "activations",
             "init": "names", "help": "topic"}  # fmt: skip

_LARGE = re.compile(r"\d{5}|\d[kKMGB]|\de\+?\d|\^|\*\*|\d:|%|√|sqrt|[²٣２]|\d,|0\.0")


def command_case(rng: random.Random, bases: Bases) -> Case:
    """Make a sound command line, and in half of the cases spoil one thing in it."""
    name = rng.choices(list(SHARES), list(SHARES.values()))[0]
    start = rng.choice(STARTS.get(name, [name])).split()
    words, env = sound_words(name, rng), {}
    if rng.random() < 0.5:
        spoil(name, words, rng)
    if words and rng.random() < 0.1 and words[-1][0].startswith("-") and len(words[-1]) == 2:
        option, value = words.pop()
        of = "" if name == "varsim" or rng.random() < 0.5 else f"{name.upper()}_"
        param = next((p for p in commands()[name].params if option in p.opts), None)
        env[f"VARSIM_{of}{'NO' if param is None else str(param.name).upper()}"] = value
    args = [*start, *(word for group in words for word in group)]
    return Case(
        [args],
        files={f"{one}{suffix}": bases[one].files[suffix] for one in "rlc" for suffix in SUFFIXES},
        env=env,
        stdin=rng.choice([*bases[rng.choice("rlc")].files.values(), b"\xff"]),
        stdout="/dev/full" if rng.random() < 0.02 else "",
        encoding=rng.choice(["utf-8"] * 6 + ["ascii", "latin-1"]),
        columns=rng.choice([0] * 8 + [20, 80, 200]),
        large=any(_LARGE.search(text) for text in [*args[len(start) :], *env.values()]),
    )


def sound_words(name: str, rng: random.Random) -> list[list[str]]:
    """Return the arguments of a command and some of its options, which go together."""
    words = []
    if (argument := ARGUMENTS.get(name)) is not None:
        values = [sound_value(name, argument, rng) for _ in range(1 + (name == "compare"))]
        words.append(values)
    taken: set[str] = set()
    params = [p for p in commands()[name].params if p.param_type_name == "option"]
    for param in rng.sample(params, min(len(params), rng.choice([1, 2, 2, 3, 4, 6]))):
        others = {other for group in ALONE if param.name in group for other in group}
        if param.name in UNSOUND or others & taken or (name, param.name) == ("plot", "output"):
            continue
        taken.add(param.name)
        flag = rng.choice(param.opts)
        words.append([flag] if param.is_flag else [flag, sound_value(name, param.name, rng)])
    return words


def sound_value(name: str, setting: str, rng: random.Random) -> str:
    """Return a value of a setting that is valid whatever the others are."""
    if setting in ("columns", "sort"):
        values = COLUMNS[name].split()
        return rng.choice(values if setting == "columns" else [values[0], f"-{values[0]}"])
    return rng.choice(SOUND.get(setting, VALID.get(setting, "1")).split())


def spoil(name: str, words: list[list[str]], rng: random.Random) -> None:
    """Change one thing in a command line: a value, an option more, a word more or less."""
    params = [p for p in commands()[name].params if p.name != "scheduler" or rng.random() < 0.2]
    how = rng.choice(["value", "value", "option", "option", "odd", "less", "output"])
    if how == "value" and words:
        group = rng.choice(words)
        param = next((p for p in params if group[0] in p.opts), params[0])
        group[-1] = value_of(param.name, rng.choice([0.0, 0.5]), rng)
    elif how == "less" and words:
        rng.choice(words).pop()
        words[:] = [group for group in words if group]
    elif how == "odd":
        words.insert(rng.randrange(len(words) + 1), [rng.choice(ODD)])
    elif how == "output":
        words += [["-o", rng.choice(OUTPUTS)], *[["--resume"]] * rng.choice([0, 0, 1])]
    else:
        words.append(words_of(rng.choice(params), rng.choice([0.5, 0.9, 1.0]), rng))


def words_of(param: Any, sanity: float, rng: random.Random) -> list[str]:
    """Return an option, or an argument, as it is typed."""
    if param.param_type_name == "argument":
        return [value_of(param.name, sanity, rng) for _ in range(rng.choice([1, 1, 2, 2, 3]))]
    flag = rng.choice(param.opts)
    if param.is_flag and rng.random() < 0.95:
        return [flag]
    value = value_of(param.name, sanity, rng)
    return [f"{flag}={value}"] if flag.startswith("--") and rng.random() < 0.3 else [flag, value]


def value_of(name: str, sanity: float, rng: random.Random) -> str:
    """Return a value: valid, on the border, or nonsense."""
    valid: str = rng.choice(VALID.get(name, "1 true").split(" "))
    how = rng.random()
    if rng.random() < sanity:
        return valid
    if name == "output":  # nothing that leads out of its folder
        return rng.choice(
            [*HARMFUL, "", "🙂.csv", "\x1b[2J.csv", "-.md", f"{'a' * 300}.csv", "/dev/full"]
        )
    if how < 0.4:
        return rng.choice(ODD)
    if how < 0.6:
        return rng.choice([",", ":", ":x", "^", " ", "/"]).join([valid, rng.choice([valid, *ODD])])
    place = rng.randrange(len(valid) + 1)
    junk = rng.choice(list("-.e9é()'\":%*\t\x1b"))
    return valid[:place] + junk + valid[place + rng.choice([0, 1]) :]


@cache
def commands() -> dict[str, Any]:
    """Return every command of the program by its name."""
    program = import_module("varsim.cli.program").varsim
    return {"varsim": program, **program.subcommands()}


# Deep stacks: all of them valid, over scales up to the ends of what there is.


def stack_case(rng: random.Random, _: Bases) -> Case:
    """Make a stack of extreme scales; what it writes is read again."""
    args = ["layers", "--alpha", "1e-9", "-o", "s.jsonl", *stack_shape(rng), *stack_weights(rng)]
    for option, values in {
        "-a": [*import_module("varsim.activations").ACTIVATIONS, "leaky_relu(1e6)", "celu(100)"],
        "-f": ["table", "csv", "json", "markdown"], "--dtype": ["float32", "float64"],
        "--networks": ["8", "8", "20"], "--batch": ["2", "3", "16"], "--seed": ["0", "1", "2", "3"],
    }.items():  # fmt: skip
        args += [option, rng.choice(values)]
    flags = ["--histogram", "--explain", "--no-backward", "--infinite-width"]
    args += [flag for flag in flags if rng.random() < 0.3]
    again = ["compare s.jsonl s.jsonl -f jsonl", "merge s.jsonl -f csv"]
    again += ["plot s.jsonl -o s.svg -q"] * (rng.random() < 0.1)
    steps = [args, *map(str.split, again)]
    may_disagree = "-i" in args or "--infinite-width" in args
    return Case(steps, verify=partial(stack_faults, len(steps), may_disagree))


def stack_shape(rng: random.Random) -> list[str]:
    """Return options for the widths, the norm and what is added to a stream."""
    depth, most = rng.choice([1, 2, 3, rng.randint(1, 150)]), rng.choice([1, 2, 8, 64])
    widths, args = [str(rng.randint(1, most))] * (depth + 1), []
    if rng.random() < 0.4:
        args += [f"--residual={rng.choice(['1', 'gpt2', '0', power(rng, -9, 6)])}"]
    elif rng.random() < 0.5:
        widths = [str(rng.randint(1, 16)) for _ in widths]
    norm = rng.choice(["none", "none", "batch", "layer", "rms"])
    if rng.random() < 0.3:
        args += [
            "--correlation",
            rng.choice(["0.5", "1e-6", "0.999999", "1"][: 4 - (norm == "batch")]),
        ]
    else:
        args += ["-x", rng.choice(VALID["x_dist"].split())]
    return [*args, "--norm", norm, "--widths", ",".join(widths)]


def stack_weights(rng: random.Random) -> list[str]:
    """Return options for the weights and the biases of a stack."""
    scales = ["xavier", "he", "sqrt", "none", power(rng, -300, 300), power(rng, -3, 3)]
    args = ["-s", rng.choice(scales)]
    args += rng.choice([[], ["--bias-std", power(rng, -9, 6)]])
    args += rng.choice([[], ["-w", rng.choice(VALID["w_dist"].split())],
                        ["-i", rng.choice(["orthogonal", "sparse", "trunc_normal"])]])  # fmt: skip
    return args


def power(rng: random.Random, least: float, most: float) -> str:
    """Return a number between two powers of ten."""
    return f"{10 ** rng.uniform(least, most):.3g}"


def stack_faults(steps: int, may_disagree: bool, ended: Sequence[Ended]) -> Iterator[str]:
    """Yield what is wrong with a stack besides the contract."""
    codes = [each.code for each in ended]
    if codes[0] == 2:  # out of the range that floats hold, in a sentence
        return
    if any(codes[:3]) or len(codes) < steps:
        yield f"a valid stack ends with exit codes {codes}"
    is_rough = "a few networks carry the mean" in ended[0].err
    if "disagree with theory" in ended[0].err and not may_disagree and not is_rough:
        yield "a verdict that disagrees, at a false-alarm rate of 1e-9"


# Functions of users': a module that is loaded, does something odd, and returns something odd.

HEADS = [
    *[""] * 40, "print('SPAM')", "raise ValueError('\\x1b[2J no')", "import sys; sys.exit(5)",
    "def g(:", "import no_such", "raise KeyError", "def r(): r()\nr()",
    "import warnings; warnings.warn('SPAM')", "raise SystemExit", "np.seterr(all='raise')",
    "class E(BaseException): pass\nraise E", "del np", "raise Exception('x' * 10**6)",
    "import warnings; warnings.simplefilter('error')", "f = 3", "import sys; sys.stdout = None",
    "import os; os.chdir('..')", "raise KeyboardInterrupt", "import user",
    "import sys; del sys.modules['user']", "import sys; sys.setrecursionlimit(200)",
    "__name__ = 3",
]  # fmt: skip

EFFECTS = [
    *["pass"] * 30, "a[0][...] = 0", "print('SPAM')", "import sys; print('SPAM', file=sys.stderr)",
    "f(*a)", "import sys; sys.exit(3)", "raise ValueError('a\\nb')", "raise BaseException('no')",
    "1 / 0", "raise StopIteration", "raise GeneratorExit", "raise MemoryError",
    "raise RecursionError", "raise AssertionError", "np.log(-1.0)", "np.float32(1e30) ** 2",
    "raise OSError(28, 'no')", "raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})()",
    "raise EOFError", "raise Warning('x')",
    "raise type('E', (Exception,), {'__str__': lambda s: 3})()",
    "raise Exception('\\udcff\\x1b[2J')", "raise UnicodeDecodeError('utf-8', b'x', 0, 1, 'no')",
    "import warnings; warnings.warn('SPAM')",
    "import warnings; warnings.warn('SPAM', DeprecationWarning)", "raise Exception('x' * 10**6)",
    "from varsim.parsing import InputError; raise InputError('a')", "a[0] += 1", "w += 1",
    "w[:] = w[0]", "raise ExceptionGroup('no', [ValueError()])", "np.random.seed(0)",
    "raise KeyboardInterrupt", "import click; raise click.Abort",
    "import os; os.write(1, b'SPAM\\n')",
    "import os; os.write(2, b'SPAM\\n')", "import os; os._exit(0)",
    "import os; os.system('echo SPAM')",
    "import sys; print('SPAM', file=sys.__stdout__, flush=True)", "import os; os.close(0)",
    "import os\n        if os.fork() == 0: os._exit(0)", "import sys; sys.stdout.close()",
    "import click; raise click.UsageError('no')", "raise BrokenPipeError",
]  # fmt: skip

RETURNS = [
    *["w"] * 30, "w.astype(complex)", "w.astype(np.float16)", "w.astype(int)", "w > 0", "w[:1]",
    "w.T", "f", "w.tolist()", "None", "1.0", "'text'", "w * np.nan", "w * np.inf", "w * 1e300",
    "w * 1e-300", "w * 0", "w.astype(object)", "np.ma.array(w, mask=w > 0)",
    "np.matrix(w) if w.ndim == 2 else w", "w[None]", "np.broadcast_to(w.ravel()[:1], w.shape)",
    "w[::-1]", "memoryview(np.ascontiguousarray(w))", "(w, w)", "w.astype('M8[s]')",
    "w.astype('m8[s]')", "w.astype('f2,f2')", "w.astype(np.longdouble)", "{1: w}",
    "w.astype('>f8')", "(x for x in w)", "w.astype(str)", "np.where(w > 1, np.nan, w)", "iter(w)",
    "np.full_like(w, 3e38)", "np.asfortranarray(w)", "fixed(w)", "w * 1e150", "w.view(Odd)",
    "abs(w) * 1e38",
]  # fmt: skip

SHAPES = [
    *["def f(*a):"] * 30, "def f(*a, **k):", "async def f(*a):", "def f():", "def f(*, a):",
    "class f:\n  def __new__(cls, *a):", "def f(x, *a):", "@staticmethod\ndef f(*a):",
]  # fmt: skip

MODULE = """import numpy as np
calls = 0
{head}
class Odd(np.ndarray):
    def __array_wrap__(self, *a): raise ValueError('no')
    def __array_finalize__(self, other): self.seen = 1 / (other is not None)
def fixed(w):
    w.flags.writeable = False
    return w
{shape}
    global calls
    calls += 1
    w = a[0].standard_normal(a[1]) if len(a) > 1 else np.tanh(a[0])
    if {when}:
        {effect}
    return {value} if {when} else w
"""

STACK = "layers --width 4 --depth 3 --networks 8 --batch 4"

TAKERS = [
    f"{STACK} -a user:f", f"{STACK} -a user:f:f", f"{STACK} -i user:f", "gains user:f",
    "gains user:f:f", "gains --critical user:f", "gains -v 1e-6,1e6 user:f", "-d 4 -n 64 -i user:f",
    "-d 4 -n 64 -p 5% -i user:f", "-d 4 -n 64 -s lecun -g user:f", "init user:f -d 4 --draws 8",
    "-d 4 -n 64 -i user:f --dry-run",
]  # fmt: skip


def function_case(rng: random.Random, _: Bases) -> Case:
    """Make a module with a function that misbehaves, and a command that takes it."""
    head, effect = rng.choice(HEADS), rng.choice(EFFECTS)
    when = rng.choice(["True", "True", "calls > 1", "calls > 3", "calls == 20"])
    text = MODULE.format(
        head=head, shape=rng.choice(SHAPES), when=when, effect=effect, value=rng.choice(RETURNS)
    )
    args = rng.choice(TAKERS).split()
    more = [[], [], ["-o", "o.csv"], ["-o", "o.jsonl"]]
    if args[0] != "gains":
        more += [["-o", "o.jsonl", "--resume"], ["--explain"]]
    args += [*rng.choice(more), "-f", rng.choice(["table", "csv", "json", "jsonl"])]
    stops = "KeyboardInterrupt" in head + effect or "Abort" in effect
    env = rng.choice([{}, {}, {"VARSIM_WORKERS": "2"}])
    return Case([args], files={"user.py": text.encode()}, env=env, ends=(130,) if stops else ())


# Signals: fresh processes, since a fork has loaded everything already.

RUNS = [
    "-d 16:64:x2 -n 1e6", "-d 512 -s sqrt,he -n 2e6", "-d 64 -p 0.5%", "-d 64 -i orthogonal -n 1e6",
    "layers --width 16 --depth 3 --networks 300", "layers --width 8 -a tanh,relu --networks 100",
    "init orthogonal sparse -d 32 --draws 200", "-d 8 -n 640",
]  # fmt: skip


def signal_case(rng: random.Random, _: Bases) -> Case:
    """Make a run that signals end at some moment, the same once more, and one that is not ended."""
    args = rng.choice(RUNS).split()
    number = rng.choice(
        [signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
    )
    after = rng.uniform(0, 0.2) if rng.random() < 1 / 3 else rng.uniform(0.2, 1.5)
    signals = [(int(number), after)]
    if rng.random() < 0.2:
        signals.append((int(signal.SIGTERM), rng.uniform(0, 0.3)))
    file = f"s{rng.choice(['.csv', '.jsonl'])}"
    more = ["-q", "-f", rng.choice(["table", "csv", "jsonl"])]
    steps = [[*args, *more, "-o", file, "--resume"]] * 2 + [[*args, *more, "-o", f"whole{file}"]]
    return Case(steps, signals=signals, verify=partial(signal_faults, file))


def signal_faults(file: str, ended: Sequence[Ended]) -> Iterator[str]:
    """Yield what is wrong after a run that signals ended."""
    codes = [each.code for each in ended]
    if codes[1:] != [0, 0]:
        yield f"a run that was ended by signals continues with exit codes {codes}"
    elif ended[2].after[file] != ended[2].after[f"whole{file}"]:
        yield "a run that was ended by signals continues to other rows"
