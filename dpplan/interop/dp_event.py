"""DpEvent trees of Google's dp_accounting as JSON: {"class_name": "SelfComposedDpEvent", "event": {...}, "count": 3}.

dp_accounting has no JSON of its own. This is what its events hold, nested as its named tuples are, with module names
left out: fields go by their names, events are objects, lists are lists. Reading them back there takes five lines.

Noise on a sum is counted there in the norm C of what is summed, whatever the neighbours (dp_event.py: "noise_multiplier
is defined as s / C"); a record that is replaced moves the sum by 2C, and so PLDAccountant takes it (0.6.0).
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs import GaussianLoss
from dpplan.accounting.plan_pairs import as_sampled_gaussians, dominating_pairs
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.checks import did_you_mean, is_number, show
from dpplan.errors import NotApplicable, PlanError, UsageError
from dpplan.mechanism import (
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    PermuteAndFlip,
    RandomizedResponse,
    Stated,
    StatedZcdp,
    kind_of,
)
from dpplan.mechanism.correlated import TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import FixedSize, Poisson, Sampling, TruncatedPoisson

Event = dict[str, Any]
RELATIONS: Mapping[str, Adjacency] = MappingProxyType(
    {"ADD_OR_REMOVE_ONE": ADD_REMOVE, "REPLACE_ONE": REPLACE_ONE, "REPLACE_SPECIAL": ZERO_OUT}
)
MOST_DEPTH, MOST_PHASES, MOST_COUNT = 40, 10_000, 10**18
LEAST_NOISE = 1e-300  # whose reciprocal is a float
FULL = Poisson(1.0)
NO_EVENT = "dp-accounting: no event for"
INSTEAD = "To compose it there, count the (ε, δ) that dpplan epsilon proves: EpsilonDeltaDpEvent(epsilon, delta)."
BOUND = ": its law is known here from above, by a Gaussian that no neighbours realise, which would pass for what ran"


def write(plan: Plan) -> Event:
    """The plan as one event, with the relation between neighbours that its figures are for.

    Phases whose laws are sampled Gaussians are written as those, whatever the scheme: groups that take turns as their
    turns, correlated noise as the one release that it is. Raises NotApplicable, with all reasons, for what
    dp_accounting 0.6 has no event for.
    """
    events, reasons = list[Event](), list[str]()
    for phase in plan.phases:
        try:
            events += _phase_events(dataclasses.replace(plan, phases=(phase,), derivation=()))
        except NotApplicable as refusal:
            reasons.append(str(refusal))
    if told := "; ".join(dict.fromkeys(reasons)):
        raise NotApplicable(f"{told}. {INSTEAD}" if NO_EVENT in told else told)
    relation = next(name for name, adjacency in RELATIONS.items() if adjacency == plan.adjacency)
    whole = events[0] if len(events) == 1 else {"class_name": "ComposedDpEvent", "events": events}
    return {"neighboring_relation": relation, "event": whole}


def misread(plan: Plan) -> str:
    """What an accountant there makes less of this plan than it costs; "" where each takes the event for what it is."""
    if plan.adjacency.sensitivity == 1.0 or all(type(phase.mechanism) in _WRITTEN for phase in plan.phases):
        return ""
    return (
        "under REPLACE_ONE ask PLDAccountant alone: RdpAccountant of dp-accounting 0.6 takes a Gaussian event there as "
        "under ADD_OR_REMOVE_ONE, and its ε is too small."
    )


def _phase_events(plan: Plan) -> Iterator[Event]:
    phase = plan.only_phase
    if plan.max_per_user:
        raise NotApplicable("dp-accounting: users with several examples have no event; export the plan of examples")
    if phase.groups:
        raise NotApplicable("dp-accounting: parallel groups have no event; export the costliest way through them")
    if type(phase.mechanism) is Gaussian or isinstance(phase.mechanism, TreeAggregation):
        yield from _gaussian_events(plan)
        return
    if type(phase.mechanism) not in _WRITTEN:
        yield from _gaussian_events(plan)
        return
    if plan.adjacency == REPLACE_ONE and phase.sampling != FULL:
        raise NotApplicable(f"dp-accounting: {kind_of(phase.mechanism)} on samples is known under add-remove alone")
    if type(phase.sampling) is not Poisson:
        raise NotApplicable(f"{NO_EVENT} {kind_of(phase.mechanism)}{_drawn(phase.sampling)}")
    event = _WRITTEN[type(phase.mechanism)](phase.mechanism, plan.adjacency.sensitivity)
    if isinstance(phase.mechanism, RandomizedResponse):
        dominating_pairs(plan, "dp-accounting")  # answers are not private against whoever counts them
        # One by one: 0.6.0 forgets how often it is repeated where that is written as a count.
        if phase.steps > MOST_PHASES:
            raise NotApplicable(f"dp-accounting: more than {MOST_PHASES} randomized responses are not written out")
        yield from [event] * phase.steps
        return
    yield _repeated(_sampled(event, phase.sampling.sample_rate), phase.steps)


def _gaussian_events(plan: Plan) -> Iterator[Event]:
    """Of laws that are sampled Gaussians, and of batches that are cut, which have an event of their own."""
    phase = plan.only_phase
    scheme = phase.sampling
    if isinstance(scheme, TruncatedPoisson) and plan.adjacency == ZERO_OUT:
        yield _repeated(
            {
                "class_name": "TruncatedSubsampledGaussianDpEvent",
                "dataset_size": scheme.examples,
                "sampling_probability": scheme.sample_rate,
                "truncated_batch_size": scheme.cap,
                "noise_multiplier": Gaussian.of(phase.mechanism).noise_multiplier,
            },
            phase.steps,
        )
        return
    found = dominating_pairs(plan, "dp-accounting")
    known = as_sampled_gaussians(found)
    moved = plan.adjacency.sensitivity  # in clip norms; the laws that are known are over all of it
    if known is None or (moved != 1.0 and any(each.sample_rate != 1.0 for each in known)):
        bound = BOUND if any(pair.realised and type(pair.remove) is GaussianLoss for pair, _ in found) else ""
        raise NotApplicable(f"{NO_EVENT} {kind_of(phase.mechanism)}{_drawn(scheme)} under {plan.adjacency}{bound}")
    for each in known:
        event = {"class_name": "GaussianDpEvent", "noise_multiplier": moved * each.noise_multiplier}
        yield _repeated(_sampled(event, each.sample_rate), each.steps)


def _drawn(scheme: Sampling) -> str:
    """Nothing of a release on all records, of which nobody said how it is drawn."""
    return "" if scheme == FULL else f" with {kind_of(scheme)}"


def _sampled(event: Event, rate: float) -> Event:
    if rate == 1.0:
        return event
    return {"class_name": "PoissonSampledDpEvent", "sampling_probability": rate, "event": event}


def _repeated(event: Event, count: int) -> Event:
    return event if count == 1 else {"class_name": "SelfComposedDpEvent", "event": event, "count": count}


def _laplace(mechanism: Mechanism, moved: float) -> Event:
    assert isinstance(mechanism, Laplace)  # _WRITTEN goes by exact type
    noise = Fraction(moved) / Fraction(mechanism.epsilon)
    return {"class_name": "LaplaceDpEvent", "noise_multiplier": outward.float_below(noise)}


def _discrete_laplace(mechanism: Mechanism, moved: float) -> Event:
    """Of a whole number that moves by twice a norm where a record is replaced."""
    assert isinstance(mechanism, DiscreteLaplace)
    far, odd = divmod(mechanism.sensitivity, int(moved))
    if odd:
        raise NotApplicable(
            f"{NO_EVENT} discrete-laplace of sensitivity {mechanism.sensitivity} under replace-one, "
            "where sums of its events move by an even number"
        )
    each = outward.float_above(Fraction(mechanism.epsilon) / mechanism.sensitivity)
    return {"class_name": "DiscreteLaplaceDpEvent", "noise_parameter": each, "sensitivity": far}


def _response(mechanism: Mechanism, _: float) -> Event:
    """There an answer is replaced by a random one with chance p: e^ε = (1 - p + p/k)/(p/k)."""
    assert isinstance(mechanism, RandomizedResponse)
    k = mechanism.categories
    noise = k / (math.exp(mechanism.epsilon) + k - 1)
    return {"class_name": "RandomizedResponseDpEvent", "noise_parameter": noise, "num_buckets": k}


def _zcdp(mechanism: Mechanism, _: float) -> Event:
    assert isinstance(mechanism, StatedZcdp)
    return {"class_name": "ZCDpEvent", "rho": mechanism.rho, "xi": 0.0}


_WRITTEN: Mapping[type, Callable[[Mechanism, float], Event]] = MappingProxyType(
    {Laplace: _laplace, DiscreteLaplace: _discrete_laplace, RandomizedResponse: _response, StatedZcdp: _zcdp}
)


def is_event(content: object) -> bool:
    """Whether JSON's value looks like an event, or one with its relation."""
    return isinstance(content, dict) and ("class_name" in content or {"neighboring_relation", "event"} <= set(content))


