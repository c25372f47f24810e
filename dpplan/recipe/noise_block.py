"""The noise: of a recipe's privacy block: how it is correlated from step to step, and what it can be drawn with."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dpplan.adjacency import ADD_REMOVE
from dpplan.checks import Problems, did_you_mean, show
from dpplan.mechanism import MECHANISMS, Correlation, MatrixNoise, TreeAggregation
from dpplan.mechanism.correlated import BANDED, CORRELATIONS, MOST_COEFFICIENTS
from dpplan.recipe import strategy_file
from dpplan.recipe.values import Given, Reader, whole, word
from dpplan.sampling import CyclicPoisson, Shuffle
from dpplan.sampling.poisson import FULL_BATCH

KEYS = ("kind", "bands", "strategy")
# What a record's steps have to be known of: groups that take turns, one order for all epochs, or all steps.
SAMPLING = (CyclicPoisson.kind, Shuffle.kind, FULL_BATCH.name)
EXAMPLE = f"noise: {{kind: {BANDED}, bands: 8}}"
FROM_FILE = f"noise: {{kind: {MatrixNoise.kind}, strategy: C.npy}}"


def _file(given: Given) -> str:
    if given.kind not in {"text", "number"} or not given.text.strip():
        raise ValueError("is not the name of a file.")
    return given.text.strip()


_READERS: Mapping[str, Reader] = {"kind": word, "bands": whole, "strategy": _file}
_INDEPENDENT = ("independent", "gaussian", "none", "white")


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
            values[key] = _READERS[key](item)
        except ValueError as error:
            raise ValueError(f"has a {key} that {error}") from None
    if "kind" not in values:
        raise ValueError(f"does not say its kind: {', '.join(CORRELATIONS)}. Write {EXAMPLE}.")
    return Correlation(values["kind"], values.get("bands"), values.get("strategy"))


def rule(problems: Problems, name: str, value: Correlation) -> None:
    """A rule: a kind that is known, with as many bands as it needs."""
    if value.kind in _INDEPENDENT:
        problems.add(f"{name}.kind={value.kind} is what noise is without this block. Remove it.")
    elif value.kind not in CORRELATIONS:
        known = ", ".join(CORRELATIONS)
        problems.add(f"{name}.kind={value.kind} is not one of: {known}.{did_you_mean(value.kind, CORRELATIONS)}")
    elif value.kind == MatrixNoise.kind:
        _of_file(problems, name, value)
    elif value.strategy is not None:
        problems.add(f"{name}.strategy is for kind: {MatrixNoise.kind}. Write {FROM_FILE}, or remove it.")
    elif value.kind == TreeAggregation.kind:
        problems.require(value.bands is None, f"{name}.bands has no meaning for kind: tree. Remove it.")
    elif value.bands is None:
        problems.add(f"{name}.bands is missing: kind: {BANDED} needs how many steps a noise lasts. Write {EXAMPLE}.")
    elif problems.whole(f"{name}.bands", value.bands, try_="It is how many steps a noise lasts; 8 is a start."):
        many = f"{name}.bands={show(value.bands)} is more than {MOST_COEFFICIENTS}."
        problems.require(value.bands <= MOST_COEFFICIENTS, many)


def _of_file(problems: Problems, name: str, value: Correlation) -> None:
    if value.strategy is None:
        problems.add(f"{name}.strategy is missing: kind: {value.kind} is the strategy of a file. Write {FROM_FILE}.")
        return
    leaves = ".." in Path(value.strategy).parts
    told = (
        f"{name}.strategy={value.strategy} leaves the folder of the recipe, and a run keeps a copy of the file beside "
    )
    problems.require(not leaves, f"{told}its own. Put it there too, or write its whole path.")
    problems.require(value.bands is None, f"{name}.bands follows from the file. Remove it.")


def resolved(noise: Correlation, folder: Path) -> Correlation:
    """With what the file of its strategy holds, which is seen from this folder, that of the recipe.

    Raises PlanError with what is wrong with the file.
    """
    if noise.kind != MatrixNoise.kind or noise.given is not None or noise.strategy is None:
        return noise
    held = strategy_file.read(folder / noise.strategy)
    made = MECHANISMS[strategy_file.kind_of(held.settings)]
    return replace(noise, given=made(noise_multiplier=1.0, **held.settings), rows=held.rows)  # type: ignore[call-arg, arg-type]


def without_theorem(noise: Correlation, sampling: str, adjacency: str, options: Mapping[str, Any]) -> Iterator[str]:
    """What no theorem covers of this noise and of how batches are drawn, as sentences about keys of privacy.

    options: what is said of the scheme. Such a run can be made, and nothing can be claimed of it.
    """
    if sampling not in SAMPLING:
        groups = " with as many groups as bands" if noise.kind == BANDED else ""  # others have no bands to match
        yield (
            f"noise: {noise.kind} has no theorem under sampling: {sampling}: a record's steps share noise, and which "
            f"they are has to be known. Use sampling: {CyclicPoisson.kind}{groups}, sampling: "
            f"{Shuffle.kind} with order: once, or sampling: {FULL_BATCH.name}."
        )
        return
    if sampling != FULL_BATCH.name and adjacency == ADD_REMOVE.name:
        yield (
            f"noise: {noise.kind} with sampling: {sampling} is not known under adjacency: add_remove: whoever is "
            "removed moves others to other steps. Set adjacency: zero_out, or replace_one."
        )
    if sampling == Shuffle.kind and options.get("order") != "once":
        yield (
            f"noise: {noise.kind} needs order: once: data that are shuffled anew each epoch may have two steps of an "
            "example follow each other."
        )
    if sampling == CyclicPoisson.kind and options.get("assignment") == "own":
        yield f"noise: {noise.kind} is known in groups by place alone. Set assignment: place, or remove it."


def unkept(noise: Correlation, secure: bool, checkpoint_every: int | str | None) -> Iterator[str]:
    """Why noise that was drawn cannot be drawn once more, which a run that goes on needs."""
    if secure and checkpoint_every is not None:
        yield (
            f"runtime.secure_noise with privacy.noise: {noise.kind}: a run that goes on has to draw the noise of its "
            "earlier steps once more, and the system's generator cannot. Set checkpoint_every: off, or remove one of "
            "the two."
        )
