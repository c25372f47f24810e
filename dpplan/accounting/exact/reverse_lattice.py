"""δ of the remove direction at every ε that a rate of false positives asks for, by one lattice of the add direction.

As contour/reverse_direction.py, for few steps, whose transforms fall too slowly for a contour. Its f is that of the
lattice's lower law from below and of its upper law from above: the first lies below the truth and the second above it,
at every ε, so that the ends of their aliases are those of the true ones. What the upper law has at loss +inf counts as
left out. The tilt is small and the period short, a tenth of what the remove direction's large losses ask for: the
lattice is as much finer.
"""

import math

import numpy as np

from dpplan.accounting.exact.contour import reverse_direction
from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.contour.reverse_direction import CUT, Event, ReverseSum
from dpplan.accounting.exact.general_lattice import Composition, outside
from dpplan.accounting.exact.general_lattice.coarse_pld import CoarseMasses
from dpplan.accounting.exact.general_lattice.composed import Composed
from dpplan.accounting.exact.general_lattice.discretise import Lattice, discretise

# Steps: of more, what spreads within a cell adds up to more than a curve allows. And points of a period.
MOST_STEPS, POINTS = 150, 2**15
# Two steps at a larger rate have a lattice of the remove direction that tells of all in less time.
FEW, RARE = 2, 2e-4


def over(run: Composition, steps: Steps, event: Event) -> ReverseSum | None:
    """The sum for a plan whose add direction is this run; None for many steps, or two that are not rare.

    event: lower bounds on δ at many ε.
    """
    if run.steps > MOST_STEPS or (run.steps <= FEW and float(steps.q.max()) > RARE):
        return None
    place = reverse_direction.laid(steps, event)
    if place is None:
        return None
    h = place.period / POINTS
    lattice, goal = Lattice(h, (1.0 + place.tilt) * h), math.log(CUT / run.steps)
    laws = [
        (discretise(law, lattice, CoarseMasses.of(law).kept(goal, place.tilt)), float(count))
        for law, count in run.terms
    ]
    composed = Composed(laws, lattice, POINTS, lattice.r / h - 1.0, np.array([2.0 * place.tilt]))
    left_out = outside([(law.infinite, count) for law, count in laws]).upper
    return ReverseSum(composed, left_out, place.largest)
