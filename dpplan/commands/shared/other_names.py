"""What people type who come from elsewhere, or look in the wrong command: what answers it here."""

from collections.abc import Mapping
from types import MappingProxyType

# Command -> option that it lacks -> what to do instead. Without hyphens at the front.
_TARGET = "A target is what dpplan solve starts from: dpplan solve --target-eps 3 --n 60000 --batch 256 --epochs 60."
_DELTA_AT = (
    "The δ at an ε is what dpplan delta tells: dpplan delta --eps 3 --sigma 1.1 --n 60000 --batch 256 --epochs 60."
)
_EPSILON_AT = "The ε at a δ is what dpplan epsilon tells: dpplan epsilon --sigma 4 --q 0.01 --steps 10000 --delta 1e-5."
_DELTA_LIMIT = (
    "A limit on δ, at an ε, is where dpplan solve starts: dpplan solve --target-delta 1e-6 --eps 3 --q .01 --steps 9."
)
# Targets that are no cost -> what they are called.
_LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        f"target-{word}": f"What is left out is found. Where {name} is known, and something else is asked for, "
        f"give it as --{option}."
        for word, name, option in (
            ("sigma", "the noise", "sigma"),
            ("noise", "the noise", "sigma"),
            ("noise-multiplier", "the noise", "sigma"),
            ("q", "the rate", "q"),
            ("batch", "the batch", "batch"),
            ("steps", "their number", "steps"),
            ("epochs", "their number", "epochs"),
        )
    }
)
_LIMIT = "The ε that may be spent is --target-eps here."
_IN_A_RECIPE: Mapping[str, str] = MappingProxyType(
    {
        option: f"A recipe says it: {key}. See dpplan help recipes."
        for option, key in {
            "sigma": "privacy.noise_multiplier",
            "target-eps": "privacy.target_epsilon",
            "max-eps": "privacy.max_epsilon",
            "delta": "privacy.delta",
            "adjacency": "privacy.adjacency",
            "sampling": "privacy.sampling",
            "loader": "privacy.sampling",
            "unit": "privacy.unit",
            "max-per-user": "privacy.max_per_user",
            "cap": "privacy.cap",
            "n": "data.source",
            "q": "training.batch_size",
            "batch": "training.batch_size",
            "epochs": "training.epochs",
            "steps": "training.steps",
            "seed": "runtime.seed",
            "device": "runtime.device",
        }.items()
    }
)
_IN_A_FILE = (
    "A page of several phases, or of what ran before as well, is of a plan file or of the JSON of dpplan epsilon, "
    "whose name it takes: dpplan report plan.yaml. See dpplan help plans."
)
INSTEAD: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "epsilon": {
            "target-eps": _TARGET,
            "target-delta": "The δ of a figure is --delta here. As a limit at an ε, dpplan solve starts from one: "
            "dpplan solve --target-delta 1e-6 --eps 3 --q .01 --steps 9.",
            "eps": f"{_DELTA_AT} A limit on ε is --max-eps.",
            "max-delta": f"{_DELTA_LIMIT} A limit on ε is --max-eps.",
        },
        "delta": {
            "delta": f"It is what is asked for: leave it out. {_EPSILON_AT}",
            "target-eps": _TARGET,
            "target-delta": _TARGET,
            "max-eps": _EPSILON_AT,
            "max-delta": _DELTA_LIMIT,
        },
        "curve": {"eps": "Give --over eps, with --from and --to.", "target-eps": _TARGET},
        "solve": {"max-eps": _LIMIT, "epsilon": f"{_LIMIT} --eps goes with --target-delta.", **_LEFT_OUT},
        "frontier": {
            "eps": _LIMIT,
            "max-eps": _LIMIT,
            "sigma": "The noise is what it finds for every batch and length.",
            "q": "Sample rates are what it tries: give --n, and several batches as --batch 64:8192.",
        },
        "check": {
            "eps": "The ε that is claimed is --claimed-eps.",
            "claimed-delta": "The δ that is claimed is --delta.",
            "max-eps": "dpplan epsilon holds a plan against --max-eps; what is claimed is --claimed-eps here.",
            "target-eps": "The ε that is claimed is --claimed-eps.",
        },
        "compare accountants": {"accountant": "All of them are compared. For one, dpplan epsilon --accountant rdp."},
        "report": dict.fromkeys(("phase", "phases", "spent"), _IN_A_FILE),
        "train": _IN_A_RECIPE,
        "tune": _IN_A_RECIPE,
    }
)
# Option of other commands -> the option that many have in its place, and what that says.
ALSO: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"loader": ("--sampling", "How batches are drawn is said by --sampling here.")}
)
# Names of Opacus, TensorFlow Privacy and others -> the option that is meant.
SAME: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("noise", "noise-scale", "noise-mult", "z", "nm", "sigmas", "std", "noise-std"), "sigma"),
        **dict.fromkeys(
            ("sampling-rate", "sampling-probability", "sample-prob", "sampling-prob", "subsampling-rate", "rate",
             "p"), "q"
        ),
        **dict.fromkeys(
            ("num-steps", "n-steps", "iterations", "iters", "num-iterations", "max-steps", "compositions",
             "num-compositions", "updates", "rounds", "num-rounds", "communication-rounds", "t"), "steps"
        ),
        **dict.fromkeys(("num-epochs", "n-epochs", "epoch", "max-epochs", "num-train-epochs", "passes"), "epochs"),
        **dict.fromkeys(
            ("num-examples", "number-of-examples", "dataset-size", "data-size", "num-samples", "n-samples", "samples",
             "sample-size", "train-size", "num-train", "population", "size"), "n"
        ),
        **dict.fromkeys(
            ("bs", "batchsize", "lot-size", "lot", "logical-batch-size", "expected-batch-size", "train-batch-size",
             "b", "minibatch"), "batch"
        ),
        **dict.fromkeys(("epsilon", "e"), "eps"),
        **dict.fromkeys(("target-epsilon", "epsilon-target", "eps-target", "budget", "target"), "target-eps"),
        **dict.fromkeys(("max-epsilon", "epsilon-max", "limit", "eps-max"), "max-eps"),
        **dict.fromkeys(("target-deltas", "deltas", "d"), "delta"),
        **dict.fromkeys(("claimed-epsilon", "claim", "claimed"), "claimed-eps"),
        **dict.fromkeys(("mechanism", "accounting", "method", "accountant-type"), "accountant"),
        **dict.fromkeys(("neighboring-relation", "neighbouring", "neighbors", "relation"), "adjacency"),
        **dict.fromkeys(("sampler", "sampling-scheme", "sampling-method"), "sampling"),
        **dict.fromkeys(("data-loader", "dataloader", "torch-loader"), "loader"),
        **dict.fromkeys(("max-physical-batch-size", "microbatch-size", "micro-batch"), "physical-batch"),
        **dict.fromkeys(("history", "previous", "earlier", "prior"), "spent"),
        **dict.fromkeys(
            ("group-size", "user-size", "examples-per-user", "max-examples-per-user", "max-contributions", "per-user",
             "contribution-bound"), "max-per-user"
        ),
        **dict.fromkeys(("gpu", "cuda", "mps", "use-gpu", "use-cuda", "accelerator"), "device"),
        **dict.fromkeys(("out-file", "output", "save", "figure"), "plot"),
    }
)  # fmt: skip
# Of what is meant by another name, where its own does not say it all: a sentence.
SAYS: Mapping[str, str] = MappingProxyType(
    {
        "max-per-user": "It is the most examples of one user, with --unit user.",
        "device": "On a GPU that is --device cuda, or mps on a Mac; in a recipe runtime.device.",
    }
)
_NO_CLIP = (
    "No figure depends on the clip norm: σ is the noise divided by it. A recipe's clip_norm sets it for training."
)
# Options of other libraries that nothing here stands for, and why.
NOTHING: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("max-grad-norm", "l2-norm-clip", "clip", "clip-norm", "c", "l2-clip", "clipping-norm"), _NO_CLIP
        ),
        **dict.fromkeys(
            ("lr", "learning-rate", "optimizer", "momentum", "model", "dataset", "data"),
            "No figure depends on it. A recipe says it: dpplan train.",
        ),
        **dict.fromkeys(
            ("alphas", "orders", "order", "alpha"), "rdp chooses its orders by itself; see dpplan help accountants."
        ),
        **dict.fromkeys(
            ("num-microbatches", "microbatches", "used-microbatching"),
            "Clip each example by itself: what is clipped in groups is a unit of its own.",
        ),
        **dict.fromkeys(
            ("poisson", "poisson-sampling"), "Poisson sampling is what is assumed when nothing is said; see --sampling."
        ),
        **dict.fromkeys(
            ("secure-mode", "secure-rng"), "It is runtime.secure_noise in a recipe; no figure depends on it."
        ),
        **dict.fromkeys(("verbose", "v", "quiet", "debug"), "--explain says how each figure came about."),
    }
)
# Words for a command -> the command.
COMMAND_WORDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("eps", "get_epsilon", "get-epsilon", "account", "accountant", "cost", "spend", "spent", "privacy",
             "compute_dp_sgd_privacy", "compute-dp-sgd-privacy", "compute", "budget"), "epsilon"
        ),
        **dict.fromkeys(("get_delta", "get-delta"), "delta"),
        **dict.fromkeys(
            ("calibrate", "sigma", "noise", "get_noise_multiplier", "get-noise-multiplier", "noise-multiplier", "find",
             "plan", "target", "invert"), "solve"
        ),
        **dict.fromkeys(("plot", "draw", "profile", "sweep", "tradeoff", "trade-off"), "curve"),
        **dict.fromkeys(("grid", "pareto", "optimize", "optimise", "search", "tune"), "frontier"),
        **dict.fromkeys(("lint", "validate", "doctor", "review"), "check"),
        **dict.fromkeys(("run", "fit", "learn", "resume"), "train"),
        **dict.fromkeys(("audit", "report", "certify", "prove"), "verify"),
        **dict.fromkeys(("accountants", "theorems", "plans"), "compare"),
        **dict.fromkeys(("explain", "man", "docs", "topics", "info"), "help"),
    }
)  # fmt: skip
