"""The registry of deployments: what may stand in an entry, held against a copy of its schema."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dpplan import report
from dpplan.deployment_statement import FIELDS, Statement, is_date, refused
from dpplan.errors import EntryError, StatementError
from dpplan.mechanism import Laplace
from dpplan.plan import Phase, Plan, Settings
from dpplan.report import page as pages
from dpplan.report import registry
from dpplan.sampling import Poisson

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "registry-schema.json").read_text(encoding="utf-8"))["schema"]
TRAINED = Settings(noise_multiplier=1.1, examples=600, batch_size=60, steps=3).plan()
COUNTS = Plan((Phase(Laplace(0.1), Poisson(1.0), 2),))
STATED = {
    **{each.key: each.choices[0] if each.choices else f"<{each.key}> & more" for each in FIELDS},
    "publication_date": "2026-11-28",
}


@functools.cache
def parts(plan: Plan) -> dict[str, Any]:
    return pages._page("digits", plan, 1e-6, Statement({}))


def page(plan: Plan, stated: Mapping[str, str]) -> report.Page:
    return report.Page(**{**parts(plan), "statement": Statement(stated)})


def as_rule(node: Mapping[str, Any]) -> Any:
    """What the schema says of one key, in the words of dpplan's own table."""
    if "enum" in node:
        return tuple(node["enum"])
    if node.get("type") == "array":
        assert (node["items"], node["minItems"]) == ({"type": "string"}, 1)
        return "texts"
    if node.get("type") == "object":
        assert node["additionalProperties"] is False
        return {key: as_rule(each) for key, each in node["properties"].items()}
    if node.get("format") == "date":
        return "date"
    kinds = node.get("type", "string")  # two keys for details have no type
    return "number" if "number" in kinds else "text"


def test_the_table_of_keys_is_that_of_the_schema() -> None:
    top, blocks = SCHEMA["properties"], SCHEMA["properties"]["deployment"]["properties"]
    assert list(registry.TOP) == SCHEMA["required"] == list(top)
    assert {key: as_rule(node) for key, node in top.items() if key != "deployment"} == {
        key: rule for key, rule in registry.TOP.items() if key != "deployment"
    }
    for name in blocks:
        expected, ours = as_rule(blocks[name]), dict(registry.BLOCKS[name])
        for key, rule in expected.items():
            assert set(rule) == set(ours[key]) if isinstance(rule, tuple) else rule == ours[key], f"{name}.{key}"
        assert set(expected) == set(ours)
        assert set(registry.REQUIRED.get(name, ())) == set(blocks[name].get("required", ()))
    assert set(blocks) == set(registry.BLOCKS)
    assert SCHEMA["properties"]["deployment"]["required"] == ["basic"]


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("plan", [TRAINED, COUNTS], ids=["trained", "counts"])
def test_everything_that_was_stated_is_in_the_entry(plan: Plan) -> None:
    found = report.entry(page(plan, STATED))
    assert report.violations(found) == []
    text = report.as_yaml(found)
    assert yaml.safe_load(text) == found
    for key, said in STATED.items():
        if key not in ("people", "released", "other_accesses", "contact"):  # which the registry has no place for
            assert said in yaml.safe_load(text)["deployment"].__repr__(), key
    assert found["url_slug"] == "-name-more--curator-more-2026"


def test_a_plan_that_is_no_model_is_not_called_one() -> None:
    said = {key: text for key, text in STATED.items() if key != "product"}
    found = report.entry(page(COUNTS, said))
    assert report.violations(found) == ["basic.data_product_type is missing"]
    assert "laplace" in found["deployment"]["implementation"]["mechanisms"]
    assert "DP-SGD" not in report.as_yaml(found)
    assert "trained" not in report.as_yaml(found)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"tier": 0}, "tier=0 is not one of: 1, 2, 3"),
        ({"status": "Done"}, "status=Done is not one of"),
        ({"surprise": 1}, "surprise is no key of an entry"),
        ({"url_slug": 3}, "url_slug is not text"),
    ],
)
def test_what_the_schema_refuses_of_an_entry_itself(change: dict[str, Any], refusal: str) -> None:
    found = {**report.entry(page(TRAINED, STATED)), **change}
    (wrong,) = report.violations(found)
    assert wrong.startswith(refusal)


@pytest.mark.parametrize("text", ["2026-13-01", "2026-02-30", "1.1.2026", "2026-1-1", ""])
def test_days_that_are_none(text: str) -> None:
    found = report.entry(page(TRAINED, STATED))
    found["deployment"]["basic"]["publication_date"] = text
    assert report.violations(found) == [f"basic.publication_date={text} is not a date, YYYY-MM-DD"]


@pytest.mark.parametrize(
    ("stated", "first", "others"),
    [
        (
            {"product": "Dataset"},
            "registry of DP deployments: basic.publication_date is missing. State it: --state p",
            0,
        ),
        ({"publication_date": "2026-11-29"}, 'basic.data_product_type is missing. State it: --state product="', 0),
        (
            {},
            "2 problems with this entry of the public registry of DP deployments\n  registry of DP deployments: basic.",
            1,
        ),
    ],
)
def test_what_the_registry_asks_for_is_a_problem_of_the_entry_and_each_is_one(
    stated: dict[str, str], first: str, others: int
) -> None:
    with pytest.raises(EntryError) as refusal:
        report.checked_entry(page(COUNTS, stated))
    assert first in str(refusal.value)
    assert len(refusal.value.problems) == 1 + others
    assert report.checked_entry(page(COUNTS, STATED)) == report.entry(page(COUNTS, STATED))


@pytest.mark.parametrize(
    "text", ["tomorrow", "2026-13-01", "2026-02-30", "28.11.2026", "2026-1-1", "20261128", "٢٠٢٦-١١-٢٨"]
)
def test_a_day_of_publication_is_a_day(text: str) -> None:
    with pytest.raises(StatementError, match="is not a date, YYYY-MM-DD"):
        Statement({"publication_date": text})
    with pytest.raises(StatementError, match=r"^2 problems with this statement"):
        Statement({"publication_date": text, "sector": "Helthcare"})
    assert "Did you mean 'Healthcare'?" in refused(next(each for each in FIELDS if each.key == "sector"), "Helthcare")
    assert not is_date(text)
    assert is_date("2028-02-29")
