"""`dpplan solve PLAN`: the open phases of a plan file, fitted to a target."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan.accounting.bound import Bound
from dpplan.checks import did_you_mean
from dpplan.commands.shared import output, plan_files, unsaid_accountant, waiting
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.plan_arguments import ParsedPlan, PlanArguments
from dpplan.commands.shared.request import cautions_of, or_own, resolve, told_of_runs
from dpplan.errors import PlanError
from dpplan.open_noise import Opening, setting_of
from dpplan.plan import Delta, Plan, Settings
from dpplan.quantities import DESCRIBING
from dpplan.recipe import bundled

if TYPE_CHECKING:
    from dpplan.solve.allocation import Allocation, Budget

STEPS = "steps"


@dataclass(frozen=True, slots=True)
class PlanTarget:
    """A target as typed, and how the phases are to be fitted to it. unknown: NAME.SETTING, in place of a rule."""

    epsilon: Any
    delta: Any
    rule: str | None
    unknown: str | None
    wrong: tuple[str, ...] = ()


def run(file: str | None, settings: Settings, spent: Sequence[str], choice: AccountantChoice, target: PlanTarget,
        as_json: bool, stated: tuple[tuple[str, str], ...] = ()) -> None:  # fmt: skip
    """stated: as in `PlanArguments`.

    Raises PlanError with all that is wrong with the call, Unreachable where nothing meets the target.
    """
    if file is None:
        raise PlanError([*target.wrong, "PLAN is missing: --allocate and --unknown are of a plan file. Name one."])
    if problem := _absent(file):
        raise PlanError([*target.wrong, problem])
    from dpplan.render import solve_open_phases as render
    from dpplan.solve import allocation

    arguments = PlanArguments(settings, files=(file,), spent=tuple(spent), stated=stated)
    parsed = plan_files.parse(arguments, may_be_open=True)
    deltas, others = resolve(parsed.known, or_own((target.delta,), arguments), choice, *target.wrong)
    if target.unknown is not None and target.rule is not None:
        others.append("--allocate and --unknown are given: one finds all that is open, the other one setting.")
    if target.rule is not None and target.rule not in allocation.RULES:
        known = ", ".join(allocation.RULES)
        others.append(f"allocate={target.rule} is not one of: {known}.{did_you_mean(target.rule, allocation.RULES)}")
    if parsed.plan is None or others:
        raise PlanError([*parsed.problems, *others])
    found = _asked(parsed, target)
    rule = target.rule or ("scale" if all(each is None or each.given for each in found.openings) else "shares")
    problems = [] if found.place is not None else allocation.open_problems(parsed.names, found.openings, rule)
    if problems:
        raise PlanError(problems)
    with waiting.status("searching") as say:
        budget = _budget(choice, float(target.epsilon), deltas[0].value, say)
        made = _fitted(parsed.plan, found, budget, rule, parsed)
    runs = told_of_runs((file, *spent))
    _show(render, parsed, made, (float(target.epsilon), deltas[0]), as_json, runs)


def _absent(file: str) -> str:
    """What is wrong where no such file is there: of a plan file, for which no phase can be typed. "" of any other."""
    try:
        Path(file).stat()
    except FileNotFoundError:
        if "=" in file:
            return ""
        return f"{file}: no such file.{bundled.instead_of(Path(file)) or ' Name a plan file: see dpplan help plans.'}"
    except (OSError, ValueError):  # whoever reads it says what is wrong
        return ""
    return ""


@dataclass(frozen=True, slots=True)
class _Unknowns:
    """What is to be found: the noise of the open phases, or one setting of the phase at one place."""

    openings: tuple[Opening | None, ...]
    place: int | None = None
    setting: str = STEPS


def _asked(parsed: ParsedPlan, target: PlanTarget) -> _Unknowns:
    if target.unknown is None:
        return _Unknowns(parsed.openings)
    from dpplan.accounting.best_of_trials import has_search

    assert parsed.plan is not None
    name, _, setting = target.unknown.rpartition(".")
    own = parsed.names[parsed.earlier :]  # what ran before is as it is, whatever it is called
    if name not in own:
        called = name or setting or "''"
        known = ", ".join(own)
        trials = (
            " Of a search one can ask for its mean; its trials stay as they are." if has_search(parsed.plan) else ""
        )
        raise PlanError(f"unknown={target.unknown}: no phase is called {called}. There are: {known}."
                        f"{did_you_mean(name or setting, own)} Write NAME.SETTING.{trials}")  # fmt: skip
    place = parsed.earlier + own.index(name)
    noise = _checked(parsed, place, target.unknown)
    blank = [other for at, other in enumerate(parsed.names)
             if at != place and (each := parsed.openings[at]) is not None and not each.given]  # fmt: skip
    if setting != noise and (each := parsed.openings[place]) is not None and not each.given:
        blank.append(name)
    if blank:
        from dpplan.render.compare_plans import listed

        have = "have" if len(blank) > 1 else "has"
        raise PlanError(f"unknown={target.unknown}: {listed(blank)} {have} no noise either. Give it, or leave "
                        "out --unknown, so that all open phases are fitted.")  # fmt: skip
    return _Unknowns((None,) * len(parsed.names), place, setting)


def _checked(parsed: ParsedPlan, place: int, unknown: str) -> str | None:
    """The setting that is the noise of this phase. Raises PlanError where what is asked for cannot be found of it."""
    assert parsed.plan is not None
    from dpplan.solve import phase_setting

    phase, (name, _, setting) = parsed.plan.phases[place], unknown.rpartition(".")
    noise = setting_of(type(phase.mechanism))
    known_settings = [each for each in (noise, STEPS, *phase_setting.known(phase, parsed.said[place])) if each]
    if setting == phase_setting.SCALE and place < len(parsed.accuracies) and parsed.accuracies[place] is not None:
        raise PlanError(f"unknown={unknown}: beside a query it is in units of the answer. Ask for epsilon: noise_scale "
                        "is how far a record moves the answer, over it.")  # fmt: skip
    if setting in known_settings:
        return noise
    if why := phase_setting.refusal(phase, setting, parsed.said[place]):
        raise PlanError(f"unknown={unknown}: {why}")
    *first, last = known_settings
    listed = f"{', '.join(first)} or {last}" if first else last
    as_option = next((each.name for each in DESCRIBING if setting.lower() in (each.word, each.symbol)), setting)
    meant = did_you_mean(as_option, known_settings)  # sigma, as its option is called, or σ
    raise PlanError(f"unknown={unknown}: of {name} one can ask for {listed}.{meant}")


def _budget(choice: AccountantChoice, target: float, delta: float, say: Callable[[str], None]) -> "Budget":
    """say: told how many plans were tried, before the next one is: how many it takes nobody knows."""
    from dpplan.solve.allocation import Budget

    tried = itertools.count()

    @functools.cache
    def ask(plan: Plan) -> Bound:
        number = next(tried)
        say(f"{number} plan{'' if number == 1 else 's'} tried")
        return unsaid_accountant.ask("epsilon", plan, delta, choice)

    return Budget(ask, target)


def _fitted(plan: Plan, found: _Unknowns, budget: "Budget", rule: str, parsed: ParsedPlan) -> "Allocation":
    from dpplan.solve import allocation, phase_setting

    openings = {at: each for at, each in enumerate(found.openings) if each is not None}
    if found.place is not None:
        where = found.place, parsed.names[found.place]
        if found.setting == setting_of(type(plan.phases[found.place].mechanism)):
            return phase_setting.noise_found(plan, where, found.setting, budget)
        if found.setting != STEPS:
            return phase_setting.found(plan, where, parsed.said[found.place], found.setting, budget)
        return phase_setting.steps_found(plan, where, budget)
    errors = {at: each.per_noise for at, each in enumerate(parsed.accuracies) if each is not None and each.per_noise}
    return allocation.bought(allocation.allocate(plan, openings, budget, rule, errors), budget)


def _show(render: Any, parsed: ParsedPlan, made: "Allocation", target: tuple[float, Delta], as_json: bool,
          runs: tuple[str, ...]) -> None:  # fmt: skip
    """runs: what is told of those that were named."""
    from dpplan.commands.shared import breakdown
    from dpplan.render import limits

    warnings = (*cautions_of(parsed, [target[1]]), *runs, *limits.beyond_meaning([made.spent]))
    if as_json:
        output.as_json(render.document(parsed.names, made, target, warnings))
        return
    output.say(render.headline(made, target, output.paint))
    told = unsaid_accountant.rows((made.spent,))
    output.say([*told, ""] if told else [])
    if made.openings:
        output.show(render.table(parsed.names, made))
        output.say([""])
    output.say(render.rows(parsed.names, made.plan, target))
    output.say(render.beyond(made))
    output.say(breakdown.public_rows(parsed.public))
    output.warn(warnings)
