"""BandMFExecutionPlanConfig of JAX Privacy as JSON: its fields by name, the strategy as a list.

Its noise multiplier is over the length of the strategy's column, so that a step in a record's group is a sampled
Gaussian of it; its q is the chance inside a group, and there are as many groups as bands. A strategy of one band is
plain DP-SGD.

jax_privacy 2.0 adds noise of noise_multiplier·‖strategy‖, column_normalize or not (BandMFExecutionPlanConfig.plan).
With it, each column of C is scaled to length 1, the last ones too (its Toeplitz module), so that a step is a Gaussian
of that product: its own dp_event says noise_multiplier, and costs too little where ‖strategy‖ < 1. Without it the last
columns are cut by the end of the run, and shorter.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from dpplan.accounting.numerics import outward
from dpplan.accounting.plan_pairs import dominating_pairs
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.checks import Problems, did_you_mean, is_number, show
from dpplan.errors import NotApplicable, PlanError, UsageError
from dpplan.mechanism import Gaussian, kind_of
from dpplan.mechanism.correlated import ToeplitzNoise
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, Poisson, TruncatedPoisson

KEYS = (
    "iterations", "strategy", "noise_multiplier", "sampling_prob", "expected_participations", "truncated_batch_size",
    "num_examples", "partition_type", "epsilon", "delta", "l2_clip_norm", "rescale_to_unit_norm", "normalize_by",
    "column_normalize", "noise_seed", "dtype",
)  # fmt: skip
DTYPES = ("float32", "float64")
LARGEST = 1e100  # of a strategy's numbers, and of their reciprocals


def write(plan: Plan) -> dict[str, Any]:
    """What BandMFExecutionPlanConfig(**...) takes, with strategy as a list. Raises NotApplicable for other plans."""
    if len(plan.phases) != 1 or plan.max_per_user or plan.only_phase.groups:
        raise NotApplicable("jax-privacy: its configuration is of one run; export the phase that trains")
    phase = plan.only_phase
    mechanism, scheme = phase.mechanism, phase.sampling
    strategy, noise = [1.0], 0.0
    if isinstance(mechanism, Gaussian):
        noise = mechanism.noise_multiplier
    elif isinstance(mechanism, ToeplitzNoise):
        from dpplan.accounting.pairs import participation_sensitivity

        bands = mechanism.bands
        strategy = list(
            mechanism.coefficients if bands is None else participation_sensitivity.square_root_coefficients(bands)
        )
        column = participation_sensitivity.longest_column(tuple(strategy))
        noise = participation_sensitivity.noise_over(mechanism.noise_multiplier, column, 1.0)
    if noise <= 0.0 or not isinstance(scheme, Poisson | CyclicPoisson | TruncatedPoisson):
        raise NotApplicable(f"jax-privacy: no configuration of {kind_of(mechanism)} under {kind_of(scheme)}")
    if plan.adjacency not in (ADD_REMOVE, ZERO_OUT):
        raise NotApplicable("jax-privacy: this configuration is for add-remove or zero-out")
    own = plan.adjacency == ADD_REMOVE
    if isinstance(scheme, CyclicPoisson) and (scheme.assignment == "own") != own:
        raise NotApplicable(
            "jax-privacy: its groups are drawn by each record under add-remove (INDEPENDENT) and go by place under "
            f"zero-out (EQUAL_SPLIT), and this is assignment={scheme.assignment} under {plan.adjacency}"
        )
    groups = scheme.groups if isinstance(scheme, CyclicPoisson) else 1
    by_turns = isinstance(mechanism, Gaussian) or isinstance(scheme, CyclicPoisson)
    if len(strategy) > groups or not by_turns:
        raise NotApplicable("jax-privacy: it has as many groups as bands; give cyclic-poisson groups: the bands")
    dominating_pairs(plan, "jax-privacy")  # only what has a figure here is written
    strategy += [0.0] * (groups - len(strategy))  # as many groups as it has bands
    return {
        "iterations": phase.steps,
        "strategy": strategy,
        "epsilon": None,
        "delta": None,
        "noise_multiplier": noise,
        "sampling_prob": scheme.sample_rate,
        "partition_type": "INDEPENDENT" if own else "EQUAL_SPLIT",
        **(
            {"truncated_batch_size": scheme.cap, "num_examples": scheme.examples}
            if isinstance(scheme, TruncatedPoisson)
            else {}
        ),
    }


def is_config(content: object) -> bool:
    """Whether JSON's value looks like a configuration."""
    return isinstance(content, dict) and {"iterations", "strategy"} <= set(content)


def read(content: Mapping[str, Any]) -> Plan:
    """The plan of a configuration. Raises PlanError with all that is missing or out of range."""
    with Problems() as problems:
        for key in content:
            problems.require(
                key in KEYS, f"{show(key)} is no field of a BandMF configuration.{did_you_mean(key, KEYS)}"
            )
        strategy, steps = content.get("strategy"), content.get("iterations")
        good = isinstance(strategy, list) and bool(strategy) and all(is_number(each) for each in strategy)
        problems.require(good, f"strategy={show(strategy)} is not a list of numbers.")
        whole = problems.whole("iterations", steps, try_="It is the number of steps.")  # type: ignore[arg-type]
        if good and isinstance(strategy, list):
            _check_strategy(problems, strategy, steps if whole else None)
        problems.positive("noise_multiplier", content.get("noise_multiplier"), try_="epsilon alone is no plan.")  # type: ignore[arg-type]
        partition = str(content.get("partition_type", "EQUAL_SPLIT")).rpartition(".")[2]
        rule = f"partition_type={show(partition)} is not one of: EQUAL_SPLIT, INDEPENDENT."
        problems.require(partition in ("EQUAL_SPLIT", "INDEPENDENT"), rule)
        _check_other_keys(problems, content)
        often = content.get("expected_participations")
        if often is not None:
            problems.positive("expected_participations", often, try_="It is in how many steps a record is on average.")
        if problems.found:
            rate = 1.0
        elif often is not None:
            rate = often * len(content["strategy"]) / content["iterations"]
        else:
            rate = content.get("sampling_prob", 1.0)
        problems.probability("sampling_prob", rate, try_="It is the chance inside a group.")
    return _plan(content, float(rate), partition)


