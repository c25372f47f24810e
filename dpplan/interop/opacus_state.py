"""The state of an Opacus accountant: {"history": [(noise multiplier, sample rate, steps), ...], "mechanism": "rdp"}.

What Opacus makes of a plan is not the plan. From a loader of n examples in batches of B it takes q = 1/⌈n/B⌉, and an
epoch is as many steps, or one fewer by rounding; here q = B/n, and E epochs are ⌈E·n/B⌉ steps. `rounding` says both.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from dpplan.accounting.plan_pairs import sampled_gaussians
from dpplan.adjacency import REPLACE_ONE
from dpplan.checks import is_number, show
from dpplan.errors import NotApplicable, PlanError, file_error
from dpplan.loader_run import opacus_steps
from dpplan.mechanism import Gaussian, kind_of
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Plan, resolve_delta
from dpplan.sampling import Poisson

MOST_BYTES = 20_000_000
MOST_PARTS = 1_000_000  # of a pickle, looked at in a second or two; a row of a history is some ten of them
ENDINGS = (".pkl", ".pickle")
HOLDERS = ("privacy_accountant_state_dict", "accountant_state")  # keys of a state inside what holds more
_PLACES = ("PUT", "BINPUT", "LONG_BINPUT")


def write(plan: Plan, accountant: str = "prv") -> dict[str, Any]:
    """What accountant.load_state_dict takes, and beside it what PrivacyEngine.make_private does and its rounding.

    Raises NotApplicable where the plan is no Gaussian noise under Poisson sampling, add/remove or zero-out.
    """
    if plan.adjacency == REPLACE_ONE:
        raise NotApplicable("opacus: its figures are for one example more or less, and this plan is for replace-one")
    if plan.max_per_user:
        raise NotApplicable("opacus: users with several examples have no place in it; export the plan of examples")
    history = [[each.noise_multiplier, each.sample_rate, each.steps] for each in sampled_gaussians(plan, "opacus")]
    found: dict[str, Any] = {"accountant_state": {"history": history, "mechanism": accountant}}
    if told := not_carried(plan):
        found["not_carried"] = told
    elif len(plan.phases) == 1:
        found["make_private"] = {"noise_multiplier": history[0][0], "poisson_sampling": True}
        found["rounding"] = rounding(plan)
    return found


def not_carried(plan: Plan) -> str:
    """What of the plan such a state does not say, so that nobody trains from it; "" where it says all."""
    other = [
        phase for phase in plan.phases if type(phase.mechanism) is not Gaussian or type(phase.sampling) is not Poisson
    ]
    if not other:
        return ""
    tied = [kind_of(phase.mechanism) for phase in other if isinstance(phase.mechanism, Correlated)]
    drawn = [kind_of(phase.sampling) for phase in other if type(phase.sampling) is not Poisson]
    lost = [f"noise that steps share ({', '.join(dict.fromkeys(tied))})"] if tied else []
    lost += [f"how batches are drawn ({', '.join(dict.fromkeys(drawn))})"] if drawn else []
    said = " and ".join(lost) or "which mechanism it is"
    return (
        f"accountant_state is what the plan costs, and no recipe for it: {said} has no words in Opacus. Its noise "
        "multiplier, rate and steps are of equivalent releases; PrivacyEngine would not run this plan from them."
    )


def rounding(plan: Plan) -> dict[str, Any]:
    """What Opacus makes of n and the batch, beside what the plan says; {} where the plan names neither."""
    n, batch = plan.examples, plan.batch_size
    if n is None or batch is None:
        return {}
    per_epoch = math.ceil(n / batch)
    call = f"dpplan epsilon state.json --delta {show(resolve_delta(None, n).value)}"
    phase = plan.only_phase
    return {
        "sample_rate": {"opacus": 1.0 / per_epoch, "plan": getattr(phase.sampling, "sample_rate", None)},
        "steps_per_epoch": {"opacus": opacus_steps(per_epoch), "plan": n / batch},
        "expected_batch": {"opacus": n / per_epoch, "plan": batch},
        "note": "Stop after the plan's steps, or account for what Opacus ran: save accountant.state_dict() after the "
        f"run (json.dump, in place of the state printed here, which is the plan's), then {call}",
    }


class _PlainData:
    """Numbers, words, lists, tuples and dictionaries; whatever names a class or a function is refused.

    But for OrderedDict, which Opacus's state is: an empty dictionary takes its place, and what follows fills it.
    """

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return _emptied
        raise PlanError(f"it names {module_name}.{global_name}, and nothing that a file names is loaded here.")


class _NoClasses(_PlainData, pickle.Unpickler):
    """What it holds."""


class _NothingTwice(_PlainData, pickle._Unpickler):
    """The same by Python's own unpickler in Python, whose dictionaries can be watched as they are filled: PlanError for
    a key that is given twice. Of two histories the last would be counted alone, and the first was spent as well."""

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def fill(self, held: dict[Any, Any], items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if key in held:
                raise PlanError(f"it gives the key {show(key)} twice.")
            held[key] = value

    def set_item(self) -> None:
        items = [self.stack.pop(), self.stack.pop()]
        self.fill(self.stack[-1], items[::-1])

    def set_items(self) -> None:
        items = self.pop_mark()
        self.fill(self.stack[-1], items)

    def make(self) -> None:
        items, held = self.pop_mark(), dict[Any, Any]()
        self.fill(held, items)
        self.stack.append(held)

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch, pickle.SETITEM[0]: set_item, pickle.SETITEMS[0]: set_items, pickle.DICT[0]: make,
    }  # fmt: skip


def _emptied() -> dict[Any, Any]:
    """What a pickle calls in the place of OrderedDict; with anything to put in, it is none of a state's."""
    return {}


