"""The two tables of a grading: a row a submission, and what the class made of each exercise."""

import csv
from collections import Counter
from pathlib import Path

from helpers.artifacts import write_aside
from helpers.checks import exercises
from helpers.grading.process import WRONG


def summarize(rows: list[dict]) -> list[dict]:
    """Return what the class made of each exercise: how many passed, did not do it, or made which
    mistake.
    """
    summary = []
    for name in exercises():
        outcomes = Counter(
            WRONG if row[name].startswith(WRONG) else row[name] for row in rows if name in row
        )
        for outcome, count in sorted(
            outcomes.items(), key=lambda item: (item[0] != "passed", -item[1], item[0])
        ):
            summary.append(
                {
                    "exercise": name,
                    "outcome": outcome,
                    "submissions": count,
                    "of": sum(outcomes.values()),
                }
            )
    return summary


def write_rows(path: Path, rows: list[dict]) -> None:
    """Write rows as a CSV file; a row may lack columns that others have."""
    columns = dict.fromkeys(name for row in rows for name in row)
    with write_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: plain(value) for name, value in row.items()} for row in rows)


def plain(value):
    """Return a value whose text every file can hold and no spreadsheet takes for a formula:
    students choose some.
    """
    if not isinstance(value, str):
        return value
    value = value.encode("utf-8", "backslashreplace").decode()
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
