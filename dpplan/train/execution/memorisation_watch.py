"""The losses of some training examples while a model is trained: whose may be learned by heart?

In the spirit of Pollock, Shilov, Dodd, de Montjoye 2024 (arXiv:2411.05743): an example is at risk whose loss moves far
in training, by the distance between the quartiles of its trace (LT-IQR). It ranks examples, without shadow models; it
bounds nothing, and a low place is no promise.

All of it is private: losses of members without noise. It lies in a file of its own in the run's folder, and nowhere
else: model.pt, checkpoint, report and pages never hold it. The run does not depend on it: the model is looked at as a
copy, and no generator is drawn from that the run draws from.
"""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from dpplan.durable_files import told, write_whole
from dpplan.render.to_json import dumps
from dpplan.train.clipping.isolation.outside_memory import watched
from dpplan.train.clipping.isolation.refusal_messages import outside
from dpplan.train.data import Split
from dpplan.train.execution.evaluation import brief
from dpplan.train.recipe_function import let_through
from dpplan.train.step.randomness import TorchGenerators

SCHEMA = "dpplan.watch/1"
NAME = "watch.private.json"
PRIVATE = "losses of members without noise: not covered by epsilon, not to be published"
STREAM = 0x77617463  # of a seeded run's choice of examples: another one than the run's
MOST_ROWS = 1024  # that go through the model at once
MOST_LOSS = 1e300  # of a model that has diverged: JSON has no larger one
LEAST_TRACE = 4  # looks without which a trace has no quartiles to speak of


class MemorisationWatch:
    """Looks at the same examples after every epoch, and keeps who is at risk in a file."""

    def __init__(self, training: Split, count: int, seed: int | None, folder: Path) -> None:
        """count: how many examples, chosen by lot; all where there are fewer."""
        lots = np.random.default_rng() if seed is None else np.random.default_rng((STREAM, seed))
        chosen = np.sort(lots.permutation(training.examples)[:count])
        self.file, self.failed = folder / NAME, ""
        self.steps: list[int] = []
        self.losses: list[NDArray[np.float64]] = []
        self._take(training, chosen)

    def _take(self, training: Split, chosen: NDArray[np.int64]) -> None:
        rows = torch.from_numpy(chosen).to(training.targets.device)
        self.chosen, self.inputs, self.targets = chosen, training.inputs[rows], training.targets[rows]

    def go_on(self, training: Split, steps: int) -> None:
        """With the examples of the file, and the looks of the first `steps` steps; anew where it tells nothing."""
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            looks = [step for step in kept["steps"] if step <= steps]
            traces = {int(each["example"]): each["losses"][: len(looks)] for each in kept["examples"]}
            chosen = np.array(sorted(traces), np.int64)
            losses = np.array([traces[each] for each in chosen.tolist()], np.float64)
            if not len(chosen) or chosen[0] < 0 or chosen[-1] >= training.examples:
                return
        except (OSError, ValueError, KeyError, TypeError):
            return
        self._take(training, chosen)
        self.steps, self.losses = looks, list(losses.T) if looks else []

    def look(self, model: nn.Module, step: int) -> None:
        """After this step. Whatever goes wrong ends the watch, and not the run."""
        if self.failed:
            return
        parameter = next(model.parameters())
        try:
            with TorchGenerators(parameter.device).left_alone(), watched() as done:
                losses = _losses(copy.deepcopy(model), self.inputs, self.targets)
        except BaseException as error:  # a model of the user's may raise anything
            let_through(error)
            self.failed = brief(error)
        else:
            self.failed = outside(done) if done else ""
            self.losses += [] if done else [losses]
            self.steps += [] if done else [step]
        if self.steps:
            self._write()

    def _write(self) -> None:
        text = dumps(self.to_json(), indent=1) + "\n"
        with told(f"{self.file}: cannot be written"):
            write_whole(self.file, lambda stream: stream.write(text.encode()))

    def to_json(self) -> dict[str, Any]:
        """Examples by falling risk. example: its place among the training examples."""
        traces = np.array(self.losses).T
        risk = spread(traces)
        order = np.argsort(-risk, kind="stable")
        return {
            "schema": SCHEMA,
            "private": PRIVATE,
            "method": "LT-IQR: distance between the quartiles of each example's losses, Pollock et al. 2024",
            "enough": len(self.steps) >= LEAST_TRACE,
            "failed": self.failed or None,
            "steps": self.steps,
            "examples": [
                {
                    "example": int(self.chosen[at]),
                    "risk": float(risk[at]),
                    "losses": [float(loss) for loss in traces[at]],
                }
                for at in order
            ],
        }


def spread(traces: NDArray[np.float64]) -> NDArray[np.float64]:
    """(examples, looks) -> the distance between the quartiles of each trace."""
    low, high = np.quantile(traces, (0.25, 0.75), axis=1)
    return np.asarray(high - low)


def _losses(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> NDArray[np.float64]:
    parameter = next(model.parameters())
    model.eval()
    found = []
    with torch.no_grad():
        for rows, labels in zip(torch.split(inputs, MOST_ROWS), torch.split(targets, MOST_ROWS), strict=True):
            logits = model(rows.to(parameter.device, copy=True)).double()  # it may write into them
            found.append(cross_entropy(logits, labels.to(parameter.device), reduction="none").cpu().numpy())
    return np.nan_to_num(np.concatenate(found), nan=MOST_LOSS, posinf=MOST_LOSS)
