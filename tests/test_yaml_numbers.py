"""What PyYAML reads as text, written so that it reads a number."""

import json

import pytest
import yaml

from dpplan.yaml_numbers import json_as_yaml, yaml_number


@pytest.mark.parametrize("number", [1e-05, 1e-6, 1.25e-07, 1e22, 2.5e16, -3e-9, 0.5, 3.0, 7, 1e-300])
def test_every_number_is_one_to_yaml(number: float) -> None:
    found = yaml.safe_load(yaml_number(repr(number)))
    assert type(found) in (int, float) and found == number


def test_numbers_in_texts_are_left_alone() -> None:
    content = {"delta": 1e-05, "note": 'δ = 1e-05, "1e6"', "several": [1e-7, 0.5], "1e-3": -2e22}
    text = json_as_yaml(json.dumps(content))
    assert yaml.safe_load(text) == json.loads(text) == content
