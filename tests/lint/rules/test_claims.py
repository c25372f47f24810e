"""Rules on claims and training loops: each fires where it should, and only there."""

import dataclasses
import math
import re

import pytest
from lint_runs import figure, found, looping, of_options, of_plan, only

from dpplan import accounting, lint
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.checks import show
from dpplan.errors import NotCertified
from dpplan.lint import Severity
from dpplan.lint.rules import claim_standing, claims
from dpplan.mechanism import Gaussian, Laplace
from dpplan.plan import Delta, Phase, Plan
from dpplan.sampling import Poisson
from dpplan.verdict import Standing

DELTA = 1e-6


def claiming(**claim: object) -> lint.LintContext:
    return of_options(run={"claim": lint.StatedClaim(**claim)})  # type: ignore[arg-type]


# DP007


def test_a_claim_under_another_adjacency_is_an_error_with_what_holds_instead() -> None:
    """What is proven there; where that is not known, what removing one and adding another makes."""
    run = claiming(adjacency=REPLACE_ONE)
    finding = only(run, "DP007")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--adjacency")
    spent = accounting.epsilon(run.plan, DELTA).upper  # type: ignore[arg-type]
    own = accounting.epsilon(dataclasses.replace(run.plan, adjacency=REPLACE_ONE), DELTA).upper  # type: ignore[type-var]
    assert spent is not None and own is not None
    assert own <= figure("ε ≤", finding.fix) <= 1.001 * own < 2 * spent
    finding = only(dataclasses.replace(run, answers=True), "DP007")
    assert 2 * spent <= figure("ε ≤", finding.fix) <= 2.01 * spent
    assert DELTA * (1 + math.exp(spent)) <= figure("δ =", finding.fix) <= 1.01 * DELTA * (1 + math.exp(spent))


def test_where_nothing_holds_instead_nothing_is_offered() -> None:
    run = of_options(noise_multiplier=0.4, run={"claim": lint.StatedClaim(adjacency=REPLACE_ONE)})
    assert only(run, "DP007").fix == "Claim add/remove."


def test_batches_of_a_fixed_size_do_not_go_with_add_remove() -> None:
    finding = only(looping(loader="fixed"), "DP007")
    assert finding.where == "--loader"
    assert "that is replace-one" in finding.message


def test_the_adjacency_of_the_figure_is_fine() -> None:
    assert found(claiming(adjacency=ADD_REMOVE), "DP007") == []
    assert found(looping(loader="shuffle"), "DP007") == []


def test_a_claim_is_held_against_the_figure_of_its_own_neighbours() -> None:
    run = claiming(adjacency=REPLACE_ONE, epsilon=4.6)  # 2.697 under add/remove
    finding = only(run, "DP009")
    assert "the claimed ε = 4.6 is false under replace-one: the true ε is at least 4.7" in finding.message
    standing = claim_standing.claim_standing(run)
    assert standing is not None and standing.standing is Standing.REFUTED and standing.of == " under replace-one"
    assert lint.where_claim_stands(run) is None
    run = claiming(adjacency=REPLACE_ONE, epsilon=4.72)
    assert found(run, "DP009") == [] and only(run, "DP007").severity is Severity.WARNING
    assert lint.where_claim_stands(run) == " under replace-one"
    for neighbours in (ADD_REMOVE, ZERO_OUT):  # the same pair under Poisson sampling
        assert found(claiming(adjacency=neighbours, epsilon=2.69), "DP009")
        assert lint.check(claiming(adjacency=neighbours, epsilon=2.7))[0].severity is Severity.NOTE


def test_of_a_loader_a_claim_is_held_against_its_own_neighbours_too() -> None:
    plan = Plan.from_rate(1.1, 1 / 235, 14_100)
    own = accounting.epsilon(dataclasses.replace(plan, adjacency=REPLACE_ONE), DELTA)
    assert own.lower is not None and own.upper is not None
    loop, stated = lint.Loop(loader="opacus"), lint.StatedClaim(epsilon=own.lower * (1 - 1e-6), adjacency=REPLACE_ONE)
    false = of_options(run={"loop": loop, "claim": stated})
    assert " of what opacus runs under replace-one: " in only(false, "DP009").message
    true = dataclasses.replace(false, claim=dataclasses.replace(stated, epsilon=own.upper))
    assert lint.where_claim_stands(true) == " of what opacus runs under replace-one"


