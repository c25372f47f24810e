"""Ten mistakes of every key that plan files have outside mechanism: and repeat:, and of the newer keys of recipes.

Each is told with its line and its key; whole messages stand in reading_mistakes.txt. A key that is added to a list of
keys needs a line here.
"""

import dataclasses
from pathlib import Path

import pytest

from dpplan import recipe
from dpplan.errors import PlanError, UsageError
from dpplan.recipe import plan_file, plan_nodes, query_block
from dpplan.recipe.deployment_statement_block import StatementBlock

NUMBERS = ["", "''", "one", "[1]", "{a: 1}", "true", ".nan", ".inf", "'1'", "-1", "1e999", "0"]
COUNTS = [*NUMBERS, "2.5", "1,000", "1/3"]
WORDS = ["", "''", "nothing-known", "[any]", "{a: 1}", "1", "true", "'  '", ".nan", "two words"]
TEXTS = ["", "''", "'  '", "[a]", "{a: b}", "[]", "{}", f"{'x' * 201}", '"a\\tb"', '"a\\0"', '"\\n"']
BLOCKS = ["", "''", "1", "one", "[]", "[a]", "true", "{}", "{kind: nothing-known}", "{kind: [a]}", "{knd: a}"]
GROUPS = ["", "''", "1", "one", "[]", "{}", "{a: 1}", "true", "[a, b]", "[[], []]", "[{mechanism: {kind: gdp, mu: 1}}]"]
PHASES = ["", "''", "1", "one", "[]", "{}", "{a: 1}", "true", "[1]", "[[]]", "[{}]"]
LINES = ["", "''", "1", "one", "{a: 1}", "true", "['']", "[a, ' ']", "[[a]]", "[{a: b}]"]
PAIRS = ["", "''", "1", "one", "[]", "[1]", "{a: 1}", "[0, 1, 2]", "[a, b]", "[1, 0]", "[.nan, 1]", "['0', '1']"]