def read(content: Mapping[str, Any]) -> Plan:
    """The plan that an event describes. Raises PlanError with what is unknown or out of range."""
    relation = str(content.get("neighboring_relation", "ADD_OR_REMOVE_ONE")).rpartition(".")[2]
    if relation not in RELATIONS:
        raise PlanError(f"neighboring_relation={show(relation)} is not one of: {', '.join(RELATIONS)}.")
    flat = "class_name" in content
    event = {key: content[key] for key in content if key != "neighboring_relation"} if flat else content["event"]
    _only(content, () if flat else ("neighboring_relation", "event"), "the event with its neighboring_relation")
    phases = tuple(itertools.islice(_phases(event, RELATIONS[relation].sensitivity, 1, FULL, 0), MOST_PHASES + 1))
    if not phases:
        raise PlanError("the event is a NoOpDpEvent and spends nothing: leave it out.")
    if len(phases) > MOST_PHASES:
        raise PlanError(f"the event has more than {MOST_PHASES} parts.")
    examples = {phase.sampling.examples for phase in phases if isinstance(phase.sampling, FixedSize | TruncatedPoisson)}
    return Plan(phases, adjacency=RELATIONS[relation], examples=examples.pop() if len(examples) == 1 else None)


def _phases(event: Any, moved: float, count: int, drawn: Sampling, depth: int) -> Iterator[Phase]:
    """The phases of an event that is repeated so often on what is drawn so. moved: a sum, by a neighbour, in norms."""
    if not isinstance(event, dict) or not isinstance(event.get("class_name"), str):
        raise PlanError("an event is no object with a class_name.")
    if depth > MOST_DEPTH:
        raise PlanError(f"the event is nested more than {MOST_DEPTH} deep.")
    name = event["class_name"].rpartition(".")[2]
    _only(event, _FIELDS.get(name, ()), name)
    if name == "NoOpDpEvent":
        return
    if name == "ComposedDpEvent":
        if count > 1 and len(_listed(event, name)) > 1 and drawn != FULL:
            raise PlanError(f"{name} on a sample that is drawn again: which batches are the same, it does not say.")
        if drawn != FULL and len(_listed(event, name)) > 1:
            raise PlanError(f"{name} inside a sample: several releases of one batch have no law here.")
        for each in _listed(event, name):
            yield from _phases(each, moved, count, drawn, depth + 1)
    elif name == "SelfComposedDpEvent":
        times = _whole(event, "count", name)
        if drawn != FULL and times > 1:
            raise PlanError(f"{name} inside a sample: several releases of one batch have no law here.")
        if count * times > MOST_COUNT:
            raise PlanError(f"{name}.count={show(times)}, times those around it, is more than {MOST_COUNT:g}.")
        yield from _phases(event.get("event"), moved, count * times, drawn, depth + 1)
    elif name in _DRAWN:
        if drawn != FULL:
            raise PlanError(f"{name} inside a sample: a sample of a sample has no law here.")
        yield from _phases(event.get("event"), moved, count, _made(_DRAWN[name], event, name), depth + 1)
    elif name == "TruncatedSubsampledGaussianDpEvent":
        if drawn != FULL:
            raise PlanError(f"{name} inside a sample: a sample of a sample has no law here.")
        yield _phase(_made(_gaussian, event, name), _made(_cut, event, name), count)
    elif name in _READ:
        yield _phase(_made(_READ[name], event, name, moved), drawn, count)
    elif name == "SingleEpochTreeAggregationDpEvent":
        for _ in range(min(count, MOST_PHASES + 1)):
            yield _phase(_made(_tree, event, name), drawn, _tree_steps(event, name))
    else:
        known = (*_READ, *_DRAWN, "ComposedDpEvent", "SelfComposedDpEvent", "NoOpDpEvent",
                 "SingleEpochTreeAggregationDpEvent", "TruncatedSubsampledGaussianDpEvent")  # fmt: skip
        raise PlanError(
            f"class_name={show(name)} is no event that is known here: {', '.join(known)}.{did_you_mean(name, known)}"
        )