@pytest.mark.parametrize("answers", [False, True])
def test_what_is_stated_for_its_own_neighbours_says_nothing_of_a_claim_for_others(answers: bool) -> None:
    phase = Phase(Gaussian(4.0), Poisson(0.1), 10) if answers else Phase(Laplace(0.1), Poisson(1.0), 1)
    claim = lint.StatedClaim(epsilon=40.0, adjacency=REPLACE_ONE)
    run = dataclasses.replace(of_plan(phase), claim=claim, answers=answers)
    assert "nothing is proven of them under replace-one" in only(run, "DP009").message
    standing = claim_standing.claim_standing(run)
    assert standing is not None and standing.bound is None and standing.standing is Standing.UNCERTAIN
    assert found(dataclasses.replace(run, claim=lint.StatedClaim(epsilon=40.0)), "DP009") == []


def test_no_claim_stands_where_an_error_says_that_something_else_is_run() -> None:
    run = of_options(run={"loop": lint.Loop(views=2), "claim": lint.StatedClaim(epsilon=2.7)})
    standing = claim_standing.claim_standing(run, lint.check(run))
    assert standing is not None and standing.contradicted and standing.standing is Standing.UNCERTAIN
    silenced = claim_standing.claim_standing(run, lint.check(run, {"DP015": "they are averaged"}))
    assert silenced is not None and silenced.standing is Standing.STANDS


# DP009


def test_an_estimate_below_the_certified_interval_is_an_error() -> None:
    finding = only(claiming(accountant="gdp"), "DP009")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--accountant")
    assert re.match(r"gdp estimates ε ≈ 2\.622 and proves nothing; the true ε is at least 2\.69", finding.message)
    assert "Claim ε ≤ 2.697" in finding.fix


def test_an_estimate_above_the_truth_is_a_warning() -> None:
    run = of_options(
        noise_multiplier=0.3, sample_rate=0.01, batch_size=None, epochs=None, steps=2000, delta=1e-5,
        run={"claim": lint.StatedClaim(accountant="gdp")},
    )  # fmt: skip
    assert only(run, "DP009").severity is Severity.WARNING


def pretending(monkeypatch: pytest.MonkeyPatch, value: float) -> lint.Finding:
    """What is found when gdp, which is quoted, estimates this value."""
    run, exact = claiming(accountant="gdp"), accounting.epsilon

    def answer(plan: Plan, delta: float, accountant: str = "exact") -> Bound:
        bound = exact(plan, delta, accountant)
        return bound if accountant in ("exact", accounting.LEAST) else dataclasses.replace(bound, estimate=value)

    assert run.epsilon is not None
    monkeypatch.setattr(accounting, "epsilon", answer)
    return only(run, "DP009")


