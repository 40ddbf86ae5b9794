"""Does what the paper claims hold here? The claims, how ours is computed for each, and how it is
judged.

Every claim is a difference (or the order of a grid) that the paper found to lie on one side of 0.
Two statements are made of it, by rules that were fixed before any table was made (three were
changed since: see below).

* Direction. Ours is computed seed by seed, between the same cells in every seed. Where the 95%
  interval over the seeds lies on the paper's side of 0, the direction is the "same"; where it lies
  on the other side, "opposite"; where it holds 0, we "cannot tell".
  - A grid is compared by its order: Spearman's rank correlation between our cells and the paper's.
    The interval has to lie above what a random order of n cells seldom reaches, 1.96 / sqrt(n - 1).
  - "Hardly matters" is the same where the whole interval lies within 2 points of 0, and opposite
    where it lies outside.
* Size. The paper's figure lies "inside" our interval, or "outside". Where the paper gives a bound
  ("more than 10"), it is inside if our interval reaches beyond it.

Changed since: a rank correlation had to lie above 0 only; the orders of four cells are no claims
any more, since not even the paper's own order could be told from luck; direction and size were one
verdict.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

from scipy import stats

from helpers.findings.paper import FIGURE_5, TABLE_3, TABLE_B1
from helpers.findings.studies import BATCHES, LENGTHS, STUDIES
from helpers.metrics import mean_interval
from helpers.settings import TRANSFORMS

SMALL = 2.0  # points: what "hardly matters" allows
BySeed = dict[str, float]


@dataclass(frozen=True)
class Claim:
    """Something that the paper found.

    Attributes:
        id: Names it in figures, tables, tests and texts.
        study: One of studies.STUDIES.
        text: What is claimed.
        ours: Maps a study's rows of one data set to our figure for each seed.
        paper: The paper's own figure in points; None where it gives none, or for an order.
        bound: Whether the paper only says that it is more than that.
        falls: Whether the paper found a difference below 0.
        small: Whether the claim is that the difference hardly matters.
        cells: Of how many cells the order is compared; 0 for a difference.
        data: For which data sets it is judged.
        sides: The two parts of a difference of gains, to show which of them moved.
    """

    id: str
    study: str
    text: str
    ours: Callable[[list[dict]], BySeed]
    paper: float | None = None
    bound: bool = False
    falls: bool = False
    small: bool = False
    cells: int = 0
    data: tuple[str, ...] = ("photos", "shapes")
    sides: dict[str, Callable[[list[dict]], BySeed]] = field(default_factory=dict)

    @property
    def digits(self) -> int:
        """Digits after the point: one for points of accuracy, two for a rank correlation."""
        return 2 if self.cells else 1

    @property
    def paper_text(self) -> str:
        """The paper's figure as it is printed."""
        if self.small:
            return "about 0"
        if self.paper is None:
            return ""
        return f"more than {signed(self.paper, 0)}" if self.bound else signed(self.paper, 1)


@dataclass(frozen=True)
class Judged:
    """What became of a claim on one data set.

    Attributes:
        claim: The claim.
        data: "photos" or "shapes".
        seeds: How many seeds have every cell.
        mean, width: Ours, and half the width of its 95% interval over the seeds (nan for one seed).
        direction: "same", "opposite" or "cannot tell".
        size: "inside", "outside" or, where the paper gives no figure, "".
        sides: The parts of a difference of gains: (mean, width) each.
        by_knn: The same with kNN in the place of the linear probe; None where that changes nothing
            that was measured.
    """

    claim: Claim
    data: str
    seeds: int
    mean: float
    width: float
    direction: str
    size: str
    sides: dict[str, tuple[float, float]]
    by_knn: "Judged | None" = None

    @property
    def figure(self) -> str:
        """Ours with its interval, as it is printed."""
        return with_interval(self.mean, self.width, self.claim.digits)

    @property
    def turned(self) -> bool:
        """Whether kNN in the place of the probe gives another direction."""
        return self.by_knn is not None and self.by_knn.direction != self.direction


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, and a proper minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def with_interval(mean: float, width: float, digits: int) -> str:
    """Return a signed mean ± half the width of its interval; one seed has no interval."""
    return signed(mean, digits) + ("" if math.isnan(width) else f" ± {width:.{digits}f}")


