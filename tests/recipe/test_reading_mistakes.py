"""Keys of plan files and recipes that make no sense as put, each with its whole message.

reading_mistakes.txt holds, case by case, what is written ("plan" for the phases of a plan, "recipe" for a key of a
block beside what the rest of a recipe says) and every problem that is told of it.
"""

from pathlib import Path

import pytest

from dpplan import recipe
from dpplan.errors import UsageError
from dpplan.recipe import plan_file

TABLE = Path(__file__).with_name("reading_mistakes.txt")
RECIPE = """\
privacy:
  noise_multiplier: 1.0
  clip_norm: 1.0
  delta: 1e-5
data: {source: blobs, examples: 200}
model: {kind: logistic}
training: {batch_size: 20, steps: 3, optimizer: sgd, learning_rate: 0.1}
"""


def cases() -> list[tuple[str, list[str]]]:
    blocks = (block.splitlines() for block in TABLE.read_text(encoding="utf-8").strip().split("\n\n"))
    return [(written, told) for written, *told in blocks]


def problems(written: str, folder: Path) -> list[str]:
    """What is told of it, without the name of the file."""
    kind, _, text = written.partition(": ")
    file = folder / "a.yaml"
    if kind == "plan":
        file.write_text(f"phases: [{text}]\n", encoding="utf-8")
    else:
        block, _, keys = text.partition(" ")
        added = "".join(f"  {key.strip()}\n" for key in keys.split(";"))
        whole = (
            RECIPE.replace("privacy:\n", f"privacy:\n{added}") if block == "privacy:" else f"{RECIPE}{block}\n{added}"
        )
        file.write_text(whole, encoding="utf-8")
    read = plan_file.read if kind == "plan" else recipe.load
    with pytest.raises(UsageError) as error:
        read(file)
    return [problem.removeprefix(f"{file}:").removeprefix("1: ") for problem in error.value.problems]


@pytest.mark.parametrize(("written", "told"), cases(), ids=[written[:60] for written, _ in cases()])
def test_the_whole_message_is_told(written: str, told: list[str], tmp_path: Path) -> None:
    assert problems(written, tmp_path) == told


def test_a_decimal_comma_between_braces_is_told_as_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(RECIPE.replace("learning_rate: 0.1}", "learning_rate: 0,1}"), encoding="utf-8")
    with pytest.raises(UsageError) as error:
        recipe.load(file)
    assert error.value.problems == (f"{file}:7: training.learning_rate=0,1 is not a number. Write 0.1.",)


def test_every_newer_key_has_mistakes_of_its_own() -> None:
    text = TABLE.read_text(encoding="utf-8")
    for key in ("sampling", "unit", "max_per_user", "query", "parallel", "kind", "audit", "statement", "order", "bins"):
        assert text.count(f"{key}") >= 5, key
