"""What a plan's δ(ε) means for a person in the data: the most that any attacker achieves.

    found = assess(source_of_plan(plan), AttackQuestion(...))

In reading order: source (a plan, a stated (ε, δ) or a stated μ, each as δ at any ε in both directions), first_look (at
which ε that has to be known well), convex_minimum (chords, extended), trade_off (true positives at a false-positive
rate), regret (how much a μ overstates), assessment (advantage, accuracy, posterior, reconstruction, smallest μ).
"""

from dpplan import called_modules
from dpplan.risk.assessment import Assessment, AttackQuestion, Figure, assess
from dpplan.risk.source import Source, source_of_figure, source_of_gdp, source_of_plan, source_of_stated
from dpplan.risk.trade_off import Point, TradeOff, TruePositiveRate

__all__ = [
    "Assessment",
    "AttackQuestion",
    "Figure",
    "Point",
    "Source",
    "TradeOff",
    "TruePositiveRate",
    "assess",
    "source_of_figure",
    "source_of_gdp",
    "source_of_plan",
    "source_of_stated",
]

called_modules.when_called(
    __name__,
    "The most that an attacker reaches is\n\n"
    "    run = dpplan.plan.Plan.from_training(1.1, 60000, 256, 60)\n"
    "    dpplan.risk.assess(dpplan.risk.source_of_plan(run), dpplan.risk.AttackQuestion())\n\n",
)
