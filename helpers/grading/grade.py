"""Grade a folder of submitted notebooks: each in a process of its own, which can spoil nothing but
its own row.
"""

import multiprocessing
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from helpers.checks import exercises, find
from helpers.grading.process import NOT_DONE, run_submission
from helpers.grading.submission import read_cells

SECONDS = 20.0  # for each submission


def grade(
    folder: Path,
    progress: bool = True,
    workers: int = 1,
    seconds: float = SECONDS,
    keep: Callable[[list[dict]], None] | None = None,
) -> list[dict]:
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
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if (path.is_file() or path.is_symlink())
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not paths:
        raise ValueError(
            f"there is nothing to grade in {folder}: it should hold the students' notebooks, "
            "NAME.ipynb"
        )
    # With forkserver torch is loaded once, and not for each submission; macOS cannot fork a process
    # that has threads.
    quick = sys.platform not in ("win32", "darwin")
    context = multiprocessing.get_context("forkserver" if quick else "spawn")
    if quick:
        context.set_forkserver_preload(["helpers.grading.process"])
    rows = []
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda path: _row(context, path, seconds), paths)
        for path, row in zip(
            paths,
            tqdm(found, "grading", len(paths), unit="notebook", disable=not progress),
            strict=True,
        ):
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
        results, problem = run_submission(context, cells, own, seconds)
        notebook = results.pop("notebook", "") or _number_in(path.stem)
        asked = [name for name in exercises() if find(name).notebook == notebook]
        problem = (
            problem
            or results.pop("problem", "")
            or ("" if asked else "none of the course's exercises is in it")
        )
        outcomes = {name: results.get(name, problem or NOT_DONE) for name in asked}
        return {
            "notebook": notebook,
            "points": list(outcomes.values()).count("passed"),
            "of": len(asked),
            "problem": problem,
            **outcomes,
        }
    except Exception as error:  # a submission must not cost the others their rows
        return {"notebook": "", "points": 0, "of": 0, "problem": str(error) or type(error).__name__}
    finally:
        if own is not None:
            _remove(own)


def _remove(folder: str) -> None:
    with suppress(RecursionError):  # it made folders in folders in folders
        shutil.rmtree(folder, ignore_errors=True)


def _number_in(name: str) -> str:
    numbers = {find(each).notebook for each in exercises()}
    return name[:2] if name[:2] in numbers else ""