def mean_of(rows: list[dict], column: str = "probe", **which) -> BySeed:
    """Return for each seed the mean of a column, in percent, over the rows whose other columns are
    as given.
    """
    values: dict[str, list[float]] = {}
    for row in rows:
        if row.get(column, "") not in ("", None) and all(
            row[name] == value for name, value in which.items()
        ):
            values.setdefault(str(row["seed"]), []).append(100 * float(row[column]))
    return {seed: sum(of_seed) / len(of_seed) for seed, of_seed in values.items()}


def minus(first: BySeed, second: BySeed) -> BySeed:
    """Return first - second for the seeds that both have."""
    return {seed: value - second[seed] for seed, value in first.items() if seed in second}


def rank_correlation(cells: list[BySeed], paper: list[float]) -> BySeed:
    """Return for each seed that all cells have Spearman's correlation of our cells with the
    paper's.
    """
    seeds = set.intersection(*(set(cell) for cell in cells))
    return {
        seed: float(stats.spearmanr([cell[seed] for cell in cells], paper).statistic)
        for seed in sorted(seeds)
    }


# Composition, Figure 5.


def pair(rows: list[dict], first: str, second: str) -> BySeed:
    """Return the accuracy of two transforms, the mean of both orders."""
    return mean_of([row for row in rows if {row["first"], row["second"]} == {first, second}])


def _crop_with_color(rows: list[dict]) -> BySeed:
    return pair(rows, "crop", "color")


def _better_alone(rows: list[dict]) -> BySeed:
    crop, color = (mean_of(rows, first=name, second=name) for name in ("crop", "color"))
    return {seed: max(crop[seed], color[seed]) for seed in crop}


def _best_other_pair(rows: list[dict]) -> BySeed:
    names = list(dict.fromkeys(row["first"] for row in rows))
    others = [
        pair(rows, a, b)
        for k, a in enumerate(names)
        for b in names[:k]
        if {a, b} != {"crop", "color"}
    ]
    return max(others, key=lambda scores: sum(scores.values()) / len(scores))


def _with_over_without(rows: list[dict], name: str) -> BySeed:
    pairs = [row for row in rows if row["first"] != row["second"]]
    having = [row for row in pairs if name in (row["first"], row["second"])]
    lacking = [row for row in pairs if name not in (row["first"], row["second"])]
    return minus(mean_of(having), mean_of(lacking))


def _composition_order(rows: list[dict]) -> BySeed:
    cells = [mean_of(rows, first=first, second=second) for first, second in FIGURE_5]
    return rank_correlation(cells, list(FIGURE_5.values()))


# Colour, Table 1.


def _strength(rows: list[dict], objective: str, strength: str) -> BySeed:
    column = "accuracy" if objective == "supervised" else "probe"
    return mean_of(rows, column, objective=objective, strength=strength)


def _stronger_simclr(rows: list[dict]) -> BySeed:
    return minus(_strength(rows, "contrastive", "1"), _strength(rows, "contrastive", "1/8"))


def _stronger_supervised(rows: list[dict]) -> BySeed:
    return minus(_strength(rows, "supervised", "1"), _strength(rows, "supervised", "1/8"))


# Batch and length, Table B.1.


def batch_cell(rows: list[dict], scaling: str, batch: int, epochs: int) -> BySeed:
    """Return the contrastive accuracy of a cell; at the largest batch both scalings are one run."""
    scaling = "linear" if batch == BATCHES[-1] else scaling
    return mean_of(
        rows, objective="contrastive", scaling=scaling, batch=str(batch), epochs=str(epochs)
    )


def _batch_order(rows: list[dict], scaling: str) -> BySeed:
    # Our four batch sizes stand for the paper's 256 to 2048: the same steps of two.
    cells = list(product(range(len(BATCHES)), range(len(LENGTHS))))
    return rank_correlation(
        [batch_cell(rows, scaling, BATCHES[b], LENGTHS[e]) for b, e in cells],
        [TABLE_B1[scaling][b][e] for b, e in cells],
    )


