"""Why a model is refused, in words."""

import re

from torch import nn

from dpplan.train.clipping.isolation.outside_memory import LOGS, PRINTS
from dpplan.train.clipping.isolation.reachable_objects import MOST


def kept(names: list[str]) -> str:
    """Why a model is refused that keeps what it has seen."""
    names = list(dict.fromkeys(re.sub(r"\[.*\]", "", name.rstrip("+"), flags=re.DOTALL) for name in names))
    names = [name for name in names if not any(name.startswith(f"{whole}'s ") for whole in names)]
    which = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    if any(re.search(r"parametrizations\.\w+\.\d+\._[uv]'|weight_[uv]'", name) for name in names):
        return (
            f"model: changes {which} while it runs: spectral normalisation goes on with its power iteration in every "
            "forward pass, so that a released number would depend on how many there were. Put it into eval mode where "
            "the model is built: layer.parametrizations.weight.eval()."
        )
    if any("dynamo" in name for name in names):
        return (
            f"model: changes {which} while it runs: torch.compile notes in what it compiles what it has met. Give the "
            "model as it is, without torch.compile; runtime.compile compiles its steps."
        )
    return (
        f"model: changes {which} while it runs, so that what it saw of the examples would be kept without noise. Let "
        "its forward pass change nothing; put layers with running statistics into eval mode where the model is built."
    )


def meeting(model: nn.Module, when: str) -> str:
    """Why a model is refused whose examples meet."""
    sideways = [
        f"layer '{name}' is a {type(layer).__name__} that takes the first dimension for time: set batch_first=True"
        for name, layer in model.named_modules()
        if isinstance(layer, nn.RNNBase | nn.MultiheadAttention) and not layer.batch_first
    ]
    hint = f"Perhaps {sideways[0]}." if sideways else "Compute means, maxima and sums within each example."
    return (
        f"model: scores an example differently{when} when others are in its batch, so that no example's influence is "
        f"bounded. Let no example see another. {hint}"
    )


# What torch says of models that vmap cannot run -> why that is so, and what would help.
UNDER_VMAP = {
    "autograd.Function": "an autograd.Function has no rule (setup_context and generate_vmap_rule = True give it one)",
    ".item()": "it looks at numbers in Python, as a branch does (torch.where looks at them for each example)",
    "inplace arithmetic": "it writes an example into a tensor that belongs to none (x.new_zeros makes one that does)",
}


def brief(error: BaseException) -> str:
    """What was raised, in a line."""
    if "vmap" in str(error):
        for said, reason in UNDER_VMAP.items():
            if said in str(error):
                return reason
    first = (str(error).splitlines() or [""])[0].rstrip(".")
    return f"{type(error).__name__}: {first[:80]}" if first else type(error).__name__


def forgetting(names: list[str]) -> str:
    """Why a model is refused that reads numbers and reaches what may remember them. names: what is opaque."""
    which = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"reaches {which}, whose state cannot be seen, so that what it read of one example may reach another. Keep it "
        "out of the forward pass, or let the model read no numbers in Python (no .item(), no branches on values)."
    )


def outside(done: set[str]) -> str:
    """Why a model is refused that writes, or starts, what is outside its process's objects. done: see `watched`."""
    which = ", ".join(sorted(done)[:3])
    if done <= {PRINTS, LOGS}:
        return (
            f"model: prints or logs while it runs ({which}): what it says of an example is covered by no noise. Let "
            "its forward pass say nothing."
        )
    return (
        f"model: writes files, or starts or reaches other processes, while it runs ({which}): what one example leaves "
        "there another may read, and no noise covers it. Let its forward pass leave nothing there."
    )


def reaching(names: list[str]) -> str:
    """Why a model is refused that reaches training examples, after its name. names: what holds them."""
    which = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"reaches the training examples ({which}), so that every score, or the model's file, may be made of all of "
        "them, and no noise covers that. Keep no examples where the model's code finds them: load them inside of the "
        "function that data.source names, and leave none in a global."
    )


def training(names: list[str]) -> str:
    """Why a model is refused that decides while it runs what is trained."""
    which = ", ".join(names[:3])
    return (
        f"model: changes while it runs which parameters are trained ({which}). Make all of them, and set "
        "requires_grad, where the model is built."
    )


TOO_MUCH = (
    f"model: reaches more than {MOST} objects, more than can be watched at every step for what it keeps of examples. "
    "Hold long lists of objects as tensors or arrays (torch.tensor, np.array), and leave out what no pass needs."
)
SPARSE = "model: has sparse gradients, but noise goes to every number. Remove sparse=True."
REMEMBERS = (
    "model: scores the same examples differently when it is called again, so it keeps something from earlier calls, "
    "and what it saw of the examples would be kept without noise. Let its forward pass change nothing, and read no "
    "memory that it has not filled (torch.empty)."
)
