"""Initializers of frameworks and of users: found, seeded, and checked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.program import environment, here, needs, run
from varsim import Experiment, InputError, Result, check_initializer, simulate
from varsim.compute.provenance import FRAMEWORKS, frameworks
from varsim.compute.streams import generator
from varsim.fields.schema import _checksum
from varsim.initializers import adapters, find, installed, patterns, unloadable
from varsim.initializers.documented import CLAIMS
from varsim.initializers.theory import INITIALIZERS, gram
from varsim.initializers.torch_modules import LAYOUTS
from varsim.layer.result import RESULTS
from varsim.layer.sampling import stream, whole

KINDS = [
    "torch.nn.Linear",
    "torch.nn.init.kaiming_normal_",
    "torch.nn.init.sparse_(0.2)",
    "torch.nn.init.orthogonal_",
    "jax.nn.initializers.he_normal",
    "jax.nn.initializers.orthogonal",
    "jax.nn.initializers.zeros",
    "keras.initializers.HeNormal",
    "keras.initializers.Orthogonal",
]

USER_MODULE = """
import sys
import numpy as np

def good(rng, shape, gain=1.0):
    return gain * rng.standard_normal(shape) / shape[0] ** 0.5

def half(rng, shape):
    return good(rng, shape).astype(np.float16)

def whole(rng, shape):
    return rng.integers(-1, 2, shape)

def turned(rng, shape):
    return good(rng, shape).T

def nan(rng, shape):
    return good(rng, shape) * np.nan

def huge(rng, shape):
    return good(rng, shape) * 1e300

def imaginary(rng, shape):
    return good(rng, shape) * 1j

def text(rng, shape):
    return np.full(shape, "0")

def shared(rng, shape):
    return np.random.standard_normal(shape)

def nothing(rng, shape):
    pass

def leaves(rng, shape):
    sys.exit(0)

def breaks(rng, shape):
    raise RuntimeError("no way.\\nNot at all.")

def late(rng, shape):
    w = good(rng, shape)
    if w[0, 0] > 0.2:
        raise RuntimeError("late")
    return w

def prints(rng, shape):
    print("hello")
    return good(rng, shape)

class Own(BaseException):
    pass

def own(rng, shape):
    raise Own("no")

def periods(rng, shape):
    return np.ones(shape, "m8[s]")

class Nested:
    init = staticmethod(good)

constant = 3
"""


@pytest.fixture
def user_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a user's modules."""
    (tmp_path / "mine.py").write_text(USER_MODULE)
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    yield
    find.cache_clear()
    sys.modules.pop("mine", None)


def once(init: str, seed: int = 1, dtype: str = "float32") -> np.ndarray:
    rng = generator("0" * 32, seed)
    weights: np.ndarray = find(init).draw(rng, (24, 10), np.dtype(dtype)).weights
    return weights.copy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("init", KINDS)
def test_the_same_seed_gives_the_same_bytes(init: str, dtype: str) -> None:
    """They have the right shape and type, and another seed gives other numbers."""
    first, again, other = once(needs(init), 1, dtype), once(init, 1, dtype), once(init, 2, dtype)
    assert first.shape == (24, 10)
    assert first.dtype == dtype
    assert first.tobytes() == again.tobytes()
    assert np.array_equal(first, other) == init.endswith("zeros")
    if dtype == "float64" and not init.endswith("zeros"):
        assert not np.array_equal(first, first.astype(np.float32))


@pytest.mark.parametrize("init", KINDS)
def test_global_state_stays_as_it_is(init: str) -> None:
    """Torch's global stream and number of threads are neither used nor touched."""
    needs(init)
    needs("torch")
    import torch

    expected = once(init)
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert once(init).tobytes() == expected.tobytes()
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert once(init).tobytes() == expected.tobytes()
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("init", "scale"),
    [
        ("torch.nn.Linear", "torch-linear"),
        ("torch.nn.Linear(bias=True)", "torch-linear"),
        ('torch.nn.init.kaiming_normal_(mode="fan_out")', "he-fan-out"),
        ("torch.nn.init.kaiming_uniform_(a=2.2360679775)", "torch-linear"),
        ("torch.nn.init.xavier_uniform_(gain=5/3)", "xavier"),
        ("torch.nn.init.trunc_normal_(std=0.02)", "50"),
        ("jax.nn.initializers.glorot_uniform", "xavier"),
        ('jax.nn.initializers.variance_scaling(2, "fan_out", "normal")', "he-fan-out"),
        ("keras.initializers.HeNormal", "he"),
        ("keras.initializers.LecunUniform", "lecun"),
    ],
)
def test_frameworks_do_what_they_say(init: str, scale: str) -> None:
    """They fit their scheme where the fans differ, so a transposed W would not pass."""
    gain = 5 / 3 if "5/3" in init else None
    fields = {"dim": 96, "fan_out": 160, "gain": gain, "init": needs(init), "samples": 100_000}
    assert simulate(Experiment(scale=scale, **fields)).agrees  # type: ignore[arg-type]
    wrong = simulate(Experiment(scale="D^0.55", **fields | {"gain": None}))  # type: ignore[arg-type]
    assert not wrong.agrees


