"""Words that people write for something else: what to write in their place, by meaning.

Names of frameworks, textbooks and other programs. A word that only looks like a known one is left
to :func:`varsim.errors.nearest`.
"""

from __future__ import annotations

from collections.abc import Mapping

SCALES: Mapping[str, str] = {
    "fan-in": "in PyTorch and Keras fan_in is a mode; take lecun (k = √D), he (k = √(D/2)) or "
    "linear (k = D)",
    "fan-out": "in PyTorch and Keras fan_out is a mode; take he-fan-out (k = √(n/2))",
    "fan-avg": "in Keras fan_avg is a mode; take xavier (k = √((D+n)/2))",
    "sqrt(2/d)": "k is the divisor of W; take he",
    "sqrt(d/2)": "take he",
    "√(d/2)": "take he",
    "sqrt(1/d)": "k is the divisor of W; take sqrt",
    "sqrt(2/(d+n))": "k is the divisor of W; take xavier",
    "sqrt(3d)": "take torch-linear",
    "identity": "take none",
    "unit": "take none",
    "no": "take none",
    "ln": "a norm belongs to a deep stack: varsim layers --norm layer",
    "batch": "a norm belongs to a deep stack: varsim layers --norm batch",
    "attention": "for 1/√d of attention take sqrt",
    "ntk": "take sqrt",
    "default": "take torch-linear, the default of torch.nn.Linear",
    "pytorch": "take torch-linear, the default of torch.nn.Linear",
    "torch": "take torch-linear, the default of torch.nn.Linear",
    "keras": "take xavier, the default of Keras, with --w-dist uniform",
    "variance-scaling": "it is an initializer: --init keras.initializers.VarianceScaling",
    "orthogonal": "it is an initializer: --init orthogonal",
    "sparse": "it is an initializer: --init sparse",
    "trunc-normal": "it is an initializer: --init trunc_normal",
    "truncated-normal": "it is an initializer: --init truncated_normal",
    **{
        f"{name}-{law}{end}": f"take --scale {scale} --w-dist {law}"
        for name, scale in {
            "xavier": "xavier", "glorot": "xavier", "he": "he", "kaiming": "he", "lecun": "lecun"
        }.items()
        for law in ("normal", "uniform")
        for end in ("", "-")
    },
    "normal": "it is a distribution: --w-dist normal",
    "gaussian": "it is a distribution: --w-dist normal",
    "uniform": "it is a distribution: --w-dist uniform",
}  # fmt: skip
"""Hints for unknown scaling schemes, in small letters and with dashes."""

ALL_OPTIONS: Mapping[str, str] = {
    "--json": "--format json",
    "--jsonl": "--format jsonl",
    "--csv": "--format csv",
    "--markdown": "--format markdown",
    "--md": "--format markdown",
    "--latex": "--format latex",
    "--html": "--format html",
    "--output-format": "--format",
    "--fmt": "--format",
    "--save": "--output",
    "--out": "--output",
    "--file": "--output",
    "--double": "--dtype float64",
    "--float64": "--dtype float64",
    "--float32": "--dtype float32",
    "--tol": "--precision",
    "--tolerance": "--precision",
    "--rtol": "--precision",
    "--threads": "--workers",
    "--jobs": "--workers",
    "--processes": "--workers",
    "--timeout": "--max-time",
    "--time": "--max-time",
    "--initializer": "--init",
    "--initialization": "--init",
    "--scheme": "--scale",
    "--scaling": "--scale",
    "--divisor": "--scale",
    "--k": "--scale",
    "--verbose": "--explain",
    "--why": "--explain",
    "--random-state": "--seed",
    "--random-seed": "--seed",
    "--significance": "--alpha",
    "--ci": "--confidence",
    "--level": "--confidence",
    "--strict": "--check",
    "--assert": "--check",
    "--continue": "--resume",
    "--silent": "--quiet",
    "--fields": "--columns",
    "--order": "--sort",
    "-V": "varsim --version",
    "-k": "--scale",
}
"""Options of other names, for every command that has the option meant."""

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "varsim": {
        "--dimension": "--dim",
        "--dims": "--dim",
        "-D": "--dim",
        "--width": "--dim",
        "--size": "--dim",
        "--fan-in": "--dim",
        "--in-features": "--dim",
        "--inputs": "--dim",
        "--input-size": "--dim",
        "--out-features": "--fan-out",
        "--outputs": "--fan-out",
        "--units": "--fan-out",
        "--std": "--w-std",
        "--sigma": "--w-std",
        "--var": "--w-std, which is its square root",
        "--variance": "--w-std, which is its square root",
        "--mean": "--w-mean",
        "--dist": "--w-dist",
        "--distribution": "--w-dist",
        "--weights": "--w-dist",
        "--trials": "--samples",
        "--runs": "--samples",
        "--iterations": "--samples",
        "--num-samples": "--samples",
        "--nonlinearity": "--gain",
        "--activation": "--gain, or varsim layers for a stack",
        "--depth": "varsim layers, which stacks layers",
        "--layers": "varsim layers, which stacks layers",
    },
    "layers": {
        "--dim": "--width",
        "--hidden": "--width",
        "--hidden-size": "--width",
        "--units": "--width",
        "--num-layers": "--depth",
        "--layers": "--depth",
        "--n-layers": "--depth",
        "--samples": "--networks",
        "--trials": "--networks",
        "--runs": "--networks",
        "-n": "--networks",
        "--act": "--activation",
        "--nonlinearity": "--activation",
        "--phi": "--activation",
        "--batch-size": "--batch",
        "--bias": "--bias-std",
        "--skip": "--residual",
        "--normalization": "--norm",
        "--layernorm": "--norm layer",
        "--batchnorm": "--norm batch",
        "--rmsnorm": "--norm rms",
    },
    "init": {
        "--dimension": "--dim",
        "--fan-in": "--dim",
        "--in-features": "--dim",
        "--out-features": "--fan-out",
        "--samples": "--draws",
        "--trials": "--draws",
        "-n": "--draws",
    },
}
"""Further options of other names, by command."""

