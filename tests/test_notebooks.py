"""Notebooks: in step with their sources, runnable from anywhere, clean, and short-celled."""

import json
import re
import shutil
import statistics
from pathlib import Path

import nbconvert
import nbformat
import pytest
from environments import with_environments
from IPython.core.inputtransformer2 import TransformerManager

from data.make.figures import with_gallery
from data.make.tables import with_results
from helpers.checks import exercises, find
from helpers.widgets.questions import QUESTIONS
from notebooks import build

ROOT = Path(__file__).parent.parent
NAMES = [source.stem for source in build.SOURCES]


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_student_notebook_is_what_its_source_builds(name):
    built = nbformat.writes(build.build(build.NOTEBOOKS / "source" / f"{name}.py")) + "\n"
    assert (build.NOTEBOOKS / f"{name}.ipynb").read_text() == built, (
        "run: python notebooks/build.py"
    )


@pytest.mark.parametrize("name", NAMES)
def test_solution_is_in_step_executed_and_clean(name):
    path = build.NOTEBOOKS / "solutions" / f"{name}.ipynb"
    solution, expected = (
        read(path),
        build.build(build.NOTEBOOKS / "source" / f"{name}.py", solution=True),
    )
    assert [cell.source for cell in solution.cells] == [cell.source for cell in expected.cells], (
        "run: python notebooks/build.py --execute"
    )
    assert "widgets" not in solution.metadata
    code = [cell for cell in solution.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), (
        "run from top to bottom"
    )
    outputs = [output for cell in code for output in cell.outputs]
    assert not [
        output
        for output in outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text()), (
        "a path of the machine it ran on"
    )
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    assert sum(len(output.data["image/png"]) for output in pictures) * 3 / 4 < 1.5e6
    assert all(output.metadata.get("image/png", {}).get("alt") for output in pictures), (
        "a picture without alt text"
    )


@pytest.mark.parametrize("name", NAMES)
def test_explorers_leave_a_picture_with_its_text_where_no_kernel_runs(name):
    """In the notebook itself, as GitHub and nbviewer show it, and in a page that nbconvert makes of
    it.
    """
    solution = read(build.NOTEBOOKS / "solutions" / f"{name}.ipynb")
    page = nbconvert.HTMLExporter().from_notebook_node(solution)[0]
    for cell in solution.cells:
        last = cell.source.rstrip().splitlines()[-1:]
        if cell.cell_type == "code" and last and re.fullmatch(r"(\w+Explorer|ByHand)\(\)", last[0]):
            shown = cell.outputs[-1]
            assert set(shown.data) == {"image/png", "text/plain"}
            assert shown.metadata["image/png"]["alt"] == shown.data["text/plain"]
    # nbconvert drops alt texts; the sentence is part of an explorer's picture too.
    assert page.count('src="data:image/png;base64') == sum(
        "image/png" in output.get("data", {})
        for cell in solution.cells
        for output in cell.get("outputs", [])
    )


@pytest.mark.parametrize("name", NAMES)
def test_exercises_are_those_that_are_checked(name):
    """Two to four in each notebook from 01 to 06, each with a check that its solution passes, and a
    quiz at the end.
    """
    solution = read(build.NOTEBOOKS / "solutions" / f"{name}.ipynb")
    code = [cell for cell in solution.cells if cell.cell_type == "code"]
    checked = {}
    for cell in code:
        for exercise, function in re.findall(
            r'^check\("(\w+)", (\w+)\)$', cell.source, re.MULTILINE
        ):
            checked[exercise] = function
            assert cell.outputs[-1].data["text/plain"].startswith("Right. Tried: "), exercise
    expected = {
        exercise: find(exercise).function
        for exercise in exercises()
        if find(exercise).notebook == name[:2]
    }
    assert checked == expected
    if name[:2] not in ("00", "07"):  # the welcome, and the capstone
        assert 2 <= len(checked) <= 4
        assert len(QUESTIONS[name[:2]]) == 5
        quiz = next(cell for cell in code if cell.source.endswith(f'Quiz("{name[:2]}")'))
        assert quiz.outputs[-1].data["text/html"].count("<details>") >= 15
    student = (build.NOTEBOOKS / "source" / f"{name}.py").read_text()
    for block in re.findall(r"### BEGIN SOLUTION\n(.*?)### END", student, re.DOTALL):
        assert block.lstrip().startswith("# "), "a solution is explained in a line or two"


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_short_and_exercises_are_emptied(name):
    student = read(build.NOTEBOOKS / f"{name}.ipynb")
    code = [cell.source for cell in student.cells if cell.cell_type == "code"]
    assert statistics.median(len(source.splitlines()) for source in code) <= 10
    assert max(len(source.splitlines()) for source in code) <= 30
    text = json.dumps(student)
    assert "BEGIN SOLUTION" not in text
    assert all(
        not cell.get("outputs") and cell.get("execution_count") is None for cell in student.cells
    )
    assert student.cells[1].source == build.setup(build.COURSE["address"], build.COURSE["tag"])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_student_notebook_runs_unsolved_in_fast_mode(name):
    """From top to bottom, from its own folder, in a process of its own."""
    student = build.execute(
        build.build(build.NOTEBOOKS / "source" / f"{name}.py", fast=True), seconds=300
    )
    said = [
        output.data["text/plain"]
        for cell in student.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "text/plain" in output.get("data", {})
    ]
    exercises_there = sum("# your code here" in cell.source for cell in student.cells)
    assert sum(text.startswith("Not done yet") for text in said) == exercises_there


