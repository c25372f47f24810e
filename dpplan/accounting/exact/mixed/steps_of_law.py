"""Laws of Gaussian noise that are no sampled Gaussians, each as steps whose transform decays."""

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.mixed.fixed_size_replaced import MirroredSteps
from dpplan.accounting.exact.mixed.mixture_steps import MixtureSteps
from dpplan.accounting.exact.mixed.poisson_replaced import MOST_RATE, ReplacedSteps
from dpplan.accounting.exact.mixed.replaced_rule import Replacement
from dpplan.accounting.pairs.combined_laws import Reversed, Subsampled
from dpplan.accounting.pairs.gaussian_mixtures import MixtureLoss
from dpplan.accounting.pairs.law import Law
from dpplan.accounting.pairs.replace_one import Mirrored, ReplacedGaussianLoss
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss

# The noise multipliers and rates that the Gaussians' quadrature is made for.
LEAST_NOISE, MOST_NOISE, LEAST_RATE = 0.1, 1e6, 1e-12
DecayingLaw = ReplacedSteps | MirroredSteps | MixtureSteps


def decaying(law: Law, count: int) -> DecayingLaw | None:
    """Such a law as steps; None where the engine is not made for its noise or its rate."""
    found: DecayingLaw | None = None
    match law:
        case ReplacedGaussianLoss() if LEAST_RATE <= law.sample_rate <= MOST_RATE:
            found = ReplacedSteps(Replacement(law.noise_multiplier, law.sample_rate), float(count))
        case Mirrored():
            inner = sampled_gaussian(law.law)
            if inner is not None and inner[2] is Direction.REMOVE and LEAST_RATE <= inner[1] <= MOST_RATE:
                found = MirroredSteps(Replacement(*inner[:2]), float(count))
        case MixtureLoss():
            found = MixtureSteps.of(law, False, count)
        case Reversed(law=MixtureLoss() as mixture):
            found = MixtureSteps.of(mixture, True, count)
    return found if found is not None and LEAST_NOISE <= found.step.sigma <= MOST_NOISE else None


def sampled_gaussian(law: Law) -> tuple[float, float, Direction] | None:
    """Noise multiplier, sample rate and direction of a sampled Gaussian."""
    match law:
        case Subsampled(law=GaussianLoss() as inner):
            return inner.noise_multiplier, law.sample_rate, Direction.REMOVE
        case Reversed(law=Subsampled(law=GaussianLoss() as inner) as sampled):
            return inner.noise_multiplier, sampled.sample_rate, Direction.ADD
    return None
