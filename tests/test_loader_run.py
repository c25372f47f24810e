"""What a loader makes of n, batch and epochs, and what carries over to it."""

from fractions import Fraction

import pytest

from dpplan import accounting
from dpplan.accounting.bound import Guarantee
from dpplan.adjacency import ZERO_OUT
from dpplan.loader_run import carried_over, opacus_steps, settings_at_rate, settings_of_run, upper_end_holds
from dpplan.plan import Settings

SAID = Settings(noise_multiplier=4.0, examples=100, batch_size=30, epochs=2)
CIFAR = SAID.with_(examples=50_000, batch_size=128, epochs=60)
SHUFFLED = SAID.with_(sampling="shuffle", adjacency=ZERO_OUT)


@pytest.mark.parametrize(
    ("said", "loader", "rate", "steps"),
    [
        (SAID, "opacus", Fraction(1, 4), 8),
        (SAID.with_(epochs=None, steps=7), "opacus", Fraction(1, 4), 7),
        (SHUFFLED, "drop-last", Fraction(1, 3), 6),
        (SHUFFLED, "torch-shuffle", Fraction(1, 4), 8),
        (SAID, "drop-last", Fraction(3, 10), 7),  # it does not draw so
        (SAID.with_(batch_size=25), "opacus", Fraction(1, 4), 8),
        (CIFAR, "opacus", Fraction(1, 391), 23400),  # 1 / (1 / 391) is a little below 391
        (CIFAR.with_(epochs=0.5), "opacus", Fraction(1, 391), 195),
        (CIFAR.with_(epochs=None, steps=9), "opacus", Fraction(1, 391), 9),
        (SAID.with_(examples=9300, batch_size=100), "opacus", Fraction(1, 93), 184),
        (SAID.with_(examples=9300, batch_size=100), "dpplan", Fraction(1, 93), 186),
    ],
)
def test_a_loader_rounds_the_steps_of_an_epoch(said: Settings, loader: str, rate: Fraction, steps: int) -> None:
    plan = settings_of_run(said, loader).plan()
    assert plan.only_phase.steps == steps
    assert plan.only_phase.sampling.expected_batch(100) == pytest.approx(float(100 * rate))


def test_opacus_takes_as_many_steps_as_its_sampler_counts() -> None:
    """What UniformWithReplacementSampler makes of the rate that DPDataLoader gives it."""
    fewer = [batches for batches in range(1, 1001) if opacus_steps(batches) != batches]
    assert {93, 391, 782} < set(fewer) and len(fewer) == 70
    assert all(opacus_steps(batches) == batches - 1 for batches in fewer)


def test_nothing_is_made_of_what_is_not_known() -> None:
    for said in (SAID.with_(examples=None), SAID.with_(batch_size=None), SAID.with_(batch_size=200)):
        assert settings_of_run(said, "opacus") == said
    assert settings_of_run(SAID, "a loader of the user's own") == SAID


@pytest.mark.parametrize(
    ("rate", "loader", "taken", "steps"),
    [
        (Fraction(3, 10), "opacus", Fraction(1, 4), 8),
        (0.3, "drop-last", Fraction(1, 3), 6),
        (Fraction(1, 391), "opacus", Fraction(1, 391), 780),
        (Fraction(1, 7), "drop-last", Fraction(1, 7), 14),  # exactly: through floats 100 / (100 / 7) may fall below 7
        (Fraction(1, 7), "torch-shuffle", Fraction(1, 7), 14),
    ],
)
def test_a_loader_is_told_the_batch_that_a_rate_makes(
    rate: float | Fraction, loader: str, taken: Fraction, steps: int
) -> None:
    said = (SAID if loader == "opacus" else SHUFFLED).with_(batch_size=None, sample_rate=rate)
    run = settings_at_rate(said, loader)
    assert (run.batch_size, run.exact_rate, run.plan().steps) == (None, taken, steps)
    assert settings_at_rate(SAID, loader) == settings_of_run(SAID, loader)


@pytest.mark.parametrize(
    ("loader", "batch", "kept"),
    [
        ("torch-shuffle", 30, True),
        ("drop-last", 30, False),  # with chance 1/10 an example is in no batch of an epoch
        ("drop-last", 25, True),
        ("drop-last", None, False),
        ("sequential", 25, False),
    ],
)
def test_a_lower_end_is_kept_where_it_is_proven(loader: str, batch: float | None, kept: bool) -> None:
    bound = accounting.epsilon(SHUFFLED.plan(), 1e-3)
    own = carried_over(bound, SHUFFLED.with_(batch_size=batch), loader)
    assert own.upper == bound.upper
    assert (own.lower, own.guarantee) == ((bound.lower, bound.guarantee) if kept else (None, Guarantee.UPPER))


def test_what_holds_on_a_condition_alone_is_not_proven() -> None:
    assert upper_end_holds("drop-last") and upper_end_holds("poisson") and not upper_end_holds("webdataset")
