"""The noise: of a recipe's privacy block: how it is correlated from step to step, and what it can be drawn with."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpplan.adjacency import ADD_REMOVE
from dpplan.checks import Problems, did_you_mean, show
from dpplan.mechanism import Correlation, TreeAggregation
from dpplan.mechanism.correlated import BANDED, CORRELATIONS, MOST_COEFFICIENTS
from dpplan.recipe.values import Given, whole, word
from dpplan.sampling import CyclicPoisson, Shuffle
from dpplan.sampling.poisson import FULL_BATCH

KEYS = ("kind", "bands")
# What a record's steps have to be known of: groups that take turns, one order for all epochs, or all steps.
SAMPLING = (CyclicPoisson.kind, Shuffle.kind, FULL_BATCH.name)
EXAMPLE = f"noise: {{kind: {BANDED}, bands: 8}}"
_INDEPENDENT = ("independent", "gaussian", "none", "white")
Problem = tuple[tuple[str, ...], str]


def read(given: Given) -> Correlation:
    """The block as it was written; what it may hold is for the rule to say."""
    if given.kind != "block":
        raise ValueError(f"is not a block. Write {EXAMPLE}, or noise: {{kind: tree}}; left out, noise is independent.")
    values: dict[str, Any] = {}
    for key, item in zip(given.keys, given.items, strict=True):
        if key not in KEYS:
            raise ValueError(f"has no key {key}.{did_you_mean(key, KEYS)} Write {EXAMPLE}.")
        if key in values:
            raise ValueError(f"names {key} twice.")
        if item.kind == "empty" and key != "kind":
            continue
        try:
            values[key] = word(item) if key == "kind" else whole(item)
        except ValueError as error:
            raise ValueError(f"has a {key} that {error}") from None
    if "kind" not in values:
        raise ValueError(f"does not say its kind: {' or '.join(CORRELATIONS)}. Write {EXAMPLE}.")
    return Correlation(values["kind"], values.get("bands"))


def rule(problems: Problems, name: str, value: Correlation) -> None:
    """A rule: a kind that is known, with as many bands as it needs."""
    if value.kind in _INDEPENDENT:
        problems.add(f"{name}.kind={value.kind} is what noise is without this block. Remove it.")
    elif value.kind not in CORRELATIONS:
        known = ", ".join(CORRELATIONS)
        problems.add(f"{name}.kind={value.kind} is not one of: {known}.{did_you_mean(value.kind, CORRELATIONS)}")
    elif value.kind == TreeAggregation.kind:
        problems.require(value.bands is None, f"{name}.bands has no meaning for kind: tree. Remove it.")
    elif value.bands is None:
        problems.add(f"{name}.bands is missing: kind: {BANDED} needs how many steps a noise lasts. Write {EXAMPLE}.")
    elif problems.whole(f"{name}.bands", value.bands, try_="It is how many steps a noise lasts; 8 is a start."):
        many = f"{name}.bands={show(value.bands)} is more than {MOST_COEFFICIENTS}."
        problems.require(value.bands <= MOST_COEFFICIENTS, many)


def conflicts(given: Mapping[str, Any]) -> Iterator[Problem]:
    """What no theorem covers of this noise and of how batches are drawn."""
    noise, sampling = given.get("noise"), given.get("sampling", "poisson")
    if noise is None or noise.kind not in CORRELATIONS:
        return
    if sampling not in SAMPLING:
        yield (
            ("noise", "sampling"),
            f"noise: {noise.kind} has no theorem under sampling: {sampling}: a record's steps share noise, and which "
            f"they are has to be known. Use sampling: {CyclicPoisson.kind} with as many groups as bands, sampling: "
            f"{Shuffle.kind} with order: once, or sampling: {FULL_BATCH.name}.",
        )
        return
    if sampling != FULL_BATCH.name and given.get("adjacency", ADD_REMOVE.name) == ADD_REMOVE.name:
        yield (
            ("noise", "adjacency"),
            f"noise: {noise.kind} with sampling: {sampling} is not known under adjacency: add_remove: whoever is "
            "removed moves others to other steps. Set adjacency: zero_out, or replace_one.",
        )
    if sampling == Shuffle.kind and given.get("order") != "once":
        yield (
            ("noise", "order"),
            f"noise: {noise.kind} needs order: once: data that are shuffled anew each epoch may have two steps of an "
            "example follow each other.",
        )
    if sampling == CyclicPoisson.kind:
        yield from _by_turns(noise, given)


def unkept(noise: Correlation, secure: bool, checkpoint_every: int | None) -> Iterator[str]:
    """Why noise that was drawn cannot be drawn once more, which a run that goes on needs."""
    if secure and checkpoint_every is not None:
        yield (
            f"runtime.secure_noise with privacy.noise: {noise.kind}: a run that goes on has to draw the noise of its "
            "earlier steps once more, and the system's generator cannot. Set checkpoint_every: off, or remove one of "
            "the two."
        )


def _by_turns(noise: Correlation, given: Mapping[str, Any]) -> Iterator[Problem]:
    groups = given.get("groups")
    if noise.kind == TreeAggregation.kind:
        yield (
            ("noise", "sampling"),
            f"noise: tree has no theorem under sampling: {CyclicPoisson.kind}: the turns of an example share noise. "
            f"Use sampling: {Shuffle.kind} with order: once, or noise: {{kind: {BANDED}}}.",
        )
    elif isinstance(groups, int) and noise.bands is not None and noise.bands > groups:
        yield (
            ("noise", "groups"),
            f"noise.bands={noise.bands} exceeds groups={groups}: the turns of an example would share noise, and no "
            f"theorem is known. Lower bands, raise groups, or use sampling: {Shuffle.kind} with order: once.",
        )
    if given.get("assignment") == "own":
        yield (
            ("noise", "assignment"),
            f"noise: {noise.kind} is known in groups by place alone. Set assignment: place, or remove it.",
        )
