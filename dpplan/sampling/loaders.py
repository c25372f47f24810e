"""Names under which schemes are met elsewhere: what loaders really draw, and schemes that nothing is proven of."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Literal

from dpplan.checks import did_you_mean
from dpplan.quick_dataclass import dataclass

# What becomes of the examples at the end of an epoch that fill no batch: "" where batches are not cut from epochs.
Part = Literal["", "kept", "left out", "kept by each worker"]
FROM_ABOVE = "what is proven of shuffle from above holds"


@dataclass(frozen=True, slots=True)
class Loader:
    """A loader of a library. scheme: what it draws by, None where that has no theorem. draws: how, in words.

    part: what it does with the last part of a batch, unless it is told otherwise. holds: what carries over to it of
    its scheme, "" for all. nearest: what to draw by instead, where there is none.
    """

    name: str
    scheme: str | None
    draws: str
    part: Part = ""
    holds: str = ""
    nearest: str = "poisson"

    @property
    def words(self) -> str:
        """All that is known of it."""
        part = f"the last part of a batch is {self.part}" if self.part else ""
        return "; ".join(filter(None, (self.draws, part, self.holds)))


_ALL = (
    Loader(
        "torch-shuffle", "shuffle", "torch DataLoader(shuffle=True): a permutation each epoch, cut into batches", "kept"
    ),
    Loader(
        "drop-last",
        "shuffle",
        "torch DataLoader(shuffle=True, drop_last=True): a permutation each epoch, cut into full batches, ⌊n / batch⌋ "
        "of them (--q 1 / that)",
        "left out",
        FROM_ABOVE,
    ),
    Loader("sequential", "shuffle", "no shuffling: the same order each epoch, cut into batches", "kept", FROM_ABOVE),
    Loader(
        "hf-trainer",
        "shuffle",
        "Hugging Face Trainer on one device (on several it is distributed): a seeded permutation each epoch, cut into "
        "batches",
        "kept",
    ),
    Loader(
        "lightning",
        "shuffle",
        "Lightning with a shuffling DataLoader on one device (on several it is distributed): a permutation each epoch, "
        "cut into batches",
        "kept",
    ),
    Loader(
        "keras-fit", "shuffle", "Keras fit(shuffle=True) on arrays: a permutation each epoch, cut into batches", "kept"
    ),
    Loader(
        "tf-data",
        "shuffle",
        "tf.data shuffle(buffer).batch: a permutation where the buffer holds all examples, and otherwise nearly the "
        "order of the files",
        "kept",
        FROM_ABOVE,
    ),
    Loader(
        "webdataset",
        "shuffle",
        "shards in random order, mixed in a buffer",
        "kept by each worker",
        f"{FROM_ABOVE} where each example comes once an epoch",
    ),
    Loader(
        "distributed",
        None,
        "torch DistributedSampler: shuffles, and repeats examples where the ranks' shares come out uneven; with "
        "drop_last=True of its own (not the DataLoader's, under which it still repeats) what is proven of shuffle "
        "from above holds",
        "kept",
        nearest="shuffle",
    ),
    Loader(
        "weighted", None, "torch WeightedRandomSampler: with replacement, some examples more often than others", "kept"
    ),
    Loader(
        "replacement", None, "torch RandomSampler(replacement=True): with replacement", "kept", nearest="fixed-size"
    ),
    Loader(
        "opacus",
        "poisson",
        "Opacus make_private(poisson_sampling=True): Poisson at q = 1 / the batches of the loader that it is given: "
        "⌈n / batch⌉, or ⌊n / batch⌋ of one with drop_last=True",
    ),
    Loader(
        "opacus-shuffle",
        "shuffle",
        "Opacus make_private(poisson_sampling=False): the DataLoader's own shuffling",
        "kept",
    ),
    Loader("dpplan", "poisson", "`dpplan train`: Poisson at q = batch / n"),
    Loader(
        "jax-privacy",
        "cyclic-poisson",
        "jax_privacy CyclicPoissonSampling without truncated_batch_size; with one cycle it is poisson",
    ),
)
LOADERS: Mapping[str, Loader] = MappingProxyType({each.name: each for each in _ALL})

# Schemes without a theorem -> why, and the nearest that has one.
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "b-min-sep": "only Monte Carlo estimates are known for it, with a confidence and no proof. The nearest scheme "
        "that has a theorem is cyclic-poisson",
        "with-replacement": "an example can be in a batch more than once, and no theorem is known here for runs of "
        "such steps. The nearest scheme that has one is fixed-size",
        "at-least-once-poisson": "coins that are thrown anew until every example was drawn depend on each other, and "
        "nothing is proven of them. The nearest scheme that has a theorem, and draws each example once an epoch, is "
        "balls-in-bins",
    }
)
# Other words for schemes that are known.
SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "bernoulli": "poisson",
        "cyclic": "cyclic-poisson",
        "truncated": "truncated-poisson",
        "capped": "truncated-poisson",
        "without-replacement": "fixed-size",
        "wor": "fixed-size",
        "uniform": "fixed-size",
        "fixed": "fixed-size",
        "permutation": "shuffle",
        "shuffled": "shuffle",
        "full": "full-batch",
    }
)
# What people call loaders who do not know our names for them.
_LOADER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("pytorch", "torch", "dataloader", "pytorch-dataloader", "random"), "torch-shuffle"),
        **dict.fromkeys(("huggingface", "hf", "transformers", "trainer"), "hf-trainer"),
        **dict.fromkeys(("pytorch-lightning", "pl"), "lightning"),
        **dict.fromkeys(("tensorflow", "tf"), "tf-data"),
        **dict.fromkeys(("keras",), "keras-fit"),
        **dict.fromkeys(("jax",), "jax-privacy"),
        **dict.fromkeys(("ddp", "distributed-sampler"), "distributed"),
    }
)
_REFUSED_TOO = {"bmin-sep": "b-min-sep", "min-sep": "b-min-sep", "replacement": "with-replacement"}


def refusal(name: str) -> str:
    """Why a scheme that is known by name is not accounted for, "" for all others."""
    name = name.replace("_", "-")
    name = _REFUSED_TOO.get(name, name)
    return f"sampling={name}: {REFUSED[name]}." if name in REFUSED else ""


def unknown_loader(name: str, known: Collection[str]) -> str:
    """A sentence for a name that no loader has, of those that are known where it was given."""
    other = _LOADER_WORDS.get(name.lower().replace("_", "-"))
    hint = f" Did you mean '{other}'?" if other in known else did_you_mean(name, known)
    return f"loader={name} is not one of: {', '.join(known)}.{hint}"


def meant(name: str) -> str:
    """A sentence where the name is a loader's or another word for a scheme, else nothing."""
    name = name.replace("_", "-")
    if name in SYNONYMS:
        return f" That is called {SYNONYMS[name]} here."
    found = LOADERS.get(name)
    if found is None:
        return ""
    if found.scheme is None:
        return f" It is a loader without a theorem ({found.draws}). The nearest scheme that has one is {found.nearest}."
    return f" It is a loader: {found.draws}. Try --sampling {found.scheme}."
