"""Laws of several kinds in one contour integral: the transform of their sum is the product of their transforms.

In reading order: law_as_points and laplace_gauss_rule (a law as masses at points), points_transform (its transform,
with errors), laws_without_decay, then those that have one: replaced_rule, truncated_steps, poisson_replaced,
fixed_size_replaced, normal_mixture_ratio, mixture_rule, mixture_steps, steps_of_law; composed (the product, as
contour/delta_interval asks for it), invert (delta and epsilon).
"""

from dpplan.accounting.exact.mixed.invert import METHOD, contour_for, delta_ends, epsilon_below, epsilon_ends

__all__ = ["METHOD", "contour_for", "delta_ends", "epsilon_below", "epsilon_ends"]
