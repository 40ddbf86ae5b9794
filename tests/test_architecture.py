"""The table of who imports whom, read from the syntax trees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).parent.parent / "helpers"
ALLOWED = {
    "runtime": set(),
    "artifacts": set(),
    "shapes": set(),
    "augmentations": set(),
    "models": set(),
    "losses": set(),
    "metrics": set(),
    "plotting": set(),
    "folders": set(),
    "data": {"artifacts", "folders", "shapes"},
    "results": {"artifacts", "metrics"},
    "pretext": {"artifacts", "augmentations", "models", "runtime", "data"},
    "evaluation": {"metrics", "models", "data", "runtime"},
    "recording": {"artifacts", "data", "evaluation", "metrics", "runtime", "settings"},
    "networks": {"augmentations", "data", "evaluation", "runtime"},
    "transfer": {"artifacts", "data", "evaluation", "networks", "runtime"},
    "settings": {"augmentations", "models"},
    "paper": {"settings", "studies"},
    "agreement": {"metrics", "paper", "settings", "studies"},
    "verdicts": {"agreement", "paper", "results", "studies"},
    "panels": {"paper", "results", "studies"},
    "studies": {"settings"},
    "grading": {"artifacts", "checks", "confinement"},
    "confinement": set(),
    "questions": set(),
    "slides": {"artifacts", "figures", "questions"},
    "publishing": {"artifacts"},
    "own_images": {"data", "folders", "metrics", "settings", "shapes", "transfer"},
    "report": {"artifacts"},
    "checks": {"augmentations", "checks", "data", "losses", "metrics", "models"},
    "findings": {"artifacts", "augmentations", "data", "evaluation", "losses", "metrics", "runtime", "settings",
                 "simclr", "studies", "transfer"},
    "simclr": {"settings", "augmentations", "losses", "metrics", "models", "data", "runtime", "artifacts", "recording"},
}
ANYTHING = ("widgets", "figures", "commands", "__main__")


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            assert not any(alias.name == "*" for alias in node.names), f"{path.name} has a star import"
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", sorted(HELPERS.rglob("*.py")), ids=lambda path: path.relative_to(HELPERS).as_posix())
def test_imports_follow_the_table(path):
    module = path.relative_to(HELPERS).parts[0].removesuffix(".py")
    found = imports_of(path)
    inside = {name.split(".")[1] for name in found if name.startswith("helpers.")}
    if module not in ("widgets", "figures"):  # the slides' figures are the explorers' own pictures
        assert "widgets" not in inside, "only notebooks import widgets"
        assert "ipywidgets" not in found, "only widgets import ipywidgets"
    assert "matplotlib.pyplot" not in found, "pyplot holds global state and breaks in widget callbacks"
    assert "__main__" not in inside
    if module not in ("checks", "grading", "commands"):
        assert "checks" not in inside
    if module not in (*ANYTHING, "__init__"):
        assert inside <= ALLOWED[module], f"{module} may not import {inside - ALLOWED[module]}"


def test_package_init_is_empty():
    assert (HELPERS / "__init__.py").read_text() == ""


def test_ruff_finds_nothing_in_code_and_notebooks():
    found = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=HELPERS.parent, capture_output=True,
                           text=True, check=False)
    assert found.returncode == 0, found.stdout
