"""The audit recipe is what its header says: a forged image moves what an attacker sees by nearly all that is allowed.

Both worlds are run with the same seed, so their noise is the same and the difference of their last weights is what the
image did. In units of the noise on that difference it is the mu of the attack; the claim allows sqrt(steps) / sigma.
"""

import dataclasses
import math
from pathlib import Path
from statistics import NormalDist

import torch
from torch import Tensor

from dpplan import recipe as recipes
from dpplan import train
from dpplan.train.data import Split

RECIPE = recipes.load(Path(__file__).parents[2] / "recipes" / "audit.yaml")
LABEL, INK = 3, 4.0  # a moderate score: the gradient keeps its direction, and most of it lies in the pixel's weights


def forged(training: Split) -> Split:
    """The training images and one more, with ink only where no digit has any."""
    image = torch.zeros_like(training.inputs[:1])
    image[..., 0, 0] = INK
    return Split(torch.cat([training.inputs, image]), torch.cat([training.targets, torch.tensor([LABEL])]))


def last_weights(planned: train.Planned, training: Split, out: Path) -> Tensor:
    """Those of pixel (0, 0), after a run on these images whose sums are divided by the planned number."""
    pace = RECIPE.training.learning_rate * training.examples / planned.claim.plan.examples
    job = dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, learning_rate=pace))
    dataset = dataclasses.replace(planned.dataset, training=training)
    *_, report = train.events(dataclasses.replace(planned, recipe=job, dataset=dataset), out=out)
    assert isinstance(report, train.TrainReport)
    assert report.agrees  # the noise is what was planned, too
    weights = torch.load(report.folder / "model.pt", weights_only=True)
    return next(value for value in weights.values() if value.ndim == 2)[:, 0].double()


def direction() -> Tensor:
    """Of the image's gradient while all classes are about as likely: towards its own label, away from the others."""
    towards = torch.full((10,), -0.1, dtype=torch.float64)
    towards[LABEL] = 0.9
    return towards / towards.norm()


def test_a_forged_image_is_told_almost_as_well_as_the_claim_allows(tmp_path: Path) -> None:
    planned = train.plan(RECIPE, seed=0)
    claim, phase = planned.claim, planned.claim.phase
    images = planned.dataset.training
    assert not images.inputs[..., 0, 0].any()  # blank in every digit
    absent, present = (
        last_weights(planned, training, tmp_path / name)
        for name, training in (("absent", images), ("present", forged(images)))
    )
    unit = RECIPE.training.learning_rate * claim.clip_norm / images.examples  # what one step can move at most
    noise = math.sqrt(phase.steps) * phase.mechanism.noise_multiplier * unit
    reached = float((present - absent) @ direction()) / noise
    allowed = math.sqrt(phase.steps) / phase.mechanism.noise_multiplier
    assert 0.95 * allowed <= reached <= allowed
    assert phase.sampling.sample_rate == 1.0


def test_the_header_states_what_a_guess_can_reach() -> None:
    phase = RECIPE.claim(1437).phase
    best = NormalDist().cdf(math.sqrt(phase.steps) / phase.mechanism.noise_multiplier / 2)
    assert f"right {math.ceil(1000 * best) / 10} % of the time at most" in " ".join(
        RECIPE.text.replace("#", "").split()
    )
