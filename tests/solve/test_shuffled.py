"""Shuffled batches: from above a formula, from below lattices that a search has no need of."""

import pytest

from dpplan import accounting, solve
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.plan import Settings

SHUFFLED = {"sampling": "shuffle", "examples": 12_000, "batch_size": 100, "epochs": 2}


@pytest.fixture
def looks(monkeypatch):
    """At plans by the exact accountant."""
    seen, ask = [], accounting.epsilon

    def counted(plan, delta, accountant="exact", **options):
        seen.extend([plan] if accountant == "exact" else [])
        return ask(plan, delta, accountant, **options)

    monkeypatch.setattr(accounting, "epsilon", counted)
    return seen


@pytest.mark.parametrize("adjacency", [ZERO_OUT, REPLACE_ONE])
@pytest.mark.parametrize("order", [(), (("order", "once"),)])
def test_few_looks_find_the_noise_where_the_upper_end_is_a_formula(looks, adjacency, order):
    """25 looks, each with lattices from below, made a second of 5."""
    settings = Settings(**SHUFFLED, adjacency=adjacency, scheme_options=order)
    found = solve.noise(settings, 1.0, 1e-5)
    assert len(looks) <= 6
    assert found.spent.upper <= 1.0
    less = settings.with_(noise_multiplier=found.value * (1.0 - 1e-5)).plan()
    assert accounting.epsilon(less, 1e-5).upper > 1.0


def test_steps_are_as_many_as_the_noise_allows(looks):
    settings = Settings(noise_multiplier=6.0, sampling="shuffle", examples=12_000, batch_size=100, adjacency=ZERO_OUT)
    found = solve.epochs(settings, 1.0, 1e-5)
    assert len(looks) <= 12
    assert found.spent.upper <= 1.0 < found.other_way.spent.upper
