"""dpplan audit RECIPE --attack: the options of membership inference with shadow models, and what is shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan.checks import Problems, did_you_mean
from dpplan.commands.shared import output, plot_option, waiting
from dpplan.commands.shared.parameter_types import COUNT, FileName, Name
from dpplan.commands.shared.plan_arguments import Decorator

if TYPE_CHECKING:
    from dpplan.recipe import Recipe

ATTACKS = ("loss", "lira", "lira-offline", "rmia")  # of dpplan.audit.membership_attacks, which loads numpy
ALL = "all"
SHADOWS = 16  # where nothing is said
MOST_SHADOWS = 9_999
ONLY_HERE = ("shadows", "jobs", "cache", "plot")


def options(command: Any) -> Any:
    """--attack and what belongs to it."""
    each: tuple[Decorator, ...] = (
        click.option(
            "--attack", "attacks", type=Name((*ATTACKS, ALL)), multiple=True,
            help="Of a recipe: membership inference on its own examples instead of canaries.",
        ),
        click.option("--shadows", type=COUNT, help=f"With --attack: models to compare with; {SHADOWS} if not given."),
        click.option("--jobs", type=COUNT, help="With --attack: processes; one for each processor if not given."),
        click.option(
            "--cache", type=FileName(path_type=Path), metavar="FOLDER",
            help="With --attack: where the answers of models are kept; beside the runs if not given.",
        ),
        plot_option.plot_option("With --attack: draw its curves"),
    )  # fmt: skip
    for decorate in reversed(each):
        command = decorate(command)
    return command


def problems(told: dict[str, Any]) -> list[str]:
    """What is wrong with these options, of a recipe."""
    if not told["attacks"]:
        given = [f"--{name}" for name in ONLY_HERE if told[name] is not None]
        return [f"{', '.join(given)}: for membership attacks. Add --attack all, or leave it out."] if given else []
    found = Problems()
    for name in told["attacks"]:
        rule = f"attack={name} is not one of {', '.join((*ATTACKS, ALL))}.{did_you_mean(name, (*ATTACKS, ALL))}"
        found.require(name in (*ATTACKS, ALL), rule)
    given = [f"--{name}" for name in ("canaries", "mislabelled", "random", "natural") if told[name] is not None]
    found.require(not given, f"{', '.join(given)}: an attack on members has no canaries. Leave it out, or --attack.")
    least = 0 if set(told["attacks"]) == {"loss"} else 2
    if told["shadows"] is not None and found.whole("shadows", told["shadows"], least=least, try_="16 is a start."):
        many = f"shadows={told['shadows']} is more than {MOST_SHADOWS}. 16 to 256 are usual."
        found.require(told["shadows"] <= MOST_SHADOWS, many)
    if told["jobs"] is not None:
        found.whole("jobs", told["jobs"], try_="One for each processor is usual.")
    return [*found.found, *plot_option.problems(told["plot"])]


def run(
    recipe: "Recipe", told: dict[str, Any], delta: float | None, as_json: bool, record: Path | None,
    audited: dict[str, Any],
) -> bool:  # fmt: skip
    """Trains, attacks and shows; whether the plan is refuted. record: where what was found is kept. audited: what of
    that says which recipe it was, when, and how sure."""
    from dpplan import processes, train
    from dpplan.audit import on_file
    from dpplan.render import membership as render
    from dpplan.render import to_json
    from dpplan.train import shadows

    if told["plot"] is not None:
        plot_option.needs_matplotlib()
    chosen = ATTACKS if ALL in told["attacks"] else tuple(dict.fromkeys(told["attacks"]))
    level = round(1.0 - audited["confidence"], 15)
    count = SHADOWS if told["shadows"] is None else int(told["shadows"])
    jobs = min(processes.available(), count + 1) if told["jobs"] is None else int(told["jobs"])
    planned = train.plan(recipe, seed=told["seed"], over_budget=recipe.training.on_budget == "continue")
    wanted = shadows.ShadowAttack(chosen, count, jobs, told["cache"])
    with waiting.progress("models", count + 1) as progress:
        found = shadows.attacked(planned, wanted, delta, level, progress)
    if told["plot"] is not None:
        from dpplan.plot import membership as drawing

        curves = {name: (each.false_positives, each.true_positives) for name, each in found.curves.items()}
        drawing.draw(curves, found.trade_off, told["plot"])
    models, folder = len(found.runs.member), str(found.folder)
    facts = {**audited, "seed": told["seed"], "models": models, "folder": folder}
    document = render.document(found.curves, found.findings, found.ceilings, **facts)
    if record is not None:
        on_file.keep(record, to_json.dumps(document))
    if as_json:
        output.as_json(document)
        return found.violation
    output.say([render.headline(found.findings, output.paint), ""])
    output.say([*render.rows(found.findings, models, folder, level), ""])
    output.show(render.table(found.curves, found.findings, found.ceilings))
    if told["plot"] is not None:
        output.say(["", f"drawn to {told['plot']}: private like the rest"])
    return found.violation
