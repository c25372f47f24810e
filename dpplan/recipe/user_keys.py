"""What a recipe says of users, over its blocks: whom it protects, whose each example is, how many of one user count."""

from collections.abc import Iterator

from dpplan.recipe.schema import Data, Privacy, Runtime, Training

EXAMPLES_PER_USER = 32  # of a user that is drawn whole, when nothing is said; a constant, since the data may not say it
SIMULATED = "simulated"  # in place of a column: users that are made up, for sets that know none


def drawn_whole(privacy: Privacy) -> bool:
    """Whether a step draws users and clips each one's gradient."""
    return privacy.unit == "user" and privacy.max_per_user is None


def most_kept(privacy: Privacy, data: Data) -> int | None:
    """How many examples of one user count; None where nothing depends on users."""
    if privacy.unit != "user":
        return None
    return privacy.max_per_user or data.examples_per_user or EXAMPLES_PER_USER


def problems(privacy: Privacy, data: Data, training: Training, runtime: Runtime) -> Iterator[str]:
    """What is wrong between keys of different blocks that are each fine alone."""
    if privacy.unit == "user" and data.user is None:
        yield (
            "data.user is missing: privacy.unit: user needs the column that says whose each example is; "
            f"data.user: {SIMULATED} makes users up, for trying things out."
        )
    if privacy.unit != "user" and data.user is not None:
        yield f"data.user={data.user} is about users, and privacy.unit is example. Set unit: user, or remove it."
    if data.examples_per_user is not None and not drawn_whole(privacy):
        instead = "privacy.max_per_user limits" if privacy.unit == "user" else "privacy.unit: user draws"
        yield (
            f"data.examples_per_user={data.examples_per_user} is for users that are drawn whole; {instead} them here. "
            "Remove it."
        )
    if drawn_whole(privacy) and training.augment is not None:
        yield (
            f"training.augment={training.augment} is for single examples, and users are drawn whole. Remove it, or "
            "give privacy.max_per_user."
        )
    if drawn_whole(privacy) and runtime.compile:
        yield (
            "runtime.compile is for single examples, and users are drawn whole. Remove it, or give "
            "privacy.max_per_user."
        )
