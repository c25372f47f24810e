"""Sums of many logarithms: rounded up by what they may be off, however large they are and however much they cancel."""

from dataclasses import dataclass

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour.composed_loss import unit_of
from dpplan.accounting.exact.contour.rare_jumps import runs_with_a_jump

UNIT = mpf(2) ** -53


@dataclass
class Known:
    """A law of which log G is known but for four units of itself, at each tilt."""

    log_g: np.ndarray

    @property
    def a(self):
        return 1.0 + np.arange(len(self.log_g))

    def relative_error(self, u):
        return np.zeros((len(self.log_g), len(u)))


def laws(phases, seed):
    """So many phases of up to 10^14 steps, and laws whose sums cancel at half of the tilts."""
    rng = np.random.default_rng(seed)
    counts = np.floor(np.exp(rng.uniform(0.0, 32.0, phases)))
    logs = np.exp(rng.uniform(-20.0, 3.0, (phases, 40))) * rng.choice((-1.0, 1.0), (phases, 40))
    logs[-1, ::2] = -(counts[:-1, None] * logs[:-1, ::2]).sum(axis=0) / counts[-1]
    return counts.tolist(), [Known(row) for row in logs]


@pytest.mark.parametrize("phases", [2, 3, 9, 60])
def test_moments_are_rounded_up(phases):
    counts, known = laws(phases, phases)
    found = runs_with_a_jump.log_moments(counts, known)
    with mp.workdps(60):
        for k, bound in enumerate(found):
            terms = [mpf(count) * mpf(law.log_g[k]) for count, law in zip(counts, known, strict=True)]
            most = mp.fsum(term + 4 * UNIT * abs(term) for term in terms)
            size = mp.fsum(abs(term) for term in terms)
            assert most <= mpf(bound) <= most + 2 * mpf(runs_with_a_jump.rounded(float(size), phases))


@pytest.mark.parametrize("phases", [1, 2, 3, 9, 60, 300])
def test_a_unit_is_as_near_as_it_says(phases):
    counts, known = laws(max(phases, 2), phases)
    logs = np.array([count * law.log_g for count, law in zip(counts, known, strict=True)])[:phases]
    with mp.workdps(60):
        for k in range(logs.shape[1]):
            unit, off = unit_of(logs[:, k])
            terms = [mpf(count) * mpf(law.log_g[k]) for count, law in zip(counts[:phases], known, strict=False)]
            apart = abs(mp.fsum(terms) - mpf(unit)) + 4 * UNIT * mp.fsum(abs(term) for term in terms)
            assert apart + UNIT * abs(mpf(unit)) <= mpf(off) + 8 * UNIT * abs(mpf(unit))


def test_three_phases_of_one_sign_need_no_more_than_a_contour_counts_by_itself():
    for logs in ([3.5], [-2.0, -1e9], [1e-12, 5.0, 7e3]):
        assert unit_of(np.array(logs))[1] == 0.0