def test_a_bias_is_added() -> None:
    """Torch's Linear with its bias has (D + 1) / 3D, where the weight alone has 1/3."""
    needs("torch")
    e = Experiment(dim=2, fan_out=50, scale="torch-linear", init="torch.nn.Linear(bias=True)")
    result = simulate(e)
    assert result.theory == pytest.approx(0.5)
    assert result.agrees
    assert whole(e, 0).bias is not None


def test_blocks_differ_and_workers_do_not_matter() -> None:
    """Every block has a W of its own, the same for any number of threads."""
    e = Experiment(dim=32, scale="he", init=needs("torch.nn.init.kaiming_normal_"), samples=64_000)
    assert not np.array_equal(whole(e, 0).weights, whole(e, 1).weights)
    one, two = (simulate(e, workers=workers) for workers in (1, 2))
    assert RESULTS.record(one) == RESULTS.record(two)
    assert len({block.moments.variance for block in stream(e)}) == 64


@pytest.mark.parametrize("backend", ["torch", "numpy", ""])
def test_keras_runs_on_any_backend(backend: str, tmp_path: Path) -> None:
    """It takes the backend that is set, or one that is installed."""
    needs("keras")
    for framework in (backend,) if backend not in ("", "numpy") else ():
        needs(framework)
    changes = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": backend}
    args = ("-i", "keras.initializers.HeUniform", "-s", "he", "-d", "32", "--check", "-f", "jsonl")
    done = run(*args, **changes)
    assert done.returncode == 0, done.stderr
    assert f" on {backend}" in json.loads(done.stdout)["init_package"]


@pytest.mark.parametrize(
    ("init", "sentence"),
    [
        ("torch.nn.init.kaiming_normal", "did you mean kaiming_normal_?"),
        ("torch.nn.init.kaiming_normal_(fan=1)", "it takes: a=0, mode='fan_in'"),
        ("torch.nn.init.kaiming_normal_(generator=1)", "varsim passes its own"),
        ("torch.nn.init.constant_", "missing a required argument: 'val'"),
        ("torch.nn.init.dirac_", "fails for shape (64, 64): ValueError: Only tensors with 3"),
        ("torch.nn.Linear(out=3)", "got an unexpected keyword argument 'out'; correct it"),
        ("torch.nn.Linear(bias=1)", "give bias=True or leave it out"),
        ("torch.nn.Linears", "did you mean torch.nn.Linear?"),
        ("jax.nn.initializers.he_norm", "did you mean he_normal?"),
        ("jax.nn.initializers.he_normal(3, 4, 5, 6, 7)", "too many positional arguments"),
        ('jax.nn.initializers.lecun_normal(dtype="complex64")', "float32 or float64: W is real"),
        ('jax.nn.initializers.orthogonal(dtype="complex128")', "has a dtype, but varsim passes"),
        ('jax.nn.initializers.normal(0.1, "complex64")', "has a dtype, but varsim passes its own"),
        ('jax.nn.initializers.zeros(dtype="complex64")', "has a dtype, but varsim passes its own"),
        ('jax.nn.initializers.he_uniform(dtype="bfloat16")', "take --dtype float32 or float64"),
        ("torch.nn.init.normal_(0, 1, None)", "has a generator, but varsim passes its own"),
        ("keras.initializers.RandomNormal(0, 1, 5)", "has a seed, but varsim passes its own"),
        ("keras.initializers.HeNormal(seed=1)", "varsim passes its own"),
        ("keras.initializers.Initializer", "has no initializer 'Initializer'"),
    ],
)
def test_what_a_framework_does_not_have_is_one_sentence(init: str, sentence: str) -> None:
    """It is wrong usage, and nothing is run."""
    done = here("-i", needs(init), "-s", "sqrt", "-d", "64", "-q")
    assert done.returncode == 2
    assert done.stderr.count("\n") <= 6
    assert sentence in " ".join(done.stderr.split())
    assert done.stdout == ""


