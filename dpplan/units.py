"""Whom a figure is for: one example, or one user with all of theirs."""

from dpplan.checks import Problems, is_number, show

UNITS = ("example", "user")
# What else nobody should change to get a figure: the same words under other units describe another run.
WHOLE_ONLY = (
    "Leave max_per_user out only where all training draws and clips whole users, n and batch_size counting users: that "
    "is another run, with an ε of its own"
)
# Each is a guarantee for one user with all of theirs, so that basic composition holds for the two.
APART = "add up exactly in no plan here yet: account them apart, in a plan file each, and add up their ε and their δ"
# Group privacy: a user's K examples are K steps between neighbours (Dwork, Roth 2014, Thm 2.2, and its sum of e^(iε)).
UNITS_CONVERTED = (
    "(ε, δ) of one example is (Kε, K·e^((K - 1)ε)·δ) of a user of at most K examples: run `dpplan epsilon` on that "
    "part alone, and state what follows (kind: epsilon-delta) in a plan for users"
)
# How files write that nobody is named. Rows of many people would count as those of one, and of each as fewer.
_NOBODY = frozenset({"", "na", "n/a", "<na>", "nan", "null", "none"})


def unit_words(unit: str, max_per_user: object) -> str:
    """The unit with how it is drawn, as a figure says it."""
    if max_per_user is not None:
        return f"{unit} of at most {max_per_user} examples"
    return f"{unit}, drawn and clipped whole" if unit == "user" else unit


def user_name(text: str) -> str:
    """Whom a text names, however it is spelled: the same letters in composed or decomposed form, and spaces around
    them, are one user. Two names for one user would let that user have more examples than anybody may."""
    plain = text.strip()
    if plain.isascii():
        return plain
    import unicodedata

    return unicodedata.normalize("NFC", plain).strip()


def names_nobody(name: str) -> bool:
    """Whether it is how a file says that there is no name."""
    return name.lower() in _NOBODY


def unit_problems(unit: str, max_per_user: object, examples: object = None) -> list[str]:
    """What is wrong with whom a plan protects. examples: how many there are, of all users together, where it is known:
    a user who had more is nobody's neighbour, and what such a one is told proves nothing from below."""
    problems = Problems()
    if max_per_user is not None:
        try_ = "It is the most examples of one user (--max-per-user)."
        whole = problems.whole("max_per_user", max_per_user, try_=try_)  # type: ignore[arg-type]
        if unit == "user" and whole and is_number(examples) and 1 <= examples < max_per_user:  # type: ignore[operator]
            rule = f"max_per_user={show(max_per_user)} is more than n={show(examples)}, all examples there are."
            problems.add(f"{rule} Lower it, or check n.")
        rule = f"max_per_user={show(max_per_user)} is about users, and the unit is {unit}. Say --unit user."
        problems.require(unit == "user" or unit not in UNITS, rule)  # what is no unit is told by itself
    return problems.found
