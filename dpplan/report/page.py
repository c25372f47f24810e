"""What is known of a plan or a run, gathered for a page: from its file, accounted anew, with what was stated."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dpplan
from dpplan import accounting, lint, risk, verify
from dpplan.accounting.bound import Bound
from dpplan.adjacency import ADD_REMOVE
from dpplan.checks import show
from dpplan.curve import beginning
from dpplan.deployment_statement import FIELDS, Statement
from dpplan.errors import ReportError
from dpplan.plan import Plan
from dpplan.recipe import Claim, Recipe, recorded
from dpplan.report import audits as audits_on_file
from dpplan.report import checked_run
from dpplan.report.on_record import contradicts, lengths, on_record, silenced
from dpplan.report.other_runs import OtherRuns, beside
from dpplan.report.recipe_comments import without_comments
from dpplan.units import unit_words as plan_words
from dpplan.verify.early_end import EarlyEnd
from dpplan.verify.recorded_claim import FOUND
from dpplan.verify.run_outcome import lost_steps

PLACES, FIRST_PLACES = 24, 4  # at which ε is drawn over the steps, and in its steep beginning, each half of the next
DRAWN = 2e-3  # the relative width that a line of a chart is asked for, where laws are known on lattices
REPORT = "report.json"
DISAGREED = "The run did not do what the plan said."
TYPED_N = "n is as typed, not read from the data: the noise and ε are those of data of that size, and of no other."
Told = Callable[[str], None]  # given what is being computed, for somebody who waits


def _nothing(said: str) -> None:
    """Nobody waits."""


@dataclass(frozen=True, slots=True)
class Page:
    """name: of the file. bound: ε at `delta` of `plan`, accounted by this version. claimed: what the file says.

    verdicts: on every claim of the file, () where nothing was claimed. over: (steps, ε) as the plan goes on.
    warnings: of what beside the file contradicts it. run: a run's report as it was written, None of a plan.
    recipe: the text of the recipe that ran or would run, "" without one. sha256: of its canonical form, as recorded.
    file_sha256: of the recipe's file as it is. recipe_ran: whether that file is the recipe that the report records.
    names: of the plan's phases, where a plan file gave some. search: the report of a search as it was written, None of
    all else. content: the blocks of the recipe, as recorded. others: runs on the same examples that lie beside this.
    audits: of a run's folder and of files that were named, as they were printed. watch: a memorisation watch's file.
    early: how a run ended that took fewer steps than planned. both: its two figures and the condition of the smaller.
    typed: whether n was, and is not known of the data. call: the options that describe the plan, where no file does.
    together: the recorded runs that the plan counts, where it is of no single one.
    over_budget: that more was spent than the recipe allows, or that its plan would spend more, in a sentence; "" where
    it is not so.
    """

    name: str
    plan: Plan
    delta: float
    bound: Bound
    assessment: risk.Assessment
    over: tuple[tuple[int, float], ...]
    statement: Statement
    claimed: float | None = None
    verdicts: tuple[verify.Verdict, ...] = ()
    warnings: tuple[str, ...] = ()
    run: Mapping[str, Any] | None = None
    recipe: str = ""
    sha256: str = ""
    file_sha256: str = ""
    recipe_ran: bool = True
    names: tuple[str, ...] = ()
    search: Mapping[str, Any] | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    others: OtherRuns = field(default_factory=OtherRuns)
    audits: tuple[Mapping[str, Any], ...] = ()
    watch: Mapping[str, Any] = field(default_factory=dict)
    early: EarlyEnd | None = None
    both: str = ""
    typed: bool = False
    call: str = ""
    together: tuple[str, ...] = ()
    over_budget: str = ""
    version: str = dpplan.__version__

    @property
    def title(self) -> str:
        return self.statement["name"] if self.statement.has("name") else self.name

    @property
    def standing(self) -> verify.Standing | None:
        """The worst of its claims, by its plan alone; None where nothing was claimed."""
        return _worst(self.verdicts)

    @property
    def judged_standing(self) -> verify.Standing | None:
        """The same, by what audits found too."""
        return _worst(self.judged)

    @property
    def judged(self) -> tuple[verify.Verdict, ...]:
        """The verdicts as dpplan verify gives them: what an audit found takes from each claim that it stands."""
        return tuple(map(self._judged, self.verdicts)) if self.violations else self.verdicts

    def _judged(self, verdict: verify.Verdict) -> verify.Verdict:
        uncertain = verify.Standing.UNCERTAIN if verdict.standing is verify.Standing.STANDS else verdict.standing
        return replace(verdict, standing=uncertain, reasons=(FOUND, *verdict.reasons))

    @property
    def holds(self) -> bool:
        """Whether a figure may be published: all claims of the file stand, or there are none, and no audit on file
        found what the plan does not allow."""
        return self.standing in (None, verify.Standing.STANDS) and not self.violations

    @property
    def ran(self) -> bool:
        """Whether it is of what dpplan ran, and not of a plan alone."""
        return self.run is not None or self.search is not None

    @property
    def as_planned(self) -> bool:
        """Whether the run did what the plan said: as it says itself, and in the steps that it took."""
        if self.run is None:
            return True
        planned, spent = self.run.get("planned") or {}, self.run.get("spent") or {}
        return bool(self.run.get("agrees_with_plan")) and planned.get("steps") == spent.get("steps")

    @property
    def disagreed(self) -> str:
        """In what the run was not as planned, in sentences; "" where it was."""
        if self.as_planned or self.early is None:
            return "" if self.as_planned else DISAGREED
        both = self.both if self.holds else ""
        said = f"The run was {both or self.early.words}."
        apart = {str(row.get("name")) for row in self.verdict if not row.get("agrees")} - {"steps", "epsilon"}
        return f"{said} {DISAGREED}" if apart else said

    @property
    def typed_n(self) -> str:
        """That nobody read n from the data, in a sentence without n, which stands once on a page; "" where it is known
        of them."""
        return TYPED_N if self.typed else ""

    @property
    def large_delta(self) -> str:
        """That δ is too large for so many examples or users, as DP001 has it, in a sentence; "" where it is not, or
        where nobody knows how many they are."""
        plan = self.plan
        if plan.examples is None:
            return ""
        # n stands once on a page, beside what is said of publishing it, and here only where it may be published; and
        # where n counts examples, of users drawn example by example, nobody knows how many of them δ gives away.
        tell_n = plan.adjacency.public_size and plan.max_per_user is None
        found = lint.delta_objection(self.delta, plan.examples, plan.privacy_unit, tell_n)
        return "" if found is None else f"δ = {show(self.delta)} {found[1]} See dpplan check --explain DP001."

    @property
    def lost(self) -> str:
        """How many of the steps that were spent are not in the model, in a sentence; "" where all are."""
        return "" if self.run is None else lost_steps(self.run.get("spent"))

    @property
    def verdict(self) -> Sequence[Mapping[str, Any]]:
        """Plan against run, where each row rests on what is covered by ε."""
        return [] if self.run is None else list(self.run.get("verdict", []))

    @property
    def on_record(self) -> Mapping[str, str]:
        """Field of the statement -> what is known of it without anybody stating it."""
        return on_record(self.content, self.run, self.search, self.others)

    @property
    def missing(self) -> tuple[str, ...]:
        """The fields that nobody stated, and of which nothing is on record."""
        known = self.on_record
        return tuple(each.key for each in FIELDS if not self.statement.has(each.key) and each.key not in known)

    @property
    def contradicted(self) -> tuple[str, ...]:
        """The fields of which it was stated that there was no such thing, and one is on record."""
        return tuple(key for key, known in self.on_record.items() if contradicts(key, self.statement[key], known))

    @property
    def silenced(self) -> Mapping[str, str]:
        """Code -> reason of each finding of dpplan check that the recipe lets pass."""
        return silenced(self.content)

    @property
    def private(self) -> Mapping[str, Any]:
        """What was computed from examples without noise, and what attacks on them found."""
        found = {} if self.run is None else dict(self.run.get("not_covered_by_epsilon", {}))
        losses = [each.get("loss") for each in found.get("epochs") or [] if isinstance(each, dict)]
        if any(loss is not None for loss in losses):
            found["loss by epoch"] = ", ".join("-" if loss is None else f"{loss:.4g}" for loss in losses)
        return {**found, **audits_on_file.private(self.audits, self.sha256, self.watch)}

    @property
    def violations(self) -> list[str]:
        """What audits of this recipe found that is not as planned, a sentence for each."""
        return audits_on_file.violations(self.audits, self.sha256)

    @property
    def audited(self) -> list[audits_on_file.AuditSentence]:
        """What audits by canaries found."""
        return audits_on_file.by_canaries(self.audits, self.sha256)


def _worst(verdicts: Sequence[verify.Verdict]) -> verify.Standing | None:
    found = {each.standing for each in verdicts}
    order = (verify.Standing.REFUTED, verify.Standing.UNCERTAIN, verify.Standing.STANDS)
    return next((each for each in order if each in found), None)


def gather(source: Path, stated: Mapping[str, str], delta: float | None = None, told: Told = _nothing) -> Page:
    """The page of a run (its folder or report.json) or of a plan (what a command printed with --json).

    stated: wins over the recipe's own statement. Raises ReportError for a file that holds no figure of a plan,
    RecipeError for a statement that is none, and what accounting and risk raise.
    """
    document, audits = checked_run.read_with_audits(source, also="a recipe or a plan file, whose name ends in .yaml")
    chosen = document.named("planned") or document.only_one(document.safe, delta)
    if chosen is None or chosen.plan is None or chosen.quantity != "epsilon":
        raise ReportError(f"{source}: holds no ε of a plan, so there is nothing to report on.")
    at = chosen.at if delta is None else delta
    raw = _raw(source)
    schema = str(raw.get("schema", ""))
    trained, searched = raw if schema.startswith("dpplan.train/") else None, schema.startswith("dpplan.tune/")
    recorded_recipe = raw.get("recipe") if trained or searched else None
    recipe = recorded_recipe if isinstance(recorded_recipe, dict) else {}
    verdicts = tuple(verify.verify(each) for each in document.claims)
    wrong = [each.contradiction for each in document.claims if each.contradiction]
    if wrong and not any(each.standing is verify.Standing.REFUTED for each in verdicts):
        raise ReportError(wrong)
    own = recipe.get("statement") or {}
    statement = Statement({**{key: text for key, text in own.items() if text}, **stated})
    text, file_sha256 = _recipe_text(document.folder)
    name = str(recipe.get("name") or source.stem)
    page = _page(name, chosen.plan, at, statement, told)
    return Page(
        **page, claimed=chosen.value if delta is None else None, verdicts=verdicts, warnings=document.warnings,
        run=trained, recipe=text if document.recipe_ran else "", sha256=str(recipe.get("sha256", "")),
        file_sha256=file_sha256, recipe_ran=document.recipe_ran, search=raw if searched else None, content=recipe,
        others=beside(chosen.plan, at, document.folder, recipe), early=document.early,
        audits=audits if trained else (),
        watch=audits_on_file.watched(document.folder) if trained else {},
        both=verify.both_figures(document, at), over_budget=_capital(document.over_budget),
    )  # fmt: skip


def of_recipe(recipe: Recipe, examples: int, stated: Mapping[str, str], delta: float | None = None,
              told: Told = _nothing, *, typed: bool = False) -> Page:  # fmt: skip
    """The page of a plan that has not run. typed: whether nothing but what was typed tells the number of examples."""
    claim = recipe.claim(examples)
    own = {key: text for key, text in recipe.content["statement"].items() if text}
    at = claim.delta.value if delta is None else delta
    page = _page(recipe.name, claim.plan, at, Statement({**own, **stated}), told)
    try:
        content = Path(recipe.file).read_bytes()
    except OSError:  # a recipe that was parsed from text
        content = recipe.text.encode()
    return Page(
        **page, recipe=without_comments(recipe.text), sha256=recipe.sha256,
        file_sha256=hashlib.sha256(content).hexdigest(), content=recipe.content,
        others=beside(claim.plan, at, None, recipe.content), warnings=(TYPED_N,) if typed else (),
        typed=typed, over_budget=_plan_over_budget(claim),
    )  # fmt: skip


def _plan_over_budget(claim: Claim) -> str:
    """That the plan of a recipe that has not run would spend more than it allows, in a sentence."""
    if claim.max_epsilon is None or not claim.exceeded_by(claim.epsilon):
        return ""
    return f"Over its budget: the steps that are planned cost more than its budget of ε ≤ {show(claim.max_epsilon)}."


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def of_plan(name: str, plan: Plan, stated: Mapping[str, str], delta: float, names: tuple[str, ...] = (),
            told: Told = _nothing) -> Page:  # fmt: skip
    """The page of a plan that comes without a recipe. names: of its phases."""
    return Page(**_page(name, plan, delta, Statement(stated), told), names=names)


def _page(name: str, plan: Plan, delta: float, statement: Statement, told: Told = _nothing) -> dict[str, Any]:
    told("ε of the plan")
    bound = accounting.epsilon(plan, delta, accounting.LEAST)
    over = tuple(_over(plan, delta, bound, told))
    told("what that means for a person")
    question = risk.AttackQuestion(stated=(bound.value, delta), mu_delta=delta)
    return {
        "name": name,
        "plan": plan,
        "delta": delta,
        "bound": bound,
        "assessment": risk.assess(risk.source_of_figure(plan, bound), question),
        "over": over,
        "statement": statement,
    }


def _over(plan: Plan, delta: float, whole: Bound, told: Told) -> list[tuple[int, float]]:
    """ε after some of the steps, from above, to as much as can be seen in a chart. whole: ε of the plan."""
    shares = [*(0.5**halvings for halvings in range(1, FIRST_PLACES + 1)), *range(1, PLACES + 1)]
    places = sorted({max(round(plan.steps * share / PLACES), 1) for share in shares})
    found = [(0, 0.0)]
    for number, steps in enumerate(places, 1):
        told(f"ε after {steps:,} of {plan.steps:,} steps, {number} of {len(places)}")
        if steps == plan.steps:
            found.append((steps, whole.value))
        else:
            spent = accounting.epsilon(beginning(plan, steps), delta, accounting.LEAST, accuracy=DRAWN)
            found.append((steps, spent.value))
    return found


def _raw(source: Path) -> dict[str, Any]:
    """The file again, as it stands: verify has read it and found it sound."""
    if str(source) == "-":
        return {}
    file = source / REPORT if source.is_dir() else source
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    return content if isinstance(content, dict) else {}


def _recipe_text(folder: Path | None) -> tuple[str, str]:
    """The recipe beside a run's report and the hash of its file, "" where there is none."""
    try:
        content = b"" if folder is None else (folder / recorded.FILE).read_bytes()
    except OSError:
        return "", ""
    text = without_comments(content.decode("utf-8-sig", errors="replace"))
    return text, hashlib.sha256(content).hexdigest() if content else ""


def unit_words(plan: Plan) -> str:
    """Who is protected, and from what comparison, in words."""
    how = "present or absent" if plan.adjacency == ADD_REMOVE else plan.adjacency.name.replace("_", " ")
    return f"one {plan_words(plan.privacy_unit, plan.max_per_user)} ({how})"


def length(page: Page) -> str:
    """How much the figure is of; of a run that ended early, that it is what was planned."""
    said = lengths(page.plan)
    return said if page.early is None else f"the {said} that were planned ({page.early.taken} were taken)"
