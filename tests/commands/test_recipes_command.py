"""dpplan recipes: what comes with it is listed, and copied as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from unwrap import unwrapped

from dpplan import __main__ as program
from dpplan import errors
from dpplan.recipe import bundled, load

Run = Callable[..., CompletedProcess[str]]
SOURCE = Path(__file__).parents[2] / "recipes"
NAMES = sorted(file.stem for file in SOURCE.glob("*.yaml"))


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command in an empty folder and returns what it said; the exit code is expected to be `code`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = errors.EXIT_DONE) -> str:
        assert program.run(["recipes", *arguments]) == code
        told = capsys.readouterr()
        assert not told.out or not told.err
        return told.out + told.err

    return run


def test_every_recipe_is_listed_with_what_it_is_about(said: Callable[..., str]) -> None:
    listed = said()
    assert max(map(len, listed.splitlines())) <= 80
    assert [line.split()[0] for line in listed.splitlines() if line[:1].strip()][: len(NAMES)] == NAMES
    for name in NAMES:
        first = (SOURCE / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert first in " ".join(listed.split())
    content = json.loads(said("--json"))
    assert content["schema"] == "dpplan.recipes/1"
    assert [each["name"] for each in content["recipes"]] == NAMES


def test_a_copy_is_the_recipe_to_the_byte_and_lies_where_help_expects_it(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan("recipes", "copy", "digits")
    assert (done.returncode, done.stderr) == (0, "")
    copy = tmp_path / "recipes" / "digits.yaml"
    assert copy.read_bytes() == (SOURCE / "digits.yaml").read_bytes()
    assert "dpplan train recipes/digits.yaml --dry-run" in done.stdout
    assert load(copy).sha256 == load(SOURCE / "digits.yaml").sha256


def test_the_word_list_lists_them(said: Callable[..., str]) -> None:
    assert said("list") == said()


def test_plan_files_are_listed_and_copied_too(said: Callable[..., str], tmp_path: Path) -> None:
    plans = sorted(f"plans/{file.stem}" for file in (SOURCE / "plans").glob("*.yaml"))
    listed = said()
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("plans/")] == plans
    assert [each["name"] for each in json.loads(said("--json"))["plans"]] == plans
    assert bundled.summary("plans/cohorts").endswith("none of whom is in two of them.")  # of two sentences the first
    told = said("copy", "plans/cohorts")
    assert (tmp_path / "recipes/plans/cohorts.yaml").read_bytes() == (SOURCE / "plans/cohorts.yaml").read_bytes()
    assert "next: dpplan epsilon recipes/plans/cohorts.yaml" in told
    assert "Did you mean 'plans/cohorts'?" in unwrapped(said("copy", "plans/cohort", code=errors.EXIT_USAGE))


@pytest.mark.parametrize("name", [*bundled.plans(), bundled.SCORES])
def test_what_it_says_to_do_next_can_be_done(
    name: str, said: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a file names no n, a δ is said with it; where its noise is open, it is solved for."""
    proposed = said("copy", name).partition("next: dpplan ")[2].split()
    assert program.run(proposed) == errors.EXIT_DONE
    assert "ε" in capsys.readouterr().out


def test_scores_are_listed_and_copied_as_they_are(said: Callable[..., str], tmp_path: Path) -> None:
    assert "scores.csv  Scores of an attack on 500 canaries" in said()
    assert [each["name"] for each in json.loads(said("--json"))["scores"]] == ["scores.csv"]
    said("copy", "scores.csv")
    assert (tmp_path / "recipes/scores.csv").read_bytes() == (SOURCE / "scores.csv").read_bytes()
    said("copy", "scores.csv", "--to", "mine.csv")
    assert (tmp_path / "mine.csv").read_bytes() == (SOURCE / "scores.csv").read_bytes()
    said("copy", "scores.csv", "digits", "--to", "both")
    assert sorted(file.name for file in (tmp_path / "both").iterdir()) == ["digits.yaml", "scores.csv"]


def test_all_of_them_can_be_copied_and_again(said: Callable[..., str], tmp_path: Path) -> None:
    assert said("copy", "all").count(": written") == len(NAMES)
    assert sorted(file.stem for file in (tmp_path / "recipes").iterdir()) == NAMES
    assert said("copy", "all").count("there already, and the same") == len(NAMES)


