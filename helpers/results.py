"""The tables in data/results: read one, and summarise it as a Markdown table of means and intervals over seeds."""

import csv

from helpers.artifacts import RESULTS
from helpers.metrics import mean_interval, proportion_interval


def read_results(name: str) -> list[dict[str, str]]:
    """Return the rows of data/results/NAME.csv, every value as it is written.

    Raises:
        FileNotFoundError: If there is no such table.
    """
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in RESULTS.glob("*.csv")))
        raise FileNotFoundError(f"there is no table {name!r} in data/results; there are {known}")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def results_table(rows: list[dict[str, str]], by: dict[str, str], columns: dict[str, str]) -> str:
    """Return a Markdown table of percentages: mean ± 95% interval over seeds.

    A single run has its 95% interval over test images instead, in brackets, where the rows say how many those were.

    Args:
        rows: As `read_results` gives them.
        by: Columns that make a group, to their titles: one line for each group, in the order of the rows.
        columns: Columns of shares from 0 to 1, to their titles.
    """
    titles = [*by.values(), *columns.values(), "seeds"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for key in dict.fromkeys(tuple(row[name] for name in by) for row in rows):
        group = [row for row in rows if tuple(row[name] for name in by) == key]
        cells = [*key]
        for name in columns:
            values = [float(row[name]) for row in group if row[name]]
            cells.append(_cell(values, int(group[0].get("test_images") or 0)) if values else "")
        lines.append(f"| {' | '.join([*cells, str(len(group))])} |")
    return "\n".join(lines)


def _cell(values: list[float], test_images: int) -> str:
    if len(values) > 1:
        mean, width = mean_interval(values)
        return f"{mean:.1%} ± {width:.1%}"
    if not test_images:
        return f"{values[0]:.1%}"
    low, high = proportion_interval(round(values[0] * test_images), test_images)
    return f"{values[0]:.1%} ({100 * low:.1f} to {100 * high:.1f})"
