"""Do our tables agree with the paper's? Its figures, what is claimed of each, and how agreement is judged.

The rules were fixed before any table was made, but for one that was made stricter afterwards: a rank correlation had to
lie above 0 only, and four cells that come in one order in all seeds did so without any width.

* A claim is a difference that the paper found to be above 0 (or below, then it is turned round). Ours is computed seed
  by seed, between the same cells in every seed. Where the 95% interval over the seeds lies above 0, we agree; where it
  lies below, we disagree; where it holds 0, it is undecided.
* A grid is compared by its order: Spearman's rank correlation between our cells and the paper's, seed by seed. Where
  the interval lies above what a random order of n cells seldom reaches, 1.96 / sqrt(n - 1), we agree, and so on. Four
  cells are too few for that: not even a perfect order, of 1, lies above.
* "Hardly matters" is a difference whose whole interval lies within 2 points; it disagrees if it lies outside.

Source of all figures: Chen et al. 2020, arXiv 2002.05709v3.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from scipy import stats

from helpers.metrics import mean_interval
from helpers.results import curves
from helpers.studies import BATCHES, DATA, LENGTHS, STRENGTHS, STUDIES

# Accuracies in percent.
TABLE_1 = {"contrastive": dict(zip(STRENGTHS, (59.6, 61.0, 62.6, 63.2, 64.5), strict=True)),
           "supervised": dict(zip(STRENGTHS, (77.0, 76.7, 76.5, 75.7, 75.4), strict=True))}
TABLE_3 = {"colour or grey": (80.0, 99.3, 97.4), "rotation": (25.0, 67.6, 25.6),  # guess, h, g(h)
           "original or noisy": (50.0, 99.5, 59.6), "original or Sobel": (50.0, 96.6, 56.3)}
TABLE_5 = {("yes", "0.05"): (90.5, 59.7), ("yes", "0.1"): (87.8, 64.4), ("yes", "0.5"): (68.2, 60.7),
           ("yes", "1"): (59.1, 58.0), ("no", "10"): (91.7, 57.2), ("no", "100"): (92.1, 57.0)}  # contrastive, top-1
PAPER_BATCHES, PAPER_LENGTHS = (256, 512, 1024, 2048, 4096, 8192), (100, 200, 400, 800)
TABLE_B1 = {"linear": ((57.5, 61.9, 64.7, 66.6), (60.7, 64.0, 66.2, 67.8), (62.8, 65.3, 67.2, 68.5),
                       (64.0, 66.1, 68.1, 68.9), (64.6, 66.5, 68.2, 68.9), (64.8, 66.6, 67.8, 69.0)),
            "sqrt": ((62.8, 64.3, 65.7, 66.5), (63.8, 65.6, 66.7, 67.4), (64.3, 66.1, 67.2, 68.3),
                     (64.7, 66.8, 67.9, 68.8), (64.5, 66.8, 68.0, 69.1), (64.8, 67.0, 68.3, 69.1))}

TITLES = {"x": "place from left to right", "background_hue": "hue of the ground",
          "color": "colour", "sobel": "Sobel"}  # of factors and transforms, where they are shown
BySeed = dict[str, float]
SMALL = 2.0  # points: what "hardly matters" allows


@dataclass(frozen=True)
class Claim:
    """Something that the paper found.

    Attributes:
        study: One of studies.STUDIES.
        text: What is claimed to be above 0.
        paper: The paper's own figure, in the same unit, or "" where it gives none.
        ours: Maps a study's rows of one data set to our figure for each seed.
        unit: "points" or "rank correlation".
        small: Whether the claim is that the difference hardly matters.
        cells: Of how many cells the order is compared.
        data: For which data sets it is judged.
    """

    study: str
    text: str
    paper: str
    ours: Callable[[list[dict]], BySeed]
    unit: str = "points"
    small: bool = False
    cells: int = 0
    data: tuple[str, ...] = ("photos", "shapes")


def mean_of(rows: list[dict], column: str = "probe", **which) -> BySeed:
    """Return for each seed the mean of a column, in percent, over the rows whose other columns are as given."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.get(column, "") not in ("", None) and all(row[name] == value for name, value in which.items()):
            found.setdefault(str(row["seed"]), []).append(100 * float(row[column]))
    return {seed: sum(values) / len(values) for seed, values in found.items()}


