"""dpplan tune: search for settings, release the best trial and nothing else, and account for that."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan import recipe as recipes
from dpplan.checks import Problems, did_you_mean
from dpplan.commands.shared import output, waiting
from dpplan.commands.shared.parameter_types import NUMBER, FileName, Whole
from dpplan.commands.shared.recipe_data import needs_torch
from dpplan.commands.shared.run_check import checked
from dpplan.durable_files import told
from dpplan.errors import DpplanError, UsageError
from dpplan.mechanism.trials import LAWS, Trials
from dpplan.recipe import grid as grids

if TYPE_CHECKING:
    from dpplan.train import Planned
    from dpplan.tuning.search import Winner
    from dpplan.tuning.search_plan import Score, SearchPlan

HELP = """Search for settings of RECIPE, and release the best trial and nothing else.

The number of trials is drawn, by a law that does not look at the data. Each trial draws a setting from the grid, every
one with the same chance, and trains; the best by its score is released, with its setting, its score and its model. What
that costs is printed before the first trial: less than all trials together, more than one. A grid of batch sizes,
lengths or noise is accounted too: each trial is of one of as many kinds.

The score is how many held-out examples the model has right. Say what they are: --score-data public, if anybody may
know them; else --score-eps, for noise on that number in each trial, which is paid for. Scores on the training examples
are refused.

\b
  dpplan tune recipes/digits.yaml --grid learning_rate=0.25,0.5,1 \\
    --grid momentum=0.8,0.9 --mean 5 --score-data public --dry-run
  dpplan tune recipes/digits.yaml --grid learning_rate=0.25,0.5,1 \\
    --mean 5 --score-data public
  dpplan tune recipes/digits.yaml --grid learning_rate=0.25,0.5,1 \\
    --mean 5 --score-eps 0.1
  dpplan tune recipes/digits.yaml --grid learning_rate=0.25,0.5 \\
    --mean 5 --score-data public --target-eps 4 --dry-run

How many trials there were, their times, the losers and the seed are private: they are not shown, and are removed. The
time that a search takes is seen by whoever watches it; do not publish it. Where no trial is made (poisson, binomial)
'none' is released, and that is an answer. A trial that diverges is one with the worst score; a model of your own that
fails on what it sees ends the search. Searching again is another search, and costs as much again.

A recipe's target_epsilon is that of one trial; its max_epsilon limits the whole search. With --target-eps the trial's
is found, so that the whole search spends no more than that.

Ctrl-C, SIGTERM or a closed terminal before the release ends a search, which cannot go on. It released nothing, and so
spends nothing, as long as nobody stopped it for how long it ran; where that is not sure, count a whole search. The same
call begins another one.

