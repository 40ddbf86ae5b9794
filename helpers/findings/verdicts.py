"""Which claims are shown where, by a rule, and the Markdown tables that show them.

The rule: a table that cannot hold all claims holds those of the paper's abstract and section
titles, with a line for what is not measured here, and every claim that comes out opposite on
photos, whether the paper stresses it or not.
"""

from collections import Counter
from dataclasses import dataclass

from helpers.findings.claims import Claim, Judged, judge, judge_rows, mean_of, minus, with_interval
from helpers.findings.paper import FIGURE_5_NOTE
from helpers.findings.studies import DATA, STUDIES
from helpers.results import markdown_table, read_results

DIRECTIONS = ("same", "opposite", "cannot tell")
KNN_MARK, MEMORY_MARK = "†", "‡"
RULE = (
    "The lines are chosen by a rule, not by how they came out: the claims of the paper's abstract "
    "and of its section titles, and every claim that is opposite on photos."
)


@dataclass(frozen=True)
class Headline:
    """A claim of the paper's abstract or of a section's title.

    Attributes:
        where: In the paper.
        claims: Ids of the claims by which it is tried here.
        unmeasured: What of it is not measured here, or "".
    """

    where: str
    claims: tuple[str, ...] = ()
    unmeasured: str = ""


HEADLINES = (
    Headline("abstract, 3.1", ("crop-color-beats-either", "crop-color-beats-pairs")),
    Headline("3.2", ("strength-against-supervised",)),
    Headline("4.1", (), "SimCLR gains more from bigger models than supervised training"),
    Headline(
        "abstract, 4.2",
        ("head-nonlinear-beats-none", "head-nonlinear-beats-linear", "head-h-beats-z"),
    ),
    Headline("5.1", ("tau-0.1-beats-1", "l2-beats-none"), "NT-Xent beats other losses"),
    Headline(
        "abstract, 5.2",
        (
            "batch-largest-beats-smallest",
            "longest-beats-shortest",
            "batch-against-supervised",
            "length-against-supervised",
        ),
    ),
    Headline("abstract", ("few-labels-beat-scratch", "linear-matches-supervised")),
)

# Claims that notebook 05 measures, and no study.
ELSEWHERE = (
    Claim(
        "few-labels-beat-scratch",
        "transfer_cifar10",
        "with 1% of the labels, fine-tuning beats training from scratch",
        lambda rows: minus(
            mean_of(rows, "accuracy", option="1", labels="50"),
            mean_of(rows, "accuracy", option="scratch", labels="50"),
        ),
        paper=22.9,
        data=("photos",),  # Table B.4, top-1
    ),
    Claim(
        "linear-matches-supervised",
        "encoders",
        "a linear layer on h matches supervised training (one run)",
        lambda rows: minus(
            mean_of(rows, pretraining="SimCLR"), mean_of(rows, pretraining="supervised")
        ),
        small=True,
        data=("photos",),
    ),
)


def judge_all() -> list[Judged]:
    """Return what became of every claim, from the shipped tables."""
    judged = [
        found for study in STUDIES for found in judge(study, read_results(f"findings_{study}"))
    ]
    few, linear = ELSEWHERE
    rows = read_results(few.study)
    judged.append(judge_rows(few, "photos", rows, seeds=len({row["seed"] for row in rows})))
    rows = [row | {"seed": "0"} for row in read_results(linear.study) if row["target"] == "cifar10"]
    judged.append(judge_rows(linear, "photos", rows, seeds=1))
    return judged


def selected(judged: list[Judged]) -> list[str]:
    """Return the ids of the claims that the rule selects, those of the headlines first."""
    ids = [claim for headline in HEADLINES for claim in headline.claims]
    ids += [one.claim.id for one in judged if one.data == "photos" and one.direction == "opposite"]
    return list(dict.fromkeys(ids))


