"""The commands: one module for each, named after what is typed (`compare plans` is compare_plans).

    from dpplan.commands import COMMANDS

COMMANDS is the only list of them. A module holds `command`, with its help; what stands here in a phrase is shown where
commands are listed. shared/ is what several of them use.
"""

from collections.abc import Mapping
from types import MappingProxyType

# What is typed -> what it does. A name that others begin with is a group of those.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "epsilon": "What a plan costs: its ε at a δ.",
        "delta": "What a plan costs: its δ at an ε.",
        "curve": "ε over δ, steps, noise or batch; or δ over ε.",
        "solve": "Any one unknown of a plan, from a target.",
        "frontier": "Every batch and length at one target, and the best.",
        "compare": "Accountants, samplers, units or plans, side by side.",
        "compare accountants": "Every accountant: ε, guarantee, ratio, time.",
        "compare theorems": "Composition theorems as the steps grow.",
        "compare samplers": "One run under every sampling scheme and neighbour.",
        "compare units": "What a user with several examples pays, three ways.",
        "compare tuning": "What a search costs that publishes its winner.",
        "compare plans": "Recipes and plan files: what differs, and which wins on what.",
        "check": "What is wrong with a plan or a recipe, and the fix.",
        "risk": "What ε means: how often anybody is recognised.",
        "audit": "Whether an attack's scores contradict a plan.",
        "train": "Run a recipe and account for it.",
        "tune": "Search for settings, release the best trial alone.",
        "verify": "Whether an old claim stands, and what to publish.",
        "report": "A page about a run or a plan, to publish and to sign.",
        "export": "A plan as Opacus, dp_accounting and others take it.",
        "recipes": "The recipes that come with it, listed and copied.",
        "help": "What a certificate assumes, and other topics.",
    }
)
