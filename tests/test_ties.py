"""Sentences that the tables must support: a tie to a claim or a fact stands beside each of them.

    <!-- claim: head-h-beats-z photos,shapes direction=same size=outside knn=cannot-tell -->
    <!-- fact: test_the_curves_peak_where_the_text_says -->

A claim is judged by its rules; a fact is the test of that name, which looks into the tables. So
anyone may write the sentence better: what has to stay true is checked, not the words.
"""

import re
from functools import lru_cache
from pathlib import Path

import pytest

from helpers.findings.verdicts import judge_all

ROOT = Path(__file__).parent.parent
SOURCES = [*sorted((ROOT / "notebooks" / "source").glob("*.py")), ROOT / "README.md"]
CLAIM = re.compile(r"<!-- claim: (\S+) (\S+) ((?:\w+=[\w-]+ ?)+)-->")
FACT = re.compile(r"<!-- fact: (\w+) -->")
TIES = [
    (path.name, *tie)
    for path in SOURCES
    for tie in sorted(set(CLAIM.findall(path.read_text("utf-8"))))
]


@lru_cache(maxsize=1)
def judged() -> dict:
    """Return what became of every claim, by its id and the data."""
    return {(one.claim.id, one.data): one for one in judge_all()}


@pytest.mark.parametrize(("file", "claims", "data", "states"), TIES)
def test_a_claim_is_what_the_sentence_beside_it_says(file, claims, data, states):
    for claim in claims.split(","):
        for name in data.split(","):
            one = judged()[claim, name]
            values = {
                "direction": one.direction.replace(" ", "-"),
                "size": one.size,
                "knn": one.by_knn.direction.replace(" ", "-") if one.by_knn else "",
            }
            for state in states.split():
                key, expected = state.split("=")
                assert values[key] == expected, (file, claim, name)


def test_every_tie_is_written_as_one_and_names_what_exists():
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    for path in SOURCES:
        text = path.read_text("utf-8")
        ties = re.findall(r"<!-- (?:claim|fact):.*", text)
        assert len(ties) == len(CLAIM.findall(text)) + len(FACT.findall(text)), path.name
        for fact in FACT.findall(text):
            assert f"def {fact}(" in tests, (path.name, fact)


def test_ties_are_there_and_in_no_notebook():
    assert len(TIES) > 20
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        assert "<!-- claim:" not in path.read_text("utf-8")
