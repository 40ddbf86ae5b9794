"""The house keeps its rules: who imports whom, what the package declares and brings along."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from structure import ROOMS, arrows, circles, imports, modules, room

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MODULES = modules(ROOT)


def test_core_is_imported_by_all_and_imports_nothing_above_it():
    """core <- findings, checks, explorables <- widgets <- grading, commands; nothing imports what
    stands above it.
    """
    allowed = dict(ROOMS)
    upward = [
        (here, there)
        for here, there in arrows(ROOT)
        if room(there) != room(here) and room(there) not in allowed[room(here)]
    ]
    assert not upward
    assert not circles(arrows(ROOT))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_touches_only_what_is_its_business(module):
    names = imports(MODULES[module])
    if room(module) != "widgets":
        assert "ipywidgets" not in names, "only widgets import ipywidgets"
    if module not in ("helpers.artifacts", "helpers.data"):
        assert not names & {"urllib.request", "http.client", "socket", "requests"}, (
            "only these touch the network"
        )
    assert not names & {"matplotlib.pyplot", "pyplot"}, (
        "pyplot holds global state and breaks in widget callbacks"
    )
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            assert not any(alias.name == "*" for alias in node.names), "a star import"


def test_package_init_is_empty():
    assert (ROOT / "helpers" / "__init__.py").read_text() == ""


def test_what_the_package_imports_is_declared_and_nothing_else():
    standard = sys.stdlib_module_names | {"helpers", "timm"}  # LARS alone needs timm, and says so
    needed = {name.split(".")[0] for path in MODULES.values() for name in imports(path)} - standard
    by_module = metadata.packages_distributions()
    distributions = {by_module[name][0].lower() for name in needed}
    declared = {Requirement(line).name.lower() for line in PROJECT["project"]["dependencies"]}
    assert distributions == declared


def test_floors_are_at_or_below_what_colab_has():
    from environments import COLAB

    colab = dict(re.fullmatch(r"([\w-]+)==([\d.]+?)(?:\.\*)?", line).groups() for line in COLAB)
    for line in PROJECT["project"]["dependencies"]:
        requirement = Requirement(line)
        if requirement.name in colab:
            assert requirement.specifier.contains(f"{colab[requirement.name]}.0"), line
    assert "jupyterlab" not in "".join(PROJECT["project"]["dependencies"]), "Colab has its own"


def test_the_package_holds_every_folder_and_what_ships():
    packages = set(PROJECT["tool"]["setuptools"]["packages"])
    folders = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for path in (ROOT / "helpers").rglob("__init__.py")
    }
    assert packages - folders == {"helpers._shipped.checkpoints", "helpers._shipped.results"}
    assert folders <= packages
    for package, folder in PROJECT["tool"]["setuptools"]["package-dir"].items():
        patterns = PROJECT["tool"]["setuptools"]["package-data"][package]
        files = {path for path in (ROOT / folder).iterdir() if path.is_file()}
        assert files == {path for pattern in patterns for path in (ROOT / folder).glob(pattern)}, (
            package
        )
