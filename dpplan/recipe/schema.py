"""The blocks of a recipe that say what is run: every key, what it may hold, and its default.

This file is the schema. A block checks itself when it is made, so a recipe built in Python obeys the same
rules as one read from a file.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, ClassVar

from dpplan import lint
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES
from dpplan.checks import Problems, show
from dpplan.errors import RecipeError
from dpplan.mechanism import Correlation
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import noise_block, scheme_keys, values
from dpplan.recipe.values import Reader, one_of, path, switch, underscored, whole_numbers, word, word_or_function
from dpplan.sampling import OptionValue
from dpplan.units import UNITS

Rule = Callable[[Problems, str, Any], object]
Values = Mapping[str, Any]
SOURCES = ("digits", "breast-cancer", "blobs", "linear", "names", "mnist", "cifar10", "file", "images")
FROM_PATH = ("mnist", "cifar10", "file", "images")
MADE = ("blobs", "linear", "names")
WORDS = "names"  # of these, the one whose examples are words
MADE_EXAMPLES = 2000  # of a made-up set, when nothing is said
KINDS = ("logistic", "mlp", "cnn", "opacus-cnn", "tf-privacy-cnn", "lstm", "transformer")
ACTIVATIONS = ("tanh", "relu")
MOST_THREADS = 1024  # torch does not survive tens of thousands, and no machine has more processors
LEAST_CLIP, MOST_CLIP = 1e-30, 1e30  # squares of norms and sums over a batch need room, too
HEADS = 4  # of a transformer
CLIPPING = ("flat", "per-layer", "automatic", "adaptive")
ENGINES = ("auto", "book-keeping", "vmap")
Problem = tuple[tuple[str, ...], str]  # the keys at fault, and the sentence


def _probability(problems: Problems, name: str, value: float) -> None:
    problems.probability(name, value, closed_right=False)


def _each_whole(problems: Problems, name: str, value: tuple[int, ...]) -> None:
    problems.require(bool(value), f"{name}=[] is empty. Use kind: logistic for a model without hidden layers.")
    for number in value:
        problems.whole(name, number)


def _not_negative(problems: Problems, name: str, value: int) -> None:
    problems.whole(name, value, least=0)


def _finite(problems: Problems, name: str, value: float) -> None:
    problems.require(abs(value) < 3e38, f"{name}={show(value)} is not a number that a float32 can hold.")


def _declared_public(problems: Problems, name: str, value: str) -> None:
    problems.require(
        value == "public",
        f"{name}={value} would read means and deviations of private data, a release that no epsilon covers. "
        "Give shift and scale from public knowledge, or, if the training set's own are public, standardize: public.",
    )


def _silenced(problems: Problems, name: str, value: Mapping[str, str]) -> None:
    for code, reason in value.items():
        problems.require(code in lint.RULES, f"{name}: {lint.unknown_code(code)}")
        problems.require(bool(reason.strip()), f"{name}: {code} has no reason. Say why it may pass.")


def _at_least_zero(problems: Problems, name: str, value: float) -> None:
    problems.at_least(name, value, 0)


def _momentum(problems: Problems, name: str, value: float) -> None:
    problems.require(isinstance(value, float | int) and 0 <= value < 1, f"{name}={show(value)} is not in [0, 1).")


def _learning_rate(problems: Problems, name: str, value: float) -> None:
    if problems.positive(name, value):
        problems.require(value < 3e38, f"{name}={show(value)} is more than a float32 can hold.")


def _clip_norm(problems: Problems, name: str, value: float) -> None:
    if problems.positive(name, value):
        rule = f"{name}={show(value)} is not between {LEAST_CLIP:g} and {MOST_CLIP:g}, where float32 has digits for it."
        problems.require(LEAST_CLIP <= value <= MOST_CLIP, rule)


def _thread_count(problems: Problems, name: str, value: int) -> None:
    if problems.whole(name, value):
        rule = f"{name}={show(value)} is more than {MOST_THREADS}. Take one for each processor, or leave it out."
        problems.require(value <= MOST_THREADS, rule)


def _key(read: Reader, rule: Rule, **default: Any) -> Any:
    return field(metadata={"read": read, "rule": rule}, **default)


def _word_or_off(given: values.Given) -> str | None:
    """A word, or what YAML takes for a switch, as it was written; None for off."""
    said = values.word_or_switch(given)
    return None if given.kind == "switch" and said.lower() in {"off", "false", "no"} else said


_number = values.number
_whole = values.whole


class Block:
    """What the blocks share: each knows its name in the file and refuses values that break its rules."""

    title: ClassVar[str]

    def __post_init__(self) -> None:
        entries = dataclasses.fields(self)  # type: ignore[arg-type]
        given = {entry.name: getattr(self, entry.name) for entry in entries}
        missing = [e.name for e in entries if e.default is dataclasses.MISSING and given[e.name] is None]
        found = [f"{name} is missing." for name in missing]
        found += [sentence for _, sentence in violations(type(self), given)]
        if found:
            raise RecipeError([f"{self.title}.{sentence}" for sentence in found])

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        """What is wrong between keys that are each fine alone."""
        yield from ()


def violations(block: type[Block], given: Values) -> list[Problem]:
    """Every broken rule of these values, with the keys that break it; sentences begin with a key."""
    found: list[Problem] = []
    for entry in dataclasses.fields(block):  # type: ignore[arg-type]
        if given.get(entry.name) is not None:
            problems = Problems(RecipeError)
            entry.metadata["rule"](problems, entry.name, given[entry.name])
            found += [((entry.name,), sentence) for sentence in problems.found]
    return found + list(block.conflicts(given))


def _exactly_one(given: Values, first: str, second: str) -> Iterator[Problem]:
    count = sum(given.get(name) is not None for name in (first, second))
    if count != 1:
        said = "is missing, and so is" if count == 0 else "is given, and so is"
        yield (first, second), f"{first} {said} {second}. Give one of the two."


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy(Block):
    """Everything epsilon depends on besides the batch, the length of the run and the number of examples.

    noise_multiplier: standard deviation of the noise / clip_norm (σ). Or target_epsilon: σ is solved for.
    clip_norm: largest L2 norm of one example's gradient in the sum (C). It does not change epsilon.
    clipping: flat, per-layer (each of L layers to C / √L), automatic (every gradient scaled to about C) or adaptive
        (C follows a quantile of the gradient norms, starting from clip_norm; costs 1 % more noise, no epsilon).
    quantile: the fraction of gradients that adaptive clipping means to leave unclipped; 0.5 when left out.
    delta: left out, it is derived from the number of training examples as 1 / (10 n), rounded down to a power of ten.
    max_epsilon: the budget of a run whose noise_multiplier is given. A step that would exceed it is not taken.
    sampling: how batches are drawn (`dpplan help sampling`), and the options of that scheme: cap of truncated-poisson,
        bins of balls-in-bins, order of shuffle, groups and assignment of cyclic-poisson. An epoch of balls-in-bins
        or shuffle has n / batch_size steps, rounded up; shuffled batches differ in size by one at most.
    adjacency: which data sets count as neighbours (`dpplan help adjacency`). noise_multiplier is in units of clip_norm
        under each of them, and so is the noise; how far a replaced example moves the sum is the accountant's business.
    noise: left out, it is drawn anew for each step. {kind: banded, bands: 8}, {kind: tree} and {kind: matrix, strategy:
        C.npy} correlate it from step to step (`dpplan help noise`); noise_multiplier is then of the independent noise
        that it is made of.
    unit: whom the claim protects, one example or one user; of users, data.user says whose each example is. Left without
        max_per_user, users are drawn and clipped whole, and batch_size counts users. max_per_user: examples are drawn
        and clipped one by one, at most so many of one user; the others are left out before training.
    """

    title: ClassVar[str] = "privacy"

    clip_norm: float = _key(_number, _clip_norm)
    noise_multiplier: float | None = _key(_number, Problems.positive, default=None)
    target_epsilon: float | None = _key(_number, Problems.positive, default=None)
    max_epsilon: float | None = _key(_number, Problems.positive, default=None)
    clipping: str = _key(word, one_of(*CLIPPING), default="flat")
    quantile: float | None = _key(_number, _probability, default=None)
    delta: float | None = _key(_number, _probability, default=None)
    sampling: str = _key(scheme_keys.scheme_word, scheme_keys.scheme, default="poisson")
    cap: int | None = _key(_whole, scheme_keys.option, default=None)
    bins: str | None = _key(word, scheme_keys.option, default=None)
    order: str | None = _key(word, scheme_keys.option, default=None)
    groups: int | None = _key(_whole, scheme_keys.option, default=None)
    assignment: str | None = _key(word, scheme_keys.option, default=None)
    adjacency: str = _key(underscored, one_of(*ADJACENCIES), default=ADD_REMOVE.name)
    noise: Correlation | None = _key(noise_block.read, noise_block.rule, default=None)
    unit: str = _key(word, one_of(*UNITS), default="example")
    max_per_user: int | None = _key(_whole, Problems.whole, default=None)

    @property
    def scheme_options(self) -> tuple[tuple[str, OptionValue], ...]:
        """What is said of the scheme besides its name."""
        return tuple((name, value) for name in scheme_keys.SCHEME_OPTIONS if (value := getattr(self, name)) is not None)

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        yield from _exactly_one(given, "noise_multiplier", "target_epsilon")
        if given.get("quantile") is not None and given.get("clipping") != "adaptive":
            yield ("clipping", "quantile"), "quantile has a meaning for clipping: adaptive only. Remove it."
        if given.get("target_epsilon") is not None and given.get("max_epsilon") is not None:
            yield ("target_epsilon", "max_epsilon"), "max_epsilon has no meaning beside target_epsilon. Remove it."
        if given.get("max_per_user") is not None and given.get("unit", "example") == "example":
            yield ("unit", "max_per_user"), "max_per_user is about users. Set unit: user, or remove it."
        yield from scheme_keys.conflicts(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(Block):
    """Which examples, and which of them are held out. The held-out part is never drawn and never accounted.

    source: a set that dpplan knows, `file`, `images`, or a Python function as module:function; `path` where the files
        are, `target` the column with the class, `examples` how many to make of a made-up set.
    held_out: fraction of the examples. split_seed: which ones; a constant, so that every run has the same.
    user: whose each example is, with privacy.unit: user. The column of a .csv or .parquet, the array of an .npz, or
        what a function returns as its fourth item; simulated for sets that know no users, which are then made up. Users
        are held out as a whole.
    examples_per_user: of a user that is drawn whole, the most examples that its gradient is the mean of; 32 when left
        out. Those of a user who has more are left out before training. A public constant: it shapes every step.
    shift, scale: inputs become (x - shift) / scale; constants that are public knowledge.
    standardize: public declares the mean and deviation of the training set to be public knowledge, and uses them.
        Looking at private data to scale them is a release that no epsilon covers, so there is no other way to ask.
    """

    title: ClassVar[str] = "data"

    source: str = _key(word, word_or_function(*SOURCES))
    path: str | None = _key(path, lambda *_: None, default=None)
    target: str = _key(word, lambda *_: None, default="target")
    user: str | None = _key(word, lambda *_: None, default=None)
    examples_per_user: int | None = _key(_whole, Problems.whole, default=None)
    examples: int | None = _key(_whole, Problems.whole, default=None)
    held_out: float = _key(_number, _probability, default=0.2)
    split_seed: int = _key(_whole, _not_negative, default=0)
    shift: float = _key(_number, _finite, default=0.0)
    scale: float = _key(_number, Problems.positive, default=1.0)
    standardize: str | None = _key(_word_or_off, _declared_public, default=None)

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        source = given.get("source")
        if source in FROM_PATH and given.get("path") is None:
            yield ("source", "path"), f"path is missing: source: {source} needs it."
        if source is not None and source not in FROM_PATH and given.get("path") is not None:
            yield ("source", "path"), f"path has no meaning for source: {source}. Remove it."
        if source is not None and source not in MADE and given.get("examples") is not None:
            yield ("source", "examples"), f"examples has no meaning for source: {source}. Remove it."
        if given.get("standardize") is not None and (given.get("shift", 0), given.get("scale", 1)) != (0, 1):
            yield ("standardize",), "standardize is given, and so is shift or scale. Give one of the two."


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Block):
    """Which network.

    logistic: one linear layer. mlp: hidden layers of the given widths with an activation between. cnn: convolutions
    of 3 x 3 with the given numbers of channels, each halving the image. opacus-cnn, tf-privacy-cnn: the networks of
    these libraries' MNIST examples. lstm, transformer: for words, of the given width (lstm: one layer; transformer: as
    many blocks as widths, which must be equal). Or a Python function as module:function, called with the shape of an
    example and the number of classes, that returns a torch module.
    """

    title: ClassVar[str] = "model"

    kind: str = _key(word, word_or_function(*KINDS))
    hidden: tuple[int, ...] | None = _key(whole_numbers, _each_whole, default=None)
    activation: str | None = _key(word, one_of(*ACTIVATIONS), default=None)

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        kind = given.get("kind")
        needs: dict[str, tuple[str, ...]] = {"mlp": ("hidden", "activation"), "cnn": ("hidden", "activation")}
        needs |= {"lstm": ("hidden",), "transformer": ("hidden",)}
        for name in ("hidden", "activation"):
            if name in needs.get(str(kind), ()) and given.get(name) is None:
                yield ("kind", name), f"{name} is missing: kind: {kind} needs it."
            if kind is not None and name not in needs.get(kind, ()) and given.get(name) is not None:
                yield ("kind", name), f"{name} has no meaning for kind: {kind}. Remove it, or use kind: mlp."
        hidden = given.get("hidden") or ()
        if kind in {"lstm", "transformer"} and len(set(hidden)) > 1:
            yield ("hidden",), f"hidden={list(hidden)} has different widths; kind: {kind} has one."
        if kind == "lstm" and len(hidden) > 1:
            yield ("hidden",), "hidden has more than one width; kind: lstm has one layer."
        if kind == "transformer" and any(isinstance(width, int) and width % HEADS for width in hidden):
            yield ("hidden",), f"hidden={list(hidden)} is not a multiple of {HEADS}, the number of heads."


@dataclass(frozen=True, slots=True, kw_only=True)
class Training(Block):
    """How the model is fitted. batch_size and epochs (or steps) are the two that epsilon depends on.

    batch_size: expected number of examples per step. epochs: expected passes over the training examples. optimizer:
        sgd, adam or adamw. schedule: constant or cosine, after warmup_steps of linear growth. ema: decay of a moving
        average of the parameters, which is then tested and saved. augment: train on random views of images, `views`
        of each; their gradients are averaged before clipping, so the unit of privacy stays the image.
    on_budget: stop before the first step that the budget does not pay for; or continue, which also takes
        --over-budget and marks the run. Steps that were taken and lost when a run was interrupted are paid for, too.
    compare_nonprivate: train the same model once more without privacy, for the difference in accuracy.
    """

    title: ClassVar[str] = "training"

    batch_size: float = _key(values.batch, Problems.positive)
    epochs: float | None = _key(_number, Problems.positive, default=None)
    steps: int | None = _key(_whole, Problems.whole, default=None)
    optimizer: str = _key(word, one_of("sgd", "adam", "adamw"))
    learning_rate: float = _key(_number, _learning_rate)
    momentum: float | None = _key(_number, _momentum, default=None)
    weight_decay: float = _key(_number, _at_least_zero, default=0.0)
    schedule: str = _key(word, one_of("constant", "cosine"), default="constant")
    warmup_steps: int = _key(_whole, _not_negative, default=0)
    ema: float | None = _key(_number, _probability, default=None)
    augment: str | None = _key(word, one_of("shift", "flip-shift"), default=None)
    views: int = _key(_whole, Problems.whole, default=1)
    on_budget: str = _key(word, one_of("stop", "continue"), default="stop")
    compare_nonprivate: bool = _key(switch, lambda *_: None, default=False)

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        yield from _exactly_one(given, "epochs", "steps")
        if given.get("optimizer") in {"adam", "adamw"} and given.get("momentum") is not None:
            sentence = f"momentum has no meaning for optimizer: {given['optimizer']}. Remove it, or use optimizer: sgd."
            yield ("optimizer", "momentum"), sentence
        if given.get("views", 1) != 1 and given.get("augment") is None:
            yield ("views",), "views has no meaning without augment. Give augment: shift or flip-shift."


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Block):
    """Where and how fast it runs. Nothing here can change what is computed but for rounding, nor what it costs.

    physical_batch: examples whose gradients are in memory at once; a drawn batch is cut into such pieces and never
        shortened. The last piece is filled up, so a little more than batch_size is faster than batch_size, which half
        of all draws exceed. Left out: batch_size + 2 √batch_size, or what keeps gradients within 32 MiB (GPU: 256
        MiB).
    engine: how gradients are clipped; auto takes book-keeping where it is right for the model and vmap elsewhere, with
        the same result. threads: CPU threads; left out, torch decides. folder: where run folders are made.
    checkpoint_every: steps between two checkpoints, from which `--resume` goes on; or off. auto: a tenth of the run, at
        most 250. private_logs: on, or off for a run that computes no loss, accuracy or count of training examples.
    secure_noise: noise from the operating system's cryptographic generator, in a form that withstands attacks on
        floating point; about twelve times slower to draw than the usual noise.
    compile: machine code of its own for clipped sum and noise: up to a minute at the start, for steps that take from
        half to four fifths of the time. The same sums to round-off.
    precision: bfloat16 lets the model round to 8 bits where that is faster, on recent GPUs mostly. Gradients are
        clipped, summed and given noise as precisely as ever.
    """

    title: ClassVar[str] = "runtime"

    device: str = _key(word, one_of("auto", "cpu", "cuda", "mps"), default="auto")
    physical_batch: int | None = _key(_whole, Problems.whole, default=None)
    engine: str = _key(word, one_of(*ENGINES), default="auto")
    threads: int | None = _key(_whole, _thread_count, default=None)
    folder: str = _key(path, lambda *_: None, default="runs")
    checkpoint_every: int | str | None = _key(values.whole_auto_or_off, values.whole_or_auto, default=values.AUTO)
    private_logs: bool = _key(switch, lambda *_: None, default=True)
    secure_noise: bool = _key(switch, lambda *_: None, default=False)
    compile: bool = _key(switch, lambda *_: None, default=False)
    precision: str = _key(word, one_of("float32", "bfloat16"), default="float32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Block):
    """What `dpplan check` may pass. Nothing here changes what runs, nor what it costs.

    silence: code of a rule -> the reason why what it finds may pass, in words that stand in every report.
    """

    title: ClassVar[str] = "check"

    silence: Mapping[str, str] | None = _key(values.reasons, _silenced, default=None)


# Fewer gradient canaries say nothing; more have numbers that float32 does not tell apart.
LEAST_CANARIES, MOST_CANARIES = 50, 2_000_000


def canary_count(problems: Problems, name: str, value: int) -> None:
    """Whether so many gradient canaries make sense."""
    if problems.whole(name, value, least=LEAST_CANARIES, try_="Fewer say nothing; 5000 is usual."):
        many = f"{name}={show(value)} is more than {MOST_CANARIES:,}, which are not told apart. 5000 is usual."
        problems.require(value <= MOST_CANARIES, many)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit(Block):
    """The canaries of `dpplan audit`, which makes a run of its own; `dpplan train` has none. gradient_: a coordinate
    each. mislabelled_, natural_: held-out examples with a wrong label, and as they are, half of all at most. random_:
    by lot. watch: how many training examples `dpplan train` follows by their losses, into a private file."""

    title: ClassVar[str] = "audit"

    gradient_canaries: int = _key(_whole, canary_count, default=5000)
    mislabelled_canaries: int = _key(_whole, _not_negative, default=150)
    random_canaries: int = _key(_whole, _not_negative, default=0)
    natural_canaries: int = _key(_whole, _not_negative, default=0)
    watch: int = _key(_whole, _not_negative, default=0)
