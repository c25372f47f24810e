"""A toy scheme, a toy mechanism and a toy rule, taken from CONTRIBUTING.md as they stand there, go all the way.

What the test adds to the tables is what their authors would: the lines that the document names, and nothing else.
"""

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mpmath import mp, mpf

from dpplan import accounting, compare, lint, mechanism, sampling
from dpplan.accounting import ACCOUNTANTS, Guarantee, pairs
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE
from dpplan.errors import NotApplicable
from dpplan.lint.finding import Remark
from dpplan.mechanism import Gaussian
from dpplan.plan import Delta, Phase, Plan, Settings
from dpplan.plan_json import plan_from_json
from dpplan.render import check as render_check
from dpplan.render import to_json
from dpplan.render.plan_rows import plan_rows
from dpplan.sampling import Binomial, Poisson

DOCUMENT = Path(__file__).parents[1] / "CONTRIBUTING.md"
WIDE = 1e-5  # what the lattice engine is asked for, with room


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names that the document's examples define, with their lines added to the tables."""
    known = {
        "dataclass": dataclasses.dataclass,
        "ClassVar": ClassVar,
        "Fraction": Fraction,
        "math": math,
        "pairs": pairs,
        "DominatingPair": pairs.DominatingPair,
        "NotApplicable": NotApplicable,
        "Gaussian": Gaussian,
        "Poisson": Poisson,
        "Binomial": Binomial,
        "Phase": Phase,
        "ADD_REMOVE": ADD_REMOVE,
        "__name__": "toys",
    }
    part = DOCUMENT.read_text(encoding="utf-8").partition("### A sampling scheme")[2].partition("### An accountant")[0]
    blocks = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    assert len(blocks) == 3
    exec("\n\n".join(blocks), known)
    monkeypatch.setattr(sampling, "SCHEMES", {**sampling.SCHEMES, **known["SCHEME"]})
    monkeypatch.setattr(mechanism, "MECHANISMS", {**mechanism.MECHANISMS, **known["MECHANISM"]})
    monkeypatch.setattr(pairs, "PAIRS", {**pairs.PAIRS, **known["SCHEME_PAIR"], **known["MECHANISM_PAIR"]})
    yield known


def test_one_step_of_the_toy_scheme_costs_what_its_coin_makes_of_a_poisson_step(toys: dict[str, Any]) -> None:
    plan = Plan((Phase(Gaussian(0.8), toys["CoinPoisson"](0.1, 0.25), 1),))
    drawn = accounting.delta(Plan.from_rate(0.8, 0.1, 1), 0.5)
    found = accounting.delta(plan, 0.5)
    assert found.guarantee is Guarantee.CERTIFIED
    assert drawn.lower is not None and drawn.upper is not None and found.lower is not None and found.upper is not None
    assert found.lower <= 0.25 * drawn.upper and 0.25 * drawn.lower <= found.upper
    assert found.relative_width is not None and found.relative_width < WIDE


def test_a_coin_that_always_says_yes_is_poisson_sampling(toys: dict[str, Any]) -> None:
    almost = Plan((Phase(Gaussian(1.1), toys["CoinPoisson"](0.01, 1 - 1e-12), 500),))
    known, found = accounting.epsilon(Plan.from_rate(1.1, 0.01, 500), 1e-5), accounting.epsilon(almost, 1e-5)
    assert found.value == pytest.approx(known.value, rel=WIDE)


@pytest.mark.parametrize(("scale", "steps"), [(2.0, 1), (3.0, 4)])
def test_the_toy_mechanism_costs_what_laplace_noise_costs(toys: dict[str, Any], scale: float, steps: int) -> None:
    plan = Plan((Phase(toys["LaplaceNoise"](scale), Poisson(1.0), steps),))
    asked = 0.6 * steps / scale
    found, truth = accounting.delta(plan, asked), laplace_delta(scale, steps, asked)
    assert found.lower is not None and found.upper is not None
    assert found.lower <= truth <= found.upper
    assert found.relative_width is not None and found.relative_width < WIDE


def test_toys_compose_with_each_other_and_with_what_is_known(toys: dict[str, Any]) -> None:
    coin, laplace = toys["CoinPoisson"](0.05, 0.5), toys["LaplaceNoise"](4.0)
    phases = (Phase(Gaussian(1.0), coin, 20), Phase(laplace, Poisson(0.5), 3), Phase(Gaussian(2.0), Poisson(0.1), 10))
    whole = accounting.epsilon(Plan(phases), 1e-6)
    parts = [accounting.epsilon(Plan((phase,)), 1e-6) for phase in phases]
    assert whole.guarantee is Guarantee.CERTIFIED
    assert max(part.value for part in parts) < whole.value
    swapped = accounting.epsilon(Plan(phases[::-1]), 1e-6)
    assert swapped.value == pytest.approx(whole.value, rel=WIDE)


