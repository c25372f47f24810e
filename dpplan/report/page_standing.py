"""Whether a page may be published, and why not: claims that do not stand, and audits that found a violation."""

from collections import Counter

from dpplan.checks import show
from dpplan.report.page import Page
from dpplan.rounding import down_above, up
from dpplan.verify import Standing, Verdict


def outcome(page: Page) -> str:
    """What is to be done about claims that do not all stand, or about an audit that found a violation, in sentences; ""
    of a page that may be published."""
    found = len(page.violations)
    audits = "An audit of this recipe" if found == 1 else f"{found} audits of this recipe"
    violated = f"{audits} found what its plan does not allow (VIOLATION): publish nothing." if found else ""
    return " ".join(filter(None, (violated, "" if _all_stand(page) else _judged(page))))


def _all_stand(page: Page) -> bool:
    return page.standing in (None, Standing.STANDS)


def refused_as(page: Page) -> str:
    """Why no figure of it may be published, in a word or two; "" of a page that has one."""
    if page.holds:
        return ""
    return "violation found by an audit" if page.violations else str(page.standing)


def _judged(page: Page) -> str:
    """How many claims stand, and what is to be published where not all do."""
    counts = Counter(str(each.standing) for each in page.verdicts)
    told = ", ".join(f"{counts[str(one)]} {one}" for one in Standing if counts[str(one)])
    instead = [each.publish for each in page.verdicts if each.standing is not Standing.STANDS]
    publish = "none of its figures may be published as it stands" if all(instead) else "publish nothing"
    return f"{len(page.verdicts)} claim{'s' if len(page.verdicts) > 1 else ''}, {told}: {publish}."


def reasons(page: Page) -> list[str]:
    """Why no figure may be published: what audits found, and why the claims do not all stand, each said once."""
    below = [
        f"{each.claim.name}: {show(each.claim.value)} is below what is proven, "
        f"{down_above(each.bound.lower, each.claim.value)}."
        for each in page.verdicts
        if each.standing is Standing.REFUTED and each.bound is not None and each.bound.lower is not None
        if each.claim.value < each.bound.lower
    ]
    said = [*page.violations, *page.warnings, *(reason for each in page.verdicts for reason in each.reasons), *below]
    return [f"{each.removesuffix('.')}." for each in dict.fromkeys(said)]


def claims(page: Page) -> list[tuple[str, str]]:
    """Every claim of the file, and what came of it."""
    but = "; of the plan alone: an audit found that a run of it does otherwise" if page.violations else ""
    return [(f"The file claims, {each.claim.name}", f"{_claim(each)}{but}") for each in page.verdicts]


def _claim(verdict: Verdict) -> str:
    claim = verdict.claim
    symbol, other = ("ε", "δ") if claim.quantity == "epsilon" else ("δ", "ε")
    figure = up(claim.value, 7) if verdict.standing is Standing.STANDS else show(claim.value)
    return f"{symbol} ≤ {figure} at {other} = {show(claim.at)}: {verdict.standing}, accounted anew"
