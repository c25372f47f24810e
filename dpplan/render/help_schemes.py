"""The topics of `dpplan help` on who draws, who are neighbours and who is protected: from the code, not beside it."""

import functools
from collections.abc import Iterator

from dpplan.accounting import pairs
from dpplan.adjacency import ADJACENCIES, AFTER_FILTERS, DIFFERENT_N, GROUP_N, N_IS_PUBLIC, ZEROED, Adjacency
from dpplan.errors import NotApplicable
from dpplan.plan import Settings
from dpplan.render.table import Column, Table, TableCell, folded, plain, screen_width, wrapped
from dpplan.render.to_json import Object
from dpplan.sampling import CHOICES, LOADERS, Choice

# A small run of each scheme, to ask what is known of it.
_RUN = Settings(noise_multiplier=1.0, examples=8, batch_size=2, steps=4)
# Values for options that have to be given; a scheme of which nothing is proven with these is not known at all.
_GIVEN = {"cap": 4, "groups": 2, "times": 2}
# What is published of a run and says how many examples there are.
LEAKS = (
    ("the divisor", "a mean over the batch that was drawn, or over n, says the count. Divide by q·n of a public n."),
    (
        "the length of an epoch",
        "n / batch steps; a loader's count of batches says it, too. Choose steps without n.",
    ),
    ("a printed n", "logs, model cards, file sizes and progress bars that count examples."),
    ("the rate", "q = batch / n with a round batch gives n away. Fix q, and let the batch be what it is."),
    (
        "the size of a batch",
        "batches of a fixed size are drawn from n, and cut batches are cut more often the larger n.",
    ),
    ("validation", "a held-out share of the data is a share of n."),
)


def _said(choice: Choice) -> Settings:
    options = tuple((each.name, _GIVEN.get(each.name, 2)) for each in choice.options if each.default is None)
    drawn = _RUN.with_(sampling=choice.name, scheme_options=options)
    return drawn.with_(batch_size=8) if choice.only_rate == 1 else drawn


@functools.cache
def _proven(name: str, adjacency: Adjacency) -> bool | str:
    """Whether what is proven of the scheme under this relation is exact; why nothing is, where that is so."""
    plan = _said(CHOICES[name]).with_(adjacency=adjacency).plan()
    try:
        return all(pair.exact for phase in plan.phases for pair, _ in pairs.terms(phase, adjacency, "example"))
    except NotApplicable as refused:
        return str(refused)


def known(name: str, adjacency: Adjacency) -> str:
    """What is proven of the scheme under this relation: exact, an interval, or nothing."""
    proven = _proven(name, adjacency)
    return "refused" if isinstance(proven, str) else "exact" if proven else "interval"


def refusals() -> dict[str, dict[str, str]]:
    """Scheme -> relation under which nothing is proven of it -> why."""
    found = {name: {each.name: _proven(name, each) for each in ADJACENCIES.values()} for name in CHOICES}
    told = {
        name: {relation: proven for relation, proven in row.items() if isinstance(proven, str)}
        for name, row in found.items()
    }
    return {name: row for name, row in told.items() if row}


def sampling() -> Iterator[str]:
    """The schemes, what is proven of each, and which loader draws by which."""
    yield from wrapped("How a batch is drawn decides what a step costs. A figure is for one scheme, and says which.")
    yield ""
    for name, choice in CHOICES.items():
        yield from wrapped(f"--sampling {name}: {choice.words}. {choice.law}", indent=2)
        for option in choice.options:
            default = "" if option.default is None else f" ({' or '.join(option.choices)}; else {option.default})"
            yield from wrapped(f"--{option.name}: {option.help}{default}.", indent=6)
    yield ""
    columns = (Column("what is proven"), *(Column(str(each)) for each in ADJACENCIES.values()))
    rows = ((name, *(known(name, each) for each in ADJACENCIES.values())) for name in CHOICES)
    for part in folded(Table(columns, tuple(tuple(TableCell(cell) for cell in row) for row in rows)), screen_width()):
        yield from plain(part)
        yield ""
    yield from wrapped(
        "exact: the worst neighbours cost just that. interval: they cost at least one figure, and at most another. "
        "cyclic-poisson is exact under add/remove with --assignment own. fixed-size is an interval there where a batch "
        "is all of n, since no such batch can be drawn of the data without the record. Why a scheme is refused: "
        "dpplan help adjacency."
    )
    yield ""
    loaders = ((each.name, each.scheme or "none", each.words) for each in LOADERS.values())
    for name, scheme, words in loaders:
        yield from wrapped(f"{name} -> {scheme}: {words}.", indent=2)
    yield ""
    yield "What the same run costs under each: dpplan compare samplers --help."