def minus(first: BySeed, second: BySeed) -> BySeed:
    """Return first - second for the seeds that both have."""
    return {seed: value - second[seed] for seed, value in first.items() if seed in second}


def rank_correlation(cells: list[BySeed], paper: list[float]) -> BySeed:
    """Return for each seed that all cells have Spearman's correlation of our cells with the paper's."""
    seeds = set.intersection(*(set(cell) for cell in cells))
    return {seed: float(stats.spearmanr([cell[seed] for cell in cells], paper).statistic) for seed in sorted(seeds)}


def pair(rows: list[dict], first: str, second: str) -> BySeed:
    """Return the accuracy of two transforms, the mean of both orders."""
    both = [row for row in rows if {row["first"], row["second"]} == {first, second}]
    return mean_of(both)


def _pairs_with(rows: list[dict], name: str, present: bool) -> BySeed:
    return mean_of([row for row in rows if row["first"] != row["second"]
                    and (name in (row["first"], row["second"])) == present])


def _best_other_pair(rows: list[dict]) -> BySeed:
    names = list(dict.fromkeys(row["first"] for row in rows))
    others = [pair(rows, a, b) for k, a in enumerate(names) for b in names[:k] if {a, b} != {"crop", "color"}]
    return max(others, key=lambda scores: sum(scores.values()) / len(scores))


def _better_alone(rows: list[dict]) -> BySeed:
    alone = [mean_of(rows, first=name, second=name) for name in ("crop", "color")]
    return {seed: max(scores[seed] for scores in alone) for seed in alone[0]}


def _strengths(rows: list[dict], objective: str) -> dict[str, BySeed]:
    column = "accuracy" if objective == "supervised" else "probe"
    return {s: mean_of(rows, column, objective=objective, strength=s) for s in STRENGTHS}


def _gain(rows: list[dict], objective: str, of: str) -> BySeed:
    """Return what the largest batch, or the longest training, gains over the smallest, as a mean over the rest."""
    column = "accuracy" if objective == "supervised" else "probe"
    ends = BATCHES if of == "batch" else LENGTHS
    high, low = (mean_of(rows, column, objective=objective, scaling="linear", **{of: str(ends[k])}) for k in (-1, 0))
    return minus(high, low)


def batch_cell(rows: list[dict], scaling: str, batch: int, epochs: int) -> BySeed:
    """Return the contrastive accuracy of a cell; at the largest batch the two scalings are one run."""
    scaling = "linear" if batch == BATCHES[-1] else scaling
    return mean_of(rows, objective="contrastive", scaling=scaling, batch=str(batch), epochs=str(epochs))


def _grid(rows: list[dict], scaling: str) -> BySeed:
    # Our four batch sizes stand for the paper's 256 to 2048: the same steps of two.
    cells = list(product(range(len(BATCHES)), range(len(LENGTHS))))
    return rank_correlation([batch_cell(rows, scaling, BATCHES[b], LENGTHS[e]) for b, e in cells],
                            [TABLE_B1[scaling][b][e] for b, e in cells])


def _wider(rows: list[dict], epochs: int) -> BySeed:
    return minus(batch_cell(rows, "linear", BATCHES[-1], epochs), batch_cell(rows, "linear", BATCHES[0], epochs))


def _tau(rows: list[dict], l2: str, tau: str, column: str = "probe") -> BySeed:
    return mean_of(rows, column, **{"L2": l2, "temperature": tau})


def _taus(rows: list[dict], column: str) -> BySeed:
    keys = [key for key in TABLE_5 if key[0] == "yes"]
    return rank_correlation([_tau(rows, *key, column) for key in keys],
                            [TABLE_5[key][0 if column == "pairs_found" else 1] for key in keys])


