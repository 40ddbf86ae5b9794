"""The baseline of the composition maps: encoders without training, by the same protocol."""

from helpers.artifacts import RESULTS
from helpers.findings.run import score_untrained
from helpers.findings.studies import DATA
from helpers.results import write_results


def make_untrained(photos: str, seeds: int) -> None:
    """The baseline of the composition maps: encoders without any training, by the same protocol."""
    rows = [score_untrained(data, seed, photos) for data in DATA for seed in range(seeds)]
    write_results(RESULTS / "findings_untrained.csv", rows)