def sampling_content() -> Object:
    return {
        "schemes": {
            name: {
                "words": choice.words,
                "law": choice.law,
                "options": {option.name: option.help for option in choice.options},
                "proven": {each.name: known(name, each) for each in ADJACENCIES.values()},
            }
            for name, choice in CHOICES.items()
        },
        "loaders": {
            each.name: {"scheme": each.scheme, "words": each.words, "part_batch": each.part or None}
            for each in LOADERS.values()
        },
    }


def adjacency() -> Iterator[str]:
    """The relations, and what gives n away under the one that hides it."""
    yield from wrapped(
        "Which data sets cannot be told apart. Figures under different relations promise different things."
    )
    yield ""
    for each in ADJACENCIES.values():
        size = "n may be published" if each.public_size else "neighbours differ in n"
        yield from wrapped(f"--adjacency {each.name.replace('_', '-')}: {each.words} record; {size}.", indent=2)
    yield ""
    yield from wrapped(ZEROED)
    yield ""
    yield from wrapped(AFTER_FILTERS)
    yield ""
    yield from wrapped(N_IS_PUBLIC)
    yield from wrapped(DIFFERENT_N)
    yield from wrapped(GROUP_N)
    yield ""
    yield from wrapped("What says how many examples there are:")
    for name, why in LEAKS:
        yield from wrapped(f"{name}: {why}", indent=2)
    yield ""
    yield "Refused with Gaussian noise, as nothing is proven:"
    for row in refusals().values():
        for why in row.values():
            yield from wrapped(f"{why}.", indent=2)
    yield ""
    yield from wrapped(
        "Somebody who is cut out of an example that stays, as out of a photo of several people, replaces it; one who "
        "takes it along removes it."
    )
    yield ""
    yield from wrapped(
        "Figures are for everything that is released: all iterates, every noisy step, and not the final model only; of "
        "a search, its winner."
    )


def adjacency_content() -> Object:
    return {
        "adjacencies": {
            each.name: {"words": each.words, "public_size": each.public_size} for each in ADJACENCIES.values()
        },
        "zeroed": ZEROED,
        "after_filters": AFTER_FILTERS,
        "leaks": dict(LEAKS),
        "refusals": refusals(),
    }


USERS = (
    "A figure for one example says little of a person who gave many. Say who is protected:",
    "--unit example (when nothing is said): one example.",
    "--unit user: users are drawn and clipped whole; q is the rate of users, n, batch and cap count users. Such users "
    "share no example: one that is in the vectors of two is not covered.",
    "--unit user --max-per-user K: examples are drawn one by one at rate q, no user has more than K, and each is "
    "clipped by itself. Exact under Poisson sampling with add-remove or zero-out; no pair is known "
    "where a user is replaced.",
    "The bound K is chosen without looking at the data, and which examples are kept without looking at their labels. "
    "How many each user has is private too.",
    "Where an example has several owners, as a photo of several people or a message has, K counts it for each of them: "
    "a bound on what is kept of its first owner protects no other. A figure for one example protects the example, and "
    "not somebody who is in several. Who owns what is taken for public where it decides what is kept. dpplan check "
    "--owners K says what K of one person cost (dpplan check --explain DP015).",
    "dpplan compare units sets these beside group privacy; dpplan solve --solve max-per-user finds K for a target.",
)


def users() -> Iterator[str]:
    for text in USERS:
        yield from wrapped(text, indent=2 if text.startswith("--") else 0)


def users_content() -> Object:
    return {"text": list(USERS)}