def _only(event: Mapping[str, Any], fields: tuple[str, ...], name: str) -> None:
    """Raises PlanError for what the event says besides: who wrote it meant something by it. Of events that are not
    known, whose fields are not either, that is said instead."""
    if not fields:
        return
    other = [key for key in event if key not in (*fields, "class_name", "module_name")]
    if other:
        raise PlanError(
            f"{name} has no field {', '.join(map(show, other))}: {', '.join(fields)}. Leave out what it does not have."
        )


def _phase(mechanism: Mechanism, drawn: Sampling, count: int) -> Phase:
    if count > MOST_COUNT:
        raise PlanError(f"count={count} is more than {MOST_COUNT:g}, which nothing here is made for.")
    return Phase(mechanism, drawn, count)


def _made(make: Callable[..., Any], event: Event, name: str, *moved: float) -> Any:
    try:
        return make(event, name, *moved)
    except UsageError as error:
        raise PlanError([_named(problem, name) for problem in error.problems]) from None


def _named(problem: str, name: str) -> str:
    """What a problem says of options, said of an event: with its name, once, and its own word for the noise."""
    if problem.startswith(f"{name}."):
        return problem
    return f"{name}: {problem.replace(' (--sigma)', '').replace('sigma=', 'noise_multiplier=')}"


