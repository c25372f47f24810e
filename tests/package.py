"""What is published, tried as its users get it. Run by `make check-package`; it installs, so tests do not run it.

python tests/package.py bare       builds the sdist, from it the wheel, installs the wheel alone into a fresh
                                   environment, and runs commands there
python tests/package.py lowest     the same in an environment that holds the lowest versions the package allows
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# What whoever installs the package does first, and what each has to print.
COMMANDS = (
    ("epsilon --sigma 1.1 --n 60000 --batch 256 --epochs 60", "ε = 2.69677 at δ = 1e-06"),
    ("solve --target-eps 3 --n 60000 --batch 256 --epochs 60", "noise multiplier = 1.034536"),
    ("recipes copy digits", "written"),
    ("check recipes/digits.yaml --n 1437", "digits"),
    ("train recipes/digits.yaml --dry-run", "needs the extra 'train'"),
)
IN_THE_SDIST = ("README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "CITATION.cff", "Makefile", "tests/package.py")


def lowest(requirements: Sequence[str]) -> list[str]:
    """name==version for each name>=version."""
    found = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", each.replace(" ", "")) for each in requirements]
    missing = [each for each, match in zip(requirements, found, strict=True) if match is None]
    if missing:
        raise ValueError(f"no lowest version is given: {', '.join(missing)}")
    return [f"{match[1]}=={match[2]}" for match in found if match]


def environment(folder: Path, wheel: Path, pinned: Sequence[str] = ()) -> Path:
    """A fresh environment with the wheel in it; its Python. Nothing of the machine's own is seen there."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip(python, "install", str(wheel), *pinned)
    return python


def pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def built(folder: Path) -> tuple[Path, Path]:
    """The sdist and the wheel that is made from it, as an index would."""
    python = environment_of_builder(folder / "builder")
    subprocess.run([python, "-m", "hatchling", "build", "-t", "sdist", "-d", folder], cwd=ROOT, check=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    subprocess.run([python, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=source, check=True)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def environment_of_builder(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip(python, "install", *PROJECT["build-system"]["requires"])
    return python


def looked_into(sdist: Path, wheel: Path) -> None:
    """Raises ValueError for what is missing from either, or does not belong there."""
    recipes = {file.name for file in (ROOT / "recipes").glob("*.yaml")}
    held = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {f"dpplan/recipe/bundled/{name}" for name in recipes} | {"dpplan/py.typed", "dpplan/__main__.py"}
    strange = {name for name in held if not re.match(r"dpplan(/|-[^/]*\.dist-info/)", name)}
    missing = (wanted - held) | ({f"recipes/{name}" for name in recipes} | set(IN_THE_SDIST)) - source
    if missing or strange:
        raise ValueError(f"missing: {sorted(missing)}; does not belong there: {sorted(strange)}")


def used(python: Path, folder: Path) -> None:
    """Runs the commands in an empty folder, away from the checkout. Raises ValueError for a wrong answer."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONIOENCODING": "utf-8"}
    for command, expected in COMMANDS:
        done = subprocess.run(
            [python, "-m", "dpplan", *command.split()],
            cwd=folder, env=clean, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120,
        )  # fmt: skip
        if expected not in done.stdout + done.stderr or "Traceback" in done.stderr:
            raise ValueError(f"dpplan {command}\n{done.stdout}{done.stderr}\nlacks: {expected}")
        print(f"  dpplan {command}: {expected}")


def main(which: str) -> None:
    with tempfile.TemporaryDirectory(prefix="dpplan-package-") as name:
        folder = Path(name)
        sdist, wheel = built(folder)
        looked_into(sdist, wheel)
        pinned = lowest(PROJECT["project"]["dependencies"]) if which == "lowest" else []
        print(f"{wheel.name}, {' '.join(pinned) or 'newest versions'}, Python {sys.version.split()[0]}")
        python = environment(folder / "user", wheel, pinned)
        work = folder / "work"
        work.mkdir()
        used(python, work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the package, install it bare, and use it.")
    parser.add_argument("which", choices=["bare", "lowest"])
    main(parser.parse_args().which)
