"""The two tables of a grading: a row a submission, and what the class made of each exercise."""

from collections import Counter
from pathlib import Path

from helpers.checks import exercises
from helpers.grading.process import WRONG
from helpers.results import write_results


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
    """Write rows as a CSV file that every spreadsheet opens; a row may lack columns of others."""
    columns = dict.fromkeys(name for row in rows for name in row)
    full = [{name: plain(row.get(name, "")) for name in columns} for row in rows]
    write_results(path, full)


def plain(value):
    """Return a value whose text every file can hold and no spreadsheet takes for a formula:
    students choose some.
    """
    if not isinstance(value, str):
        return value
    value = value.encode("utf-8", "backslashreplace").decode()
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
