"""Grade a folder of submitted notebooks: each in a process of its own, which can spoil nothing but its own row.

Of a notebook the definitions run: its imports, functions and classes, and, in the cells that hold an exercise, plain
assignments. The functions that its exercises ask for are then given to `check`.

What a process may do is limited by the system where it can be (memory, time, size of files, network) and by Python's
audit events everywhere (files outside its own empty folder, other processes, network, libraries). That stops accidents
and mischief. It does not stop an attacker who calls machine code: grade strangers' work in a virtual machine.
"""

import ast
import contextlib
import csv
import ctypes
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from tqdm import tqdm

from helpers.artifacts import write_aside
from helpers.checks import check, exercises, find

SECONDS, MEBIBYTES = 20.0, 2048  # for each submission; memory above what torch itself takes
LARGEST = 50  # MB of a notebook
NOT_DONE, WRONG = "not done", "wrong"


def grade(folder: Path, progress: bool = True, workers: int = 1, seconds: float = SECONDS) -> list[dict]:
    """Return a row for each submission below a folder: points, and what became of each exercise.

    Args:
        folder: Every file in it is a submission, but hidden ones and those in hidden folders.
        progress: Whether to show a progress bar.
        workers: Submissions at the same time.
        seconds: Limit for each.

    Raises:
        ValueError: If there is nothing to grade.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()
             and not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not paths:
        raise ValueError(f"there is nothing to grade in {folder}: it should hold the students' notebooks, NAME.ipynb")
    context = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
    if hasattr(os, "fork"):
        context.set_forkserver_preload(["helpers.grading"])  # torch is loaded once, not for each submission
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda path: _row(context, path, seconds), paths)
        return [{"submission": path.relative_to(folder).as_posix(), **row} for path, row in
                zip(paths, tqdm(found, "grading", len(paths), unit="notebook", disable=not progress), strict=True)]


def _row(context, path: Path, seconds: float) -> dict:
    """Return the row of one submission, whatever it is."""
    try:
        cells = read_cells(path)
        notebook = number_of(path, cells)
    except (ValueError, OSError) as error:
        return {"notebook": "", "points": 0, "of": 0, "problem": str(error)}
    asked = [name for name in exercises() if find(name).notebook == notebook]
    mine, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as own:
        process = context.Process(target=_work, args=(cells, asked, own, seconds, theirs), daemon=True)
        process.start()
        theirs.close()
        results, problem = _listen(mine, process, time.monotonic() + seconds, seconds)
        process.kill()
        process.join()
    outcomes = {name: results.get(name, problem or NOT_DONE) for name in asked}
    passed = list(outcomes.values()).count("passed")
    problem = problem or results.get("problem", "")
    return {"notebook": notebook, "points": passed, "of": len(asked), "problem": problem,
            **outcomes}


def _listen(pipe: Connection, process, until: float, seconds: float) -> tuple[dict, str]:
    """Return what a process sends until it is done, and what went wrong with it, "" if nothing did."""
    results: dict = {}
    while True:
        try:
            if not pipe.poll(max(0.0, until - time.monotonic())):
                return results, f"stopped after {seconds:g} s"
            name, value = json.loads(pipe.recv_bytes(100_000))  # not unpickled: a submission could have written it
        except (EOFError, OSError):
            process.join(1)
            code = process.exitcode
            return results, f"its process ended early ({'killed' if code and code < 0 else f'exit {code}'})"
        except Exception:  # it wrote something else into the pipe
            return results, "its process sent nonsense"
        if name == "done":
            return results, ""
        results[name] = value


def read_cells(path: Path) -> list[str]:
    """Return the sources of a notebook's code cells.

    Raises:
        ValueError: If it is no notebook.
    """
    if path.suffix != ".ipynb":
        raise ValueError(f"no notebook, but a {path.suffix or 'nameless'} file")
    if path.stat().st_size > LARGEST * 1_000_000:
        raise ValueError(f"larger than {LARGEST} MB")
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no notebook that can be read ({type(error).__name__})") from error


def number_of(path: Path, cells: list[str]) -> str:
    """Return the number of the notebook that these cells belong to, by the functions that they define.

    Raises:
        ValueError: If they define none of any exercise.
    """
    defined = {name for cell in cells for statement in _statements(cell) for name in _names(statement)}
    votes = Counter(find(name).notebook for name in exercises() if find(name).function in defined)
    if votes:
        return votes.most_common(1)[0][0]
    if path.stem[:2] in {find(name).notebook for name in exercises()}:
        return path.stem[:2]
    raise ValueError("none of the course's exercises is in it")


def _statements(cell: str) -> list[ast.stmt]:
    lines = ["pass" if line.lstrip().startswith(("%", "!")) else line for line in cell.splitlines()]  # for the notebook
    try:
        return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return []


def _work(cells: list[str], asked: list[str], own: str, seconds: float, pipe: Connection) -> None:
    """Run the definitions of a submission and check its functions: in a process of its own."""
    def send(name: str, value: str) -> None:
        pipe.send_bytes(json.dumps([name, value]).encode())

    _limit(own, seconds)
    functions = {find(name).function: name for name in asked}
    space: dict = {"__name__": "__main__"}
    failed: dict[str, str] = {}
    broken = 0
    for cell in cells:
        statements = _statements(cell)
        broken += bool(cell.strip()) and not statements
        names = {name for statement in statements for name in _names(statement)}
        for statement in statements:
            if isinstance(statement, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)) or (
                    isinstance(statement, ast.Assign) and names & set(functions)):
                try:
                    exec(compile(ast.Module([statement], []), "submission", "exec"), space)
                except BaseException as error:
                    failed |= dict.fromkeys(_names(statement), type(error).__name__)
    if broken:
        send("problem", f"{broken} cell{'s' * (broken > 1)} with a syntax error")
    for function, name in functions.items():
        if function in space:
            feedback = check(name, space[function])
            outcome = ("passed" if feedback.passed else NOT_DONE if feedback.message.startswith("Not done") else
                       feedback.mistake or f"{WRONG}: {feedback.message.splitlines()[0]}"[:200])
        else:
            outcome = f"{WRONG}: {failed[function]}" if function in failed else NOT_DONE
        send(name, outcome)
    send("done", "")


def _limit(own: str, seconds: float) -> None:
    """Give this process an empty home and folder, few variables and no output, and forbid what can be forbidden."""
    for name in list(os.environ):
        if name not in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH"):
            del os.environ[name]
    os.environ["HOME"] = os.environ["COURSE_DATA"] = own
    os.chdir(own)
    sys.dont_write_bytecode = True
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    with contextlib.suppress(OSError, AttributeError, TypeError):  # a network of its own, which is none: Linux
        system = ctypes.CDLL(None)
        if system.unshare(0x40000000):  # CLONE_NEWNET; who is not root needs CLONE_NEWUSER with it
            system.unshare(0x10000000 | 0x40000000)
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on Windows
        import resource
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEBIBYTES * 2**20,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (2 * int(seconds) + 1,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10 * 2**20,) * 2)
    place = os.path.realpath(own)

    def audit(event: str, arguments: tuple) -> None:
        if event in FORBIDDEN or event.startswith(("socket.", "subprocess.", "winreg.", "webbrowser.", "urllib.")):
            raise PermissionError(f"a graded notebook may not do this ({event})")
        writes = event in CHANGING or (event == "open" and isinstance(arguments[2], int) and arguments[2] & (
            os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))
        if writes:
            for path in arguments[:2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                if isinstance(path, (str, bytes, os.PathLike)) and not os.path.realpath(os.fsdecode(path)).startswith(
                        place + os.sep):
                    raise PermissionError(f"a graded notebook may write in its own folder only, not {path!r}")

    sys.addaudithook(audit)


CHANGING = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
            "os.chown", "os.utime", "os.chflags", "os.setxattr", "os.removexattr", "shutil.rmtree", "shutil.move"}
FORBIDDEN = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn", "os.kill",
             "os.killpg", "os.startfile", "signal.pthread_kill", "ctypes.dlopen", "sys.addaudithook"}


def summarize(rows: list[dict]) -> list[dict]:
    """Return what the class made of each exercise: how many passed, did not do it, or made which mistake."""
    summary = []
    for name in exercises():
        outcomes = Counter(WRONG if row[name].startswith(WRONG) else row[name] for row in rows if name in row)
        for outcome, count in sorted(outcomes.items(), key=lambda item: (item[0] != "passed", -item[1], item[0])):
            summary.append({"exercise": name, "outcome": outcome, "submissions": count, "of": sum(outcomes.values())})
    return summary


def write_rows(path: Path, rows: list[dict]) -> None:
    """Write rows as a CSV file; a row may lack columns that others have."""
    columns = dict.fromkeys(name for row in rows for name in row)
    with write_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({k: _plain(v) for k, v in row.items()} for row in rows)


def _plain(value):
    """Return a value that a spreadsheet takes for text: a student chose some of these words."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value

