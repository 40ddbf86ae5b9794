"""Notebooks: in step with their sources, runnable from anywhere, clean, and short-celled."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import nbconvert
import nbformat
import pytest
from environments import with_environments

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))

import build  # noqa: E402

from helpers.agreement import CLAIMS  # noqa: E402
from helpers.checks import exercises, find  # noqa: E402
from helpers.questions import QUESTIONS  # noqa: E402

NAMES = [source.stem for source in build.SOURCES]


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_student_notebook_is_what_its_source_builds(name):
    built = nbformat.writes(build.build(build.NOTEBOOKS / "source" / f"{name}.py")) + "\n"
    assert (build.NOTEBOOKS / f"{name}.ipynb").read_text() == built, "run: python notebooks/build.py"


@pytest.mark.parametrize("name", NAMES)
def test_solution_is_in_step_executed_and_clean(name):
    path = build.NOTEBOOKS / "solutions" / f"{name}.ipynb"
    solution, expected = read(path), build.build(build.NOTEBOOKS / "source" / f"{name}.py", solution=True)
    assert [cell.source for cell in solution.cells] == [cell.source for cell in expected.cells], (
        "run: python notebooks/build.py --execute")
    assert "widgets" not in solution.metadata
    code = [cell for cell in solution.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run from top to bottom"
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text()), "a path of the machine it ran on"
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    assert sum(len(output.data["image/png"]) for output in pictures) * 3 / 4 < 1.5e6
    assert all(output.metadata.get("image/png", {}).get("alt") for output in pictures), "a picture without alt text"


@pytest.mark.parametrize("name", NAMES)
def test_explorers_leave_a_picture_with_its_text_where_no_kernel_runs(name):
    """In the notebook itself, as GitHub and nbviewer show it, and in a page that nbconvert makes of it."""
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
        "image/png" in output.get("data", {}) for cell in solution.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("name", NAMES)
def test_exercises_are_those_that_are_checked(name):
    """Two to four in each notebook from 01 to 06, each with a check that its solution passes, and a quiz at the end."""
    solution = read(build.NOTEBOOKS / "solutions" / f"{name}.ipynb")
    code = [cell for cell in solution.cells if cell.cell_type == "code"]
    checked = {}
    for cell in code:
        for exercise, function in re.findall(r'^check\("(\w+)", (\w+)\)$', cell.source, re.MULTILINE):
            checked[exercise] = function
            assert cell.outputs[-1].data["text/plain"].startswith("Right. Tried: "), exercise
    expected = {exercise: find(exercise).function for exercise in exercises() if find(exercise).notebook == name[:2]}
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
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in student.cells)
    assert student.cells[1].source == build.SETUP


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_student_notebook_runs_unsolved_in_fast_mode(name):
    """From top to bottom, from its own folder, in a process of its own."""
    student = build.execute(read(build.NOTEBOOKS / f"{name}.ipynb"), seconds=300)
    said = [output.data["text/plain"] for cell in student.cells if cell.cell_type == "code" for output in cell.outputs
            if "text/plain" in output.get("data", {})]
    exercises_there = sum("# your code here" in cell.source for cell in student.cells)
    assert sum(text.startswith("Not done yet") for text in said) == exercises_there


def test_the_readmes_tables_are_what_the_results_say():
    sys.path.insert(0, str(ROOT / "data"))
    import make

    assert {*make.KNOWN} <= {claim.text for claim in CLAIMS}
    readme = (ROOT / "README.md").read_text()
    assert make.with_results(readme) == readme, "run: python data/make.py tables"
    assert make.with_gallery(readme) == readme, "run: python data/make.py figures"
    assert with_environments(readme) == readme, "run: python tests/environments.py"


@pytest.mark.parametrize("place", ["notebooks", "."])
def test_set_up_cell_finds_the_course(place):
    program = build.SETUP + "\nimport helpers.runtime; print(helpers.runtime.__file__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT / place, capture_output=True, text=True, check=True)
    told, file = done.stdout.splitlines()
    assert told == "The course's code: found here."
    assert Path(file) == ROOT / "helpers" / "runtime.py"


@pytest.fixture
def remote(tmp_path):
    """A repository with a tag that holds the course, and a later commit that holds another."""
    place = tmp_path / "remote"
    (place / "helpers").mkdir(parents=True)
    git = ["git", "-C", str(place), "-c", "user.name=x", "-c", "user.email=x"]
    subprocess.run([*git, "init", "-q"], check=True)
    for found in ("tagged", "later"):
        (place / "helpers" / "simclr.py").write_text(f"found = {found!r}")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", found], check=True)
        if found == "tagged":
            subprocess.run([*git, "tag", "v1"], check=True)
    return place


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize(("tag", "found", "told"), [("", "later", "fetched"), ("v1", "tagged", "fetched at v1")])
def test_set_up_cell_fetches_the_course_where_it_is_missing(tmp_path, remote, tag, found, told):
    """As in Colab: an empty folder, a repository to clone, and pip (a stand-in here) asked for lightning only."""
    place = tmp_path / "content"
    place.mkdir()
    setup = re.sub(r'ADDRESS, TAG = .*', f'ADDRESS, TAG = "file://{remote}", "{tag}"', build.SETUP)
    program = ("import importlib.util, subprocess\nreal, asked = subprocess.run, []\n"
               "class Done: returncode = 0\n"
               "importlib.util.find_spec = lambda name: len(asked) or None\n"
               "subprocess.run = lambda c, **k: (asked.append(c[-1]) or Done) if 'pip' in c else real(c, **k)\n"
               + setup + "\nimport helpers.simclr; print(helpers.simclr.found, asked)")
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "COURSE_REPOSITORY")}
    for said in ([f"The course's code: {told}, lightning installed.", f"{found} ['lightning>=2.6.6']"],
                 ["The course's code: found here.", f"{found} []"]):  # the second time all is there
        done = subprocess.run([sys.executable, "-c", program], cwd=place, capture_output=True, text=True, env=env)
        assert done.stdout.splitlines() == said, done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_repository_of_ones_own_is_not_asked_for_the_courses_tag(tmp_path, remote):
    setup = re.sub(r'ADDRESS, TAG = .*', 'ADDRESS, TAG = "https://example.org/course", "v9"', build.SETUP)
    program = setup + "\nimport helpers.simclr; print(helpers.simclr.found)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "COURSE_REPOSITORY": f"file://{remote}", "PYTHONPATH": ""})
    assert done.stdout.splitlines() == ["The course's code: fetched.", "later"], done.stderr


@pytest.mark.parametrize(("address", "told"), [
    ("", "The course's folder is not here. Set os.environ['COURSE_REPOSITORY']"),
    ("file:///there/is/none", "git: fatal: '/there/is/none' does not appear to be a git repository")])
def test_a_set_up_that_fails_says_why_in_one_line_and_leaves_nothing(tmp_path, address, told):
    cells = [nbformat.v4.new_code_cell(re.sub(r'ADDRESS, TAG = "[^"]*"', f'ADDRESS, TAG = "{address}"', build.SETUP))]
    path = tmp_path / "alone.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    program = ("import nbclient, nbformat; n = nbformat.read('alone.ipynb', 4); "
               "nbclient.NotebookClient(n, allow_errors=True).execute(); print(n.cells[0].outputs[-1].traceback)")
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "COURSE_REPOSITORY")}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env=env)
    shown, = eval(done.stdout)  # a list of one line
    assert told in shown
    assert [file.name for file in tmp_path.iterdir()] == ["alone.ipynb"]