LAYERS = ["torch.nn.LayerNorm", "torch.nn.LazyLinear", "flax.linen.Conv", "flax.nnx.BatchNorm(3)"]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("command", [("init",), ("-s", "sqrt", "-i"), ("layers", "--init")])
def test_a_layer_is_one_sentence(layer: str, command: tuple[str, ...]) -> None:
    """It says how to hand over its weight as a matrix; nothing is loaded."""
    done = here(*command, layer)
    assert (done.returncode, done.stdout) == (2, "")
    sentence = " ".join(done.stderr.split())
    assert f"{layer.partition('(')[0]} is no module whose weights varsim knows; write" in sentence
    assert "as a matrix of shape (D, fan-out), and give it as module:function." in sentence
    assert "did you mean" not in sentence


def test_a_layer_without_its_module_is_named_in_full() -> None:
    """In every framework that has it."""
    for name in ("conv2d", "nn.Conv2d", "Conv2D(3, 4, 3)"):
        with pytest.raises(InputError, match=r"write torch\.nn\.Conv2d or keras\.layers\.Conv2D, "):
            find(name)


def test_every_layer_of_a_framework_is_known_for_one() -> None:
    """Some have weights with a known layout, and Linear is an initializer too."""
    needs("torch")
    import torch

    classes = {name for name, member in vars(torch.nn).items() if isinstance(member, type)}
    assert {"Conv2d", "Linear", "LSTM"} <= classes
    for name in sorted(classes - {"Linear"} - set(LAYOUTS)):
        with pytest.raises(InputError, match="is no module whose weights varsim knows"):
            find(f"torch.nn.{name}")
    for name in LAYOUTS:
        assert weights_named(f"torch.nn.{name}(8)")


def weights_named(text: str) -> bool:
    """Whether a module has a weight, or its error names several."""
    try:
        return find(text).text == f"{text}[weight]"
    except InputError as error:
        return "has several weights; name one" in str(error)


COMPLEX = 'jax.nn.initializers.lecun_normal(dtype="complex64")'


