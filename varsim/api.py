"""The Python interface: settings in, rows out. The numbers are those of the command line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeVar, Unpack, cast

from varsim.activations import find_activation
from varsim.activations import gains as of_activations
from varsim.activations.gains import Critical
from varsim.compute import lazy
from varsim.errors import InputError
from varsim.layer.question import Experiment, checked_truth
from varsim.layer.result import Result
from varsim.layer.study import LayerStudy
from varsim.layer.totals import Block, Totals
from varsim.notebook import Rows
from varsim.runner import Measurement, answer
from varsim.settings import (
    CHECK,
    LAYER,
    MODEL,
    STACK,
    LayerSettings,
    Q,
    Reals,
    Setting,
    StackSettings,
    Wholes,
    one_stack,
    questions,
    read_settings,
)
from varsim.statistics import check_probability

if TYPE_CHECKING:
    from varsim import initializers
    from varsim.check import question as check_question
    from varsim.check import study as check
    from varsim.check.result import InitializerCheck
    from varsim.model import question as model_question
    from varsim.model import study as model_study
    from varsim.model.result import ModuleResult
    from varsim.stack import question as stack_question
    from varsim.stack import study as stack
    from varsim.stack import theory
    from varsim.stack.question import Network
    from varsim.stack.result import LayerResult
else:
    initializers = lazy("varsim.initializers")
    check, check_question = lazy("varsim.check.study"), lazy("varsim.check.question")
    stack, stack_question = lazy("varsim.stack.study"), lazy("varsim.stack.question")
    theory = lazy("varsim.stack.theory")
    model_study, model_question = lazy("varsim.model.study"), lazy("varsim.model.question")


T = TypeVar("T")


def simulate(
    dim: Wholes | Experiment = None,
    scale: Reals = None,
    /,
    *,
    workers: int | None = None,
    confidence: float = 0.95,
    alpha: float = 0.001,
    histogram: bool = False,
    **settings: Unpack[LayerSettings],
) -> Result:
    """Return the measured variance of x @ W, with W divided by k, beside the theory D/k².

    The entries of x, of length D, and of W, of shape (D, n), are independent. If they are
    standardised, every output has variance D/k²: Glorot & Bengio (2010), eq. 5, of one layer.

    Write the settings by name, as in ``simulate(dim=512, scale="sqrt")``, or the first two in
    their order, ``simulate(512, "sqrt")``; or pass an :class:`Experiment`.

    Args:
        dim: D, by default 512; or the experiment, in place of settings.
        scale: The scheme that gives k, such as ``"sqrt"``, or k itself.
        workers: Number of threads; the number of CPUs by default. The result is the same for any
            number.
        confidence: Level of the interval, between 0 and 1.
        alpha: False-alarm rate of the verdict, between 0 and 1.
        histogram: Whether to count the outputs in a histogram.
        settings: ``dim`` and ``scale`` by name, and any other setting of :class:`Experiment`, such
            as ``samples`` or ``precision``, ``seed``, ``fan_out``, ``gain``, ``x_dist``,
            ``w_dist`` or ``init``. A text is read as on the command line: ``gain="5/3"``. None is
            the default.

    Returns:
        The row, with every column as an attribute: ``theory``, ``empirical`` and ``std_error``
        (variances, in the squared unit of the outputs), ``ci_low``, ``ci_high``, ``ratio``, ``z``,
        ``p`` and ``agrees``.

    Raises:
        InputError: A setting is unknown, missing or not allowed, or an initializer cannot be used.

    >>> from varsim import simulate
    >>> result = simulate(dim=512, scale="sqrt")
    >>> result.theory, round(result.empirical, 2), result.agrees
    (1.0, 1.0, True)
    """
    given: dict[str, object] = dict(settings)
    with_dim = dim is None or _is_value(dim)
    for name, value in (("dim", dim if with_dim else None), ("scale", scale)):
        if value is None:
            continue
        if name in given:
            raise InputError(f"{name} is given twice; give it once")
        given[name] = value
    if with_dim:
        values = read_settings(LAYER, given)
        if "scale" not in values:
            raise InputError('scale is missing; give it, as in simulate(dim=512, scale="sqrt")')
        asked = _questions(LAYER, values, Experiment)
        if len(asked) != 1:
            raise InputError(
                f"simulate runs one experiment, and these settings make {len(asked):,}; take sweep"
            )
        experiment = asked[0]
    else:
        experiment = _given(dim, Experiment, given)
    confidence = check_probability("confidence", confidence)
    checked_truth("histogram", histogram)
    study = LayerStudy(experiment, confidence, histogram=histogram)
    row: Result = answer([study], workers=workers, alpha=alpha)[0]
    return row


def sweep(
    *,
    workers: int | None = None,
    confidence: float = 0.95,
    alpha: float = 0.001,
    histogram: bool = False,
    **settings: Unpack[LayerSettings],
) -> Rows[Result]:
    """Return the measured rows of every combination of settings, with joint verdicts.

    A setting has one value or several: a list, a range, an array, or a text as on the command
    line, such as ``dim="16:4096:x2"``. Without settings, these are the three default experiments
    of ``varsim``. Rows are in the order of the command line, with the same numbers.

    Args:
        workers: Number of threads; the number of CPUs by default.
        confidence: Level of every interval, between 0 and 1.
        alpha: False-alarm rate that all verdicts share (Holm 1979), between 0 and 1.
        histogram: Whether to count the outputs in a histogram.
        settings: Any setting of :class:`Experiment`. ``samples``, ``precision``, ``max_samples``
            and ``dtype`` have one value.

    Raises:
        InputError: A setting is unknown or not allowed, or an initializer cannot be used.

    Warns:
        UserWarning: A repeated row runs once; a gain does not apply to a scheme without one.

    >>> from varsim import sweep
    >>> sweep(dim=[64, 512], scale="sqrt", samples=10_000)
    [Result(D = 64, scale sqrt: 1.020 ± 0.035, theory 1, agrees),
     Result(D = 512, scale sqrt: 0.991 ± 0.031, theory 1, agrees)]
    """
    confidence = check_probability("confidence", confidence)
    checked_truth("histogram", histogram)
    asked = _questions(LAYER, read_settings(LAYER, settings), Experiment)
    studies = [LayerStudy(experiment, confidence, histogram=histogram) for experiment in asked]
    return Rows(answer(studies, workers=workers, alpha=alpha))


def measure(
    experiment: Experiment,
    blocks_at: Callable[[range], Iterable[Block]],
    totals: Totals | None = None,
    time_is_up: Callable[[], bool] = lambda: False,
) -> Iterator[Totals]:
    """Yield the totals of an experiment at the start and at every check; the last are final.

    Args:
        experiment: The experiment.
        blocks_at: Returns the blocks with the indices of a range, in order.
        totals: The totals to start from, or None.
        time_is_up: Whether to end before the precision is met; called after every block, once there
            are enough for an error bar.

    >>> from varsim import conclude, stream
    >>> experiment = Experiment(dim=64, scale="sqrt", precision=0.02)
    >>> *_, last = measure(experiment, lambda indices: stream(experiment, indices=indices))
    >>> conclude(experiment, last).met
    True
    """
    measurement = Measurement(LayerStudy(experiment), totals, time_is_up)
    measurement.totals = measurement.totals.with_check(measurement.target)
    yield measurement.totals
    while (target := measurement.target) is not None:
        for block in blocks_at(range(measurement.count, target)):
            measurement.add(block)
            if measurement.target is None:
                break
        yield measurement.totals


def layers(
    network: Network | None = None,
    *,
    workers: int | None = None,
    confidence: float = 0.95,
    alpha: float = 0.001,
    histogram: bool = False,
    infinite_width: bool = False,
    **settings: Unpack[StackSettings],
) -> Rows[LayerResult]:
    """Return the variances of signals and gradients through a deep stack, one row per layer.

    A stack is h₁ = x W₁ and h_{l+1} = φ(h_l) W_{l+1}. Theory is that of He et al. (2015), section
    2.2, and Poole et al. (2016), eq. 3, with its correction for finite width.

    Write the settings by name, as in ``layers(width=256, depth=10, activation="tanh")``, or pass
    a :class:`Network`. Several values of a setting make several stacks, as in
    :func:`sweep`.

    Args:
        network: The network, in place of settings.
        workers: Number of threads; the number of CPUs by default.
        confidence: Level of every interval, between 0 and 1.
        alpha: False-alarm rate that all verdicts share (Holm 1979), between 0 and 1.
        histogram: Whether to count φ(h) in histograms.
        infinite_width: Whether theory omits its correction for finite width.
        settings: ``width`` (by default 512) and ``depth`` (by default 20), or ``widths`` of the
            input and every layer; and any other setting of :class:`Network`. ``residual="gpt2"``
            is 1/√(2L).

    Returns:
        One row per layer, from the input on. ``empirical`` is E h² and ``gradient`` E (∂h)², for
        inputs and a cotangent on top of variance 1.

    Raises:
        InputError: A setting is unknown or not allowed, or an activation or initializer cannot be
            used.

    >>> from varsim import layers
    >>> rows = layers(width=64, depth=5, activation="relu", scale="he")
    >>> [round(row.theory, 12) for row in rows], all(row.agrees for row in rows)
    ([2.0, 2.0, 2.0, 2.0, 2.0], True)
    """
    if network is None:
        values = read_settings(STACK, settings)
        if "widths" in values:
            if "width" in values or "depth" in values:
                raise InputError("widths names every layer; leave width and depth out")
            values |= one_stack(values.pop("widths"))
        asked = _questions(STACK, values, stack_question.network)
    else:
        asked = [_given(network, stack_question.Network, settings)]
    confidence = check_probability("confidence", confidence)
    checked_truth("histogram", histogram)
    checked_truth("infinite_width", infinite_width)
    for each in asked:
        if ":" in each.activation:  # theory may refuse a user's function: before any sampling
            theory.predict(each)
    studies = [stack.StackStudy(each, confidence, histogram, infinite_width) for each in asked]
    return Rows(answer(studies, workers=workers, alpha=alpha))


def check_initializer(
    name: str,
    dim: Wholes = None,
    fan_out: Wholes = None,
    *,
    draws: Wholes = 64,
    seed: Wholes = 0,
    dtype: str = "float32",
    workers: int | None = None,
    confidence: float = 0.95,
    alpha: float = 0.001,
) -> InitializerCheck:
    """Return the measured variances of an initializer beside its documented claim.

    Args:
        name: As for ``init`` of an :class:`Experiment`: ``"torch.nn.Linear"``, or
            ``"module:function"`` for a user's ``f(rng, shape)``, or the weight of a module, such
            as ``"torch.nn.LSTM(64, 64)[i of x]"``.
        dim: D, the number of rows of W (fan-in): 512 by default, or that of the module.
        fan_out: n, the number of columns; D by default.
        draws: Number of independent W, at least 8: the replicates of every error.
        seed: Root of all random streams.
        dtype: ``"float32"`` or ``"float64"``.
        workers: Number of threads; the number of CPUs by default.
        confidence: Level of the intervals in tables, between 0 and 1.
        alpha: False-alarm rate of the verdict, between 0 and 1.

    Returns:
        The check: ``mean_square`` is E w², ``forward`` the variance of x @ W and ``backward`` that
        of g @ Wᵀ for standard normal x and g. ``agrees`` is None without a documented claim.

    Raises:
        InputError: The initializer cannot be used, or a value is not allowed.

    >>> from varsim import check_initializer
    >>> row = check_initializer("orthogonal", dim=64)
    >>> round(row.forward, 1), row.forward_theory, row.agrees
    (1.0, 1.0, True)
    """
    confidence = check_probability("confidence", confidence)
    given = {"dim": dim, "fan_out": fan_out, "draws": draws, "seed": seed, "dtype": dtype}
    values: dict[str, Any] = {"dim": 512, "draws": 64}
    weight = initializers.find(name)
    if isinstance(weight, initializers.ModuleWeight):
        values |= {"dim": weight.piece.dim, "fan_out": weight.piece.columns}
    values |= {n: _one(n, value) for n, value in read_settings(CHECK, given).items()}
    values.setdefault("fan_out", values["dim"])
    number = values.pop("draws")
    study = check.CheckStudy(check_question.question(name, **values), number, confidence)
    row: InitializerCheck = answer([study], workers=workers, alpha=alpha)[0]
    return row


def check_model(
    model: str,
    input: str | Sequence[int],  # noqa: A002  # the name of the setting
    *,
    tokens: Wholes = None,
    depth: Wholes = None,
    eval_mode: bool = False,
    inits: Wholes = 64,
    precision: Reals = None,
    between: str | tuple[float, float] | None = None,
    seed: Wholes = 0,
    dtype: str = "float32",
    workers: int | None = None,
    confidence: float = 0.95,
    alpha: float = 0.001,
) -> Rows[ModuleResult]:
    """Return the variances of signals and gradients through a model of yours, one row per module.

    Every replicate is a whole initialization, with inputs and a cotangent of its own.

    Args:
        model: A function without arguments that returns a torch.nn.Module, as
            ``"module:function"``.
        input: Shape of the inputs, the batch first, such as ``"16x3x32x32"`` or a tuple; their
            entries are standard normal.
        tokens: Number of token ids; inputs are then uniform ids.
        depth: Depth of the modules that have a row; by default those that call no others have one.
        eval_mode: Whether to measure in evaluation mode; else the model stays as it is built.
        inits: Number of independent initializations, at least 8: the replicates of every error.
        precision: Relative standard error that every module has to reach, such as ``"5%"``.
        between: The band of variances for ``forward_band`` and ``gradient_band``, such as
            ``"0.1:10"``.
        seed: Root of all random streams.
        dtype: ``"float32"`` or ``"float64"``.
        workers: Number of threads; the number of CPUs by default.
        confidence: Level of the intervals, between 0 and 1.
        alpha: False-alarm rate that all verdicts share (Holm 1979), between 0 and 1.

    Returns:
        One row per module, in the order of calls. ``variance`` is that of its outputs, and
        ``gradient`` that of their gradients, for inputs and a cotangent on top of variance 1.
        ``agrees`` is None where no theory is exact.

    Raises:
        InputError: The function or torch cannot be used, or a value is not allowed.
    """
    confidence = check_probability("confidence", confidence)
    given = {"tokens": tokens, "depth": depth, "inits": inits, "precision": precision,
             "seed": seed, "dtype": dtype}  # fmt: skip
    values = {n: _one(n, value) for n, value in read_settings(MODEL, given).items()}
    texts = {"input": input, "between": between}
    read = {n: _one(n, read_settings(MODEL, {n: t})[n]) if isinstance(t, str) else t
            for n, t in texts.items()}  # fmt: skip
    shape: Any = read["input"]
    asked = model_question.Model(
        model=model, input=tuple(shape), eval_mode=eval_mode, **cast("dict[str, Any]", values)
    )
    band: Any = read["between"]
    return Rows(
        answer([model_study.ModelStudy(asked, confidence, band)], workers=workers, alpha=alpha)
    )


def critical(activation: str, variance: float | None = None) -> Critical:
    """Return the variances of W and bias at which deep networks keep signals and gradients.

    W has variance C_W / fan-in and the bias C_b. Without a variance both susceptibilities are 1:
    Roberts, Yaida & Hanin (2022), The Principles of Deep Learning Theory, section 5.3. With a
    variance K, C_W and C_b keep it, and χ⊥ = C_W E φ′² is 1: the edge of chaos of Poole et al.
    (2016) and Schoenholz et al. (2017).

    Args:
        activation: As for :func:`gain`, without ``torch:``.
        variance: K, the variance of the pre-activations, from 1e-12 to 1e12; or None.

    Returns:
        The critical point: ``kind`` is its type, ``weights`` C_W, ``bias`` C_b, ``variance`` K,
        ``chi_perpendicular`` χ⊥ and ``chi_parallel`` χ∥.

    Raises:
        InputError: The activation is unknown or its averages cannot be computed, or the variance
            is not allowed.

    >>> from varsim import critical
    >>> critical("relu").kind, round(critical("relu").weights, 12)
    ('scale-invariant', 2.0)
    """
    phi = find_activation(activation)
    if variance is None:
        return of_activations.critical(phi)
    return of_activations.critical_at(phi, of_activations.check_variance(variance))


def _questions(
    settings: Mapping[str, Setting],
    values: Mapping[str, Sequence[object]],
    build: Callable[..., Q],
) -> list[Q]:
    """Return the questions of all combinations of values, in the order of the command line."""
    fixed = {}
    for name, of_name in values.items():
        if settings[name].default is None:
            fixed[name] = _one(name, of_name)
    asked, notes = questions(settings, values, fixed, build)
    for note in notes:
        warnings.warn(note.removeprefix("Note: "), stacklevel=3)
    return asked


def _one(name: str, values: Sequence[T]) -> T:
    """Return the value of a setting that has one."""
    if len(values) != 1:
        raise InputError(f"{name} has {len(values)} values; it takes one")
    return values[0]


def _is_value(dim: object) -> bool:
    """Return whether the first argument is a value of D, in place of an experiment."""
    return isinstance(dim, str | SupportsFloat | Iterable) and not isinstance(dim, Mapping)


def _given(question: object, kind: type[T], settings: Iterable[str]) -> T:
    """Return a question; an object of another type, and settings beside it, are InputErrors."""
    if not isinstance(question, kind):
        raise InputError(
            f"an object of type {type(question).__name__} is given where {kind.__name__}(...) is "
            'expected; write settings by name, like scale="sqrt"'
        )
    if settings:
        raise InputError(
            f"{', '.join(settings)} stands beside {kind.__name__}(...), which holds all settings; "
            "give it there"
        )
    return question