HEAD = "adjacency: zero-out\nunit: user\nmax_per_user: 2\nn: 600\npublic: [a]\n"
PHASE = "{mechanism: {kind: gaussian, noise_multiplier: 4}, sampling: {%s}, %s}"
QUERY = "{mechanism: {kind: %s}, query: {%s}}"
ANSWER = "laplace, epsilon: 1"
GROUP = "{parallel: [{name: A, n: 10, phases: [{mechanism: {kind: gdp, mu: 1}}]}, {mechanism: {kind: gdp, mu: 1}}]}"
POISSON = "kind: poisson, sample_rate: 0.1"
WHOLE = f"{HEAD}phases: [{PHASE % (POISSON, 'steps: 3')}]\n"
TURNS = "kind: cyclic-poisson, sample_rate: 0.1, groups: 2"
QUANTILE = "kind: quantile, p: 0.3, bounds: [0, 1], candidates: 9"
# List of keys -> each key -> where it stands, what makes sense there, and what does not.
KEYS: dict[tuple[str, ...], dict[str, tuple[str, str, list[str]]]] = {
    plan_nodes.KEYS: {
        "adjacency": (WHOLE, "zero-out", WORDS),
        "unit": (WHOLE, "user", WORDS),
        "max_per_user": (WHOLE, "2", COUNTS),
        "n": (WHOLE, "600",
              [each for each in COUNTS if each != "1e999"]),
        "public": (WHOLE, "[a]", LINES),
        "phases": (f"phases: [{PHASE % (POISSON, 'steps: 3')}]\n", f"[{PHASE % (POISSON, 'steps: 3')}]", PHASES),
    },
    plan_nodes.PHASE_KEYS: {
        "name": (f"phases: [{PHASE % (POISSON, 'steps: 3, name: a')}]\n", "a", TEXTS),
        "mechanism": ("phases: [{mechanism: {kind: gdp, mu: 1}}]\n", "{kind: gdp, mu: 1}", BLOCKS),
        "query": (f"phases: [{QUERY % (ANSWER, 'kind: count')}]\n", "{kind: count}", BLOCKS),
        "sampling": (f"phases: [{PHASE % (POISSON, 'steps: 3')}]\n", f"{{{POISSON}}}", BLOCKS),
        "steps": (f"phases: [{PHASE % (POISSON, 'steps: 3')}]\n", "3", COUNTS),
        "epochs": (f"phases: [{PHASE % (POISSON, 'epochs: 3')}]\n", "3", NUMBERS),
        "open": (f"phases: [{PHASE % (POISSON, 'steps: 3, open: false')}]\n",
                "false", [*WORDS[:6], "yes", "no", "on", "TRUE"]),
        "weight": (f"phases: [{PHASE % (POISSON, 'steps: 3, weight: 2')}]\n", "2", NUMBERS),
        "adjacency": (f"phases: [{PHASE % (POISSON, 'steps: 3, adjacency: add-remove')}]\n", "add-remove", WORDS),
        "unit": (f"phases: [{PHASE % (POISSON, 'steps: 3, unit: example')}]\n", "example", WORDS),
    },
    plan_nodes.SAMPLING_KEYS: {
        "kind": (f"phases: [{PHASE % (POISSON, 'steps: 3')}]\n", "poisson", WORDS),
        "sample_rate": (f"phases: [{PHASE % (POISSON, 'steps: 3')}]\n", "0.1", [*NUMBERS, "1.5", "10%"]),
        "batch_size": (f"n: 99\nphases: [{PHASE % ('kind: poisson, batch_size: 9', 'steps: 3')}]\n", "9", NUMBERS),
        "cap": (
            f"n: 99\nphases: [{PHASE % ('kind: truncated-poisson, sample_rate: 0.1, cap: 44', 'steps: 3')}]\n",
            "44", COUNTS,
        ),
        "groups": (
            f"n: 99\nphases: [{PHASE % (TURNS, 'steps: 4')}]\n",
            "2", COUNTS,
        ),
        "assignment": (
            f"n: 99\nphases: [{PHASE % (TURNS + ', assignment: place', 'steps: 4')}]\n",
            "place", WORDS,
        ),
        "order": (f"phases: [{PHASE % ('kind: shuffle, sample_rate: 0.1, order: fresh', 'steps: 10')}]\n",
              "fresh", WORDS),
        "bins": (f"phases: [{PHASE % ('kind: balls-in-bins, sample_rate: 0.1, bins: fresh', 'steps: 10')}]\n",
              "fresh", WORDS),
        "times": (
            f"phases: [{PHASE % ('kind: random-allocation, sample_rate: 0.2, times: 2', 'steps: 10')}]\n",
            "2", COUNTS,
        ),
    },
    query_block.KEYS: {
        "kind": (f"phases: [{QUERY % (ANSWER, 'kind: count')}]\n", "count", WORDS),
        "bounds": (f"phases: [{QUERY % (ANSWER, 'kind: sum, bounds: [0, 1]')}]\n", "[0, 1]", PAIRS),
        "n": (f"adjacency: zero-out\nphases: [{QUERY % (ANSWER, 'kind: mean, bounds: [0, 1], n: 50')}]\n",
              "50", COUNTS),
        "max_per_user": (f"unit: user\nphases: [{QUERY % (ANSWER, 'kind: count, max_per_user: 3')}]\n", "3", COUNTS),
        "p": (
            f"phases: [{QUERY % ('exponential, epsilon: 1', QUANTILE)}]\n",
            "0.3", NUMBERS,
        ),
        "candidates": (
            f"phases: [{QUERY % ('exponential, epsilon: 1', QUANTILE)}]\n",
            "9", COUNTS,
        ),
        "standard_error": (
            f"phases: [{QUERY % ('laplace', 'kind: count, standard_error: 10')}]\n", "10", NUMBERS,
        ),
    },
    (plan_nodes.GROUPS,): {"parallel": (f"phases: [{GROUP}]\n", GROUP[11:-1], GROUPS)},
    plan_nodes.GROUP_KEYS: {
        "name": (f"phases: [{GROUP}]\n", "A", TEXTS),
        "n": (f"phases: [{GROUP}]\n", "10", COUNTS),
        "phases": (f"phases: [{GROUP}]\n", "[{mechanism: {kind: gdp, mu: 1}}]", PHASES[:-1]),
    },
}  # fmt: skip
EVERY = [(key, *entry) for entries in KEYS.values() for key, entry in entries.items()]


def refused(file: Path, text: str) -> list[str]:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError) as error:
        plan_file.read(file)
    return list(error.value.problems)


def test_every_key_of_a_plan_file_has_its_ten() -> None:
    assert all(set(known) == set(entries) for known, entries in KEYS.items())
    assert all(len(set(wrong)) >= 10 for *_, wrong in EVERY)


