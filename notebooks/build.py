"""Build the notebooks from notebooks/source: the students' (exercises emptied, no outputs) and the executed solutions.

    python notebooks/build.py                     the students' notebooks
    python notebooks/build.py --execute [NAME..]  the solutions too (all, or those named), run from top to bottom

tests/test_notebooks.py fails when what is committed is not what this builds.
"""

import argparse
import hashlib
import re
import tomllib
from pathlib import Path

import jupytext
import nbclient
import nbformat

NOTEBOOKS = Path(__file__).resolve().parent
SOURCES = sorted((NOTEBOOKS / "source").glob("[0-9][0-9]_*.py"))
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION\n?", re.DOTALL | re.MULTILINE)
PROGRESS = re.compile(r"\r|[0-9?](step|image|B|run)/s|s/(step|image|run)")
MARKS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)

# The first code cell of every notebook. Colab has no copy of the course: the cell clones it at a tag. The address and
# the tag stand in pyproject.toml, and in each notebook's own line; `python -m helpers publish` writes both.
COURSE = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text("utf-8"))["tool"]["course"]
SETUP = f'''\
# @title Set-up: finds the course's shared code, here or (in Colab) by fetching it. Quick when run again.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ADDRESS, TAG = "{COURSE["address"]}", "{COURSE["tag"]}"  # written by: python -m helpers publish''' + '''
class Stop(Exception):
    def _render_traceback_(self):  # one line in place of a traceback
        return [str(self)]

def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Stop(f"{command[0]}: {' '.join((done.stderr or done.stdout).split())[-300:]} Then run this cell again.")
folders = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "simclr-course"]
root, did = next((folder for folder in folders if (folder / "helpers" / "simclr.py").exists()), None), "found here"
if root is None:
    root, own = folders[-1], os.environ.get("COURSE_REPOSITORY")
    address, tag = (own, "") if own else (ADDRESS, TAG)
    if not address:
        raise Stop("The course's folder is not here. Set os.environ['COURSE_REPOSITORY'] to its repository's address.")
    run("git", "clone", "--quiet", "--depth", "1", *(["--branch", tag] if tag else []), address, str(root))
    did = f"fetched{tag and ' at ' + tag}"
if importlib.util.find_spec("lightning") is None and (did != "found here" or "google.colab" in sys.modules):
    run(sys.executable, "-m", "pip", "install", "--quiet", "lightning>=2.6.6")
    did += ", lightning installed"
sys.path.insert(0, str(root))
print(f"The course's code: {did}.")'''


def build(source: Path, solution: bool = False) -> nbformat.NotebookNode:
    """Return a notebook without outputs: the student's, or with the solutions in place."""
    notebook = jupytext.read(source, fmt="py:percent")
    folded = {"cellView": "form", "jupyter": {"source_hidden": True}}  # in Colab, in JupyterLab
    notebook.cells.insert(1, nbformat.v4.new_code_cell(SETUP, metadata=folded))
    for index, cell in enumerate(notebook.cells):
        cell["id"] = hashlib.sha256(f"{source.stem}-{index}".encode()).hexdigest()[:8]
        cell.metadata.pop("lines_to_next_cell", None)
        if cell.cell_type == "code":
            kept = MARKS.sub("", cell.source) if solution else SOLUTION.sub(r"\1# your code here\n\1...\n", cell.source)
            cell.source = kept.rstrip("\n")
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                         "language_info": {"name": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(notebook: nbformat.NotebookNode, seconds: int = 1200) -> nbformat.NotebookNode:
    """Run a notebook from its own folder and keep outputs only: no times, no progress bars, no widget state."""
    nbclient.NotebookClient(notebook, timeout=seconds, kernel_name="python3", coalesce_streams=True,
                            resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            for output in cell.outputs:
                if "text" in output:
                    lines = output.text.split("\n")
                    output.text = "\n".join(line for line in lines if not PROGRESS.search(line))
            cell.outputs = [output for output in cell.outputs if not _noise(output)]
            for output in cell.outputs:
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return notebook


def _noise(output: nbformat.NotebookNode) -> bool:
    if output.output_type == "stream":
        return output.name == "stderr" or not output.text.strip()
    # A widget without a static picture beside it shows nothing where no kernel runs.
    data = output.get("data", {})
    return "application/vnd.jupyter.widget-view+json" in data and not any(
        key.startswith("image/") or key == "text/html" for key in data)


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook with a newline at its end."""
    nbformat.validate(notebook)
    path.parent.mkdir(exist_ok=True)
    path.write_text(nbformat.writes(notebook) + "\n")


def main() -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(description="Build the notebooks from notebooks/source.")
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 04; all where none is given")
    parser.add_argument("--execute", action="store_true", help="build the executed solutions too")
    options = parser.parse_args()
    for source in SOURCES:
        if options.names and not any(source.stem.startswith(name) for name in options.names):
            continue
        write(build(source), NOTEBOOKS / f"{source.stem}.ipynb")
        if options.execute:
            print(f"running {source.stem}", flush=True)
            write(execute(build(source, solution=True)), NOTEBOOKS / "solutions" / f"{source.stem}.ipynb")


if __name__ == "__main__":
    main()