CLAIMS = [
    Claim("composition", "crop with colour beats the better of the two alone", "",
          lambda r: minus(pair(r, "crop", "color"), _better_alone(r))),
    Claim("composition", "crop with colour beats the best other pair", "",
          lambda r: minus(pair(r, "crop", "color"), _best_other_pair(r))),
    Claim("composition", "pairs with colour beat pairs without", "",
          lambda r: minus(_pairs_with(r, "color", True), _pairs_with(r, "color", False))),
    Claim("composition", "pairs with a crop beat pairs without", "",
          lambda r: minus(_pairs_with(r, "crop", True), _pairs_with(r, "crop", False))),
    Claim("color", "SimCLR gains from strength 1/8 to 1", "+3.6",
          lambda r: minus(_strengths(r, "contrastive")["1"], _strengths(r, "contrastive")["1/8"])),
    Claim("color", "supervised training loses from strength 1/8 to 1", "+1.3",
          lambda r: minus(_strengths(r, "supervised")["1/8"], _strengths(r, "supervised")["1"])),
    Claim("color", "SimCLR gains more from strength than supervised training does", "+4.9",
          lambda r: minus(minus(_strengths(r, "contrastive")["1"], _strengths(r, "contrastive")["1/8"]),
                          minus(_strengths(r, "supervised")["1"], _strengths(r, "supervised")["1/8"]))),
    Claim("color", "SimCLR gains from blur on top", "+1.3",
          lambda r: minus(_strengths(r, "contrastive")["1 + blur"], _strengths(r, "contrastive")["1"])),
    Claim("color", "the order of the four strengths", "1",
          lambda r: rank_correlation([_strengths(r, "contrastive")[s] for s in STRENGTHS[:4]],
                                     [TABLE_1["contrastive"][s] for s in STRENGTHS[:4]]), "rank correlation", cells=4),
    Claim("head", "a nonlinear head beats a linear one", "+3",
          lambda r: minus(mean_of(r, head="nonlinear"), mean_of(r, head="linear"))),
    Claim("head", "a nonlinear head beats none", "more than +10",
          lambda r: minus(mean_of(r, head="nonlinear"), mean_of(r, head="none"))),
    Claim("head", "with a nonlinear head, h beats z", "more than +10",
          lambda r: minus(mean_of(r, head="nonlinear"), mean_of(r, "probe_z", head="nonlinear"))),
    Claim("head", "z of 512 numbers or of 32: hardly matters", "hardly",
          lambda r: minus(mean_of(r, head="nonlinear", **{"length of z": "512"}),
                          mean_of(r, head="nonlinear", **{"length of z": "32"})), small=True),
    *(Claim("knowledge", f"h tells more than z: {question}", f"+{h - z:.1f}",
            lambda r, q=question: minus(mean_of(r, "accuracy", question=q, **{"read from": "h"}),
                                        mean_of(r, "accuracy", question=q, **{"read from": "z"})))
      for question, (_, h, z) in TABLE_3.items()),
    # The paper's cells differ more by their length than by their batch: this order is mostly that of the lengths.
    Claim("batch_epochs", "the order of the 16 cells (mostly of their lengths), linear scaling", "1",
          lambda r: _grid(r, "linear"), "rank correlation", cells=16),
    Claim("batch_epochs", "the order of the 16 cells (mostly of their lengths), root scaling", "1",
          lambda r: _grid(r, "sqrt"), "rank correlation", cells=16, data=("photos",)),
    Claim("batch_epochs", "the largest batch beats the smallest, shortest training", "+6.5",
          lambda r: _wider(r, LENGTHS[0])),
    Claim("batch_epochs", "that lead shrinks from the shortest training to the longest", "+4.2",
          lambda r: minus(_wider(r, LENGTHS[0]), _wider(r, LENGTHS[-1]))),
    Claim("batch_epochs", "root scaling beats linear, smallest batch and shortest training", "+5.3",
          lambda r: minus(batch_cell(r, "sqrt", BATCHES[0], LENGTHS[0]),
                          batch_cell(r, "linear", BATCHES[0], LENGTHS[0])), data=("photos",)),
    Claim("batch_epochs", "the longest training beats the shortest, largest batch", "+4.9",
          lambda r: minus(batch_cell(r, "linear", BATCHES[-1], LENGTHS[-1]),
                          batch_cell(r, "linear", BATCHES[-1], LENGTHS[0]))),
    Claim("batch_epochs", "SimCLR gains more from a larger batch than supervised training does", "",
          lambda r: minus(_gain(r, "contrastive", "batch"), _gain(r, "supervised", "batch")), data=("photos",)),
    Claim("batch_epochs", "SimCLR gains more from longer training than supervised training does", "",
          lambda r: minus(_gain(r, "contrastive", "epochs"), _gain(r, "supervised", "epochs")), data=("photos",)),
    Claim("temperature", "the order of four temperatures, pairs found", "1", lambda r: _taus(r, "pairs_found"),
          "rank correlation", cells=4),
    Claim("temperature", "the order of four temperatures, probe", "1", lambda r: _taus(r, "probe"),
          "rank correlation", cells=4),
    Claim("temperature", "τ 0.1 beats τ 0.05", "+4.7", lambda r: minus(_tau(r, "yes", "0.1"), _tau(r, "yes", "0.05"))),
    Claim("temperature", "τ 0.1 beats τ 1", "+6.4", lambda r: minus(_tau(r, "yes", "0.1"), _tau(r, "yes", "1"))),
    Claim("temperature", "with L2 (τ 0.1) beats without (τ 10)", "+7.2",
          lambda r: minus(_tau(r, "yes", "0.1"), _tau(r, "no", "10"))),
    Claim("temperature", "more pairs are found without L2 (τ 10) than with it (τ 0.1)", "+3.9",
          lambda r: minus(_tau(r, "no", "10", "pairs_found"), _tau(r, "yes", "0.1", "pairs_found")))]


