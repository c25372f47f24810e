"""An empirical lower bound on ε from an attack's scores, and whether it contradicts what a plan claims.

    found = audit(read(Path("scores.csv")), Hypothesis.of_plan(plan, 1e-5), AuditSettings(delta=1e-5))

In reading order: curves (what a claim allows), scores (who was in, and how much each looks like it), one_run and
many_runs (theorems: how likely so many right guesses are), assessment (the verdict, and the bound), membership (attacks
by the losses of many models).

Not here: audits of one run by order statistics (arXiv:2509.08704) and by the sum of all scores, taken for a Gaussian
(arXiv:2606.12733). No theorem is used whose proof was not read, as that of the first was not; and the second's Gaussian
holds in the limit of many steps, so that what it finds for one run is an estimate and no bound.
"""

from dpplan.audit.assessment import METHODS, Attempt, AuditFinding, AuditSettings, Hypothesis, audit
from dpplan.audit.scores import SIDES, Scores, checked, parse, read

__all__ = [
    "METHODS",
    "SIDES",
    "Attempt",
    "AuditFinding",
    "AuditSettings",
    "Hypothesis",
    "Scores",
    "audit",
    "checked",
    "parse",
    "read",
]