def test_a_place_of_ones_own(said: Callable[..., str], tmp_path: Path) -> None:
    said("copy", "digits", "audit.yaml", "--to", "a/b")
    assert sorted(file.name for file in (tmp_path / "a/b").iterdir()) == ["audit.yaml", "digits.yaml"]
    said("copy", "digits", "--to", "mine.yaml")
    assert (tmp_path / "mine.yaml").read_bytes() == (SOURCE / "digits.yaml").read_bytes()
    assert json.loads(said("copy", "digits", "--to", "mine.yaml", "--json"))["copied"] == [
        {"file": "mine.yaml", "written": False}
    ]


def test_nothing_of_the_users_is_overwritten(said: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/digits.yaml").write_text("mine", encoding="utf-8")
    told = said("copy", "audit", "digits", code=errors.EXIT_USAGE)
    assert "recipes/digits.yaml is there and differs" in told
    assert (tmp_path / "recipes/digits.yaml").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "recipes/audit.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("copy", "digitz"), "recipe=digitz is not one of: audit,"),
        (("copy", "digitz"), "plans/weekly-releases, scores.csv. Did you"),
        (("copy", "digitz"), "Did you mean 'digits'?"),
        (("copy",), "write dpplan recipes copy NAME"),
        (("digits",), "write dpplan recipes copy NAME"),
        (("--to", "x"), "--to is where a recipe is written"),
        (("copy", "digits", "audit", "--to", "x.yaml"), "is one file, and 2 recipes"),
        (("copy", "digits", "--to", ""), "--to is empty"),
    ],
)
def test_mistakes_are_told(said: Callable[..., str], arguments: tuple[str, ...], told: str) -> None:
    assert told in unwrapped(said(*arguments, code=errors.EXIT_USAGE))


def test_a_recipe_that_was_not_copied_yet_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.run(["check", "recipes/digits.yaml"]) == errors.EXIT_USAGE
    assert "no such file. `dpplan recipes copy digits` writes" in capsys.readouterr().err
    assert program.run(["check", "recipes/mine.yaml"]) == errors.EXIT_USAGE
    assert "copy" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("audit recipes/scores.csv", "scores.csv"),
        ("audit recipes/audit-digits.yaml", "audit-digits"),
        ("epsilon recipes/plans/cohorts.yaml", "plans/cohorts"),
        ("epsilon --spent recipes/plans/cohorts.yaml --sigma 1 --q 0.1 --steps 10 --delta 1e-5", "plans/cohorts"),
        ("epsilon --spent cohorts --sigma 1 --q 0.1 --steps 10 --delta 1e-5", "plans/cohorts"),
        ("check plans/cohorts.yaml", "plans/cohorts"),
        ("check --phases recipes/plans/cohorts.yaml", "plans/cohorts"),
        ("compare plans recipes/digits.yaml recipes/digits-cnn.yaml", "digits"),
        ("export plans/cohorts --to dp-accounting", "plans/cohorts"),
        ("report recipes/plans/cohorts.yaml", "plans/cohorts"),
        ("risk recipes/plans/cohorts.yaml", "plans/cohorts"),
        ("solve plans/dp-sgd-with-tuning.yaml --target-eps 3", "plans/dp-sgd-with-tuning"),
        ("solve digits --target-eps 3", "digits"),
        ("train recipes/digits.yaml", "digits"),
        ("tune recipes/digits.yaml", "digits"),
    ],
)
def test_a_missing_file_that_comes_with_dpplan_is_offered_by_each_command(
    call: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plan files and scores, too; and what is offered works."""
    monkeypatch.chdir(tmp_path)
    assert program.run(call.split()) == errors.EXIT_USAGE
    told = unwrapped(capsys.readouterr().err)
    assert f"`dpplan recipes copy {name}` writes the one that comes with dpplan." in told, told
    assert program.run(["recipes", "copy", name]) == errors.EXIT_DONE
    assert (tmp_path / "recipes" / bundled.file_of(name)).is_file()


def test_in_a_wheel_they_lie_beside_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a recipes/ of somebody else in site-packages is not taken for them."""
    other, own = tmp_path / "recipes", tmp_path / "bundled"
    other.mkdir()
    own.mkdir()
    (own / "digits.yaml").write_text("# Mine.\n", encoding="utf-8")
    monkeypatch.setattr(bundled, "_PLACES", (own, other))
    bundled.folder.cache_clear()
    try:
        assert (bundled.names(), bundled.summary("digits")) == (("digits",), "Mine.")
        (own / "digits.yaml").unlink()
        bundled.folder.cache_clear()
        with pytest.raises(errors.InputOutputFailed, match="Install it anew"):
            bundled.names()
    finally:
        bundled.folder.cache_clear()