@pytest.mark.parametrize("share", [1e-3, 1e-5, 1e-8, 1e-12])
def test_an_estimate_that_is_refuted_is_seen_to_be(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    bound = of_options().epsilon
    assert bound is not None
    assert bound.lower is not None
    finding = pretending(monkeypatch, bound.lower * (1 - share))
    assert finding.severity is Severity.ERROR
    assert figure("ε ≈", finding.message) < figure("at least", finding.message) <= bound.lower


def test_an_estimate_inside_the_interval_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = of_options().epsilon
    assert bound is not None
    assert bound.upper is not None
    finding = pretending(monkeypatch, math.nextafter(bound.upper, 0))
    assert finding.severity is Severity.ERROR
    assert figure("ε ≈", finding.message) < figure("ε ≤", finding.message)


@pytest.mark.parametrize("share", [0.5, 1e-3, 1e-5, 1e-7, 1e-11])
def test_a_refuted_claim_is_shown_below_what_refutes_it(share: float) -> None:
    bound = of_options().epsilon
    assert bound is not None
    assert bound.lower is not None
    claimed = bound.lower * (1 - share)
    message = only(claiming(epsilon=claimed), "DP009").message
    assert figure("claimed ε =", message) == claimed < figure("at least", message) <= bound.lower


def test_a_claim_that_is_not_proven_is_shown_inside_the_interval() -> None:
    bound = of_options().epsilon
    assert bound is not None
    assert bound.upper is not None
    message = only(claiming(epsilon=math.nextafter(bound.upper, 0)), "DP009").message
    assert figure("claimed ε =", message) < bound.upper <= figure("≤ ε ≤", message) <= bound.upper * (1 + 1e-8)
    assert figure("what is proven is", message) <= bound.lower  # type: ignore[operator]


def test_what_has_no_lower_end_is_stated_without_one_and_rounded_up() -> None:
    """A figure of parallel groups, or of a search, is proven from above alone."""
    bound = of_options().epsilon
    assert bound is not None and bound.upper is not None
    above = dataclasses.replace(bound, lower=None, guarantee=Guarantee.UPPER)
    (remark,) = claims._claimed(2.0, above, None, "", "")
    assert "what is proven is ε ≤ 2.6" in remark.message and "None" not in remark.message
    said = re.findall(r"ε ≤ ([\d.]+\d)", remark.message)[0]
    assert bound.upper <= float(said) and len(said) <= 8
    below = dataclasses.replace(bound, upper=None, guarantee=Guarantee.LOWER)
    (remark,) = claims._claimed(99.0, below, None, "", "")
    assert "what is proven is ε ≥ 2.69" in remark.message and remark.fix == "Quote another proof."


@pytest.mark.parametrize(
    ("upper", "claimed", "publish"),
    [(3.61684, 3.6168, 3.6169), (3.61684, 3.6, 3.7), (3.61684, 3.61, 3.62), (31.2, 31.0, 32.0), (0.0312, 0.031, 0.032)],
)
def test_a_claim_that_was_rounded_down_is_told_what_to_publish(upper: float, claimed: float, publish: float) -> None:
    bound = of_options().epsilon
    assert bound is not None
    (remark,) = claims._claimed(
        claimed, dataclasses.replace(bound, lower=upper * (1 - 1e-7), upper=upper), None, "", ""
    )
    assert "is false" in remark.message and "It looks rounded down." in remark.message
    assert remark.fix == f"Claim ε ≤ {show(publish)}, which is rounded up."


@pytest.mark.parametrize("claimed", [2.0, 3.5, 3.6167, 3.616, 3.0])
def test_a_claim_that_was_not_rounded_is_not_said_to_be(claimed: float) -> None:
    bound = of_options().epsilon
    assert bound is not None
    (remark,) = claims._claimed(claimed, dataclasses.replace(bound, lower=3.6179, upper=3.6179), None, "", "")
    assert "rounded" not in remark.message + remark.fix


def test_what_the_accountant_says_that_is_named_is_told_with_a_false_claim() -> None:
    message = only(claiming(epsilon=0.87, accountant="rdp"), "DP009").message
    said = figure("rdp says ε ≤", message)
    assert said > 0.87 and message.endswith("of this plan: the claim is of another one.")


@pytest.mark.parametrize(("claimed", "way"), [(3.2, "more"), (2.75, "less")])
def test_a_true_claim_that_is_not_the_figure_of_the_accountant_that_is_named_gets_a_note(
    claimed: float, way: str
) -> None:
    """It is above what is proven, so nothing is wrong with it; but the plan may be another one."""
    finding = only(claiming(epsilon=claimed, accountant="rdp"), "DP009")
    said = figure("rdp says ε ≤", finding.message)
    assert (finding.severity, finding.where) == (Severity.NOTE, "--claimed-eps")
    assert f"the claimed ε = {claimed} is {way}: it is not that figure" in finding.message
    assert (claimed > said) == (way == "more")
    assert "at δ = 1e-06" in finding.message and "compare accountants" in finding.fix


def test_a_claim_that_is_the_accountants_figure_but_for_rounding_gets_none() -> None:
    run = claiming(accountant="rdp")
    said = accounting.epsilon(run.plan, DELTA, "rdp").value  # type: ignore[arg-type]
    for claimed in (said, math.ceil(100 * said) / 100, math.floor(1000 * said) / 1000):
        assert found(claiming(epsilon=claimed, accountant="rdp"), "DP009") == []
    assert found(claiming(epsilon=2 * said), "DP009") == []  # nobody was named


def test_the_figure_of_what_the_named_loader_runs_is_the_accountants_too() -> None:
    run = of_options(run={"loop": lint.Loop(loader="opacus"), "claim": lint.StatedClaim(accountant="rdp", epsilon=9.0)})
    assert "of what opacus runs at" in only(run, "DP009").message


def test_an_estimate_that_is_not_the_claim_is_told_as_one() -> None:
    notes = [each for each in found(claiming(epsilon=9.0, accountant="gdp"), "DP009") if each.severity is Severity.NOTE]
    (note,) = notes
    assert "gdp says ε ≈ " in note.message


def test_an_accountant_without_a_theorem_cannot_be_quoted() -> None:
    finding = only(claiming(accountant="zcdp"), "DP009")
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith("zcdp: sample_rate")


def test_a_plan_of_which_nothing_is_proven_has_no_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotCertified("too hard")

    run = of_options(batch_size=250, adjacency=ZERO_OUT)
    monkeypatch.setattr(accounting, "epsilon", refuse)
    assert run.epsilon is None
    assert [(finding.code, finding.severity) for finding in lint.check(run)] == [("DP009", Severity.ERROR)]


def test_proven_bounds_are_fine() -> None:
    for accountant in ("exact", "rdp", "moments", "basic"):
        assert found(claiming(accountant=accountant), "DP009") == []


@pytest.mark.parametrize(("below", "said"), [(0.9, "is false"), (1 - 1e-13, "is not proven")])
def test_a_claimed_epsilon_below_the_certified_one_is_an_error(below: float, said: str) -> None:
    bound = of_options().epsilon
    assert bound is not None
    assert bound.upper is not None
    claimed = bound.lower * below if below < 0.95 else math.nextafter(bound.upper, 0)  # type: ignore[operator]
    finding = only(claiming(epsilon=claimed), "DP009")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--claimed-eps")
    assert said in finding.message


def test_a_claimed_epsilon_that_is_proven_is_fine() -> None:
    bound = of_options().epsilon
    assert bound is not None
    assert found(claiming(epsilon=bound.upper), "DP009") == []


def claimed_of(loader: str, epsilon: float, **settings: object) -> lint.LintContext:
    run = {"loop": lint.Loop(loader=loader), "claim": lint.StatedClaim(epsilon=epsilon)}
    return of_options(run=run, **settings)


def test_a_claim_is_held_against_what_opacus_runs() -> None:
    """14,100 steps at 1/235 cost 2.693; the plan as put, 2.697."""
    own = accounting.epsilon(Plan.from_rate(1.1, 1 / 235, 14_100), DELTA)
    assert own.lower is not None and own.upper is not None
    run = claimed_of("opacus", 2.694)
    finding = only(run, "DP009")
    assert finding.severity is Severity.WARNING
    assert "is true of what opacus runs, 14100 steps" in finding.message
    assert "2.69676235 ≤ ε ≤ 2.69676236 is proven, at δ = 1e-06" in finding.message
    assert finding.fix == "Put the plan as it is run: give --q 1/235 in place of --batch."
    assert lint.where_claim_stands(run) == " of what opacus runs"
    assert only(claimed_of("opacus", own.upper), "DP009").severity is Severity.WARNING
    for claimed in (math.nextafter(own.upper, 0), own.lower * (1 - 1e-9), 2.6):
        run = claimed_of("opacus", claimed)
        assert only(run, "DP009").severity is Severity.ERROR
        assert " of what opacus runs: " in only(run, "DP009").message
        assert lint.where_claim_stands(run) is None
    assert found(claimed_of("opacus", 2.7), "DP009") == []


def test_the_figure_that_opacus_gives_of_a_run_of_its_own_is_not_called_false() -> None:
    """On 50,000 examples in batches of 128 it takes 390 steps at 1/391 per epoch: int(1 / (1 / 391)) is 390."""
    data = {"examples": 50_000, "batch_size": 128}
    own = accounting.epsilon(Plan.from_rate(1.1, 1 / 391, 60 * 390), DELTA)
    assert own.lower is not None and own.upper is not None
    run = claimed_of("opacus", own.upper, **data)
    assert lint.where_claim_stands(run) == " of what opacus runs"
    finding = only(run, "DP009")
    assert finding.severity is Severity.WARNING
    assert finding.fix.endswith("give --q 1/391 in place of --batch and --steps 23400 in place of --epochs.")
    assert found(run, "DP019") == []
    false = only(claimed_of("opacus", own.lower * (1 - 1e-6), **data), "DP009")
    assert false.severity is Severity.ERROR and "is false of what opacus runs: " in false.message


@pytest.mark.slow
def test_a_claim_stands_of_no_loader_whose_figure_is_not_proven() -> None:
    """The plan's own figure is below 2.7; nothing is proven of shuffled batches under add/remove."""
    assert lint.where_claim_stands(claiming(epsilon=2.7)) == ""
    for loader in ("torch-shuffle", "drop-last", "weighted", "webdataset", "fixed"):
        assert lint.where_claim_stands(claimed_of(loader, 2.7)) is None
    for loader in ("torch-shuffle", "drop-last", "weighted"):
        message = only(claimed_of(loader, 2.6), "DP009").message
        assert "is false of batches drawn as the figure assumes: " in message and "It is true" not in message
        assert only(claimed_of(loader, 2.6), "DP009").fix.startswith("Draw so, and claim ε ≤ 2.")


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "refuted"), [pytest.param(256, False, marks=pytest.mark.slow), (250, True)])
def test_no_lower_end_refutes_a_claim_of_batches_of_which_some_are_left_out(batch: int, refuted: bool) -> None:
    run = claimed_of("drop-last", 9.0, batch_size=batch, sampling="shuffle", adjacency=ZERO_OUT)
    finding = only(run, "DP009")
    assert finding.severity is Severity.ERROR
    assert ("is false: " in finding.message) is refuted
    assert ("is not proven of what drop-last runs: " in finding.message) is not refuted
    assert run.epsilon is not None and (run.epsilon.lower is not None) is refuted


