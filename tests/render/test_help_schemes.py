"""What `dpplan help` says of schemes, neighbours and users is what the code does."""

import pytest

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable
from dpplan.render import help as topics
from dpplan.render import help_schemes
from dpplan.sampling import CHOICES, LOADERS, SCHEMES


@pytest.mark.parametrize("name", CHOICES)
def test_what_is_said_to_be_proven_is_what_the_accountant_does(name: str) -> None:
    for adjacency in ADJACENCIES.values():
        plan = help_schemes._said(CHOICES[name]).with_(adjacency=adjacency, steps=1, noise_multiplier=8.0).plan()
        if help_schemes.known(name, adjacency) == "refused":
            with pytest.raises(NotApplicable):
                accounting.delta(plan, 0.1)


@pytest.mark.parametrize(
    ("name", "adjacency", "proven"),
    [
        ("poisson", REPLACE_ONE, "exact"),
        ("truncated-poisson", ADD_REMOVE, "refused"),
        ("truncated-poisson", ZERO_OUT, "interval"),
        ("fixed-size", ADD_REMOVE, "exact"),
        ("fixed-size", ZERO_OUT, "interval"),
        ("shuffle", ADD_REMOVE, "refused"),
        ("cyclic-poisson", ZERO_OUT, "exact"),
    ],
    ids=str,
)
def test_the_table_of_schemes_and_neighbours(name: str, adjacency: Adjacency, proven: str) -> None:
    assert help_schemes.known(name, adjacency) == proven


def test_every_refusal_stands_where_the_schemes_send_for_it() -> None:
    assert "Why a scheme is refused: dpplan help adjacency." in " ".join(" ".join(help_schemes.sampling()).split())
    page, told = " ".join(" ".join(help_schemes.adjacency()).split()), topics.TOPICS["adjacency"].content()["refusals"]
    for name in CHOICES:
        for adjacency in ADJACENCIES.values():
            if help_schemes.known(name, adjacency) == "refused":
                assert told[name][adjacency.name] in page and name in told[name][adjacency.name]
            else:
                assert adjacency.name not in told.get(name, {})


def test_every_scheme_loader_and_leak_is_told() -> None:
    text = "\n".join(topics.TOPICS["sampling"].lines())
    for name in (*CHOICES, *LOADERS):
        assert name in text
    assert set(SCHEMES) <= set(CHOICES)
    assert set(topics.TOPICS["sampling"].content()["schemes"]) == set(CHOICES)
    leaks = "\n".join(topics.TOPICS["adjacency"].lines())
    assert all(name in leaks for name, _ in help_schemes.LEAKS)
    for leak in (
        "divisor",
        "length of an epoch",
        "count of batches",
        "printed n",
        "q = batch / n",
        "zero-out or replace",
    ):
        assert leak in " ".join(leaks.split())
    assert "every noisy step, and not the final model only" in " ".join(leaks.split())
    assert topics.ALIASES["loaders"] == "sampling"
    assert "--max-per-user" in "\n".join(topics.TOPICS["users"].lines())
    for topic in ("sampling", "adjacency", "users"):
        assert all(len(line) <= 80 for line in topics.TOPICS[topic].lines())