def read_pickle(file: Path) -> dict[str, Any]:
    """The state in a pickle. Raises PlanError for anything but plain data."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, PlanError) from None
    if len(raw) > MOST_BYTES:
        raise PlanError(f"{file}: is larger than {MOST_BYTES:,} bytes; this is no accountant's state.")
    try:
        _look_at(raw)
        content = _NoClasses(io.BytesIO(raw)).load()
        _NothingTwice(io.BytesIO(raw)).load()
    except PlanError as error:
        raise PlanError(f"{file}: {error} Save accountant.state_dict() as JSON.") from None
    except Exception:  # what a broken pickle raises is anybody's guess
        raise PlanError(f"{file}: is not a pickle of plain data. Save accountant.state_dict() as JSON.") from None
    return state_in(content, file)


def _look_at(raw: bytes) -> None:
    """Raises PlanError for a pickle that asks for memory by a number, ValueError for what is no pickle.

    Only what a place is kept under does: an unpickler makes room for all places up to it.
    """
    for parts, (opcode, argument, _) in enumerate(pickletools.genops(raw), 1):
        if parts > MOST_PARTS:
            raise PlanError(f"it has more than {MOST_PARTS:,} parts; this is no accountant's state.")
        if opcode.name in _PLACES and isinstance(argument, int) and argument > len(raw):
            raise PlanError(f"it keeps something in place {argument} of {len(raw)} bytes, which no pickle needs.")


def state_in(content: object, file: Path) -> dict[str, Any]:
    """The state of the accountant, or the one inside a checkpoint. Raises PlanError where there is none."""
    if isinstance(content, list | tuple) and content and all(isinstance(row, list | tuple) for row in content):
        content = {"history": content}  # the rows alone, as accountant.history is
    if isinstance(content, Mapping):
        histories = [
            [_row(row, at, file) for at, row in enumerate(held["history"], 1)]
            for held in (content, *map(content.get, HOLDERS))
            if isinstance(held, Mapping) and isinstance(held.get("history"), list | tuple)
        ]
        if any(each != histories[0] for each in histories):
            raise PlanError(
                f"{file}: holds more than one history. Save accountant.state_dict() as JSON, and name that."
            )
        if histories and not histories[0]:
            raise PlanError(f"{file}: its history is empty, so that nothing was spent. Leave it out.")
        if histories:
            return {"history": histories[0]}
    raise PlanError(f"{file}: holds no history of an accountant: rows of noise multiplier, sample rate and steps.")


def _row(row: object, number: int, file: Path) -> list[float]:
    """Three numbers. Anything else is not even shown: what a pickle holds may be too long to be written out."""
    if not isinstance(row, list | tuple) or len(row) != 3:
        raise PlanError(f"{file}: row {number} of its history is not noise multiplier, sample rate and steps.")
    for name, value in zip(("noise multiplier", "sample rate", "steps"), row, strict=True):
        if not is_number(value):
            raise PlanError(f"{file}: row {number} of its history has a {name} that is no number.")
    return list(row)
