"""The tables in data/results: read one, and summarise it as a Markdown table of means and intervals over seeds."""

import csv
import math

from helpers.artifacts import RESULTS
from helpers.metrics import mean_interval


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
    """Return a Markdown table of percentages: mean ± 95% interval over seeds, which a single run does not have.

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
            mean, width = mean_interval(values) if values else (math.nan, math.nan)
            cells.append("" if not values else f"{mean:.1%}" if len(values) == 1 else f"{mean:.1%} ± {width:.1%}")
        lines.append(f"| {' | '.join([*cells, str(len(group))])} |")
    return "\n".join(lines)
