"""The README's tables of results, from the rows that ship."""

from helpers.artifacts import RESULTS, with_block, write_text
from helpers.findings.verdicts import headlines_table, judge_all
from helpers.results import curves, markdown_table, read_results, results_table
from helpers.simclr import load_pretrained
from helpers.transfer import OPTIONS


def make_tables() -> None:
    """Write the README's tables of results anew, from the rows that ship."""
    readme = RESULTS.parent.parent / "README.md"
    text = with_results(readme.read_text("utf-8"))
    write_text(readme, text)


def with_results(readme: str) -> str:
    """Return the README with its tables of results: of laptop.csv and the encoder that had two
    hours, and two more.
    """
    rows, card = read_results("laptop"), load_pretrained("cifar10-tiny").card
    few = card["test"][0]
    photos = "CIFAR-10 (JPEG)"
    last = max(k for k, row in enumerate(rows) if row["data"] == photos)
    rows.insert(
        last + 1,
        {
            "data": photos,
            "condition": "SimCLR, two hours and a larger network (`cifar10-tiny`)",
            "knn": few["knn"],
            "probe": few["probe"],
            "minutes": card["seconds"] / 60,
            "test_images": card["test_images"],
        },
    )
    table = results_table(
        rows,
        {"data": "images", "condition": "representation"},
        {"knn": "kNN", "probe": f"linear probe, {few['probe_labels']:,} labels"},
        {"minutes": "minutes to train"},
    )
    for name, body in (
        ("results", table),
        ("options", _options_table()),
        ("findings", headlines_table(judge_all())),
    ):
        readme = with_block(readme, name, body)
    return readme


def _options_table() -> str:
    """Return the README's table of the transfer options on photos: a line for each number of
    labels.
    """
    rows = read_results("transfer_cifar10")
    found = {
        option: {
            labels: f"{mean:.1f} ± {width:.1f}" if width else f"{mean:.1f}"
            for labels, mean, width in curve
        }
        for option, curve in curves(rows, "labels", "option", "accuracy").items()
    }
    titles = ["labels per class", *(OPTIONS[option] for option in found)]
    lines = []
    for labels in dict.fromkeys(row["labels"] for row in rows):
        lines.append([labels, *(of[labels] for of in found.values())])
    return markdown_table(titles, lines)
