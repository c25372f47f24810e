"""An entry of the registry of deployments, and whether it fits the registry's schema.

Schema: opendp/deployments-registry-data, schemas/deployments-schema.yaml at 3e9c812 (July 2026): which keys there are,
which are required and what some may hold; a test holds it against a copy. What was not stated is left out, or says so
where a text is required.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dpplan.deployment_statement import ACCESSES, MODELS, NOT_STATED, PRODUCTS, RELEASES, SECTORS, SOURCES, is_date
from dpplan.errors import EntryError
from dpplan.mechanism import kind_of
from dpplan.report.on_record import CONTRADICTED, ON_RECORD, coverage
from dpplan.report.page import Page, length, unit_words
from dpplan.rounding import up
from dpplan.visible_text import visible

# Block -> key -> what it may hold: a type, or a list of words. Every other key is refused by the registry.
_TEXT, _NUMBER = "text", "number"
# What an entry itself may say.
TOP: Mapping[str, Any] = {
    "url_slug": _TEXT,
    "status": (
        "Converted",
        "Draft",
        "Pending",
        "Changes Required",
        "Approved",
        "Approved (Update Requested)",
        "Approved (Pending)",
    ),
    "tier": (1, 2, 3),
    "deployment": {},
}
BLOCKS: Mapping[str, Mapping[str, Any]] = {
    "basic": {
        "name": _TEXT,
        "data_curators": "texts",
        "intended_use": _TEXT,
        "data_product_type": PRODUCTS,
        "data_product_region": _TEXT,
        "description": _TEXT,
        "publication_date": "date",
        "data_product_sector": SECTORS,
    },
    "dp_variant": {
        "variant_name": ("Pure DP", "Approximate DP", "Zero-concentrated DP", "Renyi DP", "Custom"),
        "data_domain": _TEXT,
        "unprotected_quantities": _TEXT,
    },
    "privacy_loss": {
        "privacy_unit": _TEXT,
        "privacy_unit_details": _TEXT,
        "privacy_parameters": {"epsilon": _NUMBER, "delta": _NUMBER, "rho": _NUMBER},
        "privacy_parameters_details": _TEXT,
    },
    "deployment_model": {
        "model_name": (*MODELS, "Varies"),
        "model_name_details": _TEXT,
        "actors": _TEXT,
        "release_type": RELEASES,
        "release_type_details": _TEXT,
        "data_source_type": SOURCES,
        "data_source_type_details": _TEXT,
        "access_type": ACCESSES,
        "access_type_details": _TEXT,
    },
    "accounting": {"post_processing": _TEXT, "composition": _TEXT},
    "implementation": {"preprocessing_and_hyperparameter_tuning": _TEXT, "mechanisms": _TEXT, "justification": _TEXT},
    "administrative": {"sources": _TEXT, "notes": _TEXT, "registry_authors": "texts"},
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "basic": tuple(key for key in BLOCKS["basic"] if key != "data_product_sector"),
    "administrative": ("registry_authors",),
}


# Keys of an entry that an entry cannot do without, and that only a statement can fill.
_STATED_AS = {"basic.data_product_type": "product", "basic.publication_date": "publication_date"}


def entry(page: Page) -> dict[str, Any]:
    """A draft of the entry, for somebody to complete."""
    said = page.statement
    composed = "from above, by Rényi divergences" if page.bound.stands_in else "exactly"
    blocks: dict[str, dict[str, Any]] = {
        "basic": {
            "name": page.title,
            "data_curators": [said["curator"]],
            "intended_use": said["intended_use"],
            **_product(page),
            "data_product_region": said["region"],
            "description": said["description"],
            **_stated(page, publication_date="publication_date", data_product_sector="sector"),
        },
        "dp_variant": {
            "variant_name": "Approximate DP",
            **_stated(page, data_domain="data"),
            "unprotected_quantities": _said(page, "unprotected", page.plan.n_words),
        },
        "privacy_loss": {
            "privacy_unit": page.plan.privacy_unit,
            "privacy_unit_details": f"{unit_words(page.plan)}; {page.plan.assumptions}",
            "privacy_parameters": {"epsilon": float(up(page.bound.value, 6)), "delta": page.delta},
            "privacy_parameters_details": _parameters(page),
        },
        "deployment_model": {
            **({"model_name": "Central"} if page.ran else {}),  # this trainer sees the data as collected
            **_stated(
                page,
                model_name="model",
                actors="trust",
                release_type="releases",
                release_type_details="refresh",
                data_source_type="data_source",
                access_type="queries",
            ),
        },
        "accounting": {
            **_stated(page, post_processing="post_processing"),
            "composition": f"{length(page)}, composed adaptively and {composed}. {coverage(page.plan)}{_others(page)}",
        },
        "implementation": {
            **_tuning(page),
            **_stated(page, justification="justification"),
            "mechanisms": _mechanisms(page),
        },
        "administrative": {
            "registry_authors": [said["authors"]],
            **_stated(page, sources="sources"),
            "notes": _notes(page),
        },
    }
    found = {"url_slug": _slug(blocks["basic"]), "status": "Draft", "tier": 3, "deployment": blocks}
    return dict(_visible(found))


def _visible(found: Any) -> Any:
    """The same, with what cannot be seen in its texts written out."""
    if isinstance(found, dict):
        return {key: _visible(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_visible(value) for value in found]
    return visible(found) if isinstance(found, str) else found


def checked_entry(page: Page) -> dict[str, Any]:
    """The same. Raises EntryError with all that the registry would refuse, and how to state it."""
    found = entry(page)
    if wrong := violations(found):
        raise EntryError([f"registry of DP deployments: {each}.{_remedy(each)}" for each in wrong])
    return found


def _remedy(violation: str) -> str:
    """What would state it, where the statement has a field for that."""
    key = _STATED_AS.get(violation.partition("=")[0].removesuffix(" is missing"))
    if key is None:
        return ""
    example = "2026-11-29" if key == "publication_date" else f'"{PRODUCTS[1]}"'
    return f" State it: --state {key}={example} (dpplan report --fields lists what can be stated)."


def _slug(basic: Mapping[str, Any]) -> str:
    """As the registry itself makes it, of a name, its curators and a year."""
    year = str(basic.get("publication_date", NOT_STATED)).split("-")[0]
    said = (str(basic["name"]), "-".join(basic["data_curators"]), year)
    return "_".join(re.sub(r"\W+", "_", each.lower()) for each in said).replace("_", "-")


def _product(page: Page) -> dict[str, str]:
    """What was stated, or what this trainer makes; nothing where neither is known, which the registry refuses."""
    if page.statement.has("product"):
        return {"data_product_type": page.statement["product"]}
    return {} if not page.ran and not page.recipe else {"data_product_type": "Machine learning model"}


def _parameters(page: Page) -> str:
    """How ε and δ were found, and what a reader of both has to know."""
    found = f"{page.bound.guarantee} by dpplan {page.version}: {page.bound.why}"
    said = [found, page.typed_n, page.disagreed if page.early is not None else "", page.large_delta, page.over_budget]
    return ". ".join(each.removesuffix(".") for each in said if each)


def _notes(page: Page) -> str:
    said = [f"Drafted by dpplan {page.version}."]
    said += [] if page.ran else [_not_of_a_run(page)]
    said += [page.over_budget] if page.over_budget else []
    said += [f"Silenced, {code}: {reason.rstrip('.')}." for code, reason in page.silenced.items()]
    said += [f"Utility and bias: {page.statement['bias']}"] if page.statement.has("bias") else []
    return " ".join(said)


def _not_of_a_run(page: Page) -> str:
    """What is known of runs where the page is of none; of a plan that stands nowhere but here, nothing is."""
    if page.together:
        return f"It is of a plan that counts these runs on record: {', '.join(page.together)}."
    if page.recipe:
        return "It is of a plan that has not run: nothing was released under it."
    return "It is of a plan. No run of it is on record here."


def _said(page: Page, key: str, *more: str) -> str:
    """What was stated of a thing, what is on record, and what dpplan says of it in any case."""
    stated = [page.statement[key]] if page.statement.has(key) else []
    standing = CONTRADICTED if key in page.contradicted else ON_RECORD
    known = [f"{standing}: {page.on_record[key]}"] if key in page.on_record else []
    return " ".join(f"{each.rstrip('.')}." for each in (*stated, *known, *more))


def _tuning(page: Page) -> dict[str, str]:
    said = _said(page, "tuning")
    return {"preprocessing_and_hyperparameter_tuning": said} if said else {}


def _others(page: Page) -> str:
    return f" On record: {page.others.words}." if page.others.names else ""


def _stated(page: Page, **keys: str) -> dict[str, str]:
    return {key: page.statement[field] for key, field in keys.items() if page.statement.has(field)}


def _mechanisms(page: Page) -> str:
    kinds = dict.fromkeys(f"{kind_of(phase.mechanism)} ({kind_of(phase.sampling)})" for phase in page.plan.phases)
    how = "trained" if page.ran else "accounted for"
    return (
        f"{', '.join(kinds)}; {how} by dpplan {page.version}. Timing, floating point, platform: "
        f"{page.statement['side_channels']}. Access to the data: {page.statement['access']}."
    )


def violations(found: Mapping[str, Any]) -> list[str]:
    """What the registry's schema refuses; [] of a valid entry."""
    wrong = [f"{key} is missing" for key in TOP if key not in found]
    wrong += [f"{key} is no key of an entry" for key in found if key not in TOP]
    for key, rule in TOP.items():
        if key in found and rule:
            wrong += _refused(key, found[key], rule)
    deployment = found.get("deployment", {})
    wrong += [f"{block} is no block" for block in deployment if block not in BLOCKS]
    for block, required in REQUIRED.items():
        given = deployment.get(block, {})
        if block in deployment or block == "basic":
            wrong += [f"{block}.{key} is missing" for key in required if key not in given]
    for block, given in deployment.items():
        for key, value in given.items():
            wrong += _refused(f"{block}.{key}", value, BLOCKS.get(block, {}).get(key))
    return wrong


def _refused(name: str, value: Any, rule: Any) -> Iterator[str]:
    if rule is None:
        yield f"{name} is no key of its block"
    elif isinstance(rule, Mapping):
        for key, inner in value.items():
            yield from _refused(f"{name}.{key}", inner, rule.get(key))
    elif isinstance(rule, tuple):
        if value not in rule:
            yield f"{name}={value} is not one of: {', '.join(map(str, rule))}"
    elif rule == "texts":
        if not (isinstance(value, list) and value and all(isinstance(each, str) for each in value)):
            yield f"{name} is not a list of texts"
    elif rule == "date":
        if not (isinstance(value, str) and is_date(value)):
            yield f"{name}={value} is not a date, YYYY-MM-DD"
    elif rule == _NUMBER:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{name}={value} is not a number"
    elif not isinstance(value, str):
        yield f"{name} is not text"


def as_yaml(found: Mapping[str, Any]) -> str:
    """The entry as the registry keeps it: a YAML file."""
    import yaml

    return str(yaml.safe_dump(dict(found), sort_keys=False, allow_unicode=True, width=100))
