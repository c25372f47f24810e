"""The page as HTML and as Markdown, from templates; nothing is loaded from anywhere when it is opened.

All text is escaped, whoever wrote it: page_templates.
"""

import json
from typing import Any

from dpplan.checks import show
from dpplan.deployment_statement import FIELDS, NOT_STATED, Field
from dpplan.groups import group_called
from dpplan.mechanism import BestOfTrials, kind_of
from dpplan.plan import Phase
from dpplan.plan_json import plan_to_json
from dpplan.render import risk as risk_words
from dpplan.render import to_json
from dpplan.render.number_format import interval
from dpplan.render.plan_rows import settings_given
from dpplan.report.on_record import (
    CONTRADICTED,
    ON_RECORD,
    all_at_once,
    coverage,
    held_out,
    search_call,
    search_facts,
    settings,
)
from dpplan.report.page import Page, length, unit_words
from dpplan.report.page_standing import claims, outcome, reasons, refused_as
from dpplan.report.page_templates import template
from dpplan.report.svg_charts import ChartAxis, ChartLine, chart
from dpplan.risk.trade_off import implied
from dpplan.rounding import up

LEAST_RATE = 1e-6
CANONICAL = "its canonical form: what is run, without layout, comments, runtime, check, audit and statement"
SIGNED = (
    "Signed by whoever answers for this release: what is stated above is true, and what it rests on holds. dpplan "
    "checks no signature."
)
HOW_TO_STATE = (
    "dpplan report takes them with --statement FILE or --state KEY=TEXT, or from the statement: block of a recipe that "
    "has not run; dpplan report --fields lists the keys."
)
SIGNATURE = ("Name", "Role", "Place and date", "Signature")


def html(page: Page, private: bool = False) -> str:
    """One file that stands by itself. private: with what was computed from examples without noise; marks the page.

    Raises MissingExtra without jinja2.
    """
    return template("report.html.j2").render(**_content(page, private), figures=_figures(page))


def markdown(page: Page, private: bool = False) -> str:
    """The same for a model card, with front matter in the form of Hugging Face. Errors as for `html`."""
    return template("report.md.j2").render(**_content(page, private))


def _content(page: Page, private: bool) -> dict[str, Any]:
    plan, found, bound = page.plan, page.assessment, page.bound
    epsilon = up(bound.value, 6)
    return {
        "page": page,
        "title": page.title,
        "epsilon": epsilon,
        "delta": show(page.delta),
        "guarantee": str(bound.guarantee),
        "proven": "" if bound.lower is None or bound.upper is None else interval(bound.lower, "ε", bound.upper),
        "unit": unit_words(plan),
        "assumptions": str(plan.assumptions),
        "coverage": coverage(plan),
        "on_the_way": not all_at_once(plan),
        "n_words": plan.n_words,
        "one_of_many": one_of_many(page),
        "large_delta": page.large_delta,
        "signed": SIGNED,
        "before_signing": before_signing(page),
        "signature": SIGNATURE if page.holds and not private else (),
        "facts": _facts(page),
        "risk": risk_words.table(found),
        "mu": None if found.mu is None else up(found.mu, 4),
        "regret": None if found.regret is None else up(found.regret, 2),
        "officer": risk_words.for_an_officer(found, plan),
        "person": risk_words.for_a_person(found, plan),
        "statement": [_stated(page, each) for each in FIELDS],
        "not_stated": NOT_STATED,
        "contradicted": CONTRADICTED,
        "missing": len(page.missing),
        "verdict": page.verdict,
        "agrees": page.as_planned,
        "holds": page.holds,
        "refused_as": refused_as(page),
        "over_budget": page.over_budget,
        "disagreed": page.disagreed,
        "audited": page.audited,
        "outcome": outcome(page),
        "reasons": reasons(page),
        "hashes": hashes(page),
        "software": {} if page.run is None else page.run.get("software", {}),
        "paragraph": paragraph(page),
        "reproduce": _reproduce(page),
        "plan_json": json.dumps(plan_to_json(plan), indent=1, ensure_ascii=False),
        "private": sorted(_flat(page.private)) if private else [],
        "private_wanted": private,
    }


