"""A stamped copy: every set-up cell, the README and the citation name the repository, and nothing else has changed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.__main__ import main
from helpers.publishing import publish

ROOT = Path(__file__).parent.parent


@pytest.fixture
def copy(tmp_path):
    for name in ("pyproject.toml", "README.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("runs", "__pycache__"))
    return tmp_path


def test_every_notebook_and_text_names_the_repository(copy):
    changed = publish("someone/simclr-course", "v1.0", copy)
    notebooks = [*copy.glob("notebooks/*.ipynb"), *copy.glob("notebooks/solutions/*.ipynb")]
    assert set(changed) == {*notebooks, copy / "pyproject.toml", copy / "README.md", copy / "CITATION.cff"}
    for path in notebooks:
        ours, theirs = (json.loads(file.read_text("utf-8")) for file in (path, ROOT / path.relative_to(copy)))
        setup = "".join(ours["cells"][1]["source"])
        assert 'ADDRESS, TAG = "https://github.com/someone/simclr-course", "v1.0"' in setup
        ours["cells"][1]["source"] = theirs["cells"][1]["source"] = ""
        assert ours == theirs
    readme = (copy / "README.md").read_text("utf-8")
    for path in copy.glob("notebooks/[0-9]*.ipynb"):
        assert f"colab.research.google.com/github/someone/simclr-course/blob/v1.0/notebooks/{path.name}" in readme
    citation = yaml.safe_load((copy / "CITATION.cff").read_text())
    assert citation["repository-code"] == "https://github.com/someone/simclr-course"
    assert citation["version"] == 1.0
    assert publish("someone/simclr-course", "v1.0", copy) == []
    publish("other/course", "v2", copy)
    assert not [path for path in changed if "someone/simclr-course" in path.read_text("utf-8")]


def test_what_is_stamped_is_what_the_source_builds(copy):
    publish("someone/simclr-course", "v1.0", copy)
    subprocess.run([sys.executable, "notebooks/build.py"], cwd=copy, check=True)
    assert publish("someone/simclr-course", "v1.0", copy) == []
    stamped = {path.name: path.read_text("utf-8") for path in copy.glob("notebooks/*.ipynb")}
    publish("x/y", "v1", copy)
    publish("someone/simclr-course", "v1.0", copy)
    assert stamped == {path.name: path.read_text("utf-8") for path in copy.glob("notebooks/*.ipynb")}


@pytest.mark.parametrize(("repository", "tag", "told"), [
    ("simclr-course", "v1", "is written OWNER/NAME, not 'simclr-course'"),
    ("https://github.com/a/b", "v1", "is written OWNER/NAME"),
    ('a/b"; x', "v1", "is written OWNER/NAME"), ("a/b", 'v1"', "is no name of a tag"),
    ("a/b", "", "is no name of a tag"),
    ("a/b", "../v1", "is no name of a tag")])
def test_what_is_no_repository_is_told_in_one_line(repository, tag, told, capsys):
    assert main(["publish", "--repository", repository, "--tag", tag]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("lost", ["README.md", "CITATION.cff", "notebooks/03_similarity_and_nt_xent.ipynb"])
def test_a_file_that_has_lost_its_place_is_told_before_anything_is_written(copy, lost):
    path = copy / lost
    path.write_text(path.read_text("utf-8").replace("<!-- colab -->", "").replace("type: software", "").replace(
        "ADDRESS, TAG", "A, B"), "utf-8")
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=path.name):
        publish("someone/simclr-course", "v1.0", copy)
    assert before == {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
