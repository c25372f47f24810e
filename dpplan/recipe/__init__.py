"""A recipe: one YAML file that says everything about a training run.

    recipe = load("recipes/digits.yaml")
    recipe.plan(examples=1437)          # the dpplan Plan the run will follow
    recipe.claim(examples=1437)         # the plan with its certified cost

Privacy, training and speed have blocks of their own. What a run costs is computed from `privacy` and `training`
and the number of training examples; `runtime` is not even passed to that computation.
"""

import dataclasses
import hashlib
import json
from dataclasses import field
from pathlib import Path
from typing import Any

from dpplan.errors import PlanError, RecipeError
from dpplan.plan import Delta, Plan, Settings, resolve_delta
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import claim as _claim
from dpplan.recipe import noise_block, user_keys
from dpplan.recipe.claim import Claim
from dpplan.recipe.deployment_statement_block import StatementBlock
from dpplan.recipe.reading import read_blocks, read_statement, read_text
from dpplan.recipe.schema import Audit, Check, Data, Model, Privacy, Runtime, Training
from dpplan.recipe.scheme_keys import SCHEME_OPTIONS

__all__ = [
    "Audit",
    "Check",
    "Claim",
    "Data",
    "Model",
    "Privacy",
    "Recipe",
    "Runtime",
    "StatementBlock",
    "Training",
    "load",
    "parse",
    "read_statement",
]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A validated recipe. name: the file's name without its ending. text, file: the file
    as it was read, and what errors call it."""

    privacy: Privacy
    data: Data
    model: Model
    training: Training
    runtime: Runtime = field(default_factory=Runtime)
    check: Check = field(default_factory=Check)
    statement: StatementBlock = field(default_factory=StatementBlock)
    audit: Audit = field(default_factory=Audit)
    name: str = field(default="recipe", compare=False)
    text: str = field(default="", compare=False, repr=False)
    file: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        found = list(user_keys.problems(self.privacy, self.data, self.training, self.runtime))
        noise = self.privacy.noise
        if noise is not None:
            found += noise_block.unkept(noise, self.runtime.secure_noise, self.runtime.checkpoint_every)
            try:
                noise = noise_block.resolved(noise, Path(self.file).parent)
            except PlanError as error:
                found += [f"privacy.noise.strategy: {sentence}" for sentence in error.problems]
            object.__setattr__(self, "privacy", dataclasses.replace(self.privacy, noise=noise))
        if found:
            raise RecipeError([f"{self.file}: {sentence}" if self.file else sentence for sentence in found])

    def settings(self, examples: int) -> Settings:
        """What the recipe says about the run, for this many training examples; the noise may be open."""
        return _claim.settings(self.privacy, self.training, examples)

    def plan(self, examples: int) -> Plan:
        """The plan of the run. Solves for the noise when the recipe gives a target epsilon."""
        return _claim.make_plan(self.privacy, self.training, examples)

    def delta(self, examples: int) -> Delta:
        """The delta of the recipe, or the one derived from the number of training examples."""
        return resolve_delta(self.privacy.delta, examples)

    def claim(self, examples: int) -> Claim:
        """The plan of the run with its certified cost."""
        return _claim.make_claim(self.privacy, self.training, examples)

    def unaccounted_claim(self, examples: int, reason: str = "") -> Claim:
        """The plan of a run of which nothing can be proven, without a figure: for who consents to claim nothing.

        reason: why, where that is known already. Raises UsageError where there is a figure, RecipeError for a budget.
        """
        return _claim.make_unaccounted(self.privacy, self.training, examples, reason)

    def with_runtime(self, **changes: Any) -> "Recipe":
        """The same run on another device, in another folder, and so on."""
        return dataclasses.replace(self, runtime=dataclasses.replace(self.runtime, **changes))

    def with_twin(self, wanted: bool) -> "Recipe":
        """The same run, with or without a second one that has no privacy, for comparison."""
        return dataclasses.replace(self, training=dataclasses.replace(self.training, compare_nonprivate=wanted))

    def with_watch(self, examples: int) -> "Recipe":
        """The same run, with the losses of so many training examples followed."""
        return dataclasses.replace(self, audit=dataclasses.replace(self.audit, watch=examples))

    @property
    def content(self) -> dict[str, dict[str, Any]]:
        """Block -> key -> value, defaults filled in; what JSON can hold."""
        beside = (self.runtime, self.check, self.audit, self.statement)
        blocks = (self.privacy, self.data, self.model, self.training, *beside)
        found = {block.title: dataclasses.asdict(block) for block in blocks}
        if self.privacy.noise is not None:
            found[Privacy.title]["noise"] = self.privacy.noise.content
        return found

    @property
    def sha256(self) -> str:
        """Hash of what is run: equal for recipes that differ only in layout, comments, the spelling of numbers
        or the blocks beside it: runtime, check, audit, statement."""
        beside = {Runtime.title, Check.title, Audit.title, StatementBlock.title}
        what = {title: block for title, block in self.content.items() if title not in beside}
        # What is not said leaves the hash what it was before recipes could say it.
        later = {*SCHEME_OPTIONS, "max_per_user", "user", "examples_per_user", "noise"}
        for title in (Privacy.title, Data.title):
            kept = {key: value for key, value in what[title].items() if key not in later or value is not None}
            what[title] = kept
        return hashlib.sha256(json.dumps(_plain(what), sort_keys=True).encode()).hexdigest()


def load(file: str | Path) -> Recipe:
    """The recipe in this YAML file. Raises RecipeError naming line and key of everything that is wrong."""
    file = Path(file)
    return parse(read_text(file), name=str(file))


def parse(text: str, name: str = "recipe") -> Recipe:
    """The recipe in this YAML text; `name` is the file named in errors."""
    return Recipe(**read_blocks(text, name), name=Path(name).stem, text=text, file=name)


def _plain(value: Any) -> Any:
    """One spelling for equal values: 1 and 1.0 alike, tuples as lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
