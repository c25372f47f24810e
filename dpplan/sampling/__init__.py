"""How the batch of one step is drawn. The sampler reads the same object that the accountant reads.

A scheme owns its arithmetic: what share of the data a step is expected to draw, how many steps make an epoch, and what
the size of a batch is distributed like. Whoever plans, trains or checks asks the scheme. It owns its options too: each
module holds the class, frozen, and the Choice by which it is asked for on the command line, in phases and in JSON. An
option that the chosen scheme does not take is an error that names the scheme that does.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dpplan.checks import did_you_mean
from dpplan.errors import PlanError
from dpplan.sampling.balls_in_bins import BALLS_IN_BINS, RANDOM_ALLOCATION, BallsInBins, RandomAllocation
from dpplan.sampling.cyclic_poisson import CYCLIC_POISSON, CyclicPoisson
from dpplan.sampling.fixed_size import FIXED_SIZE, FixedSize
from dpplan.sampling.loaders import LOADERS, REFUSED, Loader, meant, refusal, unknown_loader
from dpplan.sampling.poisson import FULL_BATCH, POISSON, Poisson
from dpplan.sampling.scheme import Binomial, Choice, Option, Options, OptionValue, Sampling, SchemeSettings
from dpplan.sampling.shuffle import SHUFFLE, Shuffle
from dpplan.sampling.truncated_poisson import TRUNCATED_POISSON, TruncatedPoisson

__all__ = [
    "CHOICES",
    "LOADERS",
    "OPTIONS",
    "SCHEMES",
    "BallsInBins",
    "Binomial",
    "Choice",
    "CyclicPoisson",
    "FixedSize",
    "Loader",
    "Option",
    "OptionValue",
    "Options",
    "Poisson",
    "RandomAllocation",
    "Sampling",
    "SchemeSettings",
    "Shuffle",
    "TruncatedPoisson",
    "chosen",
    "foreign_options",
    "refusal",
    "regular",
    "unknown_loader",
]

# Kind -> class, for whoever reads a plan from a file. A new scheme gets a line here.
SCHEMES: Mapping[str, type[Sampling]] = MappingProxyType(
    {
        each.kind: each
        for each in (Poisson, TruncatedPoisson, CyclicPoisson, FixedSize, Shuffle, BallsInBins, RandomAllocation)
    }
)

# Name -> how it is asked for. A scheme that can be asked for gets a line here.
CHOICES: Mapping[str, Choice] = MappingProxyType(
    {
        each.name: each
        for each in (
            POISSON,
            TRUNCATED_POISSON,
            CYCLIC_POISSON,
            FIXED_SIZE,
            SHUFFLE,
            BALLS_IN_BINS,
            RANDOM_ALLOCATION,
            FULL_BATCH,
        )
    }
)
# Name -> the option of that name. Schemes that share one share its meaning.
OPTIONS: Mapping[str, Option] = MappingProxyType(
    {option.name: option for choice in CHOICES.values() for option in choice.options}
)


def chosen(name: str) -> Choice:
    """The scheme of that name. Raises PlanError for another."""
    found = CHOICES.get(name)
    if found is None:
        hint = meant(name) or did_you_mean(name, [*CHOICES, *LOADERS, *REFUSED])
        raise PlanError(f"sampling={name} is not one of: {', '.join(CHOICES)}.{hint}")
    return found


def regular(scheme: Sampling) -> bool:
    """Whether the scheme says that a record's steps are all a multiple of so many apart."""
    return isinstance(scheme, CyclicPoisson) or (isinstance(scheme, Shuffle) and scheme.order == "once")


def foreign_options(kind: str, content: Mapping[str, Any]) -> list[str]:
    """What an object says beside a scheme of that kind that only other schemes take."""
    given = {name: content[name] for name in OPTIONS if content.get(name) is not None}
    return CHOICES[kind].foreign(given, CHOICES) if kind in CHOICES else []
