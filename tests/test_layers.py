"""The house, held: who may import whom and what, how large things are, and what lies at the top.

LAYERS is the agreed order. An import may go to an earlier layer or stay inside its own part; imports inside
functions and those for types count like all others.
"""

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dpplan"
# Parts of dpplan, from those that know nothing to the one that knows all. The parts of one layer do not know each
# other, except in PEERS, where any order without a circle will do.
PEERS = frozenset(
    {"solve", "compare", "frontier", "risk", "lint", "curve", "plot", "deployment_statement", "verdict", "verify"}
)
LAYERS = (
    {"errors", "number_spelling", "quick_dataclass", "called_modules", "visible_text", "yaml_numbers"},
    {"checks", "durable_files"},
    {"rounding", "processes", "notebook"},
    {"quantities", "adjacency", "mechanism", "units", "groups"},
    {"sampling", "query_sensitivity", "open_noise", "plan_assumptions"},
    {"plan"},
    {"plan_json", "phase_steps"},
    {"accounting"},
    {"loader_run"},
    {"cost", "interop"},
    PEERS,
    {"audit"},
    {"recipe"},
    {"render"},
    {"report"},
    {"train"},
    {"tuning"},
    {"commands"},
    {"__main__"},
)
# The same within a part that has rooms: a module may import from its own room and from those before it.
ROOMS = {
    "dpplan.train": (
        {
            "machine",
            "recipe_function",
            "foreign_accountant_state",
            "exact_tests",
            "tree_weights",
            "strategy_rows",
            "losses",
        },
        {"data", "clipping", "batch_conformance", "added_noise", "participation_guard"},
        {"models", "conformance", "ranks"},
        {"step"},
        {"state"},
        {"execution", "canaries", "shadows"},
    ),
    "dpplan.train.clipping": (
        {"rules", "precision"},
        {"engine_interface", "gradient_forms"},
        {"clip_weights", "layer_gradients"},
        {"isolation"},
        {"engines"},
        {"model_trial", "floating_point_trial"},
        {"engine_choice"},
    ),
    "dpplan.sampling": (
        {"scheme", "loaders"},
        {"poisson", "fixed_size", "truncated_poisson", "cyclic_poisson", "shuffle", "balls_in_bins"},
    ),
    "dpplan.lint": ({"finding", "prior_runs", "loader_draws"}, {"context"}, {"rules"}),
    # Accountants, after what they share. Of the exact one each engine is a room, and knows none of those that come
    # after; "" is the package itself, which asks them all.
    "dpplan.accounting": (
        {"numerics", "assumptions", "accountant_description", "no_epsilon_messages", "other_accountants"},
        {"bound", "pairs", "best_of_trials", "sampled_gaussian_moments"},
        {"parallel_composition", "plan_pairs"},
        {"gdp", "moments", "renyi_curves"},
        {"rdp", "zcdp", "theorems"},
        {"exact"},
        {"renyi_transforms", "least_upper"},
    ),
    "dpplan.accounting.pairs": (
        {"law", "participation_sensitivity"},
        {"unsampled_gaussian", "laplace", "finite", "combined_laws", "strategy_matrix", "tree_sensitivity"},
        {"replace_one", "gaussian_mixtures", "profile_points", "allocation"},
        {"dominating"},
        {"truncated_poisson", "sliced_outputs", "declared_epsilon", "allocated_rounds"},
        {"epochs"},
        {"kept_assignment", "thresholded_counts", "discrete_gaussian", "correlated"},
    ),
    "dpplan.accounting.pairs.allocation": (
        {"lattice_measure", "lower_polygon"},
        {"averaging", "graded_lattice"},
        {"convex_order"},
        {"graded_sum"},
        {"lognormal_mean"},
        {"loss"},
    ),
    "dpplan.accounting.exact": (
        {"contour", "group_one_step"},
        {"general_one_step"},
        {
            "gaussian_lattice",
            "general_lattice",
            "gaussian_one_step",
            "gaussian_two_steps",
            "event_lower_bound",
            "proven_deltas",
        },
        {
            "proven_ends",
            "allocation_floor",
            "shared_lattice",
            "removed_then_added",
            "places_by_formula",
            "drawn_counts",
        },
        {"reverse_lattice", "rare_jumps_lattice"},
        {"invert", "few_laplace", "lattice_jumps", "rdp_cross_check", "one_allocation"},
        {"many_plans_near_target", "mixed"},
        {"other_laws"},
        {"profile"},
        {""},
        {"prove", "search_winner"},
    ),
    "dpplan.accounting.exact.contour": (
        {"privacy_loss", "chernoff"},
        {"transform_integrand_bounds", "tail_decay", "decay_lifted_line", "saddle_point"},
        {"transform_quadrature"},
        {"composed_jumps", "many_plans_transform", "sum_at_many_epsilons"},
        {"composed_loss", "decay_small_losses", "decay_bent_x_path"},
        {"delta_interval"},
        {"rare_jumps", "many_plans"},
        {"placement"},
        {"reverse_direction"},
    ),
    "dpplan.accounting.exact.contour.rare_jumps": (
        {"step_law", "uncertified_moments"},
        {"beyond_cut"},
        {"runs_with_a_jump"},
        {"jump_free_paths"},
        {"cut_choice"},
        {"small_epsilon"},
    ),
    "dpplan.accounting.exact.gaussian_lattice": (
        {"step_law", "tabulated_sums"},
        {"composition"},
        {"near_zero_epsilon"},
    ),
    "dpplan.accounting.exact.general_lattice": (
        {"lower_polygon", "atom_spacing", "coarse_pld", "top_event"},
        {"discretise"},
        {"composed"},
    ),
    "dpplan.accounting.exact.mixed": (
        {"composed", "normal_mixture_ratio", "law_as_points"},
        {"laplace_gauss_rule", "points_transform"},
        {"replaced_rule", "laws_without_decay"},
        {"truncated_steps", "mixture_rule"},
        {"poisson_replaced", "fixed_size_replaced", "mixture_steps"},
        {"steps_of_law"},
        {"invert"},
    ),
    "dpplan.accounting.exact.prove": (
        {"errors", "balls", "float_moments"},
        {"path_search"},
        {"tail_decay"},
        {"quadrature_error", "closed_form"},
        {"transform", "invert"},
        {"aliasing"},
        {"contour_plan"},
        {"contour"},
        {"dominant_direction"},
    ),
    # Those that come side by side do not know each other.
    "dpplan.solve": (
        {"search", "batch_cap", "max_per_user", "allocation"},
        {"candidate_values", "question"},
        {"bracket", "participations"},
        {"solution", "phase_setting"},
        {"risk_target"},
    ),
    "dpplan.compare": ({"accountants", "samplers", "units", "tuning", "theorems", "plans"},),
    "dpplan.risk": (
        {"source", "convex_minimum"},
        {"first_look"},
        {"trade_off"},
        {"regret"},
        {"assessment"},
    ),
    "dpplan.audit": (
        {"claimed_trade_off", "scores", "on_file"},
        {"one_run", "order_statistics", "two_gaussians", "many_runs", "membership_attacks"},
        {"assessment"},
    ),
    "dpplan.plot": (
        {"image_file"},
        {"curves", "budget_by_phase", "frontier", "samplers", "tuning", "risk", "membership"},
    ),
    "dpplan.report": (
        {"audits", "other_runs", "svg_charts", "page_templates"},
        {"on_record", "recipe_comments", "checked_run"},
        {"page"},
        {"registry", "page_standing"},
        {"page_formats"},
    ),
    "dpplan.commands.shared": (
        {
            "parameter_types",
            "recorded_runs",
            "foreign_files",
            "breakdown",
            "completion",
            "json_error",
            "other_names",
            "overwriting",
            "page_verdict",
            "recipe_data",
            "waiting",
        },
        {"plan_arguments", "lazy_group", "limit_options", "output", "plan_source"},
        {
            "phase_parsing",
            "accountant_option",
            "risk_limits",
            "call_errors",
            "csv_option",
            "plot_option",
            "curve_axis",
            "run_check",
        },
        {"plan_files", "membership_audit", "unsaid_accountant"},
        {"request"},
        {"cost", "solve_open_phases", "solve_named"},
        {"cost_output"},
    ),
}
# From inside a function: rdp has the moments of laws without a closed form from the engine that is held against it.
LOOKS_DOWN = {("dpplan.accounting.renyi_curves", "dpplan.accounting.renyi_transforms")}
# Package -> the only places that may import it. A place ending in a dot is a whole package.
OUTSIDE = {
    "click": ("dpplan.__main__", "dpplan.commands."),
    "rich": ("dpplan.render.", "dpplan.commands."),
    "yaml": ("dpplan.recipe.", "dpplan.report."),
    "jinja2": ("dpplan.report.",),
    "numpy": ("dpplan.accounting.", *(f"dpplan.{name}" for name in sorted(PEERS)), "dpplan.audit.", "dpplan.train."),
    "scipy": ("dpplan.audit.", "dpplan.train."),
    "matplotlib": ("dpplan.plot.",),
    "torch": ("dpplan.train.",),
    "sklearn": ("dpplan.train.",),
    "joblib": ("dpplan.train.", "dpplan.tuning."),
    "PIL": ("dpplan.train.",),
    "pyarrow": ("dpplan.train.",),
    "flint": ("dpplan.accounting.exact.prove.",),
}
# Where the name of a distribution is not that of its package.
DISTRIBUTIONS = {"yaml": "pyyaml", "sklearn": "scikit-learn", "flint": "python-flint", "PIL": "pillow"}
HEAVY = {"torch", "yaml", "rich", "click", "scipy", "numpy", "matplotlib"}
TOP = {"pyproject.toml", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
       "SECURITY.md", "CITATION.cff", ".pre-commit-config.yaml",
       "dpplan", "tests", "recipes", ".ci", ".gitignore", ".github"}  # fmt: skip
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "base", "misc"}
# Names that nothing in the package mentions: what Python, click or pickle call, and what the README offers in Python.
CALLED_FROM_OUTSIDE = {
    "format_commands", "get_command", "list_commands", "formatter_class", "write_dl",  # of click
    "writable",  # io.RawIOBase
    "find_class",  # pickle.Unpickler
    "persistent_load",  # pickle.Unpickler
    "_repr_html_",  # IPython and Jupyter
    "caught_by",  # of a tuple that is shown whole
    "white_box", "black_box",  # of an audit: for who asks how near it came
    "from_training",  # the README's way to a plan
    "plan_from_json",  # what plan_to_json wrote, read by whoever stored it
    "proven_width",  # of a Bound: for who asks how tight it is
}  # fmt: skip
# Where a bracket is halved outside numerics.bisection, and why that is no bisection.
BISECTION = "dpplan.accounting.numerics.bisection"
HALVED = {
    "dpplan.accounting.exact.contour.rare_jumps.cut_choice": "keeps every choice that it looks at on the way",
    "dpplan.accounting.exact.gaussian_two_steps": "Newton's rule, halved where it leaves the bracket",
    "dpplan.accounting.exact.general_one_step": "Newton's rule, halved where it leaves the bracket",
    "dpplan.accounting.gdp": "Newton's rule, halved where it leaves the bracket",
    "dpplan.accounting.pairs.gaussian_mixtures": "Newton's rule at many places at once, halved where it leaves them",
    "dpplan.solve.allocation": "a secant, halved where it leaves the bracket",
    "dpplan.solve.max_per_user": "interpolates, and halves where there is nothing to interpolate",
    "dpplan.solve.search": "a secant, halved where many have not been enough",
    "dpplan.tuning.search_plan": "in proportion to what was spent, halved where that leaves the bracket",
}
MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 400, 60, 7


