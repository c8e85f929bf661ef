"""Cases of ``scripts.fuzz``: command lines, stacks and users' functions, of random numbers."""

from __future__ import annotations

import random
import re
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
    """How a command ended: its exit code, or minus a signal; what it wrote, and what it left."""

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
    "scheduler": "tcp:// host http://x:1 tcp://x:99999999",
}  # fmt: skip

SHARES = [8, 1, 2, 2, 6, 4, 3, 1]
"""How often each command comes: varsim, plot, compare, merge, layers, gains, init and help."""

SMALL = {
    "varsim": ["-n", "640"],
    "layers": ["layers", "--width", "4", "--depth", "3", "--networks", "8"],
    "init": ["init", "--draws", "8", "-d", "8", "sparse"], "plot": ["plot", "-o", "o.svg"],
}  # fmt: skip

_LARGE = re.compile(r"\d{5}|\d[kKMGB]|\de\+?\d|\^|\*\*|\d:|%|√|sqrt|[²٣２]|\d,|0\.0")


def command_case(rng: random.Random, bases: Bases) -> Case:
    """Make a command line of random options, some of them nonsense."""
    name = rng.choices(list(commands()), SHARES)[0]
    plain = [] if name == "varsim" else [name, "sparse"] if name == "init" else [name]
    start = SMALL.get(name, plain) if rng.random() < 0.8 else plain
    args, env, sanity = list(start), {}, rng.choice([0.5, 0.9, 1.0])
    params = [p for p in commands()[name].params if p.name != "scheduler" or rng.random() < 0.2]
    for param in rng.sample(params, min(len(params), rng.choice([1, 1, 2, 2, 3, 4, 6]))):
        words = words_of(param, sanity, rng)
        if rng.random() < 0.1:
            of = "" if name == "varsim" or rng.random() < 0.5 else f"{name.upper()}_"
            env[f"VARSIM_{of}{str(param.name).upper()}"] = words[-1]
        else:
            args += words
    if rng.random() < 0.05:
        args.insert(rng.randrange(len(args) + 1), rng.choice(ODD))
    if name == "varsim" and rng.random() < 0.3:
        args.append("--dry-run")
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