@pytest.mark.parametrize(
    "args",
    [
        ("-i", COMPLEX, "-s", "lecun", "-d", "8"),
        ("init", COMPLEX, "-d", "8"),
        ("layers", "--init", COMPLEX, "-s", "lecun", "--width", "8", "--depth", "2"),
    ],
    ids=["one layer", "init", "layers"],
)
def test_complex_numbers_are_refused_before_any_draw(
    args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAX would draw real ones of the dtype that varsim passes."""
    needs(COMPLEX)

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("varsim.initializers.jax.seed_from", fail)
    done = here(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has a dtype, but varsim passes its own" in " ".join(done.stderr.split())


@pytest.mark.parametrize("framework", ["torch", "jax", "keras"])
def test_a_missing_framework_is_one_sentence(framework: str) -> None:
    """It says what to install."""
    names = {
        "torch": "torch.nn.init.normal_",
        "jax": "jax.nn.initializers.normal",
        "keras": "keras.initializers.Zeros",
    }
    code = (
        "import varsim.compute.provenance; varsim.compute.provenance.frameworks = lambda: {}; "
        f"import sys; sys.modules[{framework!r}] = None; "
        f"sys.argv = ['varsim', '-i', {names[framework]!r}, '-s', 'sqrt']; "
        "from varsim.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert f" -m pip install {framework}." in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("user_code")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("turned", "returns shape (32, 64), not (fan-in, fan-out) = (64, 32); transpose it"),
        ("nan", "returns NaN, infinity or numbers beyond 1e+30"),
        ("huge", "returns NaN, infinity or numbers beyond 1e+30"),
        ("imaginary", "returns complex numbers"),
        ("text", "returns <U1; return an array of floats"),
        ("shared", "returns other numbers when it is called again with the same rng"),
        ("nothing", "returns shape (), not (fan-in, fan-out) = (64, 32)"),
        ("leaves", "fails for shape (64, 32): SystemExit: 0"),
        ("own", "fails for shape (64, 32): Own: no"),
        ("periods", "returns timedelta64[s]; return an array of floats"),
        ("breaks", "fails for shape (64, 32): RuntimeError: no way; correct it"),
        ("constant", "is not a function but int; give module:function"),
        ("missing", "has no attribute 'missing'"),
        ("good(1, 2)", "it takes: gain=1.0"),
    ],
)
def test_a_mistake_in_user_code_is_one_sentence(name: str, sentence: str) -> None:
    """It is wrong usage, and nothing is run."""
    done = here("-i", f"mine:{name}", "-s", "sqrt", "-d", "64", "--fan-out", "32", "-q")
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert done.stdout == ""


@pytest.mark.usefixtures("user_code")
def test_a_module_that_does_not_load_is_one_sentence() -> None:
    """It says what is wrong with it."""
    for module, sentence in (("broken", "ZeroDivisionError"), ("absent", "No module named")):
        done = here("-i", f"{module}:f", "-s", "sqrt", "-q")
        assert done.returncode == 2
        assert sentence in done.stderr


@pytest.mark.usefixtures("user_code")
@pytest.mark.parametrize("name", ["good", "half", "Nested.init", "prints", "good(gain=1)"])
def test_user_code_is_measured(name: str) -> None:
    """It may return any float type, stand in a class, and print: stdout holds the data alone."""
    done = here(
        "-i", f"mine:{name}", "-s", "sqrt", "-d", "64", "-n", "1e5", "--check", "-f", "json"
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["init"] == f"mine:{name}"
    assert row["w_dist"] is row["w_mean"] is row["w_std"] is row["init_package"] is None


@pytest.mark.usefixtures("user_code")
def test_whole_numbers_are_numbers() -> None:
    """Integers from -1 to 1 have E w² = 2/3."""
    done = here("-i", "mine:whole", "-s", "1.224744871391589", "-d", "64", "--check", "-q")
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("user_code")
def test_a_failure_on_the_way_keeps_what_is_done() -> None:
    """The rows before it are on stdout and in the file, and the error is a sentence."""
    done = here("-i", "mine:good,mine:late", "-s", "sqrt", "-d", "64", "-n", "1e5", "-f", "jsonl",
                "-o", "kept.jsonl", "--resume")  # fmt: skip
    assert done.returncode == 1
    assert "RuntimeError: late" in done.stderr
    assert len(done.stdout.splitlines()) == len(Path("kept.jsonl").read_text().splitlines()) == 1


@pytest.mark.usefixtures("user_code")
def test_rows_are_read_again_and_resumed() -> None:
    """A second call runs nothing and ends the same, in both formats."""
    for suffix in ("jsonl", "csv"):
        args = ("-i", "mine:good,orthogonal", "-s", "sqrt,he", "-d", "32", "-n", "1e5", "-o",
                f"rows.{suffix}", "--resume", "--check", "-f", "csv")  # fmt: skip
        first, second = here(*args), here(*args)
        assert first.returncode == second.returncode == 3
        assert "4 of 4 rows are done already" in second.stderr
        assert first.stdout == second.stdout


@pytest.mark.usefixtures("user_code")
def test_a_row_of_another_version_is_measured_anew() -> None:
    """The name may mean something else there, so its row is stale."""
    args = ("-i", needs("torch.nn.init.normal_"), "-s", "none", "-d", "32", "-n", "1e5", "-o",
            "rows.jsonl", "--resume")  # fmt: skip
    here(*args, "-q")
    text = Path("rows.jsonl").read_text()
    record = json.loads(text) | {"init_package": "torch 1.0"}
    stored = {field.name: record[field.name] for field in RESULTS.fields if field.stored}
    record["checksum"] = _checksum(stored)
    Path("rows.jsonl").write_text(json.dumps(record) + "\n")
    done = here(*args)
    assert "cannot be continued" in " ".join(done.stderr.split())
    assert Path("rows.jsonl").read_text() == text


def row() -> Result:
    return simulate(Experiment(dim=8, scale="sqrt", init="orthogonal", samples=6400))


@pytest.mark.parametrize(
    "change",
    [{"init": None}, {"init": "sparse"}, {"w_dist": "normal"}, {"init": "orthogonal(gain=2)"}],
)
def test_a_changed_row_is_refused(change: dict[str, object]) -> None:
    """An initializer and a distribution of W exclude each other, and the checksum is of one."""
    record = RESULTS.record(row())
    assert RESULTS.record(RESULTS.row_of(record)) == record
    with pytest.raises(InputError):
        RESULTS.row_of(record | change)


def test_an_exact_variance_is_computed_and_not_read() -> None:
    """It follows from the settings, whatever a file says of it."""
    record = RESULTS.record(row())
    assert RESULTS.record(RESULTS.row_of(record | {"init_theory": 7.0})) == record
    assert record["init_theory"] != 7.0


@pytest.mark.slow
@pytest.mark.usefixtures("user_code")
def test_a_cluster_computes_the_same() -> None:
    """User code gives the same bytes there, also if it prints, and a failure the same sentence."""
    pytest.importorskip("distributed")
    args = ("-i", "mine:good,mine:prints,orthogonal,mine:late", "-s", "sqrt", "-d", "64", "-n",
            "1e5", "-f", "csv")  # fmt: skip
    threads = run(*args)
    processes = run(*args, "--scheduler", "local")
    assert threads.returncode == processes.returncode == 1
    assert threads.stdout == processes.stdout
    assert "RuntimeError: late" in processes.stderr


def test_zeros_are_told_from_what_is_claimed() -> None:
    """Nothing varies and there is no error bar, and still they disagree with a precision too."""
    done = here(
        "-i", needs("torch.nn.init.zeros_"), "-s", "sqrt", "-d", "32", "-p", "5%", "--check"
    )
    assert done.returncode == 3


def test_the_plan_knows_initializers() -> None:
    """It counts whole W."""
    plan = json.loads(here("-i", "orthogonal", "-s", "he", "--dry-run", "-f", "json").stdout)
    assert plan[0]["init"] == "orthogonal"
    assert plan[0]["w_dist"] is None
    assert plan[0]["numbers"] >= 64 * 512 * 512


def test_there_is_one_list_of_frameworks() -> None:
    """Each has an adapter, and patterns of names that lead to it."""
    assert tuple(adapters()) == FRAMEWORKS
    assert [*INITIALIZERS] == patterns()[: len(INITIALIZERS)]
    for name, adapter in adapters().items():
        assert adapter.patterns or adapter.modules
        for pattern in adapter.patterns:
            assert find(pattern.replace("*", "anything")).framework == name


@pytest.mark.parametrize(
    ("text", "spelling", "framework", "short", "bias"),
    [
        ("orthogonal", "orthogonal", "varsim", "orthogonal", False),
        (" sparse( std=1, sparsity=1/2 )", "sparse(sparsity=0.5, std=1)", "varsim", "", False),
        ("torch.nn.init.zeros_", "torch.nn.init.zeros_", "torch", "zeros_", False),
        ("torch.nn.Linear(bias=True)", "torch.nn.Linear(bias=True)", "torch", "Linear(bias=True)",
         True),
        ("torch.nn.Linear", "torch.nn.Linear", "torch", "Linear", False),
        ("jax.nn.initializers.normal(1)", "jax.nn.initializers.normal(1)", "jax", "normal(1)",
         False),
        ("keras.initializers.Zeros", "keras.initializers.Zeros", "keras", "Zeros", False),
        ("mine:good(gain=2)", "mine:good(gain=2)", "user", "mine:good(gain=2)", False),
    ],
)  # fmt: skip
def test_a_name_is_found_without_its_framework(
    text: str, spelling: str, framework: str, short: str, bias: bool
) -> None:
    """All spellings lead to one object, which has the canonical one."""
    initializer = find(text)
    assert initializer is find(spelling)
    assert (initializer.text, initializer.framework, initializer.bias) == (
        spelling,
        framework,
        bias,
    )
    assert initializer.short_name == (short or spelling)
    assert (initializer.package is None) == (framework in {"varsim", "user"})
    assert (initializer.moments(8, 4) is None) == (framework != "varsim")
    if framework == "varsim":
        assert initializer.moments(8, 4) == gram(initializer.call, 8, 4)


def test_names_are_checked_without_frameworks_and_numpy() -> None:
    """So help starts fast."""
    code = (
        "import sys; from varsim.initializers import find, patterns; "
        "from varsim import Experiment; "
        "patterns(); [Experiment(dim=8, scale='he', init=i) for i in ('orthogonal', "
        "'torch.nn.Linear', 'jax.nn.initializers.zeros', 'keras.initializers.Zeros', 'a:b')]; "
        "find('torch.nn.Linear').bias, find('keras.initializers.Zeros').short_name; "
        "print([m for m in ('numpy', 'scipy', 'torch', 'jax', 'keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True,
        env=environment(),
    )  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("init", CLAIMS)
def test_claims_are_under_canonical_names(init: str) -> None:
    """Every claim is of an initializer that exists."""
    initializer = find(needs(init))
    assert initializer.text == init
    assert initializer.claim is CLAIMS[init]
    assert init in set(installed()) or initializer.framework in unloadable()


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("orthogonal(gain=1)", "orthogonal"),
        ("torch.nn.Linear(bias=False)", "torch.nn.Linear"),
        ("torch.nn.Linear(bias=True)", None),
        ("torch.nn.init.sparse_(0.1, 0.01)", "torch.nn.init.sparse_(sparsity=0.1)"),
        ("torch.nn.init.uniform_(0, 1)", "torch.nn.init.uniform_"),
        ("jax.nn.initializers.kaiming_normal", "jax.nn.initializers.he_normal"),
        ("keras.initializers.he_normal", "keras.initializers.HeNormal"),
        ("keras.initializers.HeNormal(seed=None)", InputError),
        ("nowhere:f", None),
    ],
)
def test_claims_know_aliases_and_defaults(text: str, claim: str | type | None) -> None:
    """Spelled-out defaults and aliases are the same initializer; other arguments are not."""
    if claim is InputError:
        with pytest.raises(InputError, match="varsim passes its own"):
            find(needs(text)).claim  # noqa: B018
    else:
        assert find(needs(text)).claim is (None if claim is None else CLAIMS[str(claim)])


ARGUMENTS = [
    ("orthogonal(gain=2)", 4 / 8),
    ("torch.nn.init.kaiming_normal_(mode='fan_out')", 2 / 4),
    ("torch.nn.init.kaiming_uniform_(a=sqrt(5))", 1 / 3 / 8),
    ("torch.nn.init.kaiming_normal_(nonlinearity='tanh')", 25 / 9 / 8),
    ("torch.nn.init.kaiming_normal_(nonlinearity='linear')", 1 / 8),
    ("torch.nn.init.xavier_uniform_(gain=5/3)", 25 / 9 / 6),
    ("torch.nn.init.normal_(mean=1, std=0.5)", 1.25),
    ("torch.nn.init.uniform_(-1, 1)", 1 / 3),
    ("torch.nn.init.constant_(3)", 9.0),
    ("jax.nn.initializers.variance_scaling(2, 'fan_avg', 'uniform')", 2 / 6),
    ("jax.nn.initializers.variance_scaling(2, 'fan_out', 'normal', in_axis=-1, out_axis=-2)", None),
    ("jax.nn.initializers.uniform(0.5)", 0.25 / 3),
    ("keras.initializers.VarianceScaling(scale=2, mode='fan_out')", 2 / 4),
    ("keras.initializers.RandomUniform(-1, 1)", 1 / 3),
]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "expected"), ARGUMENTS)
def test_arguments_are_part_of_claims(text: str, expected: float | None) -> None:
    """And W of 8 x 4 has the claimed mean square; 4,000 draws, five standard errors."""
    claim = find(needs(text)).claim
    assert (claim and claim.mean_square(8, 4)) == (expected and pytest.approx(expected))
    if claim is not None:
        row = check_initializer(text, dim=8, fan_out=4, draws=4000)
        assert row.claim == claim.formula
        assert row.square.z is None or abs(row.square.z) < 5


@pytest.mark.slow
def test_every_installed_framework_offers_initializers() -> None:
    """They come in the order of the table, with what they need to be called."""
    names = list(installed())
    assert names[: len(INITIALIZERS)] == list(INITIALIZERS)
    order = list(dict.fromkeys(find(name).framework for name in names))
    offer = [name for name in frameworks() if adapters()[name].patterns]
    assert order == ["varsim", *(name for name in offer if name not in unloadable())]