def _check_strategy(problems: Problems, strategy: list[float], steps: float | None) -> None:
    """Whether C has an inverse, floats for its length, and no more bands than steps. steps: None where none is told."""
    finite = all(abs(each) < LARGEST for each in strategy)
    if problems.require(finite, f"strategy={show(strategy)} has a number of {LARGEST:g} or more.") and steps:
        told = f"strategy has {len(strategy)} numbers, and iterations={show(steps)}: it has no more bands than steps."
        problems.require(len(strategy) <= steps, told)
    told = f"strategy={show(strategy)}: the first number is 0 or beyond floats, so that C has no inverse."
    problems.require(abs(strategy[0]) > 1.0 / LARGEST, told)


def _check_other_keys(problems: Problems, content: Mapping[str, Any]) -> None:
    """Of what no figure is made of: whether it is without effect on it, and says nothing in two ways."""
    for key in ("l2_clip_norm", "normalize_by"):  # the noise is scaled with both
        problems.positive(key, content.get(key, 1.0), try_="Noise goes by it: without it there is none.")
    for key in ("column_normalize", "rescale_to_unit_norm"):
        given = content.get(key, False)
        problems.require(isinstance(given, bool), f"{key}={show(given)} is not true or false.")
    for key in ("epsilon", "delta"):
        rule = f"{key}={show(content.get(key))} and noise_multiplier both say how much noise there is. Leave one out."
        problems.require(content.get(key) is None, rule)
    seed = content.get("noise_seed")
    rule = f"noise_seed={show(seed)}: whoever knows it can take the noise away. Leave it out, and draw it in secret."
    problems.require(seed is None, rule)
    dtype = content.get("dtype", DTYPES[0])
    plain = re.sub("^<class '(.*)'>$", r"\1", str(dtype)).rpartition(".")[2]
    rule = f"dtype={show(dtype)} is not one of: {', '.join(DTYPES)}. What rounds noise any coarser has no figure here."
    problems.require(plain in DTYPES, rule)
    if content.get("expected_participations") is not None:
        twice = "expected_participations and sampling_prob say the same thing in two ways. Leave one out."
        problems.require(content.get("sampling_prob") is None, twice)


def _mechanism(content: Mapping[str, Any]) -> Gaussian | ToeplitzNoise:
    """The noise of one step in units of how far a record moves it, or of the whole run where its end cuts columns.

    A group's last turn is in the column of step n - (n mod bands) at the latest, which has n mod bands rows left.
    """
    noise, strategy = float(content["noise_multiplier"]), [float(each) for each in content["strategy"]]
    normalized = bool(content.get("column_normalize", False))
    left = math.floor(content["iterations"]) % len(strategy)
    if not normalized and not (left and any(strategy[left:])):
        return Gaussian(noise)
    from dpplan.accounting.pairs import participation_sensitivity

    column = participation_sensitivity.longest_column(tuple(strategy))
    length = math.ldexp(math.sqrt(column.squared), column.exponent)
    added = outward.down(noise * length, outward.FEW)
    if normalized:
        return Gaussian(added)
    while strategy[-1] == 0.0:
        strategy.pop()
    sign = math.copysign(1.0, strategy[0])  # -C hides as much as C
    return ToeplitzNoise(added, coefficients=tuple(sign * each for each in strategy))


def _plan(content: Mapping[str, Any], rate: float, partition: str) -> Plan:
    bands, cap = len(content["strategy"]), content.get("truncated_batch_size")
    with Problems() as problems:
        if cap is not None:
            cut = f"truncated_batch_size={show(cap)} with {bands} bands: batches that are cut are known with one band."
            problems.require(bands == 1, cut)
            problems.whole("num_examples", content.get("num_examples"), try_="Batches that are cut need it.")  # type: ignore[arg-type]
        elif content.get("num_examples") is not None:
            problems.whole("num_examples", content["num_examples"], try_="It is how many records there are.")
    own = partition == "INDEPENDENT"
    scheme: Poisson | CyclicPoisson | TruncatedPoisson = Poisson(rate)
    if cap is not None:
        scheme = TruncatedPoisson(rate, int(cap), int(content["num_examples"]))
    elif bands > 1:
        scheme = CyclicPoisson(rate, bands, "own" if own else "place")
    examples = content.get("num_examples")
    try:
        mechanism = _mechanism(content)
    except UsageError:  # a product beyond floats
        noise = show(content["noise_multiplier"])
        raise PlanError(f"noise_multiplier={noise} times the length of strategy is beyond floats.") from None
    steps = math.floor(content["iterations"])
    if own and isinstance(mechanism, ToeplitzNoise):
        raise PlanError(
            f"iterations={steps} with {bands} bands: the end of the run cuts its last columns, and no theorem is known "
            "here for that where partition_type=INDEPENDENT. Count the run that this one is the beginning of, and that "
            f"costs no less: iterations={-(-steps // bands) * bands}."
        )
    phase = Phase(mechanism, scheme, steps)
    return Plan(
        (phase,), adjacency=ADD_REMOVE if own else ZERO_OUT, examples=None if examples is None else int(examples)
    )
