"""An empirical lower bound on ε from an attack's scores, and whether it contradicts what a plan claims.

    found = audit(read(Path("scores.csv")), Hypothesis.of_plan(plan, 1e-5), AuditSettings(delta=1e-5))

In reading order: claimed_trade_off (what a claim allows), scores (who was in, and how much each looks like it),
one_run, order_statistics and many_runs (theorems: how likely so many right guesses are), two_gaussians (an estimate, no
bound), assessment (the verdict, and the bound), membership_attacks (by the losses of many models).
"""

from dpplan import called_modules
from dpplan.audit.assessment import METHODS, Attempt, AuditFinding, AuditSettings, Hypothesis, audit
from dpplan.audit.scores import SIDES, Scores, checked, equal_scores, parse, read

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
    "equal_scores",
    "parse",
    "read",
]

called_modules.when_called(
    __name__,
    "What the scores of an attack show is\n\n"
    "    import pathlib\n"
    "    scores = dpplan.audit.read(pathlib.Path('recipes/scores.csv'))\n"
    "    dpplan.audit.audit(scores, None, dpplan.audit.AuditSettings(delta=1e-5))\n\n",
)
