"""A submitted notebook: its cells, the names that its statements define and use, and the run of its
definitions.

Imports, functions and classes run, and those assignments that the functions of its exercises depend
on; trainings and pictures do not.
"""

import ast
import dis
import json
from pathlib import Path
from types import CodeType

from helpers.checks.guard import TooLong, call

LARGEST, CODE = 50_000_000, 500_000  # bytes of a notebook, characters of its code
STATEMENT = 4.0  # seconds for one definition


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
        cells = [
            "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"
        ]
    except json.JSONDecodeError as error:
        raise ValueError("no notebook that can be read: the file is broken, or cut off") from error
    except (KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no notebook that can be read ({type(error).__name__})") from error
    if sum(map(len, cells)) > CODE:
        raise ValueError(f"more than {CODE:,} characters of code")
    return cells


def parse(cell: str) -> list[ast.stmt] | None:
    """Return a cell's statements, None where its syntax is wrong; lines for the notebook (%, !)
    become calls.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    for source in (lambda: cell, lambda: TransformerManager().transform_cell(cell)):
        try:
            return ast.parse(source()).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def defined_names(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives a value."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    inside = [
        node
        for node in ast.walk(statement)
        if isinstance(node, (ast.Name, ast.FunctionDef, ast.alias))
    ]
    return (
        {
            node.id
            for node in inside
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        | {node.name for node in inside if isinstance(node, ast.FunctionDef)}
        | {
            (node.asname or node.name).split(".")[0]
            for node in inside
            if isinstance(node, ast.alias)
        }
    )


def _loads(statement: ast.stmt) -> set[str]:
    """Return the names that a statement, or what it defines, takes from outside."""

    def of(code: CodeType) -> set[str]:
        found = {
            each.argval
            for each in dis.get_instructions(code)
            if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        }
        return found.union(*(of(inner) for inner in code.co_consts if isinstance(inner, CodeType)))

    try:
        return of(compile(ast.Module([statement], []), "submission", "exec"))
    except (SyntaxError, ValueError, RecursionError):
        return set()


def run_definitions(statements: list[ast.stmt], wanted: set[str], space: dict) -> dict[str, str]:
    """Run imports, definitions, and assignments that the wanted functions depend on; return what
    failed, and why.
    """
    always = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    binding = (ast.Assign, ast.AnnAssign, ast.Try, ast.If, ast.With)
    needed = set(wanted)
    while True:
        more = set().union(
            *(_loads(each) for each in statements if needed & defined_names(each)), needed
        )
        if more == needed:
            break
        needed = more
    failed: dict[str, str] = {}
    for statement in statements:
        names = defined_names(statement)
        if isinstance(statement, always) or (isinstance(statement, binding) and names & needed):
            try:
                code = compile(ast.Module([statement], []), "submission", "exec")
                call(lambda code=code: exec(code, space), STATEMENT)
            except TooLong:
                failed |= dict.fromkeys(names, f"defining it took more than {STATEMENT:g} s")
            except Exception as error:
                failed |= dict.fromkeys(
                    names, f"{type(error).__name__}: {' '.join(str(error).split())}"
                )
    return failed
