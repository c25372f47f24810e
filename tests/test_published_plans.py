"""Published training runs, as plans: what they cost, and what could be solved for from the rest of each.

Their figures come from Rényi accounting. Solving any one quantity with that accountant returns the published one;
the exact accountant shows how much of the budget was left.
"""

import csv
from pathlib import Path

import pytest

from dpplan import accounting, solve
from dpplan.plan import Settings

ROWS = {row["id"]: row for row in csv.DictReader((Path(__file__).parent / "data" / "published_points.csv").open())}
RUNS = ("de22_c10_e1", "de22_c100ft_e1", "de22_in_e8", "tan_in")


def run(name, **changes):
    row = ROWS[name]
    settings = Settings(
        noise_multiplier=float(row["sigma"]),
        examples=int(row["n"]),
        batch_size=int(row["batch"]),
        steps=int(row["steps"]),
    )
    return settings.with_(**changes)


def target(name):
    return float(ROWS[name]["value"]), float(ROWS[name]["delta"])


@pytest.mark.parametrize("name", RUNS)
def test_a_published_run_is_within_its_budget_and_the_exact_cost_is_well_below(name):
    budget, delta = target(name)
    renyi = accounting.epsilon(run(name).plan(), delta, "rdp").upper
    exact = accounting.epsilon(run(name).plan(), delta)
    assert 0.98 * budget < renyi <= budget
    assert 0.9 * renyi < exact.lower <= exact.upper < 0.95 * renyi


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", RUNS)
def test_each_quantity_of_a_published_run_is_returned_by_renyi_accounting(name):
    """The last update was still within the budget; the others are within the digits the source chose."""
    budget, delta = target(name)
    given = run(name)
    steps = solve.steps(run(name, steps=None), budget, delta, "rdp")
    assert given.steps <= steps.value <= 1.025 * given.steps
    noise = solve.noise(run(name, noise_multiplier=None), budget, delta, "rdp")
    assert 0.985 * given.noise_multiplier <= noise.value <= given.noise_multiplier
    examples = solve.examples(run(name, examples=None), budget, delta, "rdp")
    assert 0.985 * given.examples <= examples.value <= given.examples
    batch = solve.batch_size(run(name, batch_size=None), budget, delta, "rdp")
    assert given.batch_size <= batch.value <= 1.015 * given.batch_size


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("name", "steps", "noise"), [
    ("de22_c10_e1", 1055, 9.119011),
    ("de22_c100ft_e1", 295, 19.41073),
    ("de22_in_e8", 79802, 2.378719),
    ("tan_in", 20178, 2.373215),
])  # fmt: skip
def test_what_exact_accounting_would_have_given_a_published_run(name, steps, noise):
    budget, delta = target(name)
    longer = solve.steps(run(name, steps=None), budget, delta)
    quieter = solve.noise(run(name, noise_multiplier=None), budget, delta)
    assert (longer.value, quieter.value) == (steps, noise)
    assert longer.spent.upper <= budget
    assert quieter.spent.upper <= budget


def test_the_cifar_run_of_tan_fits_45000_examples_not_50000():
    """The source prints ε = 8 and no n. Solving for n shows that 50000 would have left a tenth of the budget."""
    budget, delta = target("tan_c10")
    solved = solve.examples(run("tan_c10", examples=None), budget, delta, "rdp")
    assert solved.value == 45177
    assert accounting.epsilon(run("tan_c10").plan(), delta, "rdp").upper == pytest.approx(7.10, abs=0.01)
    assert accounting.epsilon(run("tan_c10", examples=45000).plan(), delta, "rdp").upper == pytest.approx(
        8.04, abs=0.01
    )


def test_vaultgemma_needs_exact_accounting_and_some_ten_billion_sequences():
    """n is not published: the least n that supports (2.0, 1.1e-10) under plain Poisson sampling is solved for.

    13e12 tokens in sequences of 1024 are 1.27e10 examples, which is enough. Rényi accounting would need 68 times more.
    """
    budget, delta = target("vaultgemma")
    settings = Settings(noise_multiplier=0.614, batch_size=518000, steps=100000)
    solved = solve.examples(settings, budget, delta)
    assert solved.spent.upper <= budget
    assert solved.value == pytest.approx(9.674e9, rel=1e-3)
    sequences = settings.with_(examples=13 * 10**12 // 1024)
    assert accounting.epsilon(sequences.plan(), delta).upper == pytest.approx(1.7106, abs=1e-3)
    assert accounting.epsilon(sequences.plan(), delta, "rdp").upper > 3.2
    assert solve.examples(settings, budget, delta, "rdp").value == pytest.approx(68 * sequences.examples, rel=0.01)
