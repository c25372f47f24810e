"""Old claims, accounted anew: does a figure that was written down still stand?

    document = read(Path("runs/digits-001"))
    for claim in document.claims:
        verdict = verify(claim)             # verdict.standing, verdict.off, verdict.publish

    early_end        a run that took fewer steps than planned: which of its figures is safe
    recorded_claim   what was claimed
    json_fields      values out of JSON that anybody may have written
    allowed_report_values
                     what each key may hold
    figure_reader   what one figure claims
    run_outcome      what a run says of itself
    unaccounted      runs that claim nothing, and say so
    known_steps      what its checkpoint, its resumes and this user's record know of its steps
    unfinished_run   what is known of a run without a report
    report_reader    reports, run folders and the JSON of commands to claims

A claim is the upper end of an interval, an upper bound, or an estimate that was used as one. It is held against what
this version states where no accountant is named, and against a proof in ball arithmetic where that interval is too wide
to tell.
"""

import importlib.util
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from dpplan import accounting, called_modules, notebook
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.plan_pairs import REMEDIES
from dpplan.errors import NotCertified
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import up
from dpplan.verdict import Standing, judge
from dpplan.verify.early_end import figures
from dpplan.verify.recorded_claim import Document, RecordedClaim
from dpplan.verify.report_reader import read

if TYPE_CHECKING:
    from dpplan.accounting.exact.prove import Proof

__all__ = ["Document", "RecordedClaim", "Standing", "Verdict", "both_figures", "read", "verify"]

called_modules.when_called(
    __name__,
    "Whether the claims of a run stand is\n\n"
    "    import pathlib\n"
    "    [dpplan.verify.verify(each) for each in dpplan.verify.read(pathlib.Path('runs/digits-001')).claims]\n\n",
)
DIGITS = 18  # of a proof: all that a float holds, so that it tells any claim from the truth
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """claim, and how it stands to what is proven now. bound: None where nothing is, and then `reasons` say why.

    proof: where the accountant's interval could not tell. reasons: of a standing that the figures alone do not explain.
    """

    claim: RecordedClaim
    standing: Standing
    bound: Bound | None
    proof: "Proof | None" = None
    reasons: tuple[str, ...] = ()

    @property
    def off(self) -> float | None:
        """By how much the claim lies above the proven upper end; negative: below the lower one. 0 between them."""
        if self.bound is None or self.bound.upper is None or self.bound.lower is None:
            return None
        value = self.claim.value
        if value >= self.bound.upper:
            return float(Fraction(value) - Fraction(self.bound.upper))
        return float(Fraction(value) - Fraction(self.bound.lower)) if value < self.bound.lower else 0.0

    @property
    def off_relative(self) -> float | None:
        """`off` as a share of the end that it is measured from; None where that is 0."""
        if not self.off or self.bound is None:
            return self.off
        end = self.bound.upper if self.off > 0 else self.bound.lower
        return self.off / end if end else None

    @property
    def publish(self) -> float | None:
        """The figure to publish: the claim where it stands, else a proven one, rounded up. None where none holds, and
        where it holds under a condition alone."""
        return None if self.claim.condition else self._figure

    @property
    def publish_if(self) -> float | None:
        """The same, of a claim that holds under a condition (`claim.condition`); None of others."""
        return self._figure if self.claim.condition else None

    @property
    def _figure(self) -> float | None:
        if self.claim.broken or self.claim.doubts or self.bound is None or self.bound.upper is None:
            return None
        return self.claim.value if self.standing is Standing.STANDS else self.proven

    @property
    def proven(self) -> float | None:
        """What can be claimed of the plan now, at six digits."""
        upper = None if self.bound is None else self.bound.upper
        return float(up(upper)) if upper is not None and upper < float("inf") else None

    def _repr_html_(self) -> str:
        """What a notebook shows: how the claim stands, what is proven, and what to publish."""
        rows: list[notebook.Row] = [("claimed", repr(self.claim.value))]
        rows += [] if self.bound is None else [(str(self.bound.guarantee), str(self.bound))]
        rows += [] if self.publish is None else [("publish", repr(self.publish))]
        rows += [] if self.publish_if is None else [(f"publish if {self.claim.condition}", repr(self.publish_if))]
        return notebook.table(str(self.standing), [*rows, *(("because", each) for each in self.reasons)])


