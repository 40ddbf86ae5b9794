"""python -m helpers doctor: what machine this is, what is missing, what to do. It runs where
packages are missing.
"""

import argparse
import importlib.metadata
import os
import shutil
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NAME = "simclr-course"
INSTALL = "pip install -r requirements.txt"


def add_parser(commands) -> None:
    """Add the command."""
    doctor = commands.add_parser("doctor", help="what machine this is, what is missing, what to do")
    doctor.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what machine this is, what is missing and what to do about it."""
    problems = _missing_packages()
    if problems:
        for problem in problems:
            print(f"{'fix':>14}  {problem}")
        return 1
    from helpers.artifacts import cache_dir
    from helpers.runtime import environment

    for name, value in environment().items():
        print(f"{name:>14}  {value}")
    place = cache_dir()
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    print(f"{'data go to':>14}  {place} ({free:.0f} GB free)")
    if free < 1:
        problems.append(
            f"only {free:.1f} GB are free where data go: free some, or set COURSE_DATA to another "
            "folder"
        )
    if not os.access(existing, os.W_OK):
        problems.append(f"{existing} cannot be written: set COURSE_DATA to a folder that can")
    for problem in problems:
        print(f"{'fix':>14}  {problem}")
    if not problems:
        notebooks = PROJECT / "notebooks" / "00_welcome.ipynb"
        print(
            f"{'all is well':>14}  "
            f"{'open notebooks/00_welcome.ipynb' if notebooks.exists() else 'import helpers'}"
        )
    return 1 if problems else 0


def _missing_packages() -> list[str]:
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return [f"packaging is missing: {INSTALL}"]
    problems = []
    for line in _requirements():
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{needed.name} is missing: {INSTALL}")
            continue
        if not needed.specifier.contains(version, prereleases=True):
            problems.append(
                f"{needed.name} {version} is not {needed.specifier}: pip install -U {INSTALL[12:]}"
            )
    return problems


def _requirements() -> list[str]:
    """Return what the course needs: by its folder, or by the package installed without one."""
    file = PROJECT / "pyproject.toml"
    if file.exists():
        return tomllib.loads(file.read_text("utf-8"))["project"]["dependencies"]
    return importlib.metadata.requires(NAME) or []