@pytest.mark.parametrize(
    ("key", "text", "good", "wrong"), EVERY, ids=[f"{n}-{each[0]}" for n, each in enumerate(EVERY)]
)
def test_each_mistake_of_a_plan_file_is_told_with_line_and_key(
    tmp_path: Path, key: str, text: str, good: str, wrong: list[str]
) -> None:
    """A value that makes no sense, a key that is misspelt, and one that is said twice."""
    file, said = tmp_path / "plan.yaml", f"{key}: {good}"
    assert text.count(said) >= 1
    file.write_text(text, encoding="utf-8")
    assert plan_file.read(file).plan.phases
    before, after = text.rsplit(said, 1)
    line = before.count("\n") + 1
    for value in [*wrong, f"{good}, {key}: {good}" if "[" in before or "{" in before else f"{good}\n{key}: {good}"]:
        told = refused(file, f"{before}{key}: {value}{after}")
        named = [each for each in told if key in each.removeprefix(f"{file}:") and each.startswith(f"{file}:")]
        assert any(each.startswith((f"{file}:{line}: ", f"{file}:{line + 1}: ")) for each in named), (value, told)
    told = refused(file, f"{before}{key}x: {good}{after}")
    assert any(f"{key}x is not one of" in each for each in told), told


RECIPE = """\
privacy: {noise_multiplier: 1.0, clip_norm: 1.0, delta: 1e-5, %s}
data: {source: blobs, examples: 200}
model: {kind: logistic}
training: {batch_size: 20, steps: 3, optimizer: sgd, learning_rate: 0.1}
%s
"""
RECIPE_COUNTS = [each for each in COUNTS if each != "'1'"]
FIELDS = ["[a]", "{a: b}", "[]", "{}", "", "''", "'  '", "[a, b]", "[[a]]", "{a: {b: c}}"]
AUDIT = ("gradient_canaries", "mislabelled_canaries", "random_canaries", "natural_canaries", "watch")
STATED = tuple(each.name for each in dataclasses.fields(StatementBlock))
BESIDE = {
    "cap": "sampling: truncated-poisson", "groups": "sampling: cyclic-poisson", "order": "sampling: shuffle",
    "assignment": "sampling: cyclic-poisson, groups: 2", "bins": "sampling: balls-in-bins",
    "max_per_user": "unit: user",
}  # fmt: skip
PRIVACY = {"sampling": WORDS, "unit": WORDS, "order": WORDS, "assignment": WORDS, "bins": WORDS, "cap": RECIPE_COUNTS,
           "groups": RECIPE_COUNTS, "max_per_user": RECIPE_COUNTS, "adjacency": WORDS, "noise": BLOCKS}  # fmt: skip
NOISE = {
    "kind": WORDS,
    "bands": RECIPE_COUNTS,
    "strategy": ["", "''", "[a]", "{a: b}", "'  '", "a.npy", "a.pt", "1", "../a.npy", "true"],
}


def of_recipes() -> list[tuple[str, str, list[str]]]:
    beside = {key: f"{with_it}, " for key, with_it in BESIDE.items()}
    found = [(key, RECIPE % (f"{beside.get(key, '')}{key}: @", ""), wrong) for key, wrong in PRIVACY.items()]
    kinds = {"kind": "@", "bands": "banded, bands: @", "strategy": "matrix, strategy: @"}
    drawn = "sampling: shuffle, order: once, adjacency: zero_out"
    for key, wrong in NOISE.items():
        found.append((key, RECIPE % (f"{drawn}, noise: {{kind: {kinds[key]}}}", ""), wrong))
    found += [(key, RECIPE % ("", f"statement: {{{key}: @}}"), FIELDS) for key in STATED]
    found += [
        (key, RECIPE % ("", f"audit: {{{key}: @}}"), [each for each in RECIPE_COUNTS if each != "0"]) for key in AUDIT
    ]
    return found


@pytest.mark.parametrize(
    ("key", "text", "wrong"),
    [
        pytest.param(*each, id=each[0], marks=[pytest.mark.slow] if each[0] in STATED[4:] else [])  # all alike
        for each in of_recipes()
    ],
)
def test_each_mistake_of_a_recipe_is_told_with_line_and_key(
    tmp_path: Path, key: str, text: str, wrong: list[str]
) -> None:
    file = tmp_path / "recipe.yaml"
    for value in wrong:
        file.write_text(text.replace("@", value).replace(", }", "}"), encoding="utf-8")
        with pytest.raises(UsageError) as error:
            recipe.load(file)
        assert any(key in each.removeprefix(f"{file}:") for each in error.value.problems), (value, error.value.problems)
    one = f"{key}: {'tree' if key == 'kind' else 1}"
    for value, said in ((f"{one}, {one}", "twice"), (f"{key}x: 1", "not a known key|has no key")):
        file.write_text(text.replace(f"{key}: @", value).replace(", }", "}"), encoding="utf-8")
        with pytest.raises(UsageError, match=said):
            recipe.load(file)