@dataclass(frozen=True)
class Import:
    """One imported name. target: the module it comes from, or the module it is. name: what of it, if anything."""

    line: int
    target: str
    name: str | None


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def nodes(module: str) -> list[ast.AST]:
    return list(ast.walk(tree(module)))


@cache
def imports(module: str) -> list[Import]:
    """Every import, wherever it stands. `from dpplan import plan` is an import of the module dpplan.plan."""
    found = []
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where(module, node.lineno)}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in modules():
                    found.append(Import(node.lineno, whole, None))
                else:
                    found.append(Import(node.lineno, str(node.module), alias.name))
    return found


def inner() -> Iterator[tuple[str, Import]]:
    """Imports of one module of dpplan by another. The package itself has a test of its own."""
    for module in modules():
        for found in imports(module):
            if module != "dpplan" and found.target.startswith("dpplan."):
                yield module, found


def outer() -> Iterator[tuple[str, Import]]:
    """Imports of what is neither dpplan nor Python."""
    for module in modules():
        for found in imports(module):
            if found.target.split(".")[0] not in {"dpplan", *sys.stdlib_module_names}:
                yield module, found


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def layer(module: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part(module) in parts)


def where(module: str, line: int) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{line}"


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in nodes(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def may_import(module: str, target: str) -> bool:
    parts = {part(module), part(target)}
    return len(parts) == 1 or parts <= PEERS or layer(target) < layer(module)


def test_every_part_has_its_layer() -> None:
    placed = set().union(*LAYERS)
    assert {part(module) for module in modules()} - {""} - placed == set(), "give it a place in LAYERS"


def test_imports_only_point_up() -> None:
    wrong = [
        f"{where(module, found.line)} imports {found.target}"
        for module, found in inner()
        if not may_import(module, found.target)
    ]
    assert wrong == []


def room(module: str, package: str) -> str:
    """The first step below the package, "" for the package itself."""
    return module.removeprefix(package).lstrip(".").split(".")[0]


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_only_import_those_before_them(package: str) -> None:
    level = {name: number for number, names in enumerate(ROOMS[package]) for name in names}
    inside = {module for module in modules() if module.startswith(f"{package}.")}
    assert {room(module, package) for module in inside} == set(level) - {""}, "give it a place in ROOMS"
    wrong = [
        f"{where(module, found.line)} imports {found.target}"
        for module, found in inner()
        if module in inside and (found.target in inside or found.target == package)
        if (here := room(module, package)) != (there := room(found.target, package))
        if not level.get(there, len(level)) < level[here] and (module, found.target) not in LOOKS_DOWN
    ]
    assert wrong == []


def test_numerics_know_nothing_of_what_they_serve() -> None:
    room = "dpplan.accounting.numerics"
    wrong = [found.target for module, found in inner() if module.startswith(room) and not found.target.startswith(room)]
    assert wrong == []


def test_what_numerics_has_nobody_writes_again() -> None:
    """Nor something else under its name. The trainer, which plans without it, takes the normal tail that Python has."""
    room = "dpplan.accounting.numerics."
    there = {each.name for name in modules() if name.startswith(room) for each in functions(name)}
    # To a number of digits, and to the cells of a lattice.
    named_so = {"up", "down"}
    copies = [
        f"{where(module, each.lineno)} {each.name}"
        for module in modules()
        if not module.startswith(room)
        for each in functions(module)
        if each.name.removeprefix("_") in there - named_so
    ]
    tails = [
        where(module, node.lineno)
        for module in modules()
        if part(module) != "train" and not module.startswith(room)
        for node in nodes(module)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "math.erfc"
    ]
    assert copies + tails == []


def test_the_package_itself_imports_none_of_its_modules() -> None:
    """But for types: checkers have to see what `epsilon` and `delta` are."""
    assert [found.target for found in imports("dpplan") if found.target != "typing"] == [
        "importlib", "dpplan.cost", "dpplan.cost",
    ]  # fmt: skip
    (typed,) = [node for node in tree("dpplan").body if isinstance(node, ast.If)]
    assert ast.unparse(typed.test) == "TYPE_CHECKING"
    assert loaded_by("import dpplan", whole=True) & {name for name in modules() if name != "dpplan"} == set()


def test_no_imports_go_in_a_circle() -> None:
    graph = defaultdict(set)
    for module, found in inner():
        graph[module].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' <- '.join(error.args[1])}")


