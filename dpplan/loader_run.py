"""What a loader of a library makes of the examples, the batch and the epochs that it is given."""

import dataclasses
import math
from fractions import Fraction

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.checks import is_number
from dpplan.plan import Settings
from dpplan.sampling import LOADERS
from dpplan.sampling.loaders import FROM_ABOVE

OPACUS = "opacus"  # rounds the sample rate along with the steps of an epoch


def settings_of_run(said: Settings, loader: str) -> Settings:
    """The same run with the sample rate and the steps per epoch that this loader takes, where it draws by that scheme.

    Those of drop-last are ⌊n / batch⌋, those of Opacus about ⌈n / batch⌉ at the rate of one over that (opacus_steps).
    Unchanged where the loader takes what is said, and where n or the batch is not known.
    """
    known, examples, batch = LOADERS.get(loader), said.examples, said.batch_size
    if known is None or said.sampling != known.scheme or not (loader == OPACUS or known.part == "left out"):
        return said
    if not (is_number(examples) and is_number(batch) and 0 < batch <= examples < math.inf):
        return said
    batches = _exact(examples) / _exact(batch)
    each = math.ceil(batches) if loader == OPACUS else math.floor(batches)
    epochs = said.epochs if said.steps is None and loader == OPACUS and opacus_steps(each) < each else None
    if is_number(epochs) and 0 < epochs < math.inf:
        said = said.with_(epochs=None, steps=math.ceil(opacus_steps(each) * Fraction(repr(float(epochs)))))
    if batches.denominator == 1:
        return said
    return said.with_(batch_size=None, sample_rate=Fraction(1, each))


def settings_at_rate(said: Settings, loader: str) -> Settings:
    """settings_of_run, also where n and a sample rate are said in place of a batch: such a loader is told q × n."""
    rate, examples = said.sample_rate, said.examples
    if said.batch_size is not None or not (is_number(rate) and is_number(examples)):
        return settings_of_run(said, loader)
    told = said.with_(sample_rate=None, batch_size=_exact(rate) * _exact(examples))
    run = settings_of_run(told, loader)
    return said if run == told else run.with_(batch_size=None, sample_rate=run.sample_rate or rate)


def _exact(value: float | Fraction) -> Fraction:
    return value if isinstance(value, Fraction) else Fraction(repr(float(value)))


def opacus_steps(batches: int) -> int:
    """The steps of an epoch at Opacus's rate of one over so many batches.

    Its UniformWithReplacementSampler takes int(1 / rate), in floats: one fewer for 93, 391, 782 and six of a hundred
    others.
    """
    return int(1.0 / (1.0 / batches))


def carried_over(bound: Bound, said: Settings, loader: str) -> Bound:
    """What a bound on the loader's scheme proves of the loader: all of it, or its upper end alone."""
    if bound.lower is None or bound.upper is None or _lower_end_holds(said, loader):
        return bound
    return dataclasses.replace(bound, lower=None, guarantee=Guarantee.UPPER)


def _lower_end_holds(said: Settings, loader: str) -> bool:
    """Whether what is proven from below of the loader's scheme is proven of the loader, too.

    One that leaves out the last part of a batch takes an example in no step of an epoch with chance (n mod batch) / n,
    and then that epoch hides it: the lower end of shuffled batches is no lower end of its runs, unless nothing is left.
    """
    known, examples, batch = LOADERS.get(loader), said.examples, said.batch_size
    if known is None or not known.holds:
        return True
    if known.part != "left out" or not (is_number(examples) and is_number(batch) and batch > 0):
        return False
    return examples % batch == 0


def upper_end_holds(loader: str) -> bool:
    """Whether what is proven from above of the loader's scheme is proven of it with no condition."""
    return loader not in LOADERS or LOADERS[loader].holds in ("", FROM_ABOVE)
