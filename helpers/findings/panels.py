"""Curves of the studies, ours beside the paper's, as `plotting.draw_curves` takes them."""

import math

from helpers.findings.paper import PAPER_BATCHES, PAPER_LENGTHS, TABLE_1, TABLE_5, TABLE_B1
from helpers.findings.studies import BATCHES, DATA, LENGTHS
from helpers.results import curves

TITLES = {
    "x": "horizontal position",
    "background_hue": "background hue",
    "color": "colour",
    "sobel": "Sobel",
}  # of factors and transforms, where they are shown


def panels(study: str, rows: list[dict]) -> tuple[dict[str, dict], str, str]:
    """Return (panels, title of x, title of y) for `plotting.draw_curves`: photos and shapes here,
    and the paper's.

    Args:
        study: One of studies.STUDIES but "knowledge". Of "composition", crop and colour first, on
            shapes.
        rows: Of its table.
    """

    def ours(x: str, columns: dict[str, str], data: str, **which) -> dict[str, list]:
        found = {
            name: curves(rows, x, "data", column, data=data, **which)
            for name, column in columns.items()
        }
        return {name: curve[data] for name, curve in found.items() if curve}

    def paper(points: dict) -> list[tuple[str, float, float]]:
        return [(str(place), value, math.nan) for place, value in points.items()]

    if study == "composition":
        found = curves(rows, "second", "first", data="shapes")
        return (
            {
                "shapes, here": {
                    f"{TITLES.get(name, name)} first": [
                        (TITLES.get(place, place), *point) for place, *point in found[name]
                    ]
                    for name in ("crop", "color")
                }
            },
            ("the second transform"),
            "linear probe, test accuracy (%)",
        )
    if study == "color":
        return (
            {
                f"{data}, here": ours(
                    "strength", {"SimCLR": "probe"}, data, objective="contrastive"
                )
                | ours("strength", {"supervised": "accuracy"}, data, objective="supervised")
                for data in DATA
            }
            | {
                "ImageNet, Table 1": {
                    "SimCLR": paper(TABLE_1["contrastive"]),
                    "supervised": paper(TABLE_1["supervised"]),
                }
            },
            "colour strength s",
            "test accuracy (%)",
        )
    if study == "head":  # z of 128 numbers; without a head z is h
        rows = [row for row in rows if row["length of z"] in ("", "128")]
        return (
            {
                f"{data}, here": ours("head", {"h": "probe", "z = g(h)": "probe_z"}, data)
                for data in DATA
            },
            ("projection head"),
            "linear probe, test accuracy (%)",
        )
    if study == "temperature":
        both = {"probe on h": "probe", "pairs found": "pairs_found"}
        return (
            {f"{data}, here": ours("temperature", both, data, L2="yes") for data in DATA}
            | {
                "ImageNet, Table 5": {
                    name: paper(
                        {tau: pair[k] for (l2, tau), pair in TABLE_5.items() if l2 == "yes"}
                    )
                    for k, name in ((1, "probe on h"), (0, "pairs found"))
                }
            },
            "temperature τ",
            "%",
        )
    if study != "batch_epochs":
        raise ValueError(
            f"there are no curves of {study!r}; choose composition, color, head, batch_epochs or "
            "temperature"
        )

    def lengths(
        data: str, objective: str = "contrastive", scaling: str = "linear"
    ) -> dict[str, list]:
        column = "accuracy" if objective == "supervised" else "probe"
        chosen = [
            row
            for row in sorted(rows, key=lambda row: int(row["batch"]))
            if row["objective"] == objective
            and (row["scaling"] == scaling or row["batch"] == str(BATCHES[-1]))
        ]  # there the two scalings are one run
        found = {
            e: curves(chosen, "batch", "data", column, data=data, epochs=str(e)) for e in LENGTHS
        }
        return {f"{e} epoch{'s' * (e > 1)}": curve[data] for e, curve in found.items() if curve}

    imagenet = [
        {
            f"{epochs} epochs": paper(
                {b: TABLE_B1[scaling][k][column] for k, b in enumerate(PAPER_BATCHES)}
            )
            for column, epochs in enumerate(PAPER_LENGTHS)
        }
        for scaling in ("linear", "sqrt")
    ]
    return (
        {
            "photos, here": lengths("photos"),
            "photos, root scaling": lengths("photos", scaling="sqrt"),
            "photos, supervised": lengths("photos", "supervised"),
            "shapes, here": lengths("shapes"),
            "ImageNet, Table B.1": imagenet[0],
            "ImageNet, root scaling": imagenet[1],
        },
        ("batch size"),
        "test accuracy (%)",
    )