def _number(event: Event, key: str, name: str) -> float:
    value = event.get(key)
    if not is_number(value) or not abs(value) < 1e300:
        raise PlanError(f"{name}.{key}={show(value)} is not a number.")
    return float(value)


def _positive(event: Event, key: str, name: str) -> Fraction:
    value = _number(event, key, name)
    if not value > 0:
        raise PlanError(f"{name}.{key}={show(value)} is not a positive number.")
    if value < LEAST_NOISE:
        raise PlanError(f"{name}.{key}={show(value)} is below {LEAST_NOISE:g}, where numbers lose their digits.")
    return Fraction(value)


def _whole(event: Event, key: str, name: str) -> int:
    value = _number(event, key, name)
    if value != int(value) or value < 1:
        raise PlanError(f"{name}.{key}={show(event.get(key))} is not a whole number of at least 1.")
    return int(event[key])


def _listed(event: Event, name: str) -> list[Any]:
    events = event.get("events")
    if not isinstance(events, list) or len(events) > MOST_PHASES:
        raise PlanError(f"{name}.events is not a list of at most {MOST_PHASES} events.")
    return events


def _tree_steps(event: Event, name: str) -> int:
    """Of the costliest tree, the longest: "each record occurs at most once *across all trees*" (dp_event.py, 0.6.0)."""
    steps = event.get("step_counts")
    counts = steps if isinstance(steps, list) and steps else [steps]
    return max(_whole({"step_counts": each}, "step_counts", name) for each in counts)


def _gaussian(event: Event, name: str) -> Gaussian:
    return Gaussian(_number(event, "noise_multiplier", name))


