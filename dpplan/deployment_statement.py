"""What a statement about privacy needs and no tool can know: asked for by name, and "not stated" where it is absent.

The fields are those of the reporting checklist of Ponomareva et al. 2023 ("How to DP-fy ML", arXiv:2303.00654, §5.3.3),
NIST SP 800-226 (2025) and the registry of deployments (opendp/deployments-registry-data, schema of 2026-07).
"""

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import date
from types import MappingProxyType
from typing import NamedTuple

from dpplan.checks import Problems, did_you_mean
from dpplan.errors import StatementError
from dpplan.quick_dataclass import dataclass

NOT_STATED = "not stated"


class Field(NamedTuple):
    """One thing to state. question: what is asked. choices: what may be said, where that is not free text."""

    key: str
    heading: str
    question: str
    choices: tuple[str, ...] = ()


SECTORS = ("Technology", "Healthcare", "Education", "Government", "Energy", "Finance")
PRODUCTS = (
    "Summary statistics",
    "Machine learning model",
    "Dataset",
    "Synthetic data",
    "Interactive API",
    "SQL queries",
)
SOURCES = ("Static", "Dynamic")
ACCESSES = ("Interactive", "Non-interactive")
MODELS = ("Central", "Local", "Shuffle", "Federated")
RELEASES = ("One release", "Many releases")
FIELDS = (
    Field("name", "Name", "What is released called?"),
    Field("description", "Description", "What is it, in a sentence?"),
    Field("curator", "Curator", "Who publishes it?"),
    Field("product", "Kind of product", "What kind of thing is released?", PRODUCTS),
    Field("intended_use", "Intended use", "What is it for?"),
    Field("region", "Region", "Whose data is it, and whose law applies?"),
    Field("sector", "Sector", "Which sector?", SECTORS),
    Field("publication_date", "Published", "When, as YYYY-MM-DD?"),
    Field("data", "Data", "Which data, of how many people, collected how?"),
    Field("data_source", "Data over time", "Do new data come in, or are they fixed?", SOURCES),
    Field("people", "Examples and people", "How many examples may one person have, and who made sure?"),
    Field("model", "Deployment model", "Who sees the data as collected?", MODELS),
    Field("trust", "Trusted", "Who has to be trusted, and with what?"),
    Field("released", "Released", "Final model only, or checkpoints too? Metrics?"),
    Field("releases", "Releases", "Once, or many times?", RELEASES),
    Field("queries", "Queries", "Can anybody ask more of the data, or only see what is released?", ACCESSES),
    Field("post_processing", "Afterwards", "What was done to the release after the noise?"),
    Field("refresh", "Further releases", "When is the same data used again, and how is that accounted?"),
    Field("other_accesses", "Other uses of the data", "What else touched the data: exploration, cleaning, evaluation?"),
    Field("unprotected", "Not protected", "What is released without noise?"),
    Field("tuning", "Tuning", "How were settings chosen, and is that accounted for?"),
    Field("justification", "Why this ε", "Why are ε and δ enough here?"),
    Field("bias", "Utility and bias", "Whom do noise and clipping serve worse, and who looked at small groups?"),
    Field("access", "Access", "Who can get at the data and at the model?"),
    Field("side_channels", "Side channels", "Timing, floating point, logs: what was done?"),
    Field("sources", "Sources", "Where is more to be read: code, data sheet, paper?"),
    Field("authors", "Authors", "Who wrote this statement?"),
    Field("contact", "Contact", "Whom to ask?"),
)
_BY_KEY: Mapping[str, Field] = MappingProxyType({each.key: each for each in FIELDS})


def refused(asked: Field, text: str) -> str:
    """Why this is no answer to what a field asks, as the rest of a sentence; "" where it is one."""
    if asked.choices and text not in asked.choices:
        return f"is not one of: {', '.join(asked.choices)}.{did_you_mean(text, asked.choices)}"
    if asked.key == "publication_date" and not is_date(text):
        return "is not a date, YYYY-MM-DD."
    return ""


def is_date(text: str) -> bool:
    """Whether it is a day of the calendar, written YYYY-MM-DD."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Statement:
    """What was stated: key -> text. Raises StatementError with every key that is unknown and every value that is not
    what is asked for."""

    said: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with Problems(StatementError) as problems:
            for key, text in self.said.items():
                known = _BY_KEY.get(key)
                if known is None:
                    hint = did_you_mean(key, _BY_KEY)
                    problems.add(
                        f"statement.{key} is not a field of a statement.{hint} `dpplan report --fields` lists them."
                    )
                elif wrong := refused(known, text):
                    problems.add(f"statement.{key}={text} {wrong}")

    def __getitem__(self, key: str) -> str:
        return self.said.get(key, "") or NOT_STATED

    def has(self, key: str) -> bool:
        return bool(self.said.get(key))
