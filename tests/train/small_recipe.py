"""Small recipes that the training tests share."""

from typing import Any

from dpplan.recipe import Data, Model, Privacy, Recipe, Runtime, Training


def small(**changes: Any) -> Recipe:
    """Logistic regression on digits, 4 steps of 100 expected examples; changes are <block>_<key>=value."""
    blocks: dict[str, dict[str, Any]] = {
        "privacy": {"noise_multiplier": 2.0, "clip_norm": 1.0, "delta": 1e-5},
        "data": {"source": "digits"},
        "model": {"kind": "logistic"},
        "training": {"batch_size": 100, "steps": 4, "optimizer": "sgd", "learning_rate": 0.5},
        "runtime": {"device": "cpu", "threads": 1},
    }
    for name, value in changes.items():
        block, key = name.split("_", 1)
        blocks[block][key] = value
    return Recipe(
        privacy=Privacy(**blocks["privacy"]),
        data=Data(**blocks["data"]),
        model=Model(**blocks["model"]),
        training=Training(**blocks["training"]),
        runtime=Runtime(**blocks["runtime"]),
        name="small",
    )
