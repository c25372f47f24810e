"""What an audit finds and what it does not: the topic `dpplan help audit`."""

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from dpplan.render.table import Column, Table, TableCell, plain, screen_width, wrapped


class Sabotage(NamedTuple):
    """A mistake in training, who noticed it in the tests, and at what power: gradient canaries, steps, seconds."""

    mistake: str
    caught_by: str
    canaries: str
    steps: str
    seconds: str


# At ε = 2.4 on half of the data, unless told otherwise; seconds of one core for the run and its verdict. Each is a run
# in tests/train/canaries, or a simulation in tests/audit.
SABOTAGES = (
    Sabotage("half the noise", "conformance", "any", "40", "1"),
    Sabotage("half the noise, at ε = 6", "audit", "4000", "40", "4"),
    Sabotage("noise for the mean, added to the sum", "audit, conformance", "1500", "40", "2"),
    Sabotage("the same noise in every step", "audit, pattern", "1500", "40", "2"),
    Sabotage("the same noise in two parts of a step", "pattern", "1500", "40", "2"),
    Sabotage("no clipping", "audit", "1500", "40", "2"),
    Sabotage("the batch's mean clipped, not examples", "audit", "1500", "40", "2"),
    Sabotage("one step more, in the whole run", "count", "any", "40", "1"),
    Sabotage("two steps for each that is counted", "count", "any", "40", "2"),
    Sabotage("four times the steps that are counted", "audit, count", "1500", "40", "4"),
    Sabotage("batches filled up with repeats", "conformance", "any", "40", "1"),
    Sabotage("shuffled batches of one size", "conformance", "any", "40", "1"),
    Sabotage("two ranks draw by one seed", "conformance", "none", "1200", "10"),
    Sabotage("divided by the batch that was drawn", "conformance", "any", "40", "1"),
    Sabotage("batch statistics in the model", "isolation", "any", "0", "1"),
)
TEXT = (
    "An audit attacks a run whose secret coins it knows: each canary was put in, or left out, by a fair coin. What the "
    "attack gets right beyond what the plan allows proves a mistake; what it does not get right proves nothing.",
    "Sound runs: whoever guesses and however canaries interact, a true claim is refuted with chance 1 - confidence at "
    "most (0.05), over all numbers of guesses and kinds of scores together. Order statistics want more: canaries that "
    "do not touch each other, as those of gradients do not in a run that is as planned and draws each example for "
    "itself. Tests hold 300 simulated runs to either.",
    "Power: of the claimed ε = 8, a run of recipes/audit-digits.yaml (10 steps, 5000 gradient canaries, some 10 "
    "seconds on one core) proves about 90 %, where half of the rows are in each batch 80 %: by order statistics, as "
    "its canaries do not touch each other, where a theorem for canaries of any kind proves 43 % and 36 %. The last "
    "model's losses on whole examples (mislabelled, by lot, or held-out ones as they are) prove next to nothing at "
    "such sizes.",
    "Membership attacks (dpplan audit RECIPE --attack all) are what people run against models: losses, with shadow "
    "models to compare with. They see less than canaries, and what they say rests on members: it is private. On a "
    "cluster: dpplan.train.shadows.attacked within a back end of joblib, dask or ray.",
    "Conformance is what every run measures of itself: batch sizes, noise, denominator. Count: how many sums were "
    "released, against the steps of the plan; one more shows, which no attack could tell. Pattern: the noise of all "
    "canaries and steps, searched for repetitions at any distance, as when processes that each keep a part of the "
    "parameters draw from one seed.",
    "While a model is trained (dpplan train RECIPE --watch 500, or watch: 500 in the audit block), examples are "
    "ranked by how far their losses move: who may be learned by heart, without shadow models. It bounds nothing, "
    "and is private.",
    "Noise that steps share (privacy.noise): each canary takes part in the steps that the claim gives it, and is "
    "scored after the noise was made independent. Of an order that is kept everybody may know which steps these are; "
    "of groups by turns coins stay secret. The curve is the plan's own: for a kept order one Gaussian's.",
    "Gradient canaries try everything from the clipped sum on, in coordinates of their own. They do not see what a "
    "model keeps of examples outside of its sums, what preprocessing looked at, or who else knows the seed.",
)


def lines() -> Iterator[str]:
    for paragraph in TEXT:
        yield from textwrap.wrap(paragraph, screen_width(), break_long_words=False, break_on_hyphens=False)
        yield ""
    numbers = (Column(name, numeric=True) for name in ("canaries", "steps", "s"))
    columns = (Column("mistake"), Column("caught by"), *numbers)
    rows = list(plain(Table(columns, tuple(tuple(map(TableCell, each)) for each in SABOTAGES))))
    if max(map(len, rows)) <= screen_width():
        yield from rows
        return
    for each in SABOTAGES:
        power = f"{'no' if each.canaries == 'none' else each.canaries} canaries, {each.steps} steps, {each.seconds} s"
        yield from wrapped(f"{each.mistake}: caught by {each.caught_by} ({power})")
