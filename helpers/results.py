"""Tables of results: read and write them, and summarise one as a Markdown table of means and
intervals over seeds.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from helpers.artifacts import RESULTS, write_aside
from helpers.metrics import mean_interval, proportion_interval


def read_results(name: str | Path) -> list[dict[str, str]]:
    """Return the rows of data/results/NAME.csv, or of another .csv file by its path, every value as
    it is written.

    Raises:
        FileNotFoundError: If there is no such table.
    """
    path = Path(name) if str(name).endswith(".csv") else RESULTS / f"{name}.csv"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in RESULTS.glob("*.csv")))
        raise FileNotFoundError(f"there is no table {name!r} in data/results; there are {known}")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_results(path: Path, rows: list[dict]) -> None:
    """Write rows as a CSV file, numbers to five decimals; a row may lack columns of others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row)
    with write_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(
            {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )


def markdown_table(titles: Iterable, rows: Iterable[Iterable]) -> str:
    """Return a Markdown table: a title for each column, and rows of as many cells."""
    titles = list(titles)
    lines = [_line(titles), "|" + "---|" * len(titles)]
    lines += [_line(row) for row in rows]
    return "\n".join(lines)


def _line(cells: Iterable) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def earlier_rows(path: Path, resume: bool, what: str) -> list[dict[str, str]]:
    """Return the rows that an earlier call of a command left in a file.

    Raises:
        ValueError: If there are some and they are not to be resumed; `what` says what they are.
    """
    if not path.exists():
        return []
    if not resume:
        raise ValueError(
            f"{path} already holds {what}; add --resume to go on with it, or choose another file "
            "with --out"
        )
    return read_results(path)


def results_table(
    rows: list[dict[str, str]],
    by: dict[str, str],
    columns: dict[str, str],
    costs: dict[str, str] | None = None,
) -> str:
    """Return a Markdown table of percentages: mean ± 95% interval over seeds.

    A single run, or a result that is the same in all, has its 95% interval over test images
    instead, in brackets, where the rows say how many those were.

    Args:
        rows: As `read_results` gives them.
        by: Columns that make a group, to their titles: one line for each group, in the order of the
            rows.
        columns: Columns of shares from 0 to 1, to their titles.
        costs: Columns of other numbers, to their titles: their mean.
    """
    costs = costs or {}
    titles = [*by.values(), *columns.values(), *costs.values(), "seeds"]
    lines = []
    for key in dict.fromkeys(tuple(row[name] for name in by) for row in rows):
        group = [row for row in rows if tuple(row[name] for name in by) == key]
        cells = [*key]
        for name in columns:
            values = [float(row[name]) for row in group if row[name] != ""]
            # it is of a training batch
            tested = 0 if name == "pairs_found" else int(group[0].get("test_images") or 0)
            cells.append(_cell(values, tested) if values else "")
        for name in costs:
            values = [float(row[name]) for row in group if row[name] not in ("", "nan")]
            cells.append(
                f"{sum(values) / len(values):,.{0 if max(values) >= 10 else 1}f}" if values else ""
            )
        lines.append([*cells, len(group)])
    return markdown_table(titles, lines)


def _cell(values: list[float], test_images: int) -> str:
    if len(set(values)) > 1:
        mean, width = mean_interval(values)
        return f"{mean:.1%} ± {width:.1%}"
    if not test_images:
        return f"{values[0]:.1%}"
    low, high = proportion_interval(round(values[0] * test_images), test_images)
    return f"{values[0]:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def curves(
    rows: list[dict[str, str]], x: str, by: str, column: str = "probe", **which: str
) -> dict[str, list[tuple[str, float, float]]]:
    """Return for each value of `by` a curve over the values of `x`: (value, mean, half width over
    seeds) in percent.

    Args:
        rows: As `read_results` gives them.
        x, by: Columns.
        column: Of shares from 0 to 1.
        which: Take only the rows whose columns are as given.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if all(row[name] == value for name, value in which.items()) and row[column] != "":
            found.setdefault(row[by], {}).setdefault(row[x], []).append(100 * float(row[column]))
    return {
        name: [(place, *mean_interval(values)) for place, values in curve.items()]
        for name, curve in found.items()
    }
