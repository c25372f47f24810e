"""dpplan report in a process of its own."""

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


def test_mistakes_and_the_list_of_fields(dpplan: Run) -> None:
    assert "publication_date" in dpplan("report", "--fields").stdout
    for arguments, said in (
        ((), "SOURCE is missing"),
        (("nothing.json",), "nothing.json: no such file"),
        ((str(RECIPE), "--n", "1437", "--state", "curator"), "state=curator is not KEY=TEXT"),
        ((str(RECIPE), "--n", "1437", "--format", "docx"), "format=docx is not one of: html, md, json, registry"),
        ((str(RECIPE), "--n", "1437", "--format", "registry"), "registry: basic.publication_date is missing"),
    ):
        done = dpplan("report", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in " ".join(done.stderr.split())
    assert dpplan("report", str(RECIPE), "--n", "1437", "-o", "no/such/page.html").returncode == 2
