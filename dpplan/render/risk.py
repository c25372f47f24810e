"""What a plan allows an attacker: as a table, in plain words, and as JSON."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from dpplan.accounting.bound import Guarantee
from dpplan.checks import show
from dpplan.plan import Plan
from dpplan.render import plan_rows, to_json
from dpplan.render.bound_text import Paint, unpainted, with_guarantees_painted
from dpplan.render.number_format import down, up
from dpplan.render.table import Column, Table, TableCell, wrapped

if TYPE_CHECKING:
    from dpplan.risk import Assessment, Figure

# Attacks whose success is bounded by that of a guess without the data, by one theorem, as JSON and tables call them.
WITHOUT_DATA = {
    "singling_out": "singling out",
    "attribute_inference": "attribute inference",
    "reconstruction": "reconstruction",
}
DIGITS = 4  # of a chance that people read; rounded up
MOST_PEOPLE = 10**9  # that are counted out: of more, a power of ten is read
MOST_COUNTED = 3  # digits of whole people that are accused; what is left of a rate follows the point
ONE_OF = 1e-15  # relative, of a rate that is one of a whole number but for rounding: the figures have room for that
WIDE = 1e-3  # relative, of an interval whose ends differ in the digits that are shown


def table(found: "Assessment") -> Table:
    """The most that any attacker reaches, beside guessing and what (ε, δ) alone would allow."""
    question = found.question
    stated = question.stated is not None
    columns = [Column("an attacker's"), Column("at most", numeric=True), Column("guessing", numeric=True)]
    if stated:
        columns += [Column("by (ε, δ) alone", numeric=True), Column("tighter", numeric=True)]
    return Table(tuple(columns), tuple(tuple(_cells(name, each, stated)) for name, each in _named(found)))


def _named(found: "Assessment") -> "list[tuple[str, Figure]]":
    question = found.question
    return [
        ("advantage, TPR - FPR", found.advantage),
        *((f"TPR at FPR {show(rate)}", each) for rate, each in zip(question.rates, found.rates, strict=True)),
        (f"posterior, prior {show(question.prior)}, FPR {show(question.fpr)}", found.posterior),
        (f"best guess, prior {show(question.prior)}", found.accuracy),
        *((attack, found.reconstruction) for attack in WITHOUT_DATA.values()),
    ]


def _cells(name: str, figure: "Figure", stated: bool) -> Iterator[TableCell]:
    yield TableCell(name)
    yield TableCell(up(figure.upper, DIGITS))
    yield TableCell(f"{figure.guess:.4g}")
    if stated:
        yield TableCell("-" if figure.implied is None else up(figure.implied, DIGITS))
        yield TableCell("-" if figure.tighter is None else _times(figure.tighter))


def _times(value: float) -> str:
    return f"{value:.3g}x" if value < 1e4 else f"{value:.0e}x"


LEGEND = (
    "TPR: of those whose data was used, the share that is recognised. FPR: of all others, the share that is taken for "
    "them. Advantage: TPR less FPR, 0 for guessing and 1 for certainty."
)
# Said where (ε, δ) stands beside.
OF_GAINS = "Tighter: the gain over guessing by (ε, δ) alone, in terms of the one under `at most`."
WHY_EQUAL = (
    "Singling out, attribute inference and reconstruction are equal because one bound holds for all three: somebody "
    "who is right with chance {0} without the data (--baseline) is right at most as often as the TPR at FPR {0} with "
    "it. Where their chances without the data differ, ask for each. The record is one that is named before the "
    "output is seen; whoever picks the record that an output gives away is right more often. Without the data means "
    "without that record, all others being known: what relatives, duplicates or the population tell of it is not "
    "limited."
)


def rows(found: "Assessment", plan: Plan | None, names: Sequence[str] = (), paint: Paint = unpainted) -> Iterator[str]:
    """What the words mean, what the figures rest on, a μ, and what they mean to two people. names: of the phases, where
    they have some."""
    source, question = found.trade_off.source, found.question
    yield from wrapped(LEGEND if question.stated is None else f"{LEGEND} {OF_GAINS}", indent=2)
    yield from wrapped(WHY_EQUAL.format(show(question.baseline)), indent=2)
    yield ""
    yield from with_guarantees_painted(plan_rows.sentence("from", f"{source.name} ({source.guarantee})"), paint)
    if wide := _wide(found):
        yield from plan_rows.sentence("wide", wide)
    if question.stated is not None and plan is not None:
        epsilon, delta = question.stated
        yield plan_rows.row("epsilon", up(epsilon, 6), f"at δ = {show(delta)}")
    if found.mu is None:
        none = f"none was found that leaves out δ₀ = {show(question.mu_delta)} and no more (--mu-delta)"
        yield from plan_rows.sentence("smallest μ", none)
    else:
        yield plan_rows.row("smallest μ", up(found.mu, 6), f"δ(ε) ≤ δ_μ(ε) + {show(question.mu_delta)} at every ε")
    if found.regret is not None:
        yield plan_rows.row("regret of μ", f"≤ {up(found.regret, 3)}", "of μ alone, as GDP reporting calls it")
    if plan is not None:
        yield from plan_rows.plan_rows(plan, names=names)
    else:
        yield from plan_rows.sentence("assumes", source.assumes)
    yield ""
    yield from wrapped(for_an_officer(found, plan), indent=2)
    yield ""
    yield from wrapped(for_a_person(found, plan), indent=2)


def _wide(found: "Assessment") -> str:
    """How much less may be true, where that shows; what is known from above only says so by its guarantee."""
    named = _named(found)
    if found.trade_off.source.guarantee is not Guarantee.CERTIFIED:
        return ""
    name, worst = max(named, key=lambda each: 1.0 - each[1].lower / each[1].upper)
    if worst.upper - worst.lower <= WIDE * worst.upper:
        return ""
    widest = f"{name} is {down(worst.lower, DIGITS)} at least and {up(worst.upper, DIGITS)} at most"
    advantage = named[0][1]
    other = (
        f", the advantage {down(advantage.lower, DIGITS)} at least"
        if worst is not advantage and advantage.upper - advantage.lower > WIDE * advantage.upper
        else ""
    )
    return f"what attackers can be proven to reach lies below the figures above: {widest}{other}. --json has both ends."


class _Protected(NamedTuple):
    """Whom the figures are for, as two people are told: an `one`. officer, person: what is protected, for either; but:
    what of it the attacker does not know. others: several of them, up to "not used"; those: that were. several: what
    somebody with more than one is told."""

    one: str
    others: str
    those: str
    officer: str
    person: str
    but: str
    several: str = ""


_SEVERAL = "several records is protected less: how much, a figure for all of theirs together says, and this is none."
_EXAMPLE = _Protected(
    "example", "examples that were", "that were", "one example", "one example of yours",
    "whether that example was used", f" Who gave {_SEVERAL}",
)  # fmt: skip
_STATED = _Protected(
    "such unit", "such units that were", "that were", "one of whatever unit that figure is for",
    "one of whatever unit that figure is for, an example of yours or all that you gave", "whether that was used",
    f" If it is one example, who gave {_SEVERAL}",
)  # fmt: skip


def _protected(plan: Plan | None) -> _Protected:
    """The unit of a plan; of what is stated without one, whatever was meant."""
    if plan is None:
        return _STATED
    if plan.privacy_unit != "user":
        return _EXAMPLE
    most = plan.max_per_user
    theirs = "all of theirs" if most is None else f"at most {most} examples"
    yours = "all that you gave" if most is None else f"all that you gave, if that is at most {most} examples"
    but = "whether your data was used"
    return _Protected("user", "users whose data was", "whose data was", f"one user with {theirs}", yours, but)


def for_an_officer(found: "Assessment", plan: Plan | None = None) -> str:
    """A few sentences with the numbers filled in, which claim no more than is proven. plan: whose unit is protected."""
    said, whom = _counted(found), _protected(plan)
    sure = up(100.0 * found.posterior.upper, 3)
    return (
        f"For a data protection officer: what is protected is {whom.officer}. Whoever sees everything that is "
        f"released, knows every other {whom.one}, and accepts to accuse {said.guessed} of {said.many} {whom.others} "
        f"not used, can recognise at most {said.right} of {said.many} {whom.those}; guessing recognises "
        f"{said.guessed}. Where one {whom.one} was used with chance {show(found.question.prior)} beforehand, an "
        f"accusation made at that rate is right with chance {sure} % at most. A single output that is rarer and "
        f"luckier may tell more about one {whom.one}: none of these figures limits that.{whom.several}"
    )


def for_a_person(found: "Assessment", plan: Plan | None = None) -> str:
    """The same for somebody in the data, without false comfort."""
    said, whom = _counted(found), _protected(plan)
    return (
        f"For a person in the data: what is protected is {whom.person}. Whoever sees the result, knowing everything "
        f"about you but {whom.but}, and willing to be wrong about {said.guessed} in {said.many} {whom.others} not, "
        f"can recognise at most {said.right} in {said.many} of those {whom.those}; guessing would recognise "
        f"{said.guessed}.{whom.several} This does not limit what is learned about people like you: that follows from "
        "the others' data too."
    )


class _Counted(NamedTuple):
    """A false-positive rate as `guessed` of `many` people, and how many of as many are recognised at most."""

    guessed: str
    many: str
    right: str


def _counted(found: "Assessment") -> _Counted:
    """At the very rate that was asked for: the posterior of a smaller one is larger, the true positives fewer."""
    guessed, many = _share(found.question.fpr)
    shown = str(many) if many < MOST_PEOPLE else f"1e+{len(str(many)) - 1:02}"
    recognised = min(found.at_fpr.upper, 1.0)
    right = up(float(Fraction(recognised) * many), 3)
    return _Counted(guessed, shown, right if Fraction(right) < many else shown)


def _share(rate: float) -> tuple[str, int]:
    """A rate in (0, 1) as so many of so many people: 1 of a whole number, else as many of a power of ten."""
    whole = round(1.0 / rate) if rate > 1.0 / MOST_PEOPLE else 1
    if whole > 1 and abs(whole * rate - 1.0) <= ONE_OF:
        return "1", whole
    _, digits, exponent = Decimal(repr(rate)).normalize().as_tuple()
    assert isinstance(exponent, int)
    drop = max(len(digits) - MOST_COUNTED, 0)
    figures = "".join(map(str, digits))
    guessed = figures if not drop else f"{figures[:MOST_COUNTED]}.{figures[MOST_COUNTED:]}"
    return guessed, 10 ** -(exponent + drop)


def document(found: "Assessment", plan: Plan | None, warnings: list[str]) -> dict[str, Any]:
    """The object that `dpplan risk --json` prints."""
    question, source = found.question, found.trade_off.source
    return {
        "schema": "dpplan.risk/1",
        "source": source.name,
        "plan": None if plan is None else to_json.described(plan),
        "guarantee": str(source.guarantee),
        "assumptions": source.assumes,
        "stated": None if question.stated is None else {"epsilon": question.stated[0], "delta": question.stated[1]},
        "advantage": _described(found.advantage),
        "true_positive_rates": [
            {"false_positive_rate": rate, **_described(each)}
            for rate, each in zip(question.rates, found.rates, strict=True)
        ],
        "posterior": {"prior": question.prior, "false_positive_rate": question.fpr, **_described(found.posterior)},
        "accuracy": {"prior": question.prior, **_described(found.accuracy)},
        **{key: {"baseline": question.baseline, **_described(found.reconstruction)} for key in WITHOUT_DATA},
        "gdp": None
        if found.mu is None
        else {"mu": found.mu, "delta": question.mu_delta, "regret": found.regret, "guarantee": "upper"},
        "words": {"officer": for_an_officer(found, plan), "person": for_a_person(found, plan)},
        "warnings": warnings,
    }


def _described(figure: "Figure") -> dict[str, Any]:
    return {
        "lower": figure.lower,
        "upper": figure.upper,
        "guessing": figure.guess,
        "by_epsilon_delta_alone": figure.implied,
        "times_tighter": figure.tighter,
    }