def judge(study: str, rows: list[dict]) -> list[dict]:
    """Return a line for each claim of a study and each data set: ours, the half width of its interval, the verdict.

    Args:
        study: One of studies.STUDIES.
        rows: Of its table.
    """
    lines = []
    whole = {data: whole_seeds(study, [row for row in rows if row["data"] == data]) for data in ("photos", "shapes")}
    for claim, data in product([claim for claim in CLAIMS if claim.study == study], whole):
        ours, seeds = whole[data]
        if data in claim.data and seeds:
            mean, width = mean_interval(list(claim.ours(ours).values()))
            lines.append({"study": study, "data": data, "claim": claim.text, "unit": claim.unit, "paper": claim.paper,
                          "seeds": seeds, "ours": mean, "width": width,
                          "verdict": verdict(mean, width, claim.small, claim.cells)})
    return lines


def whole_seeds(study: str, rows: list[dict]) -> tuple[list[dict], int]:
    """Return the rows of those seeds that have every cell of the study with a score, and how many those seeds are.

    Both sides of a difference then hold the same cells in every seed.
    """
    cells = {cell.key[:-1] for cell in STUDIES[study](0)}
    columns = ("data", *STUDIES[study](0)[0].about)
    have: dict[str, set] = {}
    for row in rows:
        if not row.get("failed"):
            have.setdefault(str(row["seed"]), set()).add(tuple(str(row[column]) for column in columns))
    wanted = {cell for cell in cells if rows and cell[0] == rows[0]["data"]}
    whole = {seed for seed, found in have.items() if found >= wanted}
    return [row for row in rows if str(row["seed"]) in whole], len(whole)


def verdict(mean: float, width: float, small: bool = False, cells: int = 0) -> str:
    """Return "agrees", "disagrees", "undecided" or "too few", by the rules above; one seed decides nothing."""
    chance = 1.96 / math.sqrt(cells - 1) if cells else 0.0  # 1 / sqrt(n - 1) is the spread of ρ in random orders
    if chance > 1:
        return "too few"
    low, high = mean - width - chance, mean + width + chance
    if math.isnan(width):
        return "undecided"
    if small:
        low, high = SMALL - max(abs(low), abs(high)), SMALL - max(low, -high)
    return "agrees" if low > 0 else "disagrees" if high < 0 else "undecided"


