"""The options that describe a plan, and all that was said by them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import click
from click.core import ParameterSource

from dpplan.adjacency import ADJACENCIES, named
from dpplan.checks import show
from dpplan.commands.shared.parameter_types import (
    BATCH,
    CHANCE,
    COUNT,
    NUMBER,
    RATE,
    Name,
    Number,
    Percentage,
    PlanFileName,
)
from dpplan.open_noise import Opening
from dpplan.plan import Plan, Settings
from dpplan.quantities import DESCRIBING
from dpplan.query_sensitivity import AnswerAccuracy
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import CHOICES, OPTIONS, Option
from dpplan.units import UNITS

Command = Callable[..., None]
Decorator = Callable[[Command], Command]
_STATED = ("sampling", "adjacency", "unit")  # that are something too where nothing is said
_KINDS: Mapping[str, Number] = MappingProxyType({"number": NUMBER, "whole": COUNT, "rate": RATE, "batch": BATCH})
# How each quantity that describes a plan is read where it is typed.
READ_AS: Mapping[str, Number] = MappingProxyType({each.name: _KINDS[each.kind] for each in DESCRIBING})


@dataclass(frozen=True, slots=True)
class PlanArguments:
    """What was said about a run: in the options of a single phase, or phase by phase; and what ran before it.

    settings: the options. phases, spent: phases as they were typed, or files of them; files: of phases. stated: name ->
    value of what was said of sampling, neighbours and unit, which `settings` does not tell from what nobody said.
    """

    settings: Settings
    phases: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    spent: tuple[str, ...] = ()
    stated: tuple[tuple[str, str], ...] = ()

    @property
    def in_phases(self) -> bool:
        return bool(self.phases or self.files)


@dataclass(frozen=True, slots=True)
class ParsedPlan:
    """What was made of them. plan: None where there are problems. known: what a delta is judged by.

    earlier: how many of the plan's first phases ran before. names, public, accuracies: of a plan file, what its
    phases are called, what it releases at no cost, and how near the answers to its queries are; openings: of which the
    noise is open; said: of each phase of the run itself, what was said of it; in_trials: of what its searches repeat.
    """

    plan: Plan | None
    problems: list[str]
    known: Settings
    earlier: int = 0
    names: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    accuracies: tuple[AnswerAccuracy | None, ...] = ()
    openings: tuple[Opening | None, ...] = ()
    said: tuple[Settings | None, ...] = ()
    in_trials: tuple[Settings, ...] = ()


def plan(command: Command) -> Command:
    """The options that describe a run. The command receives them as `settings`."""

    @functools.wraps(command)
    def gathered(**values: Any) -> None:
        fields = {each.name: values.pop(each.name) for each in DESCRIBING}
        command(settings=Settings(**fields), **values)

    options = [
        click.option(*each.all_options, each.name, type=READ_AS[each.name], help=each.help) for each in DESCRIBING
    ]
    return in_order(options)(gathered)


spent = click.option(
    "--spent",
    multiple=True,
    metavar="PHASE|FILE|FOLDER",
    help="An earlier run on the same data: a phase, sigma=1.1,q=0.01,steps=1000; a file with a list of phases or a "
    "whole plan (dpplan help plans); the folder of a run or its report.json; the state of an Opacus accountant (JSON, "
    "pickle, a checkpoint that holds it), or a DpEvent as JSON. Privacy that was spent adds up as further phases do: "
    "the answer is for everything together.",
)


def phases(command: Command) -> Command:
    """`plan`, and the options for runs of several phases. The command receives all of it as `arguments`."""

    @functools.wraps(command)
    def gathered(settings: Settings, phases: Any, files: Any, spent: Any, **values: Any) -> None:
        command(arguments=PlanArguments(settings, phases, files, spent), **values)

    several = [
        click.option(
            "--phase",
            "phases",
            multiple=True,
            metavar="KEY=VALUE,...",
            help="One phase of a run whose noise or batch changes, in the names of the options above: "
            "sigma=1.1,q=1/79,steps=1000. Repeat for each phase; --n may be given once for all.",
        ),
        click.option(
            "--phases",
            "files",
            multiple=True,
            metavar="FILE",
            help="A list of phases as YAML, JSON or CSV, with the same names; or a whole plan (dpplan help plans).",
        ),
        spent,
    ]
    return plan(in_order(several)(gathered))


def file(command: Command) -> Command:
    """[PLAN], a plan file, which is short for --phases PLAN."""

    @functools.wraps(command)
    def gathered(plan_file: str | None, arguments: PlanArguments, **values: Any) -> None:
        files = arguments.files if plan_file is None else (plan_file, *arguments.files)
        command(arguments=replace(arguments, files=files), **values)

    return click.argument("plan_file", type=PlanFileName(), metavar="[PLAN]", required=False)(gathered)


def scheme(command: Command) -> Command:
    """--sampling with the options of each scheme, --adjacency, and --unit. What the command receives of a run, as
    `settings` or `arguments`, holds them."""

    @functools.wraps(command)
    def gathered(
        sampling: str | None, adjacency: str | None, unit: str | None, max_per_user: Any, **values: Any
    ) -> None:
        typed = {name: values.pop(name) for name in OPTIONS}
        said: dict[str, Any] = {} if sampling is None else {"sampling": sampling}
        said |= {} if adjacency is None else {"adjacency": named(adjacency)}
        said |= {} if unit is None else {"unit": unit}
        said["max_per_user"] = max_per_user
        said["scheme_options"] = tuple((name, value) for name, value in typed.items() if value is not None)
        if "settings" in values:
            values["settings"] = values["settings"].with_(**said)
        else:
            arguments = values["arguments"]
            stated = stated_of(said)
            values["arguments"] = replace(arguments, settings=arguments.settings.with_(**said), stated=stated)
        command(**values)

    options: list[Decorator] = [
        click.option(
            "--sampling",
            type=Name(CHOICES),
            metavar="SCHEME",
            help=f"How batches are drawn: {'; '.join(f'{name}, {choice.words}' for name, choice in CHOICES.items())}.",
        ),
        *_scheme_options(),
        click.option(
            "--adjacency",
            type=Name([name.replace("_", "-") for name in ADJACENCIES]),
            help="Which data sets cannot be told apart: add-remove one example (when nothing is said), replace-one, or "
            "zero-out, where n stays and is public.",
        ),
        unit,
    ]
    return in_order(options)(gathered)


def typed_of_plan(but: tuple[str, ...] = ("--n",)) -> dict[str, str]:
    """Which options of `phases` and `scheme` this call has, and what each says. but: those that are not looked for: --n
    where a recipe may take it."""
    context = click.get_current_context()
    names = {*(each.name for each in DESCRIBING), "phases", "files", "spent", *_STATED, "max_per_user", *OPTIONS}
    return {
        each.opts[0]: show(context.params[each.name])
        for each in context.command.params
        if each.name in names and each.opts[0] not in but
        and context.get_parameter_source(each.name) is ParameterSource.COMMANDLINE
    }  # fmt: skip


def as_one(but: tuple[str, ...] = ("--n",)) -> list[str]:
    """`typed_of_plan` as one of several ways to say what is asked about; none where none of them was typed."""
    typed = typed_of_plan(but)
    return [f"the options of a plan ({', '.join(typed)})"] if typed else []


def one_of(said: Sequence[str], what: str) -> list[str]:
    """A sentence where more than one of these is given, each of which says `what`; none else."""
    if len(said) < 2:
        return []
    return [f"{', '.join(said[:-1])} and {said[-1]} are given, each of which says {what}. Leave all but one out."]


def unit(command: Command) -> Command:
    """--unit and --max-per-user, which the command receives by these names, None where they are not given."""
    options: list[Decorator] = [
        click.option(
            "--unit",
            type=Name(UNITS),
            help="Who is protected: one example (when nothing is said), or one user with all of theirs. Alone, users "
            "are drawn and clipped whole: q is their rate.",
        ),
        click.option(
            "--max-per-user",
            type=COUNT,
            help="With --unit user: examples are drawn one by one, at rate q, and no user has more than so many.",
        ),
    ]
    return in_order(options)(command)


def stated_of(said: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """`PlanArguments.stated` of settings that were given, each as it is typed."""
    return tuple((name, getattr(said[name], "name", said[name]).replace("_", "-")) for name in _STATED if name in said)


def scheme_alone(command: Command) -> Command:
    """`scheme`, for a command whose run is not one: `settings` holds how it draws and whom it protects."""

    decorated = scheme(command)

    @functools.wraps(decorated)
    def begun(**values: Any) -> None:
        decorated(settings=Settings(), **values)

    return begun


def options_of_schemes(besides: tuple[str, ...]) -> Decorator:
    """The options of all schemes but those that the command has itself, which receives them as `scheme_options`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def gathered(**values: Any) -> None:
            typed = {name: values.pop(name) for name in OPTIONS if name not in besides}
            said = tuple((name, value) for name, value in typed.items() if value is not None)
            command(scheme_options=said, **values)

        return in_order(_scheme_options(besides))(gathered)

    return decorate


