"""What the names in a bound's details mean, in a phrase each. A name that is not here is shown as it is."""

# Method of the exact accountant -> what it does, and when it is the one.
METHODS = {
    "contour": (
        "δ as an integral over the frequencies of the privacy loss, summed",
        "the first choice; its sum ended early enough here",
    ),
    "contour over jumps": (
        "the same integral over the runs in which some step's loss is large, and a bound on the rest",
        "with rare jumps the integral over all runs would not end",
    ),
    "grid": (
        "the loss of a step rounded to a lattice, once up and once down, and composed",
        "with few steps or rare jumps a contour would be too long, or wider than this",
    ),
    "two steps": (
        "δ of one step, averaged over the losses of the other, by Gauss's rule with a proven error",
        "of two steps this is the quickest, and narrow everywhere",
    ),
    "contour of any law": (
        "δ as an integral over the frequencies of the privacy loss, whose transform is the product of all steps'",
        "not all losses are those of sampled Gaussians, and some transforms fade fast enough with frequency",
    ),
    "lattice of any law": (
        "the loss of a step moved to a lattice, once so that no δ falls and once so that none rises, and composed",
        "the loss is not that of a sampled Gaussian against its noise alone, for which there are faster roads",
    ),
    "closed form": (
        "δ as a difference of two normal tails",
        "there is such a formula for a single step, and for any number of steps without sampling",
    ),
    "total variation": (
        "what all steps together can shift is no more than δ, so that ε is 0",
        "no other method has to be asked",
    ),
    "bounded loss": (
        "no privacy loss reaches this ε, so that δ is 0",
        "without one example a loss is at most -log(1 - q) a step",
    ),
    "Chernoff on the other tail": (
        "1 - δ is bounded by a moment",
        "δ is 1 but for less than a millionth",
    ),
    "too small to tell from 0": (
        "δ is bounded by a moment",
        "it is below 1e-120, and no other method is asked",
    ),
}
# Error term -> what it is; 31 columns or fewer.
TERMS = {
    "aliases": "copies of δ a period further on",
    "frequencies left out": "where the sum was ended",
    "transform and rounding": "quadrature and floating point",
    "losses cut away": "chance of the losses left out",
    "paths without a jump": "kept out of the sum",
    "lattice": "between rounding up and down",
    "quadrature in x": "nodes instead of an integral",
    "tails in x": "beyond the first and last node",
    "rounding": "of every operation",
}
DETAILS = {
    "log_delta": "log δ",
    "lambda": "λ",
    "max_lambda": "largest λ tried",
    "mu": "μ",
    "rho": "ρ",
    "step_epsilon": "ε₀ per step",
    "step_delta": "δ₀ per step",
    "slack_delta": "slack",
    "frequencies": "frequencies",
}
# How a proof stands to the interval that the exact accountant certifies without it.
WITHIN = {
    True: "which holds the proven interval",
    False: "which meets the proven interval; each narrows the other",
}