def test_heavy_packages_are_imported_where_they_belong() -> None:
    wrong = []
    for module, found in outer():
        places = OUTSIDE.get(found.target.split(".")[0], ())
        if not any(f"{module}." == place or module == place or module.startswith(place) for place in places):
            wrong.append(f"{where(module, found.line)} imports {found.target}")
    assert wrong == []


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: names for name, names in project["optional-dependencies"].items() if name not in {"bench", "dev"}}
    declared = {
        requirement.split(">")[0].split("=")[0].strip()
        for requirement in [*project["dependencies"], *(name for names in extras.values() for name in names)]
    }
    names = {found.target.split(".")[0] for _, found in outer()}
    assert {DISTRIBUTIONS.get(name, name) for name in names} == declared


def test_no_module_reaches_for_a_private_name_of_another() -> None:
    wrong = []
    for module in modules():
        known = {}
        for found in imports(module):
            if not found.target.startswith("dpplan"):
                continue
            if private(found.name) or any(private(step) for step in found.target.split(".")):
                wrong.append(f"{where(module, found.line)} imports {found.target}.{found.name}")
            if found.name is None:
                known[found.target.split(".")[-1]] = found.target
        wrong += [
            f"{where(module, node.lineno)} uses {node.value.id}.{node.attr}"
            for node in nodes(module)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in known
            and private(node.attr)
        ]
    assert wrong == []