def _largest_over_smallest(rows: list[dict], epochs: int) -> BySeed:
    return minus(
        batch_cell(rows, "linear", BATCHES[-1], epochs),
        batch_cell(rows, "linear", BATCHES[0], epochs),
    )


def _gain(rows: list[dict], objective: str, knob: str) -> BySeed:
    """Return what the largest batch, or the longest training, gains over the smallest, as a mean
    over the rest.
    """
    column = "accuracy" if objective == "supervised" else "probe"
    ends = BATCHES if knob == "batch" else LENGTHS
    of_linear = [
        row for row in rows if row["objective"] == objective and row["scaling"] == "linear"
    ]
    high = mean_of(of_linear, column, **{knob: str(ends[-1])})
    low = mean_of(of_linear, column, **{knob: str(ends[0])})
    return minus(high, low)


def _against_supervised(knob: str) -> dict[str, Callable[[list[dict]], BySeed]]:
    return {
        "SimCLR": lambda rows: _gain(rows, "contrastive", knob),
        "supervised": lambda rows: _gain(rows, "supervised", knob),
    }


# Head and temperature, Figure 8 and Tables 3 and 5.


def _length_of_z(rows: list[dict], length: str) -> BySeed:
    return mean_of(rows, head="nonlinear", **{"length of z": length})


def _known(rows: list[dict], question: str, source: str) -> BySeed:
    return mean_of(rows, "accuracy", question=question, **{"read from": source})


def _tau(rows: list[dict], l2: str, tau: str, column: str = "probe") -> BySeed:
    return mean_of(rows, column, **{"L2": l2, "temperature": tau})


def _knowledge_claim(question: str) -> Claim:
    _, h, z = TABLE_3[question]
    name = question.replace(" ", "-").lower()
    return Claim(
        f"h-knows-{name}",
        "knowledge",
        f"h tells more than z: {question}",
        lambda rows: minus(_known(rows, question, "h"), _known(rows, question, "z")),
        paper=round(h - z, 1),
    )


