"""Grade a folder of submitted notebooks: each in a process of its own, which can spoil nothing but its own row.

Of a notebook the definitions run (imports, functions, classes), and those assignments that the functions of its
exercises depend on; trainings and pictures do not. The functions are then given to `check`.

`confinement.py` says what a process may do, and what stops it. A submission can still fake its own results: it runs in
the process that checks it.
"""

import ast
import csv
import dis
import json
import multiprocessing
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType

import torch
from tqdm import tqdm

from helpers.artifacts import write_aside
from helpers.checks import check, exercises, find
from helpers.checks.guard import TooLong, call
from helpers.confinement import confine, end

SECONDS, MEBIBYTES = 20.0, 2048  # for each submission; memory above what torch itself takes
LARGEST, CODE = 50_000_000, 500_000  # bytes of a notebook, characters of its code
STATEMENT, START = 4.0, 120.0  # seconds for one definition, and until torch is loaded
NOT_DONE, WRONG = "not done", "wrong"


def grade(folder: Path, progress: bool = True, workers: int = 1, seconds: float = SECONDS,
          keep: Callable[[list[dict]], None] | None = None) -> list[dict]:
    """Return a row for each submission below a folder: points, and what became of each exercise.

    Args:
        folder: Every file in it is a submission, but hidden ones and those in hidden folders.
        progress: Whether to show a progress bar.
        workers: Submissions at the same time.
        seconds: Limit for each.
        keep: Called with the rows so far after each.

    Raises:
        ValueError: If there is nothing to grade.
    """
    paths = [path for path in sorted(folder.rglob("*")) if (path.is_file() or path.is_symlink())
             and not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not paths:
        raise ValueError(f"there is nothing to grade in {folder}: it should hold the students' notebooks, NAME.ipynb")
    # With forkserver torch is loaded once, and not for each submission; macOS cannot fork a process that has threads.
    quick = sys.platform not in ("win32", "darwin")
    context = multiprocessing.get_context("forkserver" if quick else "spawn")
    if quick:
        context.set_forkserver_preload(["helpers.grading"])
    rows = []
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda path: _row(context, path, seconds), paths)
        for path, row in zip(paths, tqdm(found, "grading", len(paths), unit="notebook", disable=not progress),
                             strict=True):
            rows.append({"submission": path.relative_to(folder).as_posix(), **row})
            if keep:
                keep(rows)
    return rows


def _row(context, path: Path, seconds: float) -> dict:
    """Return the row of one submission, whatever it is."""
    own = None
    try:
        cells = read_cells(path)
        own = tempfile.mkdtemp(prefix="grading-")
        results, problem = _graded(context, cells, own, seconds)
        notebook = results.pop("notebook", "") or _number_in(path.stem)
        asked = [name for name in exercises() if find(name).notebook == notebook]
        problem = problem or results.pop("problem", "") or ("" if asked else "none of the course's exercises is in it")
        outcomes = {name: results.get(name, problem or NOT_DONE) for name in asked}
        return {"notebook": notebook, "points": list(outcomes.values()).count("passed"), "of": len(asked),
                "problem": problem, **outcomes}
    except Exception as error:  # a submission must not cost the others their rows
        return {"notebook": "", "points": 0, "of": 0, "problem": str(error) or type(error).__name__}
    finally:
        if own is not None:
            _remove(own)


def _graded(context, cells: list[str], own: str, seconds: float) -> tuple[dict[str, str], str]:
    """Return what a process finds out about a submission, and what went wrong with it, "" if nothing did."""
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(cells, own, seconds, theirs), daemon=True)
    process.start()
    theirs.close()
    late = threading.Event()

    def stop() -> None:
        late.set()
        end(process)  # also while half a message keeps us waiting

    timer, results = threading.Timer(START, stop), {}
    timer.start()
    try:
        while True:
            try:
                name, value = json.loads(mine.recv_bytes(10_000))  # not unpickled: a submission could have written it
            except (EOFError, OSError):
                process.join(2)
                killed = process.exitcode is not None and process.exitcode < 0
                limit = f"stopped after {seconds:g} s" if "ready" in results else f"did not start within {START:g} s"
                return results, (limit if late.is_set() else
                                 f"its process ended early ({'killed' if killed else f'exit {process.exitcode}'})")
            except (ValueError, TypeError):
                return results, "its process sent nonsense"
            if name == "ready" and "ready" not in results:
                timer.cancel()
                timer = threading.Timer(seconds, stop)
                timer.start()
            elif name == "done":
                return results, ""
            elif name not in (*exercises(), "problem", "notebook") or not isinstance(value, str):
                return results, "its process sent nonsense"
            results[name] = value
    finally:
        timer.cancel()
        end(process)
        mine.close()


def _remove(folder: str) -> None:
    with suppress(RecursionError):  # it made folders in folders in folders
        shutil.rmtree(folder, ignore_errors=True)


def _number_in(name: str) -> str:
    numbers = {find(each).notebook for each in exercises()}
    return name[:2] if name[:2] in numbers else ""