COMMANDS: Mapping[str, str] = {
    "version": "varsim --version",
    "explain": "varsim --explain",
    "sweep": "lists in an option, like varsim --dim 64,512",
    "schemes": "varsim help sweeps, which lists the schemes",
    "scales": "varsim help sweeps, which lists the schemes",
    "list": "varsim help",
    "topics": "varsim help",
    "run": "varsim alone",
    "simulate": "varsim alone",
    "simulation": "varsim alone",
    "sample": "varsim alone",
    "stack": "varsim layers",
    "network": "varsim layers",
    "mlp": "varsim layers",
    "deep": "varsim layers",
    "gain": "varsim gains",
    "activations": "varsim gains",
    "initializers": "varsim init",
    "check": "varsim --check, or varsim init for initializers",
    "diff": "varsim compare",
    "concat": "varsim merge",
    "join": "varsim merge",
    "figure": "varsim plot",
    "draw": "varsim plot",
    "chart": "varsim plot",
    "man": "varsim help",
    "docs": "varsim help",
}
"""What other programs call a command."""

_TOPICS: Mapping[str, str] = {
    **dict.fromkeys(
        ("he", "kaiming", "xavier", "glorot", "lecun", "scale", "scales", "schemes", "ranges"),
        "sweeps",
    ),
    **dict.fromkeys(("torch", "keras", "jax", "orthogonal", "pytorch"), "initializers"),
    **dict.fromkeys(("json", "csv", "latex", "columns", "fields", "pandas"), "formats"),
    **dict.fromkeys(("markdown", "typst", "html", "word"), "reports"),
    **dict.fromkeys(("relu", "gelu", "tanh", "activation"), "activations"),
    **dict.fromkeys(("z", "verdict", "alpha", "holm", "error", "errors", "seed"), "statistics"),
    **dict.fromkeys(("dask", "cluster", "slurm", "parallel"), "clusters"),
    **dict.fromkeys(("samples", "accuracy", "tolerance"), "precision"),
    **dict.fromkeys(("api", "notebook", "jupyter", "library"), "python"),
    **dict.fromkeys(("examples", "attention", "transformer", "conv", "recipe"), "recipes"),
    **dict.fromkeys(("theory", "chaos", "residual", "norm", "stack", "depth"), "layers"),
}

TOPICS: Mapping[str, str] = {word: f"see varsim help {topic}" for word, topic in _TOPICS.items()}
"""Topics that explain a word."""

VALUES: Mapping[str, str] = {
    "double": "take float64, with --dtype",
    "exp": "take exponential",
    "bernoulli": "take rademacher for ±1",
    "sign": "take rademacher",
    "signs": "take rademacher",
    "binary": "take rademacher",
    "randn": "take normal",
    "rand": "take uniform",
    "halfnormal": "take rectified, the positive part of a normal variable",
    "relu": "take rectified, the positive part of a normal variable",
    "truncnorm": "take truncated",
    "trunc-normal": "take truncated",
    "truncated-normal": "take truncated",
    "ln": "take layer",
    "layernorm": "take layer",
    "layer-norm": "take layer",
    "bn": "take batch",
    "batchnorm": "take batch",
    "batch-norm": "take batch",
    "rmsnorm": "take rms",
    "rms-norm": "take rms",
    "single": "take float32",
    "half": "take float32, the smallest type that varsim computes in",
    "float16": "take float32, the smallest type that varsim computes in",
    "bfloat16": "take float32, the smallest type that varsim computes in",
    "independent": "take paired",
}
"""Names of distributions, designs, norms and types elsewhere."""

ACTIVATIONS: Mapping[str, str] = {
    "none": "take identity",
    "logistic": "take sigmoid",
    "prelu": "take leaky_relu(0.25)",
    "glu": "a gate multiplies two layers, which varsim does not stack",
    "swiglu": "a gate multiplies two layers, which varsim does not stack",
    "geglu": "a gate multiplies two layers, which varsim does not stack",
    "softmax": "it mixes units, and an activation acts on each by itself",
}
"""Names of activations elsewhere."""
