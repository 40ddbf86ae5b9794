"""Build the notebooks from notebooks/source: the students' (exercises emptied, no outputs) and the
executed solutions.

    python notebooks/build.py                     the students' notebooks
    python notebooks/build.py --execute [NAME..]  the solutions too (all, or those named), run from
    top to bottom

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
TIE = re.compile(r"^<!-- (claim|fact): .*-->\n?", re.MULTILINE)  # of a sentence to the data
FAST = re.compile(r"^( *)# fast: (.*\n?)", re.MULTILINE)
MARKS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)

# Where Colab fetches the course from; the address and the tag stand in pyproject.toml.
COURSE = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text("utf-8"))["tool"]["course"]


def setup(address: str, tag: str) -> str:
    """Return the first code cell of every notebook: in Colab the course is installed, elsewhere it
    is there.
    """
    if not address:
        return "import helpers  # missing? README.md, Start, installs it"
    package = f"git+{address}@{tag}" if tag else f"git+{address}"
    return f'if "google.colab" in str(get_ipython()):\n    %pip install -q "{package}"'


def colab_links(address: str, tag: str) -> str:
    """Return what the README says of Colab."""
    if not address:
        return (
            "In Colab: this copy has no address yet. Whoever puts it on GitHub writes address and "
            "tag into\n"
            "`[tool.course]` of `pyproject.toml` and runs `python notebooks/build.py`. Links to "
            "Colab stand here\n"
            "then, and the first cell of each notebook installs the course."
        )
    repository = address.removeprefix("https://github.com/")
    folder = f"https://colab.research.google.com/github/{repository}/blob/{tag or 'main'}/notebooks"
    links = [f"[{source.stem}]({folder}/{source.stem}.ipynb)" for source in SOURCES]
    return f"Open in Colab, where the first cell installs the course: {' · '.join(links)}."


def stamp() -> None:
    """Bring the address up to date in the README, and in the first cell of the executed solutions,
    outputs kept.
    """
    readme = NOTEBOOKS.parent / "README.md"
    before, _, rest = readme.read_text("utf-8").partition("<!-- colab -->\n")
    _, mark, after = rest.partition("<!-- /colab -->")
    links = colab_links(COURSE["address"], COURSE["tag"])
    readme.write_text(f"{before}<!-- colab -->\n{links}\n{mark}{after}", "utf-8")
    for path in sorted((NOTEBOOKS / "solutions").glob("*.ipynb")):
        solution = nbformat.read(path, as_version=4)
        solution.cells[1].source = setup(COURSE["address"], COURSE["tag"])
        write(solution, path)


def quick(source: str) -> str:
    """Return a source with its marks, lines of their own "# fast: CODE", made code."""
    return FAST.sub(r"\1\2", source)


def build(source: Path, solution: bool = False, fast: bool = False) -> nbformat.NotebookNode:
    """Return a notebook without outputs: the student's, or with the solutions in place.

    Args:
        source: Its .py file.
        solution: Whether exercises are solved.
        fast: Whether trainings are shrunk to seconds, as the tests do, by the marks in the source.
    """
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.cells.insert(1, nbformat.v4.new_code_cell(setup(COURSE["address"], COURSE["tag"])))
    for index, cell in enumerate(notebook.cells):
        cell["id"] = hashlib.sha256(f"{source.stem}-{index}".encode()).hexdigest()[:8]
        cell.metadata.pop("lines_to_next_cell", None)
        if cell.cell_type == "markdown":
            cell.source = TIE.sub("", cell.source)
        if cell.cell_type == "code":
            kept = (
                MARKS.sub("", cell.source)
                if solution
                else SOLUTION.sub(r"\1# your code here\n\1...\n", cell.source)
            )
            kept = quick(kept) if fast else FAST.sub("", kept)
            cell.source = kept.rstrip("\n")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(notebook: nbformat.NotebookNode, seconds: int = 1200) -> nbformat.NotebookNode:
    """Run a notebook from its own folder and keep outputs only: no times, no progress bars, no
    widget state.
    """
    nbclient.NotebookClient(
        notebook,
        timeout=seconds,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    ).execute()
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
        key.startswith("image/") or key == "text/html" for key in data
    )


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook with a newline at its end."""
    nbformat.validate(notebook)
    path.parent.mkdir(exist_ok=True)
    path.write_text(nbformat.writes(notebook) + "\n")


def main() -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(description="Build the notebooks from notebooks/source.")
    parser.add_argument(
        "names", nargs="*", help="beginnings of names, such as 04; all where none is given"
    )
    parser.add_argument("--execute", action="store_true", help="build the executed solutions too")
    options = parser.parse_args()
    stamp()
    for source in SOURCES:
        if options.names and not source.stem.startswith(tuple(options.names)):
            continue
        write(build(source), NOTEBOOKS / f"{source.stem}.ipynb")
        if options.execute:
            print(f"running {source.stem}", flush=True)
            write(
                execute(build(source, solution=True)),
                NOTEBOOKS / "solutions" / f"{source.stem}.ipynb",
            )


if __name__ == "__main__":
    main()