def private(name: str | None) -> bool:
    return name is not None and name.startswith("_") and not name.endswith("__")


def test_no_module_is_too_long() -> None:
    lengths = {where(name, 1): len(file.read_text(encoding="utf-8").splitlines()) for name, file in modules().items()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_function_is_too_long() -> None:
    long = {}
    for module in modules():
        for function in functions(module):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > MOST_FUNCTION_LINES:
                long[f"{where(module, function.lineno)} {function.name}"] = lines
    assert long == {}


def test_no_function_takes_too_much() -> None:
    many = {}
    for module in modules():
        if part(module) == "commands":  # there a parameter is an option
            continue
        for function in functions(module):
            given = function.args
            names = [each.arg for each in [*given.posonlyargs, *given.args, *given.kwonlyargs]]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > MOST_PARAMETERS:
                many[f"{where(module, function.lineno)} {function.name}"] = count
    assert many == {}


def test_names_say_what_is_inside() -> None:
    empty = [str(path) for path in tracked() if EMPTY_NAMES & {*path.with_suffix("").parts}]
    repeated = [
        str(path) for path in tracked() if path.parts[0] == "dpplan" and path.stem.startswith(path.parent.name + "_")
    ]
    assert empty + repeated == []


def test_no_name_is_offered_twice() -> None:
    offered = {
        module: [ast.literal_eval(name) for name in node.value.elts]
        for module in modules()
        for node in tree(module).body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "__all__"
        and isinstance(node.value, ast.List)
    }
    assert {module: names for module, names in offered.items() if len(names) != len(set(names))} == {}


def test_no_two_classes_share_a_name() -> None:
    """So that a search for a name finds one thing. Private ones too: a traceback names them without their module."""
    places = defaultdict(list)
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(where(module, node.lineno))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_every_module_with_logic_is_imported_by_a_test() -> None:
    """By name, and not through the package that gathers it: so that a later change fails where it is wrong."""
    imported = set()
    for path in tracked():
        if path.parts[0] == "tests" and path.name.startswith("test_"):
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    imported.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    imported.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    logic = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    with_logic = {module for module in modules() if any(isinstance(node, logic) for node in nodes(module))}
    assert sorted(with_logic - imported) == []


def test_what_is_defined_is_used() -> None:
    """By the package itself: what only tests call is no part of what they test."""
    used = set(CALLED_FROM_OUTSIDE)
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.update(node.value.replace(".", " ").split())  # a type in quotes, __all__, getattr
    wrong = []
    for module in modules():
        for node in [*tree(module).body, *(part for part in nodes(module) if isinstance(part, ast.ClassDef))]:
            for name, line in defined(node):
                if name not in used and not name.endswith("__"):
                    wrong.append(f"{where(module, line)} {name}")
    assert wrong == []


def defined(node: ast.stmt | ast.ClassDef) -> Iterator[tuple[str, int]]:
    """What a statement of a module defines, and what is defined in a class: functions, classes, fields, constants."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name, node.lineno
    if isinstance(node, ast.Assign):
        yield from ((target.id, node.lineno) for target in node.targets if isinstance(target, ast.Name))
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id, node.lineno
    if isinstance(node, ast.ClassDef):
        for inside in node.body:
            if not isinstance(inside, ast.ClassDef):
                yield from defined(inside)


def test_outward_rounding_is_written_as_such() -> None:
    """x * (1 + 1e-12) does not say which side is safe, nor what the size stands for: outward.up(x, outward.SERIES)."""
    wrong = [
        where(module, node.lineno)
        for module in modules()
        if module != "dpplan.accounting.numerics.outward"
        for node in nodes(module)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)
        if any(is_rounding_factor(factor) for factor in (node.left, node.right))
    ]
    assert wrong == []


def is_rounding_factor(node: ast.expr) -> bool:
    """1 ± (something with a literal below 1e-6 in it)."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)):
        return False
    one = isinstance(node.left, ast.Constant) and node.left.value == 1
    return one and any(
        isinstance(part, ast.Constant) and isinstance(part.value, float) and 0 < part.value < 1e-6
        for part in ast.walk(node.right)
    )


def test_no_bisection_is_written_by_hand() -> None:
    """The one of numerics.bisection says which of its ends was seen on which side; a loop of one's own has to be read.

    Found is half of a sum of two ends: in a loop that moves both, or returned by a function that is given both.
    """
    assert set(HALVED) <= set(modules())
    found = {
        module: halves
        for module in modules()
        if (halves := [where(module, line) for function in functions(module) for line in halved_in(function)])
    }
    assert {module: halves for module, halves in found.items() if module not in {*HALVED, BISECTION}} == {}
    assert {*HALVED, BISECTION} - set(found) == set(), "halves nothing any more: strike it from HALVED"


def halved_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[int]:
    given = {each.arg for each in function.args.args}
    for node in ast.walk(function):
        if isinstance(node, ast.While | ast.For):
            inside = list(ast.walk(node))
            moved = {each.id for each in inside if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
            sums = filter(None, map(halved_sum, inside))
            yield from (each.lineno for each in sums if names_in(each.left) & moved and names_in(each.right) & moved)
        elif isinstance(node, ast.Return):
            values = (node.value.body, node.value.orelse) if isinstance(node.value, ast.IfExp) else (node.value,)
            yield from (
                each.lineno for each in filter(None, map(halved_sum, values)) if set() < names_in(each) <= given
            )


def halved_sum(node: ast.AST | None) -> ast.BinOp | None:
    """x + y, of (x + y) / 2, (x + y) // 2, 0.5 * (x + y), (x + y) >> 1 or x + (y - x) / 2."""
    if not isinstance(node, ast.BinOp):
        return None
    if isinstance(node.op, ast.Add) and (half := halved(node.right)) is not None:
        is_rest = isinstance(half.op, ast.Sub) and ast.unparse(half.right) == ast.unparse(node.left)
        return half if is_rest else None
    half = halved(node)
    return half if half is not None and isinstance(half.op, ast.Add) else None


def halved(node: ast.AST) -> ast.BinOp | None:
    """What a half is taken of, where that is itself an operation."""
    if not isinstance(node, ast.BinOp):
        return None
    left, right = (each.value if isinstance(each, ast.Constant) else None for each in (node.left, node.right))
    of_left = (isinstance(node.op, ast.Div | ast.FloorDiv) and right == 2) or (
        isinstance(node.op, ast.Mult | ast.RShift) and right == (0.5 if isinstance(node.op, ast.Mult) else 1)
    )
    of_right = isinstance(node.op, ast.Mult) and left == 0.5
    whole = node.left if of_left else node.right if of_right else None
    return whole if isinstance(whole, ast.BinOp) else None


def names_in(node: ast.expr) -> set[str]:
    """Those that stand for themselves, and not for something that has them as a part."""
    parts = {id(each.value) for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and id(each) not in parts}


@pytest.mark.parametrize(
    ("loop", "is_found"),
    [
        ("middle = (low + high) / 2", True),
        ("middle = 0.5 * (low + high)", True),
        ("middle = (low + high) // 2", True),
        ("middle = (low + high) >> 1", True),
        ("middle = low + (high - low) / 2", True),
        ("middle = (low + other) / 2", False),
        ("middle = 0.5 * (found.low + found.high)", False),
    ],
)
def test_a_bisection_by_hand_would_be_found(loop: str, is_found: bool) -> None:
    text = f"def f(low, high):\n while high > low:\n  {loop}\n  low, high = (middle, high) if ok else (low, middle)"
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert bool([*halved_in(function)]) is is_found


def test_the_top_level_holds_what_was_agreed() -> None:
    assert {path.parts[0] for path in tracked()} - TOP == set()


def test_tests_have_names_of_their_own() -> None:
    files = defaultdict(list)
    for path in tracked():
        if path.parts[0] == "tests" and path.name.startswith("test_"):
            files[path.name].append(str(path))
    assert [paths for paths in files.values() if len(paths) > 1] == []


@cache
def tracked() -> list[Path]:
    """What belongs to the project: files that git knows or would take up, and that are there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True, encoding="utf-8",
    ).stdout.splitlines()  # fmt: skip
    return [Path(line) for line in listed if (ROOT / line).exists()]


def loaded_by(statement: str, whole: bool = False) -> set[str]:
    """The top-level modules that Python has loaded after this statement; all modules where their whole names are asked
    for."""
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=60, encoding="utf-8"
    )
    return {name if whole else name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import dpplan") & HEAVY == set()


@pytest.mark.parametrize("module", ["plan", "accounting", "cost", "solve", "compare", "recipe"])
def test_planning_never_loads_a_trainer_or_a_screen(module: str) -> None:
    assert loaded_by(f"import dpplan.{module}") & (HEAVY - {"numpy"}) == set()


def test_plans_of_gaussians_load_no_engine_of_other_laws() -> None:
    asked = "import dpplan\ndpplan.epsilon(sigma=1.0, q=0.01, steps=1000, delta=1e-5)"
    others = ("exact.mixed", "exact.general_lattice", "exact.other_laws", "pairs.allocation")
    loaded = loaded_by(asked, whole=True)
    assert "dpplan.accounting.exact" in loaded
    assert {f"dpplan.accounting.{each}" for each in others} & loaded == set()


def test_every_public_module_can_be_had_from_the_package() -> None:
    loaded_by("import dpplan\nfor name in dpplan.__all__: assert getattr(dpplan, name) is not None, name")
