"""Numbers as every reader of YAML takes them for numbers: with a point and a sign where there is an exponent.

PyYAML reads 1e-05 as text; 1.0e-05 is a number to it, and to readers of JSON too.
"""

import re

_POWER = re.compile(r"([-+]?\d+)(\.\d+)?[eE]([-+]?)(\d+)")
_IN_JSON = re.compile(rf'"(?:\\.|[^"\\])*"|{_POWER.pattern}')


def yaml_number(text: str) -> str:
    """The number, written so; what has no exponent is returned as it is."""
    found = _POWER.fullmatch(text)
    if found is None:
        return text
    whole, part, sign, power = found.groups()
    return f"{whole}{part or '.0'}e{sign or '+'}{power}"


def json_as_yaml(text: str) -> str:
    """JSON with all numbers in it written so, for a file that is read as YAML."""
    return _IN_JSON.sub(lambda found: found[0] if found[0].startswith('"') else yaml_number(found[0]), text)