def test_other_accountants_refuse_the_toys_with_the_reason(toys: dict[str, Any]) -> None:
    plan = Plan((Phase(toys["LaplaceNoise"](2.0), Poisson(1.0), 3),))
    rows = {row.accountant: row for row in compare.accountants(plan, 1e-5).rows}
    assert rows["exact"].bound is not None and rows["exact"].bound.lower is not None
    # The law of the toy has moments in closed form, which is all that Rényi accounting asks of it.
    assert rows["rdp"].bound is not None and rows["rdp"].bound.value >= rows["exact"].bound.lower
    for name in set(ACCOUNTANTS) - {"exact", "rdp"}:
        reason = "is not known by a ρ, as Gaussian" if name == "zcdp" else "made for Gaussian noise"
        assert rows[name].bound is None and reason in str(rows[name].refusal)


def test_a_toy_under_neighbours_it_has_no_theorem_for_is_refused(toys: dict[str, Any]) -> None:
    plan = Plan((Phase(toys["LaplaceNoise"](2.0), Poisson(1.0), 3),), adjacency=REPLACE_ONE)
    with pytest.raises(NotApplicable, match="laplace-noise with full-batch is not known under replace-one"):
        accounting.epsilon(plan, 1e-5)


def test_toys_are_shown_and_stored_like_everything_else(toys: dict[str, Any]) -> None:
    plan = Plan((Phase(toys["LaplaceNoise"](2.0), toys["CoinPoisson"](0.25, 0.5), 3),))
    stored = json.loads(to_json.dumps(to_json.described(plan)))
    assert stored["phases"] == [
        {
            "mechanism": "laplace-noise",
            "noise_scale": 2.0,
            "sampling": "coin-poisson",
            "sample_rate": 0.25,
            "chance": 0.5,
            "steps": 3,
        }
    ]
    assert plan_from_json(stored) == plan
    shown = "\n".join(plan_rows(plan))
    for line in ("noise scale        2", "sample rate        0.25", "chance             0.5", "after a public coin"):
        assert line in shown
    assert "noise scale = 2" in "\n".join(plan_rows(Plan(plan.phases * 2)))


def test_a_toy_rule_is_listed_explained_and_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"LintContext": lint.LintContext, "Iterator": Iterator, "Remark": Remark, "Severity": lint.Severity}
    part = DOCUMENT.read_text(encoding="utf-8").partition("### A lint rule")[2].partition("\n### ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    exec(block, known)
    monkeypatch.setattr(lint, "RULES", {**lint.RULES, **known["RULE"]})
    settings = Settings(noise_multiplier=2.0, sample_rate=0.01, steps=10)
    run = lint.LintContext(settings=settings, plan=settings.plan(), delta=Delta(1e-6))
    findings = lint.check(run)
    assert [(one.code, one.where) for one in findings if one.code == "DP999"] == [("DP999", "--sigma")]
    assert "DP999  The noise is a whole number, which looks like a guess." in list(render_check.rules())
    assert "What was guessed spends less of the budget than there is" in " ".join(render_check.explanation("DP999"))
    (shown,) = (one for one in render_check.document(run, findings, False)["findings"] if one["code"] == "DP999")
    assert (shown["rule"], shown["fix"]) == (
        "noise-is-round",
        "Ask dpplan solve for the least that will do.",
    )
    other = Settings(noise_multiplier=2.1, sample_rate=0.01, steps=10)
    silent = lint.check(lint.LintContext(settings=other, plan=other.plan(), delta=Delta(1e-6)))
    assert "DP999" not in {one.code for one in silent}
    assert lint.check(run, {"DP999": "it was measured"})[-1].silenced == "it was measured"


def laplace_delta(scale: float, steps: int, epsilon: float) -> mpf:
    """E[(1 - e^(ε - L))₊] of `steps` losses of Laplace noise, summed over how many of them are atoms.

    One loss is ε₀ with probability 1/2, -ε₀ with e^-ε₀/2, and between them has the density e^((l - ε₀)/2)/4, ε₀ = 1/b.
    """
    with mp.workdps(30):
        e0, total = 1 / mpf(scale), mpf(0)
        for up in range(steps + 1):
            for down in range(steps + 1 - up):
                between = steps - up - down
                ways = mp.factorial(steps) / (mp.factorial(up) * mp.factorial(down) * mp.factorial(between))
                weight = ways * mpf(0.5) ** up * (mp.exp(-e0) / 2) ** down
                total += weight * _between(between, (up - down) * e0, e0, mpf(epsilon))
        return total


def _between(count: int, start: mpf, e0: mpf, epsilon: mpf) -> mpf:
    """∫ (1 - e^(ε - start - l))₊ of a sum of `count` losses without atoms, by the law of Irwin-Hall."""
    if count == 0:
        return max(1 - mp.exp(epsilon - start), mpf(0))

    def density(loss: mpf) -> mpf:
        x = (loss + count * e0) / (2 * e0)
        terms = ((-1) ** k * mp.binomial(count, k) * (x - k) ** (count - 1) for k in range(int(mp.floor(x)) + 1))
        uniform = mp.fsum(terms) / mp.factorial(count - 1) * (2 * e0) ** (count - 1)
        return uniform * mp.exp((loss - count * e0) / 2) / 4**count

    low = max(-count * e0, epsilon - start)
    if low >= count * e0:
        return mpf(0)
    knots = [low, *(k * e0 for k in range(-count, count + 1, 2) if k * e0 > low)]
    return mp.quad(lambda loss: density(loss) * (1 - mp.exp(epsilon - start - loss)), sorted({*knots, count * e0}))