CLAIMS = (
    Claim(
        "crop-color-beats-either",
        "composition",
        "crop with colour beats the better of the two alone",
        lambda rows: minus(_crop_with_color(rows), _better_alone(rows)),
        paper=23.0,
    ),
    Claim(
        "crop-color-beats-pairs",
        "composition",
        "crop with colour beats the best other pair",
        lambda rows: minus(_crop_with_color(rows), _best_other_pair(rows)),
        paper=10.0,
    ),
    Claim(
        "color-beats-without",
        "composition",
        "pairs with colour beat pairs without",
        lambda rows: _with_over_without(rows, "color"),
        paper=3.6,
    ),
    Claim(
        "crop-beats-without",
        "composition",
        "pairs with a crop beat pairs without",
        lambda rows: _with_over_without(rows, "crop"),
        paper=22.5,
    ),
    Claim(
        "composition-order",
        "composition",
        "the order of the 49 cells",
        _composition_order,
        cells=49,
    ),
    Claim(
        "strength-simclr",
        "color",
        "SimCLR gains from strength 1/8 to 1",
        _stronger_simclr,
        paper=3.6,
    ),
    Claim(
        "strength-supervised",
        "color",
        "supervised training falls from strength 1/8 to 1",
        _stronger_supervised,
        paper=-1.3,
        falls=True,
    ),
    Claim(
        "strength-against-supervised",
        "color",
        "from strength 1/8 to 1, SimCLR loses less than supervised training",
        lambda rows: minus(_stronger_simclr(rows), _stronger_supervised(rows)),
        paper=4.9,
        sides={"SimCLR": _stronger_simclr, "supervised": _stronger_supervised},
    ),
    Claim(
        "blur-on-top",
        "color",
        "SimCLR gains from blur on top",
        lambda rows: minus(
            _strength(rows, "contrastive", "1 + blur"), _strength(rows, "contrastive", "1")
        ),
        paper=1.3,
    ),
    Claim(
        "head-nonlinear-beats-linear",
        "head",
        "a nonlinear head beats a linear one",
        lambda rows: minus(mean_of(rows, head="nonlinear"), mean_of(rows, head="linear")),
        paper=3.0,
    ),
    Claim(
        "head-nonlinear-beats-none",
        "head",
        "a nonlinear head beats none",
        lambda rows: minus(mean_of(rows, head="nonlinear"), mean_of(rows, head="none")),
        paper=10.0,
        bound=True,
    ),
    Claim(
        "head-h-beats-z",
        "head",
        "with a nonlinear head, h beats z",
        lambda rows: minus(
            mean_of(rows, head="nonlinear"), mean_of(rows, "probe_z", head="nonlinear")
        ),
        paper=10.0,
        bound=True,
    ),
    Claim(
        "head-length",
        "head",
        "z of 512 numbers or of 32: hardly matters",
        lambda rows: minus(_length_of_z(rows, "512"), _length_of_z(rows, "32")),
        small=True,
    ),
    *(_knowledge_claim(question) for question in TABLE_3),
    # The paper's cells differ more by their length than by their batch: this order is mostly that
    # of the lengths.
    Claim(
        "batch-order-linear",
        "batch_epochs",
        "the order of the 16 cells (mostly of their lengths), linear scaling",
        lambda rows: _batch_order(rows, "linear"),
        cells=16,
    ),
    Claim(
        "batch-order-root",
        "batch_epochs",
        "the order of the 16 cells (mostly of their lengths), root scaling",
        lambda rows: _batch_order(rows, "sqrt"),
        cells=16,
        data=("photos",),
    ),
    Claim(
        "batch-largest-beats-smallest",
        "batch_epochs",
        "8 times the batch is better, shortest training",
        lambda rows: _largest_over_smallest(rows, LENGTHS[0]),
        paper=6.5,
    ),
    Claim(
        "batch-lead-shrinks",
        "batch_epochs",
        "that lead shrinks from the shortest training to the longest",
        lambda rows: minus(
            _largest_over_smallest(rows, LENGTHS[0]), _largest_over_smallest(rows, LENGTHS[-1])
        ),
        paper=4.2,
    ),
    Claim(
        "root-beats-linear",
        "batch_epochs",
        "root scaling beats linear, smallest batch and shortest training",
        lambda rows: minus(
            batch_cell(rows, "sqrt", BATCHES[0], LENGTHS[0]),
            batch_cell(rows, "linear", BATCHES[0], LENGTHS[0]),
        ),
        paper=5.3,
        data=("photos",),
    ),
    Claim(
        "longest-beats-shortest",
        "batch_epochs",
        "training 8 times as long is better, largest batch",
        lambda rows: minus(
            batch_cell(rows, "linear", BATCHES[-1], LENGTHS[-1]),
            batch_cell(rows, "linear", BATCHES[-1], LENGTHS[0]),
        ),
        paper=4.9,
    ),
    Claim(
        "batch-against-supervised",
        "batch_epochs",
        "by a larger batch, SimCLR loses less than supervised training",
        lambda rows: minus(_gain(rows, "contrastive", "batch"), _gain(rows, "supervised", "batch")),
        data=("photos",),
        sides=_against_supervised("batch"),
    ),
    Claim(
        "length-against-supervised",
        "batch_epochs",
        "by longer training, SimCLR gains more than supervised training",
        lambda rows: minus(
            _gain(rows, "contrastive", "epochs"), _gain(rows, "supervised", "epochs")
        ),
        data=("photos",),
        sides=_against_supervised("epochs"),
    ),
    Claim(
        "tau-0.1-beats-0.05",
        "temperature",
        "τ 0.1 beats τ 0.05",
        lambda rows: minus(_tau(rows, "yes", "0.1"), _tau(rows, "yes", "0.05")),
        paper=4.7,
    ),
    Claim(
        "tau-0.1-beats-1",
        "temperature",
        "τ 0.1 beats τ 1",
        lambda rows: minus(_tau(rows, "yes", "0.1"), _tau(rows, "yes", "1")),
        paper=6.4,
    ),
    Claim(
        "l2-beats-none",
        "temperature",
        "with L2 (τ 0.1) beats without (τ 10)",
        lambda rows: minus(_tau(rows, "yes", "0.1"), _tau(rows, "no", "10")),
        paper=7.2,
    ),
    Claim(
        "more-pairs-without-l2",
        "temperature",
        "more pairs are found without L2 (τ 10) than with it (τ 0.1)",
        lambda rows: minus(
            _tau(rows, "no", "10", "pairs_found"), _tau(rows, "yes", "0.1", "pairs_found")
        ),
        paper=3.9,
    ),
)