def document(page: Page, private: bool = False) -> dict[str, Any]:
    """The object that `dpplan report --format json` prints."""
    return {
        "schema": "dpplan.report/1",
        "title": page.title,
        "dpplan": page.version,
        "delta": page.delta,
        **({"large_delta": page.large_delta} if page.large_delta else {}),
        "epsilon": to_json.figure(page.bound),
        "claimed": page.claimed,
        "standing": None if page.judged_standing is None else str(page.judged_standing),
        "claims": [
            {
                "name": each.claim.name,
                "claimed": each.claim.value,
                "standing": str(each.standing),
                "reasons": list(each.reasons),
                "publish": None if page.violations else each.publish,
            }
            for each in page.judged
        ],
        "warnings": list(page.warnings),
        **({"violations": page.violations} if page.violations else {}),
        **({"over_budget": page.over_budget} if page.over_budget else {}),
        "plan": to_json.described(page.plan),
        "statement": {each.key: page.statement[each.key] for each in FIELDS},
        "not_stated": [each.key for each in FIELDS if not page.statement.has(each.key)],
        "on_record": dict(page.on_record),
        "contradicted": list(page.contradicted),
        "before_signing": before_signing(page),
        "silenced": dict(page.silenced),
        "covers": coverage(page.plan),
        "n": page.plan.n_words,
        **({"n_as_typed": True} if page.typed else {}),
        "one_of_many": one_of_many(page),
        "other_runs": {
            "names": list(page.others.names),
            "together": page.others.together,
            "delta": page.others.delta,
            "unaccounted": list(page.others.unaccounted),
        },
        "verdict": list(page.verdict),
        "agrees_with_plan": None if page.run is None else page.as_planned,
        "audits": [{"violation": each.violation, "text": each.text} for each in page.audited],
        **({"lost_steps": page.lost} if page.lost else {}),
        **({} if page.early is None else {"ended_early": page.disagreed, "steps_taken": page.early.taken}),
        "epsilon_over_steps": [{"steps": steps, "epsilon": value} for steps, value in page.over],
        "risk": risk_words.document(page.assessment, page.plan, []),
        "paragraph": paragraph(page),
        "recipe": {
            "sha256": page.sha256,
            "sha256_of": CANONICAL,
            "file_sha256": page.file_sha256,
            "ran": page.recipe_ran,
            "text": page.recipe,
        },
        **({"not_covered_by_epsilon": dict(page.private)} if private else {}),
    }


def paragraph(page: Page) -> str:
    """What to paste into a paper: every figure rounded to the safe side, every assumption named, and no claim that
    something was done where nothing has run, or where the run did something else."""
    plan, found, bound = page.plan, page.assessment, page.bound
    if not page.holds:
        return f"{page.title}: {' '.join(filter(None, (outcome(page), page.disagreed, page.over_budget)))}"
    done = "was trained with differential privacy" if page.run is not None else "is a plan that has not run"
    if page.search is not None:
        done = "is the winner of a search over settings with differential privacy"
    otherwise = f" {page.disagreed}" if page.disagreed else ""
    typed, lost, over = (f" {each}" if each else "" for each in (page.typed_n, page.lost, page.over_budget))
    sign = "≈" if bound.upper is None else "≤"
    how = "Rényi" if bound.stands_in else "exact"
    others = f" On record: {page.others.words}." if page.others.names else ""
    return (
        f"{page.title} {done}: ε {sign} {up(bound.value, 4)} at δ = {show(page.delta)} "
        f"for {unit_words(plan)}, {bound.guarantee} by {how} accounting (dpplan {page.version}) of {length(page)} "
        f"under {plan.assumptions}. {coverage(plan)}{typed}{otherwise}{lost}{over}{others} It bounds the advantage "
        f"of any membership inference by {up(found.advantage.upper, 3)}. Tuning: {_answer(page, 'tuning')}."
    )


