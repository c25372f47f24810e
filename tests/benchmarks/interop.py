"""What `dpplan export` writes, fed to the libraries that it is for: their ε beside dpplan's. Run by make bench.

Fails where a library's ε is below what is certified, or further above than its own method explains.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import dp_accounting
from dp_accounting import dp_event as their_events
from dp_accounting.pld import pld_privacy_accountant
from dp_accounting.rdp import rdp_privacy_accountant
from opacus.accountants import PRVAccountant, RDPAccountant

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.interop import dp_event, jax_plan, opacus_state
from dpplan.mechanism import DiscreteLaplace, Gaussian, Laplace, StatedZcdp
from dpplan.mechanism.correlated import ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, Poisson, TruncatedPoisson

FULL, DELTA = Poisson(1.0), 1e-6
RUN = Phase(Gaussian(1.1), Poisson(0.01), 1000)
PLANS = {
    "DP-SGD": Plan((RUN,)),
    "two phases": Plan((RUN, Phase(Gaussian(2.0), Poisson(0.05), 200))),
    "counts before a run": Plan((Phase(Laplace(0.2), FULL, 20), RUN)),
    "sampled counts": Plan((Phase(Laplace(0.5), Poisson(0.1), 20), Phase(DiscreteLaplace(0.1, 3), FULL, 5))),
    "a tree": Plan((Phase(TreeAggregation(8.83), FULL, 1600),)),
    "banded": Plan((Phase(ToeplitzNoise(4.0, bands=4), CyclicPoisson(0.1, 4, "place"), 400),), adjacency=ZERO_OUT),
    "batches that are cut": Plan((Phase(Gaussian(1.0), TruncatedPoisson(0.01, 130, 10_000), 300),), adjacency=ZERO_OUT),
}
CURVES = {"a stated rho": Plan((Phase(StatedZcdp(0.05), FULL, 2), RUN))}


def event_of(content: dict[str, Any]) -> Any:
    """The five lines that read an event back."""
    fields = {name: value for name, value in content.items() if name != "class_name"}
    for name, value in fields.items():
        if name == "events":
            fields[name] = [event_of(each) for each in value]
        elif name == "event":
            fields[name] = event_of(value)
    return getattr(their_events, content["class_name"])(**fields)


def by_dp_accounting(plan: Plan, make: Callable[..., Any], **options: object) -> float:
    written = json.loads(json.dumps(dp_event.write(plan)))
    relation = dp_accounting.NeighboringRelation[written["neighboring_relation"]]
    return float(make(neighboring_relation=relation, **options).compose(event_of(written["event"])).get_epsilon(DELTA))


def by_opacus(plan: Plan, accountant: Any) -> float:
    accountant.load_state_dict(
        json.loads(json.dumps(opacus_state.write(plan, accountant.mechanism())))["accountant_state"]
    )
    return float(accountant.get_epsilon(DELTA))


def by_jax_privacy(plan: Plan) -> float | None:
    try:
        from jax_privacy.experimental.execution_plan import BandMFExecutionPlanConfig, batch_selection
    except ImportError:
        return None
    written = json.loads(json.dumps(jax_plan.write(plan)))
    written["partition_type"] = batch_selection.PartitionType[written["partition_type"]]
    relation = dp_accounting.NeighboringRelation[
        "ADD_OR_REMOVE_ONE" if plan.adjacency == ADD_REMOVE else "REPLACE_SPECIAL"
    ]
    accountant = pld_privacy_accountant.PLDAccountant(relation)
    made = BandMFExecutionPlanConfig(**written, accountant=accountant)
    return float(pld_privacy_accountant.PLDAccountant(relation).compose(made.plan.dp_event).get_epsilon(DELTA))


def compared(name: str, library: str, theirs: float | None, lower: float, upper: float) -> bool:
    """Whether theirs lies within two ends that are proven or known of its method."""
    if theirs is None:
        print(f"{name:22} {library:16} not installed")
        return True
    good = lower * (1 - 1e-9) <= theirs <= upper
    print(f"{name:22} {library:16} {theirs:<12.8g} in [{lower:.8g}, {upper:.8g}] {'' if good else 'NO'}")
    return good


def main() -> int:
    good = True
    for name, plan in PLANS.items():
        ours = accounting.epsilon(plan, DELTA)
        assert ours.lower is not None and ours.upper is not None
        pld = by_dp_accounting(plan, pld_privacy_accountant.PLDAccountant)
        good &= compared(name, "dp-accounting", pld, ours.lower, ours.upper * 1.002 + 1e-4)
        if all(isinstance(phase.mechanism, Gaussian) and isinstance(phase.sampling, Poisson) for phase in plan.phases):
            renyi = accounting.epsilon(plan, DELTA, "rdp").value
            good &= compared(name, "opacus rdp", by_opacus(plan, RDPAccountant()), ours.lower, renyi * 1.05)
            good &= compared(name, "opacus prv", by_opacus(plan, PRVAccountant()), ours.lower, ours.upper + 0.021)
    for name in ("DP-SGD", "banded", "batches that are cut"):
        ours = accounting.epsilon(PLANS[name], DELTA)
        assert ours.lower is not None
        good &= compared(name, "jax-privacy", by_jax_privacy(PLANS[name]), ours.lower, ours.value * 1.002 + 1e-4)
    for name, plan in CURVES.items():
        renyi = accounting.epsilon(plan, DELTA, "rdp").value
        theirs = by_dp_accounting(plan, rdp_privacy_accountant.RdpAccountant)
        good &= compared(name, "dp-accounting", theirs, renyi, renyi * 1.05)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
