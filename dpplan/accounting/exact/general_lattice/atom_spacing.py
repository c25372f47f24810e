"""The step of the lattice: no larger than asked, and such that atoms lie on lattice points as well as they can.

The lattice of each law goes through its heaviest atom, so the differences of its atoms are to be multiples of the step.
The heaviest difference of all is made one exactly; of its divisors, that with which the others fit best is taken.
"""

import math

import numpy as np

from dpplan.accounting.pairs.law import Array, Law

MOST_ATOMS = 64  # of each law, the heaviest
MOST_CANDIDATES = 20_000
WORTH = 0.2  # of how far atoms are from lattice points at the step asked for
FINEST = 0.25  # of what was asked for: a step is not made smaller than that for the sake of atoms


def step(terms: list[tuple[Law, float]], tilt: float, most: float) -> float:
    given = [law.spacing for law, _ in terms if law.spacing is not None]
    if given:  # such steps are a power of 2 of one another: all atoms of these laws lie on lattice points
        return math.ldexp(min(given), -max(math.ceil(math.log2(min(given) / most)), 0))
    differences, weights = _differences(terms, tilt)
    useful = differences > FINEST * most
    differences, weights = differences[useful], weights[useful]
    if not len(differences):
        return most
    leading = float(differences[np.argmax(weights)])
    fewest = math.ceil(leading / most)
    count = int(min(max(fewest / FINEST - fewest, 1), MOST_CANDIDATES))
    steps = np.append(leading / (fewest + np.arange(count, dtype=np.float64)), most)
    cost = np.zeros(count + 1)
    for difference, weight in zip(differences, weights, strict=True):
        ratio = difference / steps
        cost += weight * np.abs(ratio - np.rint(ratio)) * steps
    best = int(np.argmin(cost[:-1] + 1e-12 * np.arange(count) * np.max(weights) * leading))
    # A finer step costs points; one that only some atoms fit is not worth them.
    return float(steps[best]) if cost[best] <= WORTH * cost[-1] else most


def _differences(terms: list[tuple[Law, float]], tilt: float) -> tuple[Array, Array]:
    """Between each law's heaviest atom under the tilt and its others, and how much they weigh in all."""
    found, weights = [], []
    for law, count in terms:
        atoms = law.atoms
        if len(atoms.loss) < 2:
            continue
        tilted = np.log(atoms.p) + tilt * atoms.loss
        order = np.argsort(-tilted)[:MOST_ATOMS]
        found.append(np.abs(atoms.loss[order[1:]] - atoms.loss[order[0]]))
        weights.append(count * np.exp(tilted[order[1:]] - tilted[order[0]]))
    return (np.concatenate(found), np.concatenate(weights)) if found else (np.zeros(0), np.zeros(0))