def test_the_readmes_tables_are_what_the_results_say():
    readme = (ROOT / "README.md").read_text()
    assert with_results(readme) == readme, "run: python data/make tables"
    assert with_gallery(readme) == readme, "run: python data/make figures"
    assert with_environments(readme) == readme, "run: python tests/environments.py"


def test_the_set_up_is_one_import_or_two_lines_that_install_in_colab():
    assert build.setup("", "").startswith("import helpers")
    stamped = build.setup("https://github.com/ada/course", "v1.0")
    assert len(stamped.splitlines()) == 2
    for place, ran in (
        ("<google.colab._shell.Shell object>", 1),
        ("<ipykernel.zmqshell.ZMQInteractiveShell>", 0),
    ):
        asked = []

        class Shell:
            def __str__(self, place=place):
                return place

            def run_line_magic(self, *words, asked=asked):
                asked.append(words)

        exec(TransformerManager().transform_cell(stamped), {"get_ipython": Shell})
        assert asked == [("pip", 'install -q "git+https://github.com/ada/course@v1.0"')] * ran


def test_an_address_is_stamped_into_readme_and_solutions_and_nothing_else(tmp_path, monkeypatch):
    shutil.copytree(build.NOTEBOOKS / "solutions", tmp_path / "notebooks" / "solutions")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.setattr(build, "NOTEBOOKS", tmp_path / "notebooks")
    build.stamp()
    assert (tmp_path / "README.md").read_text() == (ROOT / "README.md").read_text(), (
        "run: python notebooks/build.py"
    )
    for name in NAMES:
        ours, theirs = (
            Path(place, "solutions", f"{name}.ipynb").read_text()
            for place in (ROOT / "notebooks", tmp_path / "notebooks")
        )
        assert ours == theirs, "run: python notebooks/build.py"
    monkeypatch.setattr(
        build, "COURSE", {"address": "https://github.com/ada/course", "tag": "v1.0"}
    )
    build.stamp()
    assert (
        "blob/v1.0/notebooks/03_similarity_and_nt_xent.ipynb"
        in (tmp_path / "README.md").read_text()
    )
    for name in NAMES:
        ours, theirs = (
            read(Path(place, "solutions", f"{name}.ipynb"))
            for place in (ROOT / "notebooks", tmp_path / "notebooks")
        )
        assert theirs.cells[1].source == build.setup("https://github.com/ada/course", "v1.0")
        theirs.cells[1].source = ours.cells[1].source
        assert ours == theirs


def test_marks_for_the_tests_are_in_no_notebook():
    for name in NAMES:
        source = build.NOTEBOOKS / "source" / f"{name}.py"
        assert "# fast:" not in nbformat.writes(build.build(source))
        assert "# fast:" not in nbformat.writes(build.build(source, fast=True))
    assert (
        build.quick("if y:\n    x = 1\n    # fast: x = 2\nz = 3")
        == "if y:\n    x = 1\n    x = 2\nz = 3"
    )