def judge(study: str, rows: list[dict]) -> list[Judged]:
    """Return what became of each claim of a study on each data set.

    Args:
        study: One of studies.STUDIES.
        rows: Of its table.
    """
    judged = []
    for claim in CLAIMS:
        if claim.study != study:
            continue
        for data in claim.data:
            of_data, seeds = whole_seeds(study, [row for row in rows if row["data"] == data])
            if seeds:
                judged.append(judge_rows(claim, data, of_data, seeds))
    return judged


def judge_rows(
    claim: Claim, data: str, rows: list[dict], seeds: int, by_knn: bool = False
) -> Judged:
    """Return what became of a claim by rows that hold whole seeds; `by_knn`: they have kNN in the
    probe's place.
    """
    mean, width = mean_interval(list(claim.ours(rows).values()))
    sides = {name: mean_interval(list(side(rows).values())) for name, side in claim.sides.items()}
    other = None
    if not by_knn and "knn" in rows[0]:
        with_knn = [row | {"probe": row["knn"], "probe_z": row.get("knn_z", "")} for row in rows]
        other = judge_rows(claim, data, with_knn, seeds, by_knn=True)
    which_way, how_much = direction(claim, mean, width), size(claim, mean, width)
    return Judged(claim, data, seeds, mean, width, which_way, how_much, sides, other)


def direction(claim: Claim, mean: float, width: float) -> str:
    """Return "same", "opposite" or "cannot tell" by the rules above; one seed decides nothing."""
    if math.isnan(width):
        return "cannot tell"
    if claim.small:
        farthest = abs(mean) + width
        nearest = abs(mean) - width
        return "same" if farthest < SMALL else "opposite" if nearest > SMALL else "cannot tell"
    # 1 / sqrt(n - 1): spread of ρ in random orders
    chance = 1.96 / math.sqrt(claim.cells - 1) if claim.cells else 0.0
    towards = -mean if claim.falls else mean
    return (
        "same"
        if towards - width > chance
        else "opposite"
        if towards + width < -chance
        else "cannot tell"
    )


def size(claim: Claim, mean: float, width: float) -> str:
    """Return whether the paper's figure lies "inside" our interval or "outside"; "" where there is
    none.
    """
    if claim.paper is None or math.isnan(width):
        return ""
    if claim.bound:
        return "inside" if mean + width > claim.paper else "outside"
    return "inside" if abs(mean - claim.paper) <= width else "outside"


def whole_seeds(study: str, rows: list[dict]) -> tuple[list[dict], int]:
    """Return the rows of those seeds that have every cell of the study with a score, and how many
    those seeds are.

    Both sides of a difference then hold the same cells in every seed.
    """
    cells = {cell.key[:-1] for cell in STUDIES[study](0)}
    columns = ("data", *STUDIES[study](0)[0].about)
    have: dict[str, set] = {}
    for row in rows:
        if not row.get("failed"):
            have.setdefault(str(row["seed"]), set()).add(
                tuple(str(row[column]) for column in columns)
            )
    needed = {cell for cell in cells if rows and cell[0] == rows[0]["data"]}
    whole = {seed for seed, of_seed in have.items() if of_seed >= needed}
    return [row for row in rows if str(row["seed"]) in whole], len(whole)


def below_untrained(rows: list[dict], untrained: list[dict], data: str) -> tuple[float, int]:
    """Return an untrained encoder's accuracy in percent, and how many cells of the composition map
    lie below it.

    Args:
        rows: Of the study "composition".
        untrained: Rows of encoders without training, by the same protocol.
        data: "photos" or "shapes".
    """
    accuracies = [100 * float(row["probe"]) for row in untrained if row["data"] == data]
    baseline = sum(accuracies) / len(accuracies)
    of_data = [row for row in rows if row["data"] == data]
    cells = [
        mean_of(of_data, first=first, second=second)
        for first, second in product(TRANSFORMS, TRANSFORMS)
    ]
    means = [sum(cell.values()) / len(cell) for cell in cells]
    return baseline, sum(mean < baseline for mean in means)