def scheme_options(command: Command) -> Command:
    """The options of all schemes, for a command that asks about all of them. `settings` holds what was said."""

    @functools.wraps(command)
    def gathered(settings: Settings, **values: Any) -> None:
        typed = {name: values.pop(name) for name in OPTIONS}
        said = tuple((name, value) for name, value in typed.items() if value is not None)
        command(settings=settings.with_(scheme_options=said), **values)

    return in_order(_scheme_options())(gathered)


def _scheme_options(besides: tuple[str, ...] = ()) -> list[Decorator]:
    return [
        click.option(f"--{name}", name, type=scheme_option_type(option), help=_scheme_option_help(option))
        for name, option in OPTIONS.items()
        if name not in besides
    ]


def scheme_option_type(option: Option) -> Name | Number:
    """How an option that one scheme has is read where it is typed."""
    return Name(option.choices) if option.choices else COUNT


def _scheme_option_help(option: Option) -> str:
    owners = " and ".join(name for name, choice in CHOICES.items() if option in choice.options)
    words = f" {' or '.join(option.choices)}." if option.choices else ""
    default = "" if option.default is None else f" When nothing is said: {option.default}."
    return f"Of {owners}: {option.help}.{words}{default}"


def deltas(several: bool) -> Decorator:
    """--delta, as `delta`: a tuple when it may be given several times."""
    often = " May be given several times." if several else ""
    return click.option(
        "--delta",
        type=CHANCE,
        multiple=several,
        help=f"Chance of the guarantee not to hold. Without it: the largest power of ten ≤ 1 / (10 n), or "
        f"the run's own where its folder or report is all that is named.{often}",
    )


def in_order(options: Sequence[Decorator]) -> Decorator:
    """Several options, in the order in which the help shall show them."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def percentage(settings: Settings) -> list[str]:
    """A sentence when the sample rate was written in percent."""
    if not isinstance(settings.sample_rate, Percentage):
        return []
    rate = float(settings.sample_rate)
    return [f"q={100 * rate:g}% is a percentage, where a fraction is meant. Write --q {rate:g}."]