def claims_table(judged: list[Judged]) -> str:
    """Return a Markdown table, a line for each claim, and below it what its marks mean."""
    rows = [_cells(_of(judged, claim)) for claim in dict.fromkeys(one.claim.id for one in judged)]
    return _paragraphs(markdown_table(_titles("claim"), rows), *_footnotes(judged))


def headlines_table(judged: list[Judged]) -> str:
    """Return the Markdown table of the claims that the rule selects, the rule, and a tally."""
    rows = []
    for headline in HEADLINES:
        for claim in headline.claims:
            rows.append([headline.where, *_cells(_of(judged, claim))])
        if headline.unmeasured:
            rows.append([headline.where, headline.unmeasured, "", "not measured here", *[""] * 5])
    ids = selected(judged)
    stressed = {claim for headline in HEADLINES for claim in headline.claims}
    for claim in ids:
        if claim not in stressed:
            rows.append(["elsewhere", *_cells(_of(judged, claim))])
    table = markdown_table(_titles("in the paper", "claim"), rows)
    shown = [one for one in judged if one.claim.id in ids]
    return _paragraphs(table, RULE, f"All claims: {tally(judged)}", *_footnotes(shown))


def _of(judged: list[Judged], claim: str) -> list[Judged]:
    return [one for one in judged if one.claim.id == claim]


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(texts)


def tally(judged: list[Judged]) -> str:
    """Return in a sentence how many claims came out how, on photos and on shapes."""
    parts = []
    for data in DATA:
        of_data = [one for one in judged if one.data == data]
        directions = Counter(one.direction for one in of_data)
        sizes = Counter(one.size for one in of_data)
        parts.append(
            f"on {data}, of {len(of_data)}, "
            + ", ".join(f"{directions[name]} {name}" for name in DIRECTIONS)
            + f"; the paper's figure lies inside our interval in {sizes['inside']} of "
            f"{sizes['inside'] + sizes['outside']}"
        )
    return "; ".join(parts) + "."


def tally_table(judged: list[Judged]) -> str:
    """Return a Markdown table: for photos and shapes, how many claims came out how."""
    rows = []
    for data in DATA:
        of_data = [one for one in judged if one.data == data]
        directions = Counter(one.direction for one in of_data)
        sizes = Counter(one.size for one in of_data)
        counts = [directions[name] for name in DIRECTIONS]
        rows.append([data, *counts, sizes["inside"], sizes["outside"]])
    return markdown_table(["", *DIRECTIONS, "paper's figure inside", "outside"], rows)


def _titles(*titles: str) -> list[str]:
    columns = [*titles, "the paper"]
    for data in DATA:
        columns += [data, "direction", "size"]
    return columns


def _cells(judged: list[Judged]) -> list[str]:
    """Return the cells of a claim: its text, the paper's figure, and three for each data set."""
    claim = judged[0].claim
    mark = f" {MEMORY_MARK}" if claim.study == "composition" and claim.paper is not None else ""
    cells = [claim.text, claim.paper_text + mark]
    for data in DATA:
        one = next((one for one in judged if one.data == data), None)
        if one is None:
            cells += ["", "", ""]
            continue
        sides = ", ".join(
            f"{name} {with_interval(*side, claim.digits)}" for name, side in one.sides.items()
        )
        figure = f"{one.figure} ({sides})" if sides else one.figure
        mark = f" {KNN_MARK}" if one.turned else ""
        cells += [figure, f"**{one.direction}**{mark}", one.size]
    return cells


def _footnotes(judged: list[Judged]) -> list[str]:
    notes = []
    cases = []
    for one in judged:
        if one.by_knn is not None and one.turned:
            knn = one.by_knn
            cases.append(f"{one.claim.text} ({one.data}): {knn.direction}, {knn.figure}")
    if cases:
        notes.append(
            f"{KNN_MARK} Judged by kNN in the place of the linear probe, the direction is another: "
            f"{'; '.join(cases)}."
        )
    if any(one.claim.study == "composition" and one.claim.paper is not None for one in judged):
        notes.append(f"{MEMORY_MARK} {FIGURE_5_NOTE}")
    return notes
