"""A class of 30 made-up submissions, right, wrong and hostile: each costs its own row only, and all
take minutes.
"""

import csv
import inspect
import json
import socket
import textwrap
import time
from pathlib import Path

import pytest
import torch

from helpers.__main__ import main
from helpers.checks import exercises, find
from helpers.grading.grade import grade
from helpers.grading.table import summarize

HEAD = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n"
RIGHT = {
    "similarity_matrix": """
        def similarity_matrix(embeddings):
            unit = F.normalize(embeddings, dim=1)
            return unit @ unit.T
        """,
    "partner_of": """
        def partner_of(k, N):
            return (k + N) % (2 * N)
        """,
    "my_nt_xent": """
        def my_nt_xent(z, temperature):
            logits = similarity_matrix(z.float()) / temperature
            logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -math.inf)
            return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z) // 2))
        """,
}
NOT_MASKED = """
    def my_nt_xent(z, temperature):
        logits = similarity_matrix(z.float()) / temperature
        return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z) // 2))
    """


def notebook(*cells: str) -> str:
    made = [
        {
            "cell_type": "code",
            "source": textwrap.dedent(cell),
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for cell in cells
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def solved(**changes: str) -> str:
    return notebook(HEAD, *(RIGHT | changes).values())


def inside(line: str, then: str = "return 0") -> str:
    """A function that does something while it is checked."""
    return (
        f"def partner_of(k, N):\n    import os, shutil, socket, subprocess, sys, time\n    "
        f"{line}\n    {then}\n"
    )


def submissions(victim: Path, port: int) -> dict[str, str | bytes]:
    """Names of files to what is in them."""
    kept = str(victim / "kept.txt")
    hostile = {
        "saves_with_torch.ipynb": inside(f"import torch; torch.save(torch.ones(3), {kept!r})"),
        "writes_by_descriptor.ipynb": inside(
            f"fd = os.open({str(victim)!r}, os.O_RDONLY); os.unlink('kept.txt', dir_fd=fd)"
        ),
        "tears_down_the_wall.ipynb": inside(
            "import helpers.grading.confinement as c; c.CHANGING = c.FORBIDDEN = frozenset(); "
            f"os.path.realpath = str; open({kept!r}, 'w').write('gone')"
        ),
        "stuffs_the_pipe.ipynb": inside(
            "import contextlib\n    for fd in range(3, 60):\n        with "
            "contextlib.suppress(OSError):\n"
            "            os.write(fd, b'\\0\\0\\1\\0x')\n    time.sleep(60)"
        ),
        "digs_deep.ipynb": inside("[(os.mkdir('a'), os.chdir('a')) for _ in range(1500)]"),
        "raises_the_unreadable.ipynb": inside("raise ValueError(chr(0xd800))"),
        "loops.ipynb": inside("while True: pass"),
        "loops_stubbornly.ipynb": "def partner_of(k, N):\n    while True:\n        try:\n          "
        "  while True: pass\n"
        "        except BaseException: pass\n",
        "loops_at_import.ipynb": "class Endless(type):\n    def __new__(*a):\n        while True: "
        "pass\n"
        "class partner_of(metaclass=Endless): pass\n",
        "eats_memory.ipynb": inside("x = [bytearray(2**28) for _ in range(64)]"),
        "eats_torch_memory.ipynb": inside("import torch; x = torch.ones(2**34)"),
        "deletes_files.ipynb": inside(f"shutil.rmtree({str(victim)!r})"),
        "deletes_a_file.ipynb": inside(f"os.remove({str(victim / 'kept.txt')!r})"),
        "overwrites_a_file.ipynb": inside(f"open({str(victim / 'kept.txt')!r}, 'w').write('gone')"),
        "prints_gigabytes.ipynb": inside("[print('x' * 10**6) for _ in range(4000)]"),
        "kills_itself.ipynb": inside("os.kill(os.getpid(), 9)"),
        "leaves.ipynb": inside("os._exit(0)"),
        "kills_its_parent.ipynb": inside("os.kill(os.getppid(), 9)"),
        "runs_a_program.ipynb": inside(f"subprocess.run(['touch', {str(victim / 'new.txt')!r}])"),
        "calls_home.ipynb": inside(f"socket.create_connection(('127.0.0.1', {port}))"),
        "deep.ipynb": inside("f = lambda: f(); f()"),
        "writes_much.ipynb": inside("open('here', 'wb').write(b'x' * 10**9)"),
    }
    files: dict[str, str | bytes] = {
        name: notebook(HEAD, RIGHT["similarity_matrix"], code, RIGHT["my_nt_xent"])
        for name, code in hostile.items()
    }
    files |= {f"right_{k}.ipynb": solved() for k in range(4)}
    files |= {f"not_masked_{k}.ipynb": solved(my_nt_xent=NOT_MASKED) for k in range(3)}
    files |= {
        "unsolved.ipynb": notebook(
            HEAD,
            *(
                f"{code.split(':')[0]}:\n    ..."
                for code in (textwrap.dedent(code).strip() for code in RIGHT.values())
            ),
        ),
        "syntax_error.ipynb": solved(partner_of="def partner_of(k, N:\n    return k"),
        "with_magics.ipynb": notebook(
            "%matplotlib inline\n!pip install nothing\n" + HEAD, *RIGHT.values()
        ),
        "essay.docx": b"PK\x03\x04 not a notebook",
        "broken.ipynb": b'{"cells": [{"cell_type": "code", "sou',
        "Zoë/=cmd calc!A1.ipynb": solved(),
        ".DS_Store": b"hidden",
        "empty.ipynb": notebook("print('hello')"),
    }
    return files


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The rows of the class by the file's name, the seconds that it took, and the folder that some
    tried to spoil.
    """
    folder, victim = tmp_path_factory.mktemp("class"), tmp_path_factory.mktemp("victim")
    (victim / "kept.txt").write_text("kept")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        for name, content in submissions(victim, server.getsockname()[1]).items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        started = time.monotonic()
        rows = grade(folder, progress=False, workers=2, seconds=8)
        seconds = time.monotonic() - started
        with pytest.raises(TimeoutError):
            server.accept()
    return {row["submission"]: row for row in rows}, seconds, victim


def test_thirty_submissions_are_graded_in_less_than_three_minutes(graded):
    rows, seconds, _ = graded
    assert len(rows) >= 30
    assert seconds < 180


def test_right_and_wrong_answers_get_their_points_and_names(graded):
    rows = graded[0]
    for name in ("right_0.ipynb", "with_magics.ipynb", "Zoë/=cmd calc!A1.ipynb"):
        assert (rows[name]["notebook"], rows[name]["points"]) == ("03", 3), name
        assert rows[name]["problem"] == ""
    assert rows["not_masked_1.ipynb"]["nt_xent"] == "self-similarity is not masked"
    assert (rows["not_masked_1.ipynb"]["points"], rows["not_masked_1.ipynb"]["of"]) == (2, 4)
    assert rows["unsolved.ipynb"]["points"] == 0
    assert {
        rows["unsolved.ipynb"][name]
        for name in ("nt_xent", "partner", "cosine_similarity", "nt_xent_loops")
    } == {"not done"}
    assert rows["syntax_error.ipynb"]["partner"] == "wrong: syntax error"
    assert rows["syntax_error.ipynb"]["points"] == 2
    assert rows["syntax_error.ipynb"]["problem"] == "1 cell with a syntax error"


@pytest.mark.parametrize(
    "name",
    [
        "loops",
        "eats_memory",
        "eats_torch_memory",
        "deletes_files",
        "deletes_a_file",
        "overwrites_a_file",
        "kills_itself",
        "kills_its_parent",
        "runs_a_program",
        "calls_home",
        "deep",
        "writes_much",
        "saves_with_torch",
        "writes_by_descriptor",
        "tears_down_the_wall",
        "digs_deep",
        "raises_the_unreadable",
    ],
)
def test_what_is_forbidden_costs_that_exercise_only(graded, name):
    row = graded[0][f"{name}.ipynb"]
    assert row["partner"].startswith("wrong")
    assert row["cosine_similarity"] == row["nt_xent"] == "passed"


@pytest.mark.parametrize(("name", "problem"), [("leaves", "ended early"), ("stuffs_the_pipe", "")])
def test_a_process_that_ends_or_never_does_costs_its_row_only(graded, name, problem):
    row = graded[0][f"{name}.ipynb"]
    assert row["problem"]
    assert problem in row["problem"]
    assert row["points"] <= 1


def test_a_definition_that_never_ends_costs_its_exercise_only(graded):
    row = graded[0]["loops_at_import.ipynb"]
    assert row["partner"] == "wrong: defining it took more than 4 s"
    assert row["points"] == 2


def test_stubborn_loops_and_floods_of_text_end(graded):
    for name in ("loops_stubbornly.ipynb", "prints_gigabytes.ipynb"):
        assert graded[0][name]["partner"] != "passed"


def test_nothing_outside_was_touched(graded):
    victim = graded[2]
    assert [path.name for path in victim.iterdir()] == ["kept.txt"]
    assert (victim / "kept.txt").read_text() == "kept"


def test_what_is_no_notebook_is_told(graded):
    rows = graded[0]
    assert rows["essay.docx"]["problem"] == "no notebook, but a .docx file"
    assert (
        rows["broken.ipynb"]["problem"]
        == "no notebook that can be read: the file is broken, or cut off"
    )
    assert rows["empty.ipynb"]["problem"] == "none of the course's exercises is in it"
    assert ".DS_Store" not in rows


def test_the_summary_counts_the_mistakes_of_the_class(graded):
    summary = {
        (row["exercise"], row["outcome"]): row["submissions"]
        for row in summarize(list(graded[0].values()))
    }
    assert summary["nt_xent", "self-similarity is not masked"] == 3
    assert summary["cosine_similarity", "passed"] >= 20


HONEST = {
    "constants in other cells": (
        HEAD,
        "NEG = -math.inf\nT: type = Tensor\nunused = open('/nowhere')",
        RIGHT["similarity_matrix"],
        RIGHT["partner_of"],
        RIGHT["my_nt_xent"].replace("-math.inf", "NEG").replace("(z,", "(z: T,"),
    ),
    "a slow line beside the function": (
        HEAD,
        *list(RIGHT.values())[:2],
        textwrap.dedent(RIGHT["my_nt_xent"]) + "\nimport time\nx = time.sleep(99)",
    ),
    "magics": (
        "import sys\nif 'google.colab' in sys.modules:\n    !pip install x\n%matplotlib inline\n"
        + HEAD,
        *RIGHT.values(),
        "F.normalize?",
        "files = !ls",
        "# only a comment",
    ),
    "a line that begins with a percent sign": (
        HEAD,
        RIGHT["similarity_matrix"],
        RIGHT["my_nt_xent"],
        "def partner_of(k, N):\n    return ((k + N)\n            % (2 * N))",
    ),
    "written otherwise": (
        HEAD,
        RIGHT["similarity_matrix"],
        "try:\n    import nothing\nexcept ImportError:\n    two = 2\n"
        "if True:\n    def partner_of(k, N):\n        return (k + N) % (two * N)",
        "import typing\nce = nn.CrossEntropyLoss()\nmy_nt_xent: typing.Callable = lambda z, t: ce(("
        "similarity_matrix(z.float()) / t).fill_diagonal_(-math.inf), torch.arange(len(z)).roll("
        "len(z) // 2))",
    ),
}


@pytest.mark.parametrize("way", HONEST)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_honest_work_gets_its_points_however_it_is_written(tmp_path, way, encoding):
    (tmp_path / "student.IPYNB").write_bytes(notebook(*HONEST[way]).encode(encoding))
    row = grade(tmp_path, progress=False)[0]
    assert (row["points"], row["problem"]) == (3, ""), row


@pytest.mark.parametrize("name", exercises())
def test_every_exercise_can_be_graded(tmp_path, name):
    exercise = find(name)
    given = ", ".join(
        p.name
        for p in inspect.signature(exercise.right).parameters.values()
        if p.default is inspect.Parameter.empty or p.name == "temperature"
    )
    code = (
        f"from helpers.checks import find\ndef {exercise.function}({given}):\n"
        f"    return find({name!r}).right({given})\n"
    )
    (tmp_path / "student.ipynb").write_text(notebook(code))
    row = grade(tmp_path, progress=False)[0]
    assert row[name] == "passed", row


def test_grade_on_the_command_line(tmp_path, capsys):
    folder, out = tmp_path / "class", tmp_path / "grades.csv"
    folder.mkdir()
    asked = ["grade", str(folder), "--out", str(out), "--no-progress", "--workers", "1"]
    assert main(asked) == 2
    assert "there is nothing to grade" in capsys.readouterr().err
    (folder / "=HYPERLINK(1).ipynb").write_text(solved(my_nt_xent=NOT_MASKED))
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "1 of 1    self-similarity is not masked" in said
    with out.open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert row["submission"] == "'=HYPERLINK(1).ipynb", "no formula reaches a spreadsheet"
    assert row["points"] == "2"
    assert "self-similarity" in (tmp_path / "grades-mistakes.csv").read_text()
    assert main(asked) == 2
    assert "is there already; add --overwrite" in capsys.readouterr().err
    assert main([*asked, "--overwrite"]) == 0
    for wrong, message in (
        (["grade", str(tmp_path / "nowhere")], "there is no folder"),
        ([*asked, "--overwrite", "--seconds", "0"], "more than 0 seconds"),
    ):
        assert main(wrong) == 2
        assert message in capsys.readouterr().err
    assert torch.get_num_threads() >= 1
