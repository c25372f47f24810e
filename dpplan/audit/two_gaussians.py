"""One run whose scores are two heaps of Gaussian shape: what ε their distance shows, as an estimate.

Scores that are sums over many steps are close to Gaussian, in or out; so Agrawal, Wei, Singh, Magdon-Ismail and Zikas
2026 (arXiv:2606.12733; abstract and summary read) fit one Gaussian to either kind and tell the ε of this pair. All
scores count, and not only how they are ordered. But the shape is assumed, it holds in the limit of many steps, and how
far any one run is from it is not bounded: an ESTIMATE, which refutes nothing.
"""

import math

import numpy as np

from dpplan.audit.scores import Scores
from dpplan.errors import ScoresError

LEAST = 30  # of either kind, below which a spread is no estimate of anything


def lower_mu(scores: Scores, level: float) -> float:
    """The distance of the two means in units of the larger spread, less what chance adds to it with `level`; at least
    0.

    By the large-sample variance of such a ratio, 1/n + 1/m + μ²/(2(n + m)) (Hedges 1981). Raises ScoresError for scores
    that have no spread.
    """
    from scipy import special

    kinds = scores.score[scores.member], scores.score[~scores.member]
    least = min(len(each) for each in kinds)
    if least < LEAST:
        raise ScoresError(
            f"{least} scores of a kind are too few for their spread: {LEAST} are needed. Take another --method."
        )
    if not np.isfinite(scores.score).all():
        raise ScoresError("scores that are infinite have no spread. Take --method order-statistics or one-run-fdp.")
    spread = max(float(each.std(ddof=1)) for each in kinds)
    distance = float(kinds[0].mean() - kinds[1].mean())
    if spread == 0.0 or not math.isfinite(spread) or not math.isfinite(distance):
        raise ScoresError("scores without a spread, or beyond all floats, are no Gaussians. Take another --method.")
    mu = distance / spread
    off = math.sqrt(sum(1.0 / len(each) for each in kinds) + mu * mu / (2.0 * scores.canaries))
    return max(mu + float(special.ndtri(level)) * off, 0.0)