def one_of_many(page: Page) -> str:
    """What the figure does not count, in every page; with the runs that lie beside this one, where some do."""
    what = "search" if page.search is not None else "run" if page.run is not None else "plan"
    known = f" On record: {page.others.words}." if page.others.names else ""
    return (
        f"This page is of one {what}. Whatever else was run on the same data adds to its ε, and what lies in other "
        f"folders was not seen.{known}"
    )


def before_signing(page: Page) -> list[str]:
    """What a statement lacks and what the record says against it, in sentences, for whoever is about to sign."""
    headings = [each.heading for each in FIELDS if each.key in page.missing]
    are = "is" if len(headings) == 1 else "are"
    found = [f"{len(headings)} of {len(FIELDS)} fields {are} not stated: {', '.join(headings)}. {HOW_TO_STATE}"]
    against = [each.heading for each in FIELDS if each.key in page.contradicted]
    wrong = [f"What is stated is contradicted by the record: {', '.join(against)}."]
    known = [*page.violations, *filter(None, [page.typed_n, page.over_budget])]
    return [*known, *(found if headings else ()), *(wrong if against else ())]


def _stated(page: Page, asked: Field) -> tuple[str, str, str, str, str]:
    """Heading, what was stated, how what is on record stands to that, what that is, and what is asked."""
    known = page.on_record.get(asked.key, "")
    said = page.statement[asked.key] if page.statement.has(asked.key) or not known else ""
    if said and known and said[-1] not in ".!?":
        said = f"{said}."  # else it runs on into what is on record
    return asked.heading, said, CONTRADICTED if asked.key in page.contradicted else ON_RECORD, known, asked.question


def _answer(page: Page, key: str) -> str:
    """What was stated of a thing; else what is on record."""
    return page.statement[key] if page.statement.has(key) else page.on_record.get(key, NOT_STATED)


def hashes(page: Page) -> str:
    """Which recipe it is, by the hash of its canonical form and by that of its file."""
    if not page.sha256:
        return ""
    if not page.recipe_ran:
        return f"The recipe that ran had sha256 {page.sha256}, of {CANONICAL}. The one in the folder is another. "
    file = f"sha256 of its file {page.file_sha256}; " if page.file_sha256 else ""
    return f"Recipe, without its comments: {file}sha256 {page.sha256} of {CANONICAL}. "


def _reproduce(page: Page) -> str:
    """The command that writes such a page again, from what stands below it."""
    if not page.recipe_ran:
        return "The recipe in the run's folder is not the one that ran, and is not shown: it would not run this again."
    if page.run is not None:
        return (
            "dpplan train with this recipe runs it again, and dpplan report with the run's folder writes such a page."
        )
    if page.search is not None:
        return (
            "dpplan report with the folder of the search writes such a page. Its recipe is the winner's: dpplan train "
            "with it makes one run more, which the figure of this page does not count. The search itself draws anew "
            f"each time, and costs as much again: {search_call(page.search, page.plan)}."
        )
    if page.recipe:
        return "dpplan report with this recipe writes such a page, and dpplan train runs it."
    if page.call:
        return f"dpplan report {page.call} writes this page."
    return "dpplan report with a file that holds this plan, as dpplan epsilon --json prints it, writes such a page."


