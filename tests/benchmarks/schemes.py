"""Schemes, neighbours, units and mixed plans beside the libraries that answer for them: part of `make bench`.

Every cell is a process of its own, so that nothing is known from before. Seconds are processor time of one call after
import and, where an accountant builds tables once, after a first small call. Peers give an upper end alone, but for
PLD_accounting; what they claim above the certified upper end of dpplan is shown as excess. A cell that lasts longer
than --patience is broken off and says so, one whose library is not there says that.

random-allocation needs another numpy than the rest (and pandas, which it does not name): --random-allocation PYTHON
names an interpreter that has it.
"""

import argparse
import dataclasses
import json
import subprocess
import sys

DPPLAN = """
from dpplan import accounting
from dpplan.adjacency import *
from dpplan.mechanism import *
from dpplan.plan import Phase, Plan
from dpplan.sampling import *
def call(plan=None, delta=None):
    found = accounting.epsilon({plan}, {delta})
    return found.lower, found.upper
accounting.epsilon(Plan.from_rate(3.0, 0.01, 10), 1e-5)
accounting.epsilon(Plan((Phase(Laplace(1.0), Poisson(0.5), 2), Phase(Gaussian(3.0), Poisson(0.01), 10))), 1e-5)
"""
GOOGLE_RDP = """
import dp_accounting as d
from dp_accounting import rdp
def call():
    accountant = rdp.RdpAccountant(neighboring_relation=d.NeighboringRelation.{neighbours})
    return None, accountant.compose({event}).get_epsilon({delta})
"""
GOOGLE_PLD = """
import dp_accounting as d
from dp_accounting import pld
import math
def call():
    accountant = pld.PLDAccountant(neighboring_relation=d.NeighboringRelation.{neighbours})
    return None, accountant.compose({event}).get_epsilon({delta})
"""
JAX_PRIVACY = """
from jax_privacy.accounting import accountants, analysis
def call():
    accountant = analysis.{accountant}
    params = analysis.DpParams({params}, delta={delta})
    return None, accountant.compute_epsilon({steps}, params)
"""
PLD_ALLOCATION = """
from PLD_accounting import gaussian_allocation_epsilon_range
def call():
    upper, lower = gaussian_allocation_epsilon_range(
        delta={delta}, sigma={sigma}, num_steps={steps}, num_selected={times}, num_epochs={rounds})
    return lower, upper
"""
RANDOM_ALLOCATION = """
from random_allocation.comparisons.structs import PrivacyParams, SchemeConfig
from random_allocation.random_allocation_scheme.combined import allocation_epsilon_combined
orders = dict(
    allocation_direct_alpha_orders=list(range(2, 61)),
    allocation_RDP_DCO_alpha_orders=[1.1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 60],
)
def call():
    asked = PrivacyParams(
        sigma={sigma}, num_steps={steps}, num_selected={times}, num_epochs={rounds}, delta={delta})
    return None, allocation_epsilon_combined(asked, SchemeConfig(**orders))
"""
TIMED = """
import json, time
begin = time.process_time()
found = call()
print(json.dumps([*found, time.process_time() - begin]))
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """plan: how dpplan writes it. peers: distribution -> the code that defines its call()."""

    name: str
    plan: str
    delta: float
    peers: dict[str, str]


def _allocation(name: str, plan: str, delta: float, numbers: dict[str, float]) -> Row:
    peers = {"PLD_accounting": PLD_ALLOCATION, "random-allocation": RANDOM_ALLOCATION}
    return Row(name, plan, delta, {each: code.format(delta=delta, **numbers) for each, code in peers.items()})


# Mechanism, sample rate and steps, as dpplan and as dp_accounting write them.
MIXED = (
    ("Laplace(0.2)", "d.LaplaceDpEvent(5.0)", 1.0, 20),
    ("Gaussian(3.0)", "d.GaussianDpEvent(3.0)", 0.02, 500),
    ("Gaussian(20.0)", "d.GaussianDpEvent(20.0)", 1.0, 2),
    ("DiscreteLaplace(0.1)", "d.dp_event.DiscreteLaplaceDpEvent(0.1, 1)", 1.0, 3),
    ("DiscreteLaplace(0.3, 3)", "d.dp_event.DiscreteLaplaceDpEvent(0.1, 3)", 1.0, 1),
    ("Gaussian(1.1)", "d.GaussianDpEvent(1.1)", 256 / 60000, 3516),
    ("Laplace(0.05)", "d.LaplaceDpEvent(20.0)", 0.1, 100),
    ("Laplace(0.4)", "d.LaplaceDpEvent(2.5)", 1.0, 2),
    ("Gaussian(4.0)", "d.GaussianDpEvent(4.0)", 0.01, 1000),
    ("Gaussian(8.0)", "d.GaussianDpEvent(8.0)", 1.0, 10),
)


def _mixed(count: int) -> Row:
    """The first so many of MIXED."""
    phases, events = "", ""
    for mechanism, event, rate, steps in MIXED[:count]:
        phases += f"Phase({mechanism}, Poisson({rate}), {steps}), "
        drawn = event if rate == 1.0 else f"d.PoissonSampledDpEvent({rate}, {event})"
        events += f"d.SelfComposedDpEvent({drawn}, {steps}), "
    google = GOOGLE_PLD.format(neighbours="ADD_OR_REMOVE_ONE", event=f"d.ComposedDpEvent([{events}])", delta=1e-6)
    return Row(f"{count} phases of different mechanisms", f"Plan(({phases}))", 1e-6, {"dp-accounting PLD": google})


def _binomial(most: int, rate: float) -> str:
    """How many of so many examples of one user are drawn, as dp_accounting takes it."""
    counts = f"range({most + 1})"
    return f"{counts}, [math.comb({most}, k) * {rate}**k * (1 - {rate})**({most} - k) for k in {counts}]"


ROWS = (
    _mixed(2),
    _mixed(len(MIXED)),
    Row(
        "fixed-size, replace-one: σ 1, 100 of 10,000, T 1000",
        "Plan((Phase(Gaussian(1.0), FixedSize(100, 10_000), 1000),), adjacency=REPLACE_ONE)",
        1e-5,
        {
            "dp-accounting RDP": GOOGLE_RDP.format(
                neighbours="REPLACE_ONE",
                event="d.SampledWithoutReplacementDpEvent(10_000, 100, d.GaussianDpEvent(0.5)), 1000",
                delta=1e-5,
            ),
            "jax-privacy": JAX_PRIVACY.format(
                accountant="DpsgdTrainingAccountant(accountants.RdpAccountantConfig())",
                params="noise_multipliers=1.0, num_samples=10_000, batch_size=100, "
                "sampling_method=analysis.SamplingMethod.FIXED_BATCH_SIZE",
                delta=1e-5,
                steps=1000,
            ),
        },
    ),
    Row(
        "truncated-poisson, zero-out: σ 0.8, q 0.005, n 50,000, cap 330, T 1000",
        "Plan((Phase(Gaussian(0.8), TruncatedPoisson(0.005, 330, 50_000), 1000),), adjacency=ZERO_OUT)",
        1e-5,
        {
            "dp-accounting PLD": GOOGLE_PLD.format(
                neighbours="REPLACE_SPECIAL",
                event="d.dp_event.TruncatedSubsampledGaussianDpEvent(50_000, 0.005, 330, 0.8), 1000",
                delta=1e-5,
            ),
            "jax-privacy": JAX_PRIVACY.format(
                accountant="DpsgdTrainingAccountant(accountants.PldAccountantConfig())",
                params="noise_multipliers=0.8, num_samples=50_000, batch_size=250, truncated_batch_size=330",
                delta=1e-5,
                steps=1000,
            ),
        },
    ),
    Row(
        "4 examples of each user: σ 2, q 0.01, T 1000",
        "Plan((Phase(Gaussian(2.0), Poisson(0.01), 1000),), privacy_unit='user', max_per_user=4)",
        1e-6,
        {
            "dp-accounting PLD": GOOGLE_PLD.format(
                neighbours="ADD_OR_REMOVE_ONE",
                event=f"d.dp_event.MixtureOfGaussiansDpEvent(2.0, {_binomial(4, 0.01)}), 1000",
                delta=1e-6,
            ),
            "jax-privacy": JAX_PRIVACY.format(
                accountant="DpsgdTrainingUserLevelAccountant(accountants.PldAccountantConfig())",
                params="noise_multipliers=2.0, num_samples=10_000, batch_size=100, examples_per_user=4",
                delta=1e-6,
                steps=1000,
            ),
        },
    ),
    Row(
        "tree of one pass: σ 5, T 1000",
        "Plan((Phase(TreeAggregation(5.0), Poisson(1.0), 1000),))",
        1e-6,
        {
            "dp-accounting RDP": GOOGLE_RDP.format(
                neighbours="REPLACE_SPECIAL",
                event="d.dp_event.SingleEpochTreeAggregationDpEvent(5.0, 1000)",
                delta=1e-6,
            )
        },
    ),
    _allocation(
        "balls-in-bins: σ 1, 1 of 100, 1 epoch",
        "Plan((Phase(Gaussian(1.0), BallsInBins(100), 100),))",
        1e-5,
        {"sigma": 1.0, "steps": 100, "times": 1, "rounds": 1},
    ),
    _allocation(
        "balls-in-bins: σ 1, 1 of 100, 10 epochs",
        "Plan((Phase(Gaussian(1.0), BallsInBins(100), 1000),))",
        1e-5,
        {"sigma": 1.0, "steps": 100, "times": 1, "rounds": 10},
    ),
    _allocation(
        "random-allocation: σ 1, 4 of 100",
        "Plan((Phase(Gaussian(1.0), RandomAllocation(100, 4), 100),))",
        1e-5,
        {"sigma": 1.0, "steps": 100, "times": 4, "rounds": 1},
    ),
)


def cell(code: str, python: str, patience: float) -> tuple[float | None, float, float] | str:
    """Lower end, upper end and seconds; or why there are none."""
    command = [python, "-W", "ignore", "-c", code + TIMED]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return f"broken off after {patience:g} s"
    if done.returncode:
        (*_, last) = done.stderr.strip().splitlines() or ["no answer"]
        return "not installed" if last.startswith("ModuleNotFoundError") else last[:60]
    lower, upper, seconds = json.loads(done.stdout.splitlines()[-1])
    return lower, upper, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patience", type=float, default=120.0, help="seconds for one cell")
    parser.add_argument("--random-allocation", default=sys.executable, metavar="PYTHON")
    given = parser.parse_args()
    for row in ROWS:
        print(row.name, f"δ {row.delta:g}", flush=True)
        own = cell(DPPLAN.format(plan=row.plan, delta=row.delta), sys.executable, given.patience)
        if isinstance(own, str):
            sys.exit(f"dpplan: {own}")
        lower, upper, seconds = own
        assert lower is not None
        print(f"  {'dpplan':<20}{lower:.9g} <= ε <= {upper:.9g}   width {upper / lower - 1:.1e}   {seconds:.3f} s")
        for peer, code in row.peers.items():
            python = given.random_allocation if peer == "random-allocation" else sys.executable
            found = cell(code, python, given.patience)
            if isinstance(found, str):
                print(f"  {peer:<20}{found}", flush=True)
                continue
            low, high, spent = found
            shown = f"{low:.6g} <= ε <= {high:.6g}" if low is not None else f"ε <= {high:.9g}"
            verdict = f"{high / upper - 1:+.1e}" if high >= lower else f"{high / lower - 1:+.1e}, below the truth"
            print(f"  {peer:<20}{shown}   {verdict}   {spent:.3f} s, {spent / seconds:.3g} times as long", flush=True)


if __name__ == "__main__":
    main()