def test_a_refused_claim_names_its_delta_and_the_one_from_which_it_is_true() -> None:
    message = only(claiming(epsilon=2.62), "DP009").message
    assert " at δ = 1e-06. It is true from δ ≥ 1.791e-06 on." in message
    true_from = figure("from δ ≥", message)
    assert found(of_options(delta=true_from, run={"claim": lint.StatedClaim(epsilon=2.62)}), "DP009") == []
    derived = dataclasses.replace(claiming(epsilon=2.62), delta=Delta(DELTA, "of n"))
    assert " at δ = 1e-06 (no --delta was given). It is true from" in only(derived, "DP009").message
    assert "It is true" not in only(claiming(epsilon=0.5), "DP009").message


# DP012


def test_a_cap_at_the_mean_batch_is_an_error_that_says_which_cap_is_safe() -> None:
    finding = only(looping(cap=256), "DP012")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--cap")
    assert "may add 1 to delta=1e-06" in finding.message
    safe = int(figure("--cap", finding.fix))
    assert found(looping(cap=safe), "DP012") == []
    assert only(looping(cap=safe - 1), "DP012").severity is Severity.WARNING
    assert 6 < (safe - 256) / math.sqrt(256) < 10


def test_what_a_cap_adds_is_not_understated() -> None:
    """Against the binomial tail, summed term by term."""
    run = looping(cap=340)
    assert run.plan is not None
    assert run.epsilon is not None
    n, q = 60_001, run.plan.only_phase.sampling.sample_rate
    tail = run.plan.steps * math.fsum(_binomial(n, q, k) for k in range(341, 600))
    stated = figure("may add", only(run, "DP012").message)
    assert stated >= (1 + math.exp(run.epsilon.value)) * tail > 0
    assert stated <= 30 * (1 + math.exp(run.epsilon.value)) * tail


def _binomial(n: int, q: float, k: int) -> float:
    log_ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log_ways + k * math.log(q) + (n - k) * math.log1p(-q))


def test_a_loader_without_a_cap_is_fine() -> None:
    assert found(of_options(), "DP012") == []
    assert found(looping(cap=60_000), "DP012") == []