def panels(study: str, rows: list[dict]) -> tuple[dict[str, dict], str, str]:
    """Return (panels, title of x, title of y) for `plotting.draw_curves`: photos and shapes here, and the paper's.

    Args:
        study: One of studies.STUDIES but "knowledge". Of "composition", crop and colour first, on shapes.
        rows: Of its table.
    """
    def ours(x: str, columns: dict[str, str], data: str, **which) -> dict[str, list]:
        found = {name: curves(rows, x, "data", column, data=data, **which) for name, column in columns.items()}
        return {name: curve[data] for name, curve in found.items() if curve}

    def paper(points: dict) -> list[tuple[str, float, float]]:
        return [(str(place), value, math.nan) for place, value in points.items()]

    if study == "composition":
        found = curves(rows, "second", "first", data="shapes")
        return {"shapes, here": {f"{TITLES.get(name, name)} first": [
            (TITLES.get(place, place), *point) for place, *point in found[name]] for name in ("crop", "color")}}, (
            "the second transform"), "linear probe, test accuracy (%)"
    if study == "color":
        return {f"{data}, here": ours("strength", {"SimCLR": "probe"}, data, objective="contrastive")
                | ours("strength", {"supervised": "accuracy"}, data, objective="supervised") for data in DATA} | {
            "ImageNet, Table 1": {"SimCLR": paper(TABLE_1["contrastive"]), "supervised": paper(TABLE_1["supervised"])}
        }, "colour strength s", "test accuracy (%)"
    if study == "head":  # z of 128 numbers; without a head z is h
        rows = [row for row in rows if row["length of z"] in ("", "128")]
        return {f"{data}, here": ours("head", {"h": "probe", "z = g(h)": "probe_z"}, data) for data in DATA}, (
            "projection head"), "linear probe, test accuracy (%)"
    if study == "temperature":
        both = {"probe on h": "probe", "pairs found": "pairs_found"}
        return {f"{data}, here": ours("temperature", both, data, L2="yes") for data in DATA} | {
            "ImageNet, Table 5": {name: paper({tau: pair[k] for (l2, tau), pair in TABLE_5.items() if l2 == "yes"})
                                  for k, name in ((1, "probe on h"), (0, "pairs found"))}}, "temperature τ", "%"
    if study != "batch_epochs":
        raise ValueError(f"there are no curves of {study!r}; choose composition, color, head, batch_epochs or "
                         "temperature")

    def lengths(data: str, objective: str = "contrastive", scaling: str = "linear") -> dict[str, list]:
        column = "accuracy" if objective == "supervised" else "probe"
        chosen = [row for row in sorted(rows, key=lambda row: int(row["batch"])) if row["objective"] == objective and (
            row["scaling"] == scaling or row["batch"] == str(BATCHES[-1]))]  # there the two scalings are one run
        found = {e: curves(chosen, "batch", "data", column, data=data, epochs=str(e)) for e in LENGTHS}
        return {f"{e} epoch{'s' * (e > 1)}": curve[data] for e, curve in found.items() if curve}

    imagenet = [{f"{epochs} epochs": paper({b: TABLE_B1[scaling][k][column] for k, b in enumerate(PAPER_BATCHES)})
                 for column, epochs in enumerate(PAPER_LENGTHS)} for scaling in ("linear", "sqrt")]
    return {"photos, here": lengths("photos"), "photos, root scaling": lengths("photos", scaling="sqrt"),
            "photos, supervised": lengths("photos", "supervised"), "shapes, here": lengths("shapes"),
            "ImageNet, Table B.1": imagenet[0], "ImageNet, root scaling": imagenet[1]}, (
        "batch size"), "test accuracy (%)"


def verdicts_table(lines: list[dict]) -> str:
    """Return a Markdown table of what `judge` found: a line for each claim, with a cell for photos and for shapes."""
    table = [f"| claim | the paper | {' | '.join(DATA)} |", "|---|---|---|---|"]
    for claim in dict.fromkeys(line["claim"] for line in lines):
        of = {line["data"]: line for line in lines if line["claim"] == claim}
        cells = [_found(of[data]) if data in of else "" for data in DATA]
        table.append(f"| {claim} | {next(iter(of.values()))['paper']} | {' | '.join(cells)} |")
    return "\n".join(table)


def _found(line: dict) -> str:
    digits = 2 if line["unit"] == "rank correlation" else 1
    width = "" if math.isnan(line["width"]) else f" ± {line['width']:.{digits}f}"
    return f"{line['ours']:+.{digits}f}{width} **{line['verdict']}**"
