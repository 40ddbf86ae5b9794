"""python -m helpers grade: grade a folder of submitted notebooks."""

import argparse
from pathlib import Path


def add_parser(commands) -> None:
    """Add the command and its options."""
    grade = commands.add_parser(
        "grade",
        help="grade a folder of submitted notebooks",
        formatter_class=argparse.RawTextHelpFormatter,
        description="Grade every notebook in a folder: a row for each, with its points and the "
        "mistake that each\n"
        "exercise looks like, and a second table of the mistakes that the class makes. Each "
        "submission\n"
        "runs in a process of its own, with limits; see the README for what that protects from.",
        epilog="example:\n  python -m helpers grade submissions --out grades.csv",
    )
    grade.set_defaults(run=run)
    grade.add_argument(
        "folder",
        metavar="FOLDER",
        help="with the submissions, NAME.ipynb, also in folders of their own",
    )
    grade.add_argument(
        "--out",
        default="grades.csv",
        metavar="FILE",
        help="the CSV file (default: grades.csv); the "
        "class's mistakes go to\nNAME-mistakes.csv beside it",
    )
    grade.add_argument(
        "--seconds",
        type=float,
        default=20,
        metavar="X",
        help="limit for each submission (default: 20)",
    )
    grade.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="submissions at the same time (default: as many as cores)",
    )
    grade.add_argument(
        "--overwrite", action="store_true", help="replace the tables of an earlier grading"
    )
    grade.add_argument("--no-progress", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> int:
    """Grade submissions, and print which mistakes the class makes."""
    from helpers.grading.grade import grade
    from helpers.grading.table import plain, summarize, write_rows
    from helpers.runtime import usable_cores

    folder, out = Path(options.folder), Path(options.out)
    mistakes = out.with_name(f"{out.stem}-mistakes.csv")
    if not folder.is_dir():
        raise ValueError(
            f"there is no folder {folder}; name the one that holds the students' notebooks"
        )
    if not options.seconds > 0 or (options.workers is not None and options.workers < 1):
        raise ValueError(
            f"there must be more than 0 seconds and at least 1 worker, not {options.seconds:g} and "
            f"{options.workers}"
        )
    for path in (out, mistakes):
        if path.exists() and not options.overwrite:
            raise ValueError(
                f"{path} is there already; add --overwrite to replace it, or choose another --out"
            )
    rows = grade(
        folder,
        not options.no_progress,
        options.workers or usable_cores(),
        options.seconds,
        keep=lambda rows: write_rows(out, rows),
    )
    summary = summarize(rows)
    write_rows(mistakes, summary)
    for row in summary:
        print(f"{row['exercise']:>18}  {row['submissions']:>3} of {row['of']:<3}  {row['outcome']}")
    trouble = [row for row in rows if row["problem"]]
    for row in trouble:
        print(f"{'look at':>18}  {plain(row['submission'])}: {plain(row['problem'])}")
    print(f"{len(rows)} submissions in {out}; the class's mistakes in {mistakes}")
    return 0
