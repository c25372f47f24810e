"""Clipping rules: what each makes of a norm, and that adaptive clipping is one release of the accounted mechanism."""

import math

import numpy as np
import pytest
import torch

from dpplan.mechanism import Gaussian
from dpplan.recipe import Privacy
from dpplan.train.clipping import rule_for
from dpplan.train.clipping.floating_point_trial import SAFETY
from dpplan.train.clipping.rules import ANALYSED, ROUND_OFF, STABILITY, Adaptive, Automatic, Flat, PerLayer
from dpplan.train.step.noise import GaussianNoise

NORMS = torch.tensor([0.0, 1e-300, 0.5, 1.0, 2.0, 1e30], dtype=torch.float64)
SQUARES = torch.stack([NORMS.square() * 0.64, NORMS.square() * 0.36])


def contributions(rule: Flat) -> torch.Tensor:
    """Norms of what enters the sum."""
    return (rule.weights(NORMS, SQUARES) * SQUARES.sqrt()).square().sum(0).sqrt()


@pytest.mark.parametrize("rule", [Flat(1.5), PerLayer(1.5), Automatic(1.5), Adaptive(1.5)])
def test_no_norm_exceeds_the_clip_norm(rule: Flat) -> None:
    found = contributions(rule)
    assert float(found.max()) <= 1.5 * (1 - ROUND_OFF) * (1 + 1e-12)
    assert bool(found.isfinite().all())


def test_flat_leaves_short_gradients_alone() -> None:
    assert contributions(Flat(1.5)).tolist()[:4] == pytest.approx([0, 0, 0.5, 1.0], abs=1e-15)


def test_per_layer_clips_each_layer_to_its_share() -> None:
    weights = PerLayer(1.0).weights(NORMS, SQUARES)
    layers = (weights * SQUARES.sqrt())[:, 4]
    share = (1 - ROUND_OFF) / math.sqrt(2)
    assert layers.tolist() == pytest.approx([share, share])


def test_automatic_normalises() -> None:
    assert contributions(Automatic(2.0)).tolist()[3:] == pytest.approx(
        [2 * (1 - ROUND_OFF) * n / (n + STABILITY) for n in (1.0, 2.0, 1e30)]
    )


@pytest.mark.parametrize("sigma", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("clip_norm", [0.01, 1.0, 300.0])
def test_adaptive_splits_the_noise_as_the_paper_does(sigma: float, clip_norm: float) -> None:
    """1/σ_Δ² + 1/(2 σ_b)² = 1/σ², with the noise multipliers that gradient and count really get; never less noise."""
    rule = Adaptive(clip_norm)
    per_coordinate = sigma * rule.sensitivity
    on_gradient, on_count = per_coordinate / clip_norm, per_coordinate / rule.scale
    assert on_gradient == pytest.approx(1.01 * sigma)
    spent = on_gradient**-2 + (2 * on_count) ** -2
    assert (1 - 0.01) * sigma**-2 < spent <= sigma**-2


def test_adaptive_releases_a_count_whose_every_term_is_half_a_unit() -> None:
    rule = Adaptive(1.0)
    kept = torch.ones(6, dtype=torch.bool)
    assert float(rule.extra(NORMS, kept)) == pytest.approx(rule.scale * (4 - 2) / 2)
    kept[5] = False
    assert float(rule.extra(NORMS, kept)) == pytest.approx(rule.scale * (4 - 1) / 2)


def test_the_last_bit_of_a_norm_never_moves_the_count_by_a_whole_example() -> None:
    rule = Adaptive(0.7)
    norms = torch.linspace(0.5, 1.0, 100_001, dtype=torch.float64)
    votes = torch.stack([rule.extra(norm.reshape(1), None)[0] for norm in norms[::100]])
    steps = (votes[1:] - votes[:-1]).abs() / rule.scale
    change = 100 * float(norms[1] - norms[0]) / rule.clip_norm  # of the norm, in units of C
    assert float(steps.max()) <= change / rule.RAMP * 1.001
    assert (float(votes.max()), float(votes.min())) == pytest.approx((rule.scale / 2, -rule.scale / 2))
    assert SAFETY >= 16  # which the margin allows for: 1 / RAMP of a scale is 2 / RAMP of what one example may move


def test_the_margin_holds_what_was_proven_and_a_machine_can_widen_it() -> None:
    assert ANALYSED < ROUND_OFF
    for rule in (Flat, PerLayer, Automatic, Adaptive):
        wide = rule(1.5, round_off=0.1)
        assert float(contributions(wide).max()) <= 1.5 * 0.9 * (1 + 1e-12)
        assert wide.sensitivity == rule(1.5).sensitivity
        privacy = Privacy(noise_multiplier=1.0, clip_norm=1.5, clipping=NAMES[rule])
        assert rule_for(privacy, 0.1) == wide
    assert Adaptive(1.5, round_off=0.1).scale == pytest.approx(Adaptive(1.5).scale * 0.9 / (1 - ROUND_OFF))
    after = Adaptive(1.5, round_off=0.1).after(torch.zeros(1, dtype=torch.float64), 10.0)
    assert isinstance(after, Adaptive)
    assert after.round_off == 0.1


NAMES = {Flat: "flat", PerLayer: "per-layer", Automatic: "automatic", Adaptive: "adaptive"}


@pytest.mark.parametrize("start", [0.01, 100.0])
@pytest.mark.parametrize("quantile", [0.3, 0.8])
def test_adaptive_finds_its_quantile_through_the_noise(start: float, quantile: float) -> None:
    rng = np.random.default_rng(0)
    noise = GaussianNoise(Gaussian(1.0), rng)
    rule = Adaptive(start, quantile)
    for _ in range(150):
        norms = torch.from_numpy(rng.exponential(size=400))
        kept = torch.ones(400, dtype=torch.bool)
        noisy = rule.extra(norms, kept) + rng.standard_normal() * noise.mechanism.noise_multiplier * rule.sensitivity
        rule = rule.after(noisy, 400)
    assert rule.clip_norm == pytest.approx(-math.log(1 - quantile), rel=0.2)


def test_one_wild_count_moves_the_clip_norm_by_one_update_at_most() -> None:
    wild = Adaptive(1.0).after(torch.tensor([1e12], dtype=torch.float64), 1e-3)
    assert wild.clip_norm == pytest.approx(math.exp(-0.2 * 1.0))


def test_the_recipe_names_the_rule() -> None:
    def named(clipping: str, quantile: float | None = None) -> object:
        return rule_for(Privacy(noise_multiplier=1.0, clip_norm=2.0, clipping=clipping, quantile=quantile))

    assert named("flat") == Flat(2.0)
    assert named("per-layer") == PerLayer(2.0)
    assert named("automatic") == Automatic(2.0)
    assert (named("adaptive"), named("adaptive", 0.9)) == (Adaptive(2.0, 0.5), Adaptive(2.0, 0.9))
