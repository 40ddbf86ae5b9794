"""What an executed notebook says: its text, for tests that hold it against the tables."""

from pathlib import Path

import nbformat

SOLUTIONS = Path(__file__).parent.parent / "notebooks" / "solutions"


def solution(number: str) -> nbformat.NotebookNode:
    """Return the executed notebook whose name begins with a number."""
    return nbformat.read(next(SOLUTIONS.glob(f"{number}_*.ipynb")), 4)


def prose(number: str) -> str:
    """Return all its text cells, with single spaces."""
    return " ".join(
        " ".join(
            cell.source for cell in solution(number).cells if cell.cell_type == "markdown"
        ).split()
    )


def printed(number: str) -> str:
    """Return all that it printed."""
    return "".join(
        output.text
        for cell in solution(number).cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "text" in output
    )
