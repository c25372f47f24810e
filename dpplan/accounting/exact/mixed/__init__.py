"""Laws of several kinds in one contour integral: the transform of their sum is the product of their transforms.

In reading order: points and laplace_rule (a law as masses at points), tilted (its transform, with every error),
factors, and replaced_rule, replaced and mirrored (laws without and with a decay of their own), composed (the product,
as contour/inversion asks for it), ends (delta and epsilon).
"""

from dpplan.accounting.exact.mixed.ends import METHOD, delta_ends, epsilon_below, epsilon_ends

__all__ = ["METHOD", "delta_ends", "epsilon_below", "epsilon_ends"]