Exit status: 0 released, 'none' too; 1 ended once its trials had begun, or more than max_epsilon: nothing is released;
2 the call makes no sense as put; 3 nothing could be certified; 5 input or output failed; 130 interrupted
before that.
"""
TRAINING = (
    "score_data=training is refused: a score on the training examples without noise would tell about them, beside what "
    "is accounted. Hold examples out (data.held_out), and say whether those are public."
)
LATE = (
    "Ctrl-C, or a request to end, came when the search was over and its release had begun: that was finished, and its "
    "ε is spent."
)
SCORE = (
    "score: what decides between trials has to be public, or a release that is paid for. It is how many held-out "
    "examples are right: say --score-data public if anybody may know them, or --score-eps 0.1 for noise on it."
)


@click.command("tune", help=HELP)
@click.argument("recipe", type=FileName(path_type=Path), metavar="RECIPE")
@click.option("--grid", "texts", multiple=True, metavar="KEY=V1,V2,...", help="What is chosen from; repeat for more.")
@click.option("--trials", "law", default="geometric", show_default=True, metavar="LAW", help="Of their number.")
@click.option("--mean", type=NUMBER, default=10.0, show_default=True, help="The expected number of trials.")
@click.option("--eta", type=NUMBER, help="η of negative-binomial, above -1; 0.5 if not given.")
@click.option("--chance", type=NUMBER, help="Chance of each trial of binomial; 0.5 if not given.")
@click.option("--score-data", metavar="WHOSE", help="public: anybody may know the held-out examples; or private.")
@click.option("--score-eps", type=NUMBER, help="ε of the noise on the score of each trial, for private ones.")
@click.option("--target-eps", "target", type=NUMBER, help="Of the whole search: the trials' noise is found for it.")
@click.option("--jobs", type=Whole(1, 256), default=1, show_default=True, help="Processes; one trial in each.")
@click.option("--dry-run", is_flag=True, help="Print what is searched and what it costs, and stop.")
@click.option("--seed", type=Whole(0), help="Make the search reproducible. Such a search protects nobody.")
@click.option(
    "--out", type=FileName(path_type=Path), help="The folder of what is released: a new one, or an empty one."
)
@output.json_option
def command(
    recipe: Path,
    texts: tuple[str, ...],
    law: str,
    mean: Any,
    eta: Any,
    chance: Any,
    score_data: str | None,
    score_eps: Any,
    target: Any,
    jobs: int,
    dry_run: bool,
    seed: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    with needs_torch("dpplan tune"):
        from dpplan.tuning import search_report

    job = recipes.load(recipe)
    grid, trials, score = _asked(texts, (law, mean, eta, chance), score_data, score_eps)
    _check_place(out)
    with waiting.status("loading torch and the data" if target is None else "finding the noise of the trials"):
        plan, one = _planned(job, (grid, trials, score), seed, target)
    checked(one, followed=True, search=plan.plan, search_spends=plan.spent)
    if not as_json:
        output.say(search_report.plan_lines(plan, seed, output.paint))
    if dry_run:
        if as_json:
            output.as_json(search_report.document(plan, None, None, seed is not None))
        return
    if out is not None and out.exists():
        with told(f"{out}: cannot be made anew"):
            out.rmdir()  # an empty one; what is made is made anew
    place = out or _next(Path(job.runtime.folder), f"{job.name}-tuned")
    from dpplan.train.machine.signals import interrupt_deferred

    content, pressed = _run(plan, place, jobs, seed)
    with interrupt_deferred() as later:
        if as_json:
            output.as_json(content)
        else:
            output.say(["", *search_report.ending_lines(content, str(place))])
        output.warn([LATE] if pressed or later() else [])


def _check_place(out: Path | None) -> None:
    """Raises UsageError where a search cannot make this folder, before anything is planned."""
    if out is None or not out.exists():
        return
    with told(f"{out}: cannot be read"):
        empty = out.is_dir() and next(out.iterdir(), None) is None
    if not empty or out.samefile(Path()):
        why = "is the folder that you are in" if empty else "exists, and is no empty folder"
        raise UsageError(f"out={out} {why}. What a search releases goes into a folder of its own; name a new one.")


def _asked(
    texts: tuple[str, ...], law: tuple[str, Any, Any, Any], data: str | None, epsilon: Any
) -> "tuple[grids.SettingGrid, Trials, Score]":
    """What was asked for. Raises UsageError with all that is wrong with it."""
    from dpplan.tuning.search_plan import Score

    problems, found = Problems(UsageError), list[Any]()
    asks = (lambda: grids.read(texts), lambda: _trials(*law), lambda: Score(_score_epsilon(data, epsilon)))
    for ask in asks:
        try:
            found.append(ask())
        except DpplanError as error:
            problems.found += getattr(error, "problems", [str(error)])
    if problems.found:
        raise UsageError(problems.found)
    grid, trials, score = found
    return grid, trials, score


def _trials(law: str, mean: Any, eta: Any, chance: Any) -> Trials:
    hint = f" Their expected number is --mean {law}." if law.isdigit() else did_you_mean(law, LAWS)
    with Problems() as problems:
        problems.require(law in LAWS, f"trials={law} is not one of: {', '.join(LAWS)}.{hint}")
        problems.positive("mean", mean, try_="It is the expected number of trials.")
        for name, given, owner in (("eta", eta, "negative-binomial"), ("chance", chance, "binomial")):
            problems.require(given is None or law == owner, f"{name} is of {owner}, and trials={law}. Leave it out.")
    said = {name: given for name, given in (("eta", eta), ("chance", chance)) if given is not None}
    return Trials(law, mean, **said)


def _score_epsilon(data: str | None, epsilon: Any) -> float | None:
    """Of the noise on the score; None where the held-out examples were declared public."""
    if data not in (None, "public", "private"):
        if data == "training":
            raise UsageError(TRAINING)
        raise UsageError(
            f"score_data={data} is not one of: public, private.{did_you_mean(data, ('public', 'private'))}"
        )
    if data == "public" and epsilon is not None:
        raise UsageError(
            "score_eps is of noise on a score of private examples, and --score-data says that they are public. Leave "
            "out one of the two."
        )
    if data == "public":
        return None
    if epsilon is None:
        raise UsageError(SCORE)
    given: float = epsilon  # what is no number is told of by whoever takes it
    return given


def _planned(
    job: "recipes.Recipe", asked: "tuple[grids.SettingGrid, Trials, Score]", seed: int | None, target: Any
) -> "tuple[SearchPlan, Planned]":
    """The search, and the first of its trials for what check says of it. target: of the whole search, if there is
    one."""
    grid = asked[0]
    with needs_torch("dpplan tune"):
        from dpplan import train
        from dpplan.tuning.search_plan import planned, solved

        first = grids.recipe_of(job, grid.settings[0])
        one = train.plan(first, seed=seed)
        if one.dataset.held_out.examples < 1:
            raise UsageError("data.held_out leaves no example to score with. Hold some out.")
        units = one.dataset.training.units
        if target is None:
            return planned(job, *asked, units), one
        search = solved(job, *asked, units, target)
        return search, replace(one, recipe=search.recipes[0], claim=search.recipes[0].claim(units))


def _run(plan: "SearchPlan", place: Path, jobs: int, seed: int | None) -> tuple[dict[str, Any], bool]:
    """The report of what was released, and whether Ctrl-C, or a request to end, came too late to stop that."""
    from dpplan.durable_files import write_whole
    from dpplan.render.to_json import dumps
    from dpplan.tuning import search_report
    from dpplan.tuning.search import searched

    content: dict[str, Any] = {}

    def release(won: "Winner", folder: Path) -> None:
        """The report of what was released, beside it."""
        chosen = None if won.setting is None else grids.recipe_of(plan.recipe, won.setting)
        winner = None if won.setting is None else {
            "setting": {".".join(key): value for key, value in won.setting.items()},
            "score": won.score,
            "score_is": plan.score.words,
            "model": None if won.files is None else "model.pt",
        }  # fmt: skip
        content.update(search_report.document(plan, chosen, winner, seed is not None))
        text = dumps(content, indent=2) + "\n"
        write_whole(folder / "report.json", lambda stream: stream.write(text.encode()))

    if sys.stderr.isatty():  # a line that stands: until the release nothing else is written, by whoever it may be
        click.echo("searching; how many trials there are is private", err=True)
    won = searched(plan, place, jobs, seed, release)
    return content, won.pressed


def _next(parent: Path, name: str) -> Path:
    """The next name that is free."""
    number = 1
    while (parent / f"{name}-{number:03}").exists():
        number += 1
    return parent / f"{name}-{number:03}"
