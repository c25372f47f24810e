"""What holds of the contour of normal mixtures and the lattice of any law, for whichever laws a test composes."""

import numpy as np

from dpplan.accounting.exact import mixed
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.pairs.law import Array


def check_that_they_meet(run: Composition, delta: float, narrow: float = 1e-8) -> None:
    """Both prove the same ε and δ; the contour to `narrow`, the lattice no nearer than 1e-9."""
    lattice, fast = run.epsilon(delta), mixed.epsilon_ends(run, delta)
    assert fast is not None
    assert fast.lower <= lattice.upper
    assert lattice.lower <= fast.upper
    assert fast.relative_width < narrow
    assert lattice.relative_width > 1e-9
    epsilon = 0.5 * (fast.lower + fast.upper)
    here, there = mixed.delta_ends(run, epsilon), run.delta(epsilon)
    assert here is not None
    assert here.lower <= there.upper and there.lower <= here.upper
    assert here.lower * (1 - 1e-6) <= delta <= here.upper * (1 + 1e-6)


def check_decay(steps, tilt: float) -> Array:
    """No bound on the modulus of the transform is below it anywhere on its stretch of the line. Returns their logs."""
    tilted = steps.at(np.array([tilt]), 60.0)[0]
    edges = np.geomspace(0.3, 57.0, 30)
    bounds = steps.log_decay(tilted, edges)
    u = np.linspace(0.0, 60.0, 2001)
    drop, turn, error = tilted.line(u)
    modulus = np.hypot(1.0 - drop, turn) - error
    for k, bound in enumerate(bounds.tolist()):
        inside = (u >= edges[k]) & (u <= (edges[k + 1] if k + 1 < len(edges) else np.inf))
        assert np.all(modulus[inside] <= np.exp(bound) * (1.0 + 1e-14))
    return bounds
