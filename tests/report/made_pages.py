"""Pages to look at: of a plan, of a run, and of a run with what is private, all fields stated or none."""

import json
from pathlib import Path

from dpplan import report
from dpplan.deployment_statement import FIELDS, Statement
from dpplan.plan import Settings
from dpplan.report import page as pages

RUN = Path(__file__).parents[1] / "data" / "run-report.json"
PLAN = Settings(noise_multiplier=1.1, examples=60000, batch_size=256, epochs=10).plan()
LONG = "a-word-that-is-too-long-for-a-narrow-screen-and-has-nowhere-to-break/" * 3
UNBROKEN = "O" * 250


def of_plan() -> report.Page:
    """Nothing is stated."""
    return report.Page(**pages._page("plan", PLAN, 1e-5, Statement({})))


def of_run(folder: Path) -> report.Page:
    """Everything is stated, one thing at length."""
    (folder / "report.json").write_text(json.dumps(json.loads(RUN.read_text(encoding="utf-8"))), encoding="utf-8")
    text = (Path(__file__).parents[2] / "recipes" / "digits-logistic.yaml").read_text(encoding="utf-8")
    (folder / "recipe.yaml").write_text(f"# {LONG}\n{text}", encoding="utf-8")
    stated = {each.key: each.choices[0] if each.choices else each.question for each in FIELDS}
    return report.gather(
        folder, {**stated, "publication_date": "2026-11-28", "sources": LONG, "intended_use": UNBROKEN}
    )


def all_of_them(folder: Path) -> dict[str, str]:
    """Name -> HTML."""
    run = of_run(folder)
    return {"plan": report.html(of_plan()), "run": report.html(run), "private": report.html(run, private=True)}