def _tree(event: Event, name: str) -> TreeAggregation:
    return TreeAggregation(_number(event, "noise_multiplier", name))


def _cut(event: Event, name: str) -> TruncatedPoisson:
    cap, n = _whole(event, "truncated_batch_size", name), _whole(event, "dataset_size", name)
    return TruncatedPoisson(_number(event, "sampling_probability", name), cap, n)


def _read_zcdp(event: Event, name: str, _: float) -> StatedZcdp:
    if _number({"xi": 0.0, **event}, "xi", name) != 0.0:
        raise PlanError(f"{name}.xi={event['xi']}: ρ alone is known here, with xi = 0.")
    return StatedZcdp(_number(event, "rho", name))


def _read_response(event: Event, name: str, _: float) -> RandomizedResponse:
    p, k = float(_positive(event, "noise_parameter", name)), _whole(event, "num_buckets", name)
    if not p < 1:
        raise PlanError(f"{name}.noise_parameter={p:g} is not in (0, 1).")
    return RandomizedResponse(outward.up(math.log1p((1 - p) * k / p), outward.FEW), k)


def _read_laplace(event: Event, name: str, moved: float) -> Laplace:
    return Laplace(outward.float_above(Fraction(moved) / _positive(event, "noise_multiplier", name)))


def _read_discrete_laplace(event: Event, name: str, moved: float) -> DiscreteLaplace:
    far = int(moved) * _whole(event, "sensitivity", name)
    return DiscreteLaplace(outward.float_above(far * _positive(event, "noise_parameter", name)), far)


_READ: Mapping[str, Callable[[Event, str, float], Mechanism]] = MappingProxyType(
    {
        "GaussianDpEvent": lambda event, name, _: _gaussian(event, name),
        "LaplaceDpEvent": _read_laplace,
        "DiscreteLaplaceDpEvent": _read_discrete_laplace,
        "RandomizedResponseDpEvent": _read_response,
        "EpsilonDeltaDpEvent": lambda event, name, _: Stated(
            _number(event, "epsilon", name), _number(event, "delta", name)
        ),
        "ExponentialMechanismDpEvent": lambda event, name, _: Exponential(_number(event, "epsilon", name)),
        "PermuteAndFlipDpEvent": lambda event, name, _: PermuteAndFlip(_number(event, "epsilon", name)),
        "ZCDpEvent": _read_zcdp,
    }
)
# All fields of each event, as dp_accounting 0.6 has them and newer ones that are read.
_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("GaussianDpEvent", "LaplaceDpEvent"), ("noise_multiplier",)),
        "DiscreteLaplaceDpEvent": ("noise_parameter", "sensitivity"),
        "RandomizedResponseDpEvent": ("noise_parameter", "num_buckets"),
        "EpsilonDeltaDpEvent": ("epsilon", "delta"),
        **dict.fromkeys(("ExponentialMechanismDpEvent", "PermuteAndFlipDpEvent"), ("epsilon",)),
        "ZCDpEvent": ("rho", "xi"),
        "NoOpDpEvent": ("class_name",),
        "ComposedDpEvent": ("events",),
        "SelfComposedDpEvent": ("event", "count"),
        "PoissonSampledDpEvent": ("sampling_probability", "event"),
        "SampledWithoutReplacementDpEvent": ("source_dataset_size", "sample_size", "event"),
        "SingleEpochTreeAggregationDpEvent": ("noise_multiplier", "step_counts"),
        "TruncatedSubsampledGaussianDpEvent": (
            "dataset_size", "sampling_probability", "truncated_batch_size", "noise_multiplier",
        ),
    }
)  # fmt: skip
_DRAWN: Mapping[str, Callable[[Event, str], Sampling]] = MappingProxyType(
    {
        "PoissonSampledDpEvent": lambda event, name: Poisson(_number(event, "sampling_probability", name)),
        "SampledWithoutReplacementDpEvent": lambda event, name: FixedSize(
            _whole(event, "sample_size", name), _whole(event, "source_dataset_size", name)
        ),
    }
)
