"""Laws of several kinds in one contour integral: the transform of their sum is the product of their transforms.

In reading order: points and laplace_rule (a law as masses at points), points_transform (its transform, with errors),
factors (laws without a decay of their own), replaced_rule, replaced, mirrored, exponential_sum, mixture_rule and
mixture_steps (laws with one), composed (the product, as contour/delta_interval asks for it), ends (delta and epsilon).
"""

from dpplan.accounting.exact.mixed.invert import METHOD, contour_for, delta_ends, epsilon_below, epsilon_ends

__all__ = ["METHOD", "contour_for", "delta_ends", "epsilon_below", "epsilon_ends"]