def _facts(page: Page) -> list[tuple[str, str]]:
    """What the figure rests on, and what ran."""
    plan, run = page.plan, page.run or {}
    facts = [("Length", length(page)), ("Assumed", str(plan.assumptions))]
    if plan.examples is not None:
        n = f"n = {plan.examples}{', as typed, not read from the data' if page.typed else ''}"
        facts.append((f"Training {plan.privacy_unit}s", f"{n}; protected, but for n itself: see below"))
    if apart := held_out(page.content, page.run, page.search):
        facts.append(("Held out", apart))
    facts += settings(page.content)
    facts += search_facts(page.search) if page.search is not None else ()
    for number, phase in enumerate(plan.phases[:8]):
        name = page.names[number] if page.names else f"Phase {number + 1}"
        facts.append((name if len(plan.phases) > 1 else "Plan", _phase(phase, name)))
    facts += claims(page)
    facts += [("Budget", page.over_budget)] if page.over_budget else []
    facts += [(f"Silenced, {code}", reason) for code, reason in page.silenced.items()]
    named = {
        "status": "The run",
        "isolation": "Examples kept apart",
        "isolation_why": "How",
        "engine": "Clipping engine",
        "device": "Device",
        "processes": "Processes",
        "seeded": "Seeded",
    }
    facts += [(words, _said(run[key])) for key, words in named.items() if run.get(key) not in (None, "")]
    arithmetic = run.get("arithmetic") or {}
    if arithmetic.get("evidence"):
        facts.append(("Arithmetic", str(arithmetic["evidence"])))
    not_seen = (run.get("run") or {}).get("not_seen")
    if not_seen:
        facts.append(("What no record shows", str(not_seen)))
    return facts


def _said(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _flat(content: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(content, dict):
        return [each for key, value in content.items() for each in _flat(value, f"{name}.{key}" if name else str(key))]
    if isinstance(content, list):
        return [(name, f"{len(content)} entries")] if content else []
    return [] if content is None else [(name, str(content))]


def _figures(page: Page) -> dict[str, str]:
    found, stated = page.assessment, page.assessment.question.stated
    corners = [(corner.false_positives, corner.true_positives) for corner in found.trade_off.curve()]
    diagonal = [(LEAST_RATE, LEAST_RATE), (1.0, 1.0)]
    rates = [LEAST_RATE * 10.0 ** (i / 20.0) for i in range(121)]
    region = list(zip(rates, implied(*stated, rates), strict=True)) if stated else []
    lines = [ChartLine("guess", diagonal), ChartLine("region", region), ChartLine("proven", corners)]
    plain = ChartAxis("false-positive rate", 0.0, 1.0), ChartAxis("true-positive rate, at most", 0.0, 1.0)
    logs = (
        ChartAxis("false-positive rate", LEAST_RATE, 1.0, logarithmic=True),
        ChartAxis("true-positive rate, at most", LEAST_RATE, 1.0, logarithmic=True),
    )
    top = max(value for _, value in page.over) or 1.0
    steps = ChartAxis("steps", 0.0, float(max(page.plan.steps, 1)))
    title = "The most true positives that any attacker reaches, over false positives"
    inside = [(x, y) for x, y in corners if x >= LEAST_RATE]
    return {
        "over": chart(
            f"ε at δ = {show(page.delta)} as the run goes on, up to {up(top, 4)}",
            steps,
            ChartAxis(f"ε at δ = {show(page.delta)}", 0.0, top * 1.05),
            [ChartLine("proven", [(float(at), value) for at, value in page.over])],
        ),
        "linear": chart(title, *plain, lines),
        "log": chart(f"{title}, logarithmic", *logs, [*lines[:2], ChartLine("proven", inside)]),
    }


def _phase(phase: Phase, name: str) -> str:
    """What a phase releases, how often, and whose it is; of a search, what each trial does."""
    search = phase.mechanism
    if isinstance(search, BestOfTrials):
        kinds = ("; then ".join(_phase(each, "") for each in kind) for kind in search.kinds)
        trial = "; or ".join(dict.fromkeys(kinds))
        return f"the best of trials ({search.words}; score {search.score}), each: {trial}"
    settings = [f"{name.replace('_', ' ')} {show(value)}" for name, value in settings_given(phase).items()]
    group = group_called(name, phase.groups)
    steps = f"{phase.steps} step{'s' if phase.steps > 1 else ''}"
    return ", ".join([kind_of(phase.mechanism), *settings, steps, *([f"group {group}"] if group else [])])