def verify(claim: RecordedClaim, progress: Progress | None = None, proofs: bool = True) -> Verdict:
    """Accounts the claim's plan anew, and says whether the claim stands.

    progress: called with a sentence while a proof goes on. proofs: whether one may be made.
    A claim of a run with a seed is refuted, whatever its figure; one of a run whose own report says that it did not do
    as planned is not certified, unless the figure is refuted already.
    """
    try:
        bound = _accounted(claim)
    except NotCertified as error:
        standing = Standing.REFUTED if claim.broken else Standing.UNCERTAIN
        return Verdict(claim, standing, None, reasons=tuple(filter(None, (claim.broken, str(error)))))
    standing, proof, reasons = judge(claim.value, bound), None, []
    if standing is Standing.UNCERTAIN and proofs and claim.plan is not None:
        proof, reason = _proved(claim, claim.plan, progress)
        reasons += [reason] if reason else []
        if proof is not None:
            bound, standing = proof.bound, _judged(claim.value, proof)
    if claim.broken:
        return Verdict(claim, Standing.REFUTED, bound, proof, (claim.broken, *reasons))
    if claim.contradiction:
        reasons.append(claim.contradiction)
    if (claim.doubts or claim.contradiction) and standing is Standing.STANDS:
        standing = Standing.UNCERTAIN
    return Verdict(claim, standing, bound, proof, (*claim.doubts, *reasons))


def both_figures(document: Document, delta: float | None = None, reason: bool = False) -> str:
    """Of a run that ended early, both of its ε, accounted anew, with the condition of the smaller one, in words.

    Nothing ("") of all else, and where nothing is proven or may be claimed. delta: None for the run's own. reason:
    whether to say for what it ended.
    """
    spent, planned = document.named("spent"), document.named("planned")
    if document.early is None or spent is None or planned is None or spent.plan is None or planned.plan is None:
        return ""
    if spent.broken or spent.doubts:
        return ""
    at = planned.at if delta is None else delta
    try:
        less, more = (accounting.epsilon(each, at, accounting.LEAST).upper for each in (spent.plan, planned.plan))
    except NotCertified:
        return ""
    if less is None or more is None:
        return ""
    return f"{document.early.words}{document.early.why if reason else ''}: {figures(less, more)}"


def _accounted(claim: RecordedClaim) -> Bound:
    if claim.plan is None:
        assumptions = Plan.from_rate(1.0, 1.0, 1).assumptions
        return Bound(claim.quantity, 0.0, 0.0, Guarantee.CERTIFIED, "exact", assumptions, "no step was taken")
    ask = accounting.epsilon if claim.quantity == "epsilon" else accounting.delta
    return ask(claim.plan, claim.at, accounting.LEAST)


def _proved(claim: RecordedClaim, plan: Plan, progress: Progress | None) -> "tuple[Proof | None, str]":
    """A proof of the figure; or why there is none."""
    if importlib.util.find_spec("flint") is None:
        return None, "a proof might tell, and needs the extra 'prove': pip install 'dpplan[prove]'"
    from dpplan.accounting.exact import prove

    ask = prove.epsilon if claim.quantity == "epsilon" else prove.delta
    try:
        return ask(plan, claim.at, DIGITS, progress), ""
    except NotCertified as error:
        return None, str(error).removesuffix(f" {REMEDIES['prove']}")  # nobody asked for a proof here


def _judged(claimed: float, proof: "Proof") -> Standing:
    """`judge`, with all digits of the proof, of which a float holds fewer."""
    if Fraction(claimed) >= Fraction(proof.upper_digits):
        return Standing.STANDS
    return Standing.REFUTED if Fraction(claimed) < Fraction(proof.lower_digits) else Standing.UNCERTAIN