def read_cells(path: Path) -> list[str]:
    """Return the sources of a notebook's code cells.

    Raises:
        ValueError: If it is no notebook.
    """
    if path.suffix.lower() != ".ipynb":
        raise ValueError(f"no notebook, but a {path.suffix or 'nameless'} file")
    if not path.exists():
        raise ValueError("a link to nothing")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"larger than {LARGEST // 1_000_000} MB")
    try:
        notebook = json.loads(path.read_bytes())
        if "worksheets" in notebook:
            raise ValueError("saved by a very old Jupyter: open and save it with a newer one")
        cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    except json.JSONDecodeError as error:
        raise ValueError("no notebook that can be read: the file is broken, or cut off") from error
    except (KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no notebook that can be read ({type(error).__name__})") from error
    if sum(map(len, cells)) > CODE:
        raise ValueError(f"more than {CODE:,} characters of code")
    return cells


def _work(cells: list[str], own: str, seconds: float, pipe: Connection) -> None:
    """Run the definitions of a submission and check its functions: in a process of its own."""
    def send(name: str, value: str = "") -> None:
        pipe.send_bytes(json.dumps([name, value[:400]]).encode())

    torch.set_num_threads(1)
    confine(own, seconds, MEBIBYTES, pipe.fileno())
    send("ready")
    parsed = [_parse(cell) for cell in cells]
    statements = [statement for part in parsed if part for statement in part]
    defined = {name for statement in statements for name in _names(statement)}
    votes = Counter(find(name).notebook for name in exercises() if find(name).function in defined)
    number = votes.most_common(1)[0][0] if votes else ""
    send("notebook", number)
    broken = [cell for cell, part in zip(cells, parsed, strict=True) if part is None]
    if broken:
        send("problem", f"{len(broken)} cell{'s' * (len(broken) > 1)} with a syntax error")
    functions = {find(name).function: name for name in exercises() if find(name).notebook == number}
    space: dict = {"__name__": "__main__"}
    failed = _run(statements, set(functions), space)
    for function, name in functions.items():
        if function in space:
            send(name, _outcome(name, space[function]))
        elif function in failed:
            send(name, f"{WRONG}: {failed[function]}")
        elif any(f"def {function}(" in cell for cell in broken):
            send(name, f"{WRONG}: syntax error")
        else:
            send(name, NOT_DONE)
    send("done")


def _outcome(name: str, answer) -> str:
    try:
        feedback = check(name, answer)
    except Exception as error:
        return f"{WRONG}: {type(error).__name__}"
    if feedback.passed:
        return "passed"
    if feedback.message.startswith("Not done"):
        return NOT_DONE
    return feedback.mistake or f"{WRONG}: {feedback.message.splitlines()[0]}"


def _parse(cell: str) -> list[ast.stmt] | None:
    """Return a cell's statements, None where its syntax is wrong; lines for the notebook (%, !) become calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    for source in (lambda: cell, lambda: TransformerManager().transform_cell(cell)):
        try:
            return ast.parse(source()).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _names(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives a value."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    inside = [node for node in ast.walk(statement) if isinstance(node, (ast.Name, ast.FunctionDef, ast.alias))]
    return {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)} | {
        node.name for node in inside if isinstance(node, ast.FunctionDef)} | {
        (node.asname or node.name).split(".")[0] for node in inside if isinstance(node, ast.alias)}


def _loads(statement: ast.stmt) -> set[str]:
    """Return the names that a statement, or what it defines, takes from outside."""
    def of(code: CodeType) -> set[str]:
        found = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        return found.union(*(of(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
    try:
        return of(compile(ast.Module([statement], []), "submission", "exec"))
    except (SyntaxError, ValueError, RecursionError):
        return set()


def _run(statements: list[ast.stmt], wanted: set[str], space: dict) -> dict[str, str]:
    """Run imports, definitions, and assignments that the wanted functions depend on; return what failed, and why."""
    always = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    binding = (ast.Assign, ast.AnnAssign, ast.Try, ast.If, ast.With)
    needed = set(wanted)
    while True:
        more = set().union(*(_loads(each) for each in statements if needed & _names(each)), needed)
        if more == needed:
            break
        needed = more
    failed: dict[str, str] = {}
    for statement in statements:
        names = _names(statement)
        if isinstance(statement, always) or (isinstance(statement, binding) and names & needed):
            try:
                code = compile(ast.Module([statement], []), "submission", "exec")
                call(lambda code=code: exec(code, space), STATEMENT)
            except TooLong:
                failed |= dict.fromkeys(names, f"defining it took more than {STATEMENT:g} s")
            except Exception as error:
                failed |= dict.fromkeys(names, f"{type(error).__name__}: {' '.join(str(error).split())}")
    return failed


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
        writer.writerows({name: plain(value) for name, value in row.items()} for row in rows)


def plain(value):
    """Return a value whose text every file can hold and no spreadsheet takes for a formula: students choose some."""
    if not isinstance(value, str):
        return value
    value = value.encode("utf-8", "backslashreplace").decode()
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
