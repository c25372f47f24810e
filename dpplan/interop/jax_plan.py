"""BandMFExecutionPlanConfig of JAX Privacy as JSON: its fields by name, the strategy as a list.

Its noise multiplier is over the length of the strategy's column, so that a step in a record's group is a sampled
Gaussian of it; its q is the chance inside a group, and there are as many groups as bands. A strategy of one band is
plain DP-SGD.
"""

import math
from collections.abc import Mapping
from typing import Any

from dpplan.accounting.plan_pairs import dominating_pairs
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.checks import Problems, did_you_mean, is_number, show
from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian, kind_of
from dpplan.mechanism.correlated import ToeplitzNoise
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, Poisson, TruncatedPoisson

KEYS = (
    "iterations", "strategy", "noise_multiplier", "sampling_prob", "expected_participations", "truncated_batch_size",
    "num_examples", "partition_type", "epsilon", "delta", "l2_clip_norm", "rescale_to_unit_norm", "normalize_by",
    "column_normalize", "noise_seed", "dtype",
)  # fmt: skip


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
        strategy = content.get("strategy")
        good = isinstance(strategy, list) and bool(strategy) and all(is_number(each) for each in strategy)
        problems.require(good, f"strategy={show(strategy)} is not a list of numbers.")
        problems.whole("iterations", content.get("iterations"), try_="It is the number of steps.")  # type: ignore[arg-type]
        problems.positive("noise_multiplier", content.get("noise_multiplier"), try_="epsilon alone is no plan.")  # type: ignore[arg-type]
        partition = str(content.get("partition_type", "EQUAL_SPLIT")).rpartition(".")[2]
        rule = f"partition_type={show(partition)} is not one of: EQUAL_SPLIT, INDEPENDENT."
        problems.require(partition in ("EQUAL_SPLIT", "INDEPENDENT"), rule)
        if problems.found:
            rate = 1.0
        elif "expected_participations" in content:
            often, try_ = content["expected_participations"], "It is in how many steps a record is on average."
            good = problems.positive("expected_participations", often, try_=try_)
            rate = often * len(content["strategy"]) / content["iterations"] if good else 1.0
        else:
            rate = content.get("sampling_prob", 1.0)
        problems.probability("sampling_prob", rate, try_="It is the chance inside a group.")
    return _plan(content, float(rate), partition)


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
    steps = math.floor(content["iterations"])
    phase = Phase(Gaussian(content["noise_multiplier"]), scheme, steps)
    return Plan(
        (phase,), adjacency=ADD_REMOVE if own else ZERO_OUT, examples=None if examples is None else int(examples)
    )
