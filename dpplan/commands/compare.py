"""dpplan compare: the group of commands that set several answers side by side."""

from dpplan.commands.shared.lazy_group import LazyCommand, LazyGroup

HELP = """Accountants, theorems or recipes, side by side."""

command = LazyGroup(
    "compare",
    {
        "accountants": LazyCommand(
            "dpplan.commands.compare_accountants", "Every accountant: ε, guarantee, ratio, time."
        ),
        "theorems": LazyCommand("dpplan.commands.compare_theorems", "Composition theorems as the steps grow."),
        "plans": LazyCommand("dpplan.commands.compare_plans", "Recipes: what differs, and which wins on what."),
    },
    help=HELP,
)
command.short_help = "Accountants, theorems or recipes, side by side."
