"""--prove in a process of its own."""

import json
from collections.abc import Callable
from fractions import Fraction
from subprocess import CompletedProcess

import pytest

from dpplan import __main__ as program
from dpplan.accounting.exact import prove

Run = Callable[..., CompletedProcess[str]]
PLAN = ("--sigma", "4", "--q", "0.01", "--steps", "1000")
EPSILON = ("epsilon", *PLAN, "--delta", "1e-5", "--prove")


def test_a_proof_shows_its_ends_its_terms_and_how_it_stands_to_the_fast_interval(dpplan: Run) -> None:
    done = dpplan(*EPSILON)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ε at δ = 1e-05, proven to ")
    named = {line[2:21].strip(): line[21:].strip() for line in lines}
    lower, upper = Fraction(named["at least"]), Fraction(named["at most"])
    assert 0 < upper - lower < upper * Fraction(1, 10**12)
    assert "≤ ε ≤" in named["without proof"]
    assert "the proven interval" in done.stdout
    for term in ("aliases", "frequencies left out", "quadrature in x", "tails in x", "rounding"):
        assert any(line.startswith(f"    {term} ") for line in lines), term
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("  assumes ")


def test_json_has_the_proof_beside_the_fast_figure_which_holds_it(dpplan: Run) -> None:
    call = ("delta", *PLAN, "--eps", "0.3", "--eps", "0.5", "--prove", "--digits", "8", "--json")
    for result in json.loads(dpplan(*call).stdout)["results"]:
        proof, fast = result["proof"], result["delta"]
        assert proof["digits"] >= 8
        assert proof["precision_bits"] > 53
        lower, upper = Fraction(proof["lower"]), Fraction(proof["upper"])
        assert proof["within_certified"] == (Fraction(fast["lower"]) <= lower and upper <= Fraction(fast["upper"]))
        assert max(lower, Fraction(fast["lower"])) <= min(upper, Fraction(fast["upper"]))


def test_a_proof_is_held_against_the_limit(dpplan: Run) -> None:
    assert dpplan(*EPSILON, "--max-eps", "0.1").returncode == 1
    assert json.loads(dpplan(*EPSILON, "--max-eps", "3", "--json").stdout)["within"]


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--accountant", "rdp"), "--prove is for exact, and the accountant is rdp."),
        (("--digits", "101"), "digits=101 is more than 100."),
        (("--digits", "x"), "digits=x is not a whole number of at least 1."),
    ],
)  # fmt: skip
def test_a_proof_that_makes_no_sense_is_refused(dpplan: Run, more: tuple[str, ...], sentence: str) -> None:
    done = dpplan(*EPSILON, *more)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sentence}")
    alone = dpplan(*EPSILON[:-1], "--digits", "5")
    assert alone.stderr == "error: --digits is for a proof. Add --prove, or leave it out.\n"


def test_what_cannot_be_proven_is_status_3_with_the_term_that_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise prove.NotProved("quadrature in x", "it is too large", "Ask for fewer digits.")

    monkeypatch.setattr(prove, "epsilon", fail)
    assert program.run(EPSILON) == 3
    assert capsys.readouterr() == ("", "error: no proof: quadrature in x: it is too large. Ask for fewer digits.\n")


def test_without_flint_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert program.run(EPSILON) == 2
    assert " ".join(capsys.readouterr().err.split()) == (
        "error: --prove needs the extra 'prove': pip install 'dpplan[prove]', or '.[prove]' in a checkout"
    )
