"""dpplan report in a process of its own."""

import html
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

Run = Callable[..., CompletedProcess[str]]
RECIPE = Path(__file__).parents[2] / "recipes" / "digits-logistic.yaml"


def test_a_page_of_a_recipe_is_written_without_torch(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan("report", str(RECIPE), "--n", "1437", "-o", "page.html", "--state", "curator=Example Lab")
    assert (done.returncode, done.stdout) == (0, "written to page.html\n")
    told = " ".join(done.stderr.split())
    assert told.startswith("note: 26 fields of the statement are not stated: name, description, product, ")
    assert " and 21 more. Give them in the recipe's statement block, by --statement FILE or by --state " in told
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "of a plan that has not run" in page
    assert "Example Lab" in page


def test_a_plan_by_options_has_the_page_of_its_json_without_the_claim_of_a_file(dpplan: Run, tmp_path: Path) -> None:
    plan = ("--sigma", "4", "--n", "600", "--batch", "60", "--epochs", "1", "--sampling", "fixed-size")
    plan = (*plan, "--adjacency", "replace-one", "--delta", "1e-4")
    (tmp_path / "plan.json").write_text(dpplan("epsilon", *plan, "--json").stdout, encoding="utf-8")
    by_options, of_file = (dpplan("report", *said, "--state", "curator=Lab") for said in (plan, ("plan.json",)))
    assert (by_options.returncode, by_options.stderr) == (0, "")
    claims = [line for line in of_file.stdout.splitlines() if "The file claims" not in line]
    again = f"dpplan report {' '.join(plan)} --state curator=Lab writes this page."
    ((by_call, by_file),) = [
        each for each in zip(by_options.stdout.splitlines(), claims, strict=True) if each[0] != each[1]
    ]
    assert by_call.endswith(again.replace("1e-4", "0.0001")) and "report with a file that holds this plan" in by_file
    assert "dp_adjacency: replace_one" in by_options.stdout and "| Curator | Lab |" in by_options.stdout
    warned = dpplan("report", *plan[:-1], "0.01")
    assert warned.returncode == 0 and "delta=0.01 is not below 1/n" in " ".join(warned.stderr.split())


def test_a_page_names_the_options_that_it_comes_from(dpplan: Run, tmp_path: Path) -> None:
    """All of them, quoted: what it says to type writes the same page."""
    (tmp_path / "mine.yaml").write_text("curator: Lab\n", encoding="utf-8")
    plan = ("--sigma", "4", "--q", "0.1", "--steps", "5", "--delta", "1e-05")
    options = ("--statement", "mine.yaml", "--state", "name=Foo's (2) | b", "--private", "--format")
    for form in ("md", "html"):
        page = dpplan("report", *plan, *options, form).stdout
        told = re.search(r"dpplan report (--sigma .*) writes this page", html.unescape(page).replace("\\", ""))
        assert told is not None
        assert shlex.split(told[1]) == [*plan, *options, form]
    assert dpplan("report", *plan, "-o", "page.html").returncode == 0
    written = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "dpplan report --sigma 4 --q 0.1 --steps 5 --delta 1e-05 --format html writes this page" in written
    assert "with this recipe writes such a page" in dpplan("report", str(RECIPE), "--n", "1437").stdout


def test_mistakes_and_the_list_of_fields(dpplan: Run) -> None:
    assert "publication_date" in dpplan("report", "--fields").stdout
    for arguments, said in (
        ((), "SOURCE is missing"),
        (("nothing.json",), "nothing.json: no such file"),
        ((str(RECIPE), "--n", "1437", "--state", "curator"), "state=curator is not KEY=TEXT"),
        ((str(RECIPE), "--n", "1437", "--format", "docx"), "format=docx is not one of: html, md, json, registry"),
        (
            (str(RECIPE), "--n", "1437", "--format", "registry"),
            "registry of DP deployments: basic.publication_date is missing",
        ),
    ):
        done = dpplan("report", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in " ".join(done.stderr.split())
    assert dpplan("report", str(RECIPE), "--n", "1437", "-o", "no/such/page.html").returncode == 2
