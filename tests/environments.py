"""Run all notebooks, trainings shrunk to seconds, with the packages of Colab, the newest, and the
oldest allowed.

    python tests/environments.py                  all three
    python tests/environments.py colab floors     those
    python tests/environments.py colab --python python3.13     made with another Python

Each environment is made anew in a temporary folder: some minutes and 7 GB, so this is no part of
the tests. What ran is kept in data/results/environments.csv, and the README's table is written from
it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers.artifacts import with_block, write_text
from helpers.results import markdown_table, read_results, write_results
from notebooks import build

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "data" / "results" / "environments.csv"
SHOWN = (
    "torch",
    "torchvision",
    "lightning",
    "ipywidgets",
    "ipython",
    "ipykernel",
    "matplotlib",
    "scikit-learn",
)
# Colab's of August 2026, which come with Python 3.13.
COLAB = (
    "torch==2.11.*",
    "torchvision==0.26.*",
    "ipywidgets==7.7.1",
    "ipython==7.34.0",
    "ipykernel==6.17.1",
    "matplotlib==3.10.*",
    "scikit-learn==1.6.1",
)
RUN = """
import importlib.metadata, json, pathlib, platform, sys, time
import nbclient, nbformat
versions = {name: importlib.metadata.version(name) for name in sys.argv[1].split()}
print(json.dumps({"python": platform.python_version()} | versions), flush=True)
for path in sorted(pathlib.Path().glob("[0-9][0-9]_*.ipynb")):
    started, said = time.monotonic(), "ran"
    try:
        notebook = nbformat.read(path, 4)
        nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    except Exception as error:
        said = (str(error).strip().splitlines() or [repr(error)])[-1][:200]
    took = round(time.monotonic() - started)
    print(json.dumps({"notebook": path.stem, "outcome": said, "seconds": took}), flush=True)
"""


def constraints(name: str) -> list[str]:
    """Return what pip is held to in an environment."""
    if name == "colab":
        return list(COLAB)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    needed += (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    floors = [floor.groups() for line in needed if (floor := re.match(r"([\w-]+)>=([\d.]+)", line))]
    return [f"{package}=={version}" for package, version in floors] if name == "floors" else []


def try_environment(name: str, interpreter: str) -> list[dict]:
    """Return a row for each notebook, as it ran in an environment that an interpreter makes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "held.txt").write_text("\n".join(constraints(name)))
        subprocess.run([interpreter, "-m", "venv", folder / "env"], check=True)
        python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
        # it names the course's own folder
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "-q",
                "-r",
                "requirements.txt",
                "-c",
                folder / "held.txt",
            ],
            check=True,
            cwd=ROOT,
        )
        for source in build.SOURCES:
            build.write(
                build.build(source, fast=True), folder / "notebooks" / f"{source.stem}.ipynb"
            )
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
            "JUPYTER_PATH": "",
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        }
        rows: list[dict] = []
        with subprocess.Popen(
            [python, "-c", RUN, " ".join(SHOWN)],
            cwd=folder / "notebooks",
            env=env,
            text=True,
            stdout=subprocess.PIPE,
        ) as run:
            versions = json.loads(run.stdout.readline() or "{}")
            for line in run.stdout:
                rows.append({"environment": name} | json.loads(line) | versions)
                print(name, rows[-1]["notebook"], rows[-1]["outcome"], flush=True)
        there = len(build.SOURCES)
        if run.returncode or len(rows) != there:
            sys.exit(
                f"{name}: {len(rows)} of {there} notebooks were run, then it ended with "
                f"{run.returncode}"
            )
        return rows


def with_environments(readme: str) -> str:
    """Return the README with the table of tried versions between its marks."""
    rows = read_results(TABLE)
    tried = {
        name: [row for row in rows if row["environment"] == name]
        for name in dict.fromkeys(row["environment"] for row in rows)
    }
    lines = [
        [package, *(own[0][package] for own in tried.values())] for package in ("python", *SHOWN)
    ]
    ran = [f"{sum(row['outcome'] == 'ran' for row in own)} of {len(own)}" for own in tried.values()]
    lines.append(["notebooks that run", *ran])
    return with_block(readme, "environments", markdown_table(["", *tried], lines))


def main() -> None:
    """Try the environments that the command line names, and write table and README."""
    parser = argparse.ArgumentParser(
        description="Run all notebooks with other versions of the packages."
    )
    parser.add_argument(
        "names", nargs="*", default=["colab", "newest", "floors"], help="colab, newest, floors"
    )
    parser.add_argument(
        "--python", default=sys.executable, help="the Python to make the environments with"
    )
    options = parser.parse_args()
    for name in options.names:
        known = (
            [row for row in read_results(TABLE) if row["environment"] != name]
            if TABLE.exists()
            else []
        )
        write_results(TABLE, known + try_environment(name, options.python))
    readme = ROOT / "README.md"
    text = with_environments(readme.read_text("utf-8"))
    write_text(readme, text)


if __name__ == "__main__":
    main()
