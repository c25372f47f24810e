"""Membership attacks on made-up models: each does what its paper says, and none looks at the target's own coins."""

import numpy as np
import pytest
from scipy import stats

from dpplan.audit.membership_attacks import ATTACKS, ShadowRuns, pooled, roc, scores_of
from dpplan.audit.scores import Scores


def made_up(models: int = 17, examples: int = 600, gain: float = 1.5, seed: int = 0) -> ShadowRuns:
    """Examples of different difficulty, of which each model is surer by `gain` when it has seen them."""
    rng = np.random.default_rng(seed)
    member = rng.integers(0, 2, (models, examples)).astype(bool)
    confidence = 3.0 * rng.standard_normal(examples) + gain * member + rng.standard_normal((models, examples))
    return ShadowRuns(member, confidence)


def test_shadow_models_tell_what_the_loss_alone_does_not() -> None:
    runs = made_up()
    areas = {attack: roc(pooled(runs, attack)).area for attack in ATTACKS}
    assert areas["loss"] < 0.68 < 0.8 < areas["rmia"] < areas["lira"]
    assert areas["lira-offline"] > 0.8
    strict = {attack: roc(pooled(runs, attack)).at(0.01) for attack in ATTACKS}
    assert strict["loss"] < 0.05 < 0.1 < strict["lira"]  # type: ignore[operator]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_found_where_nothing_leaks(attack: str) -> None:
    assert abs(roc(pooled(made_up(gain=0.0), attack)).area - 0.5) < 0.02


@pytest.mark.parametrize("attack", ATTACKS)
def test_scores_do_not_look_at_the_coins_of_the_model_that_is_attacked(attack: str) -> None:
    runs = made_up(models=6, examples=50)
    member = runs.member.copy()
    member[2] = ~member[2]
    assert np.array_equal(
        scores_of(runs, attack, 2).score, scores_of(ShadowRuns(member, runs.confidence), attack, 2).score
    )


def test_lira_is_the_ratio_of_two_normal_densities() -> None:
    runs = made_up(models=5, examples=40, seed=3)
    others = runs.without(0)
    inside = [others.confidence[others.member[:, k], k] for k in range(40)]
    outside = [others.confidence[~others.member[:, k], k] for k in range(40)]
    both = [k for k in range(40) if len(inside[k]) and len(outside[k])]
    widths = []
    for part in (inside, outside):
        squares = sum(((each - each.mean()) ** 2).sum() for each in part if len(each))
        widths.append(np.sqrt(squares / sum(max(len(each) - 1, 0) for each in part)))
    online, offline = (scores_of(runs, attack, 0).score for attack in ("lira", "lira-offline"))
    for k in both:
        own = runs.confidence[0, k]
        ratio = stats.norm.logpdf(own, inside[k].mean(), widths[0]) - stats.norm.logpdf(
            own, outside[k].mean(), widths[1]
        )
        assert online[k] == pytest.approx(ratio)
        assert offline[k] == pytest.approx((own - outside[k].mean()) / widths[1])
    assert len(both) < 40  # the others are scored as well
    assert np.isfinite(online).all()


def test_with_many_shadows_each_example_has_its_own_deviation() -> None:
    runs = made_up(models=80, examples=3, seed=1)
    wide = runs.confidence.copy()
    wide[:, 0] = 10.0 * wide[:, 0]
    runs = ShadowRuns(runs.member, wide)
    others = runs.without(0)
    out = others.confidence[~others.member[:, 0], 0]
    expected = (wide[0, 0] - out.mean()) / out.std(ddof=1)
    assert scores_of(runs, "lira-offline", 0).score[0] == pytest.approx(expected)


def test_rmia_is_the_share_of_examples_whose_probability_rose_less() -> None:
    runs = made_up(models=9, examples=30, seed=2)
    others = runs.without(0)
    p = 1.0 / (1.0 + np.exp(-runs.confidence))
    mean = [0.5 * (p[1:][others.member[:, k], k].mean() + p[1:][~others.member[:, k], k].mean()) for k in range(30)]
    ratio = p[0] / np.array(mean)
    expected = [(ratio[k] >= np.delete(ratio, k)).mean() for k in range(30)]
    assert scores_of(runs, "rmia", 0).score == pytest.approx(expected)


def test_models_that_are_infinitely_sure_are_scored() -> None:
    runs = made_up(models=4, examples=20)
    told = runs.confidence.copy()
    told[:, 0], told[1, 1], told[2, 2] = np.inf, -np.inf, np.nan
    for attack in ATTACKS:
        assert np.isfinite(pooled(ShadowRuns(runs.member, told), attack).score).all()


def test_a_single_model_has_its_loss() -> None:
    runs = made_up(models=1, examples=20)
    assert (np.diff(scores_of(runs, "loss", 0).score[np.argsort(runs.confidence[0])]) > 0).all()


def test_a_curve_never_counts_ties_for_the_attack() -> None:
    member = np.array([True, True, False, False, True, False])
    curve = roc(Scores(member, np.array([3.0, 2.0, 2.0, 1.0, 0.0, 0.0])))
    assert curve.false_positives.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])
    assert curve.true_positives.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 1])
    assert curve.at(0.5) == pytest.approx(2 / 3)
    assert curve.at(1 / 3 - 1e-9) is None  # three non-members tell nothing of so low a rate
    assert curve.area == pytest.approx(np.mean([1, 1, 1, 0.5, 1, 1, 0, 0, 0.5]))
