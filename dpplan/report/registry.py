"""An entry of the registry of deployments, and whether it fits the registry's schema.

Schema: opendp/deployments-registry-data, schemas/deployments-schema.yaml, read in July 2026: which keys there are,
which are required and what some may hold. What was not stated is left out, or says so where a text is required.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dpplan.report.page import Page, unit_words
from dpplan.rounding import up
from dpplan.statement import MODELS, RELEASES, SECTORS

# Block -> key -> what it may hold: a type, or a list of words. Every other key is refused by the registry.
_TEXT, _NUMBER = "text", "number"
_TOP = ("url_slug", "status", "tier", "deployment")
BLOCKS: Mapping[str, Mapping[str, Any]] = {
    "basic": {
        "name": _TEXT,
        "data_curators": "texts",
        "intended_use": _TEXT,
        "data_product_type": (
            "Summary statistics",
            "Machine learning model",
            "Dataset",
            "Synthetic data",
            "Interactive API",
            "SQL queries",
        ),
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
        "data_source_type": ("Static", "Dynamic"),
        "data_source_type_details": _TEXT,
        "access_type": ("Interactive", "Non-interactive"),
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


def entry(page: Page) -> dict[str, Any]:
    """A draft of the entry, for somebody to complete."""
    said = page.statement
    blocks: dict[str, dict[str, Any]] = {
        "basic": {
            "name": page.title,
            "data_curators": [said["curator"]],
            "intended_use": said["intended_use"],
            "data_product_type": "Machine learning model",
            "data_product_region": said["region"],
            "description": said["description"],
            **_stated(page, publication_date="publication_date", data_product_sector="sector"),
        },
        "dp_variant": {
            "variant_name": "Approximate DP",
            **_stated(page, data_domain="data", unprotected_quantities="unprotected"),
        },
        "privacy_loss": {
            "privacy_unit": page.plan.privacy_unit,
            "privacy_unit_details": f"{unit_words(page.plan)}; {page.plan.assumptions}",
            "privacy_parameters": {"epsilon": float(up(page.bound.value, 6)), "delta": page.delta},
            "privacy_parameters_details": f"{page.bound.guarantee} by dpplan {page.version}: {page.bound.why}",
        },
        "deployment_model": {
            **({"model_name": "Central"} if page.run is not None else {}),  # this trainer sees the data as collected
            **_stated(
                page, model_name="model", actors="trust", release_type="releases", release_type_details="refresh"
            ),
            **_stated(page, model_name_details="access"),
        },
        "accounting": {
            "composition": f"{page.plan.steps} steps, composed adaptively and exactly; all iterates are covered",
        },
        "implementation": {
            **_stated(page, preprocessing_and_hyperparameter_tuning="tuning", justification="justification"),
            "mechanisms": _mechanisms(page),
        },
        "administrative": {
            "registry_authors": [said["authors"]],
            **_stated(page, sources="sources"),
            "notes": f"Drafted by dpplan {page.version}.",
        },
    }
    slug = re.sub(r"[^a-z0-9]+", "_", page.title.lower()).strip("_") or "model"
    return {"url_slug": slug, "status": "Draft", "tier": 3, "deployment": blocks}


def _stated(page: Page, **keys: str) -> dict[str, str]:
    return {key: page.statement[field] for key, field in keys.items() if page.statement.has(field)}


def _mechanisms(page: Page) -> str:
    kinds = ", ".join(dict.fromkeys(phase.mechanism.kind for phase in page.plan.phases))
    aside = page.statement["side_channels"]
    return f"sampled {kinds} mechanism (DP-SGD). Timing, floating point, platform: {aside}"


def violations(found: Mapping[str, Any]) -> list[str]:
    """What the registry's schema refuses; [] of a valid entry."""
    wrong = [f"{key} is missing" for key in ("url_slug", "status", "tier", "deployment") if key not in found]
    wrong += [
        f"{key} is no key of an entry" for key in found if key not in {"url_slug", "status", "tier", "deployment"}
    ]
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
            yield f"{name}={value} is not one of: {', '.join(rule)}"
    elif rule == "texts":
        if not (isinstance(value, list) and value and all(isinstance(each, str) for each in value)):
            yield f"{name} is not a list of texts"
    elif rule == "date":
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(value)):
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
