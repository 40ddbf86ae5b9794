"""The teacher's guide: its minutes are those of the notes, its parts exist, and the map leaves no
slide out.
"""

import re

import pytest

from helpers.widgets.questions import QUESTIONS
from slides.build import PROJECT, SLIDES, decks, with_quiz

GUIDE = (SLIDES / "README.md").read_text()
DECKS = {int(deck.name[:2]): deck for deck in decks()}


def minutes(deck):
    """Return the minutes of each slide, as its note begins."""
    return [int(number) for number in re.findall(r"<!-- (\d+) min\. ", deck.read_text())]


def headings(notebook):
    """Return the headings of a notebook's source."""
    (source,) = (PROJECT / "notebooks" / "source").glob(f"{notebook}_*.py")
    return re.findall(r"^# ##+ (.*)$", source.read_text(), re.MULTILINE)


def plans():
    """Return each minute plan: its rows of (from, to, slides, notebook)."""
    tables = re.findall(r"\| from \| to \| slides \|.*?\n\|[-|]+\n(.*?)\n\n", GUIDE, re.DOTALL)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        for table in tables
    ]


@pytest.mark.parametrize("deck", DECKS.values(), ids=lambda deck: deck.stem)
def test_a_lecture_says_how_long_it_takes(deck):
    total = sum(minutes(deck))
    assert f"{total} minutes" in deck.read_text()
    assert re.search(rf"\({deck.stem}\.html\).*\| {total} \|", GUIDE)


@pytest.mark.parametrize("plan", plans(), ids=("class 1", "class 2", "workshop"))
def test_a_plan_has_no_gap_and_the_minutes_of_the_notes(plan):
    now, lecture = 0, None
    for start, end, slides, _ in plan:
        assert int(start) == now
        now, planned = int(end), 0
        lecture = re.search(r"lecture (\d)", slides)
        for first, last, told in re.findall(r"(\d+)-(\d+) \((\d+)\)", slides):
            spent = sum(minutes(DECKS[int(lecture[1])])[int(first) - 1 : int(last)])
            assert spent == int(told), slides
            planned += spent
        assert planned in (0, now - int(start)), slides
    assert now in (90, 240)


def test_a_plan_is_there_for_two_classes_and_a_workshop():
    assert [int(plan[-1][1]) for plan in plans()] == [90, 90, 240]


def test_every_slide_is_on_the_map_and_leads_to_a_part():
    rows = re.findall(r"^\| (\d) \| (\d+)-(\d+) \| (\d\d) \| (.*) \|$", GUIDE, re.MULTILINE)
    for number, deck in DECKS.items():
        covered = [
            slide
            for lecture, first, last, *_ in rows
            if int(lecture) == number
            for slide in range(int(first), int(last) + 1)
        ]
        assert covered == list(range(1, len(minutes(deck)) + 1)), deck.stem
    for _, _, _, notebook, part in rows:
        assert part in headings(notebook), part


def test_what_students_get_wrong_names_parts_that_exist():
    named = re.findall(r"(\d\d), part (\d+)", GUIDE) + re.findall(r"(\d\d), exercise (\d+)", GUIDE)
    for notebook, part in re.findall(r"(\d\d), part (\d+)", GUIDE):
        assert any(heading.startswith(f"{part}. ") for heading in headings(notebook)), (
            notebook,
            part,
        )
    for notebook, exercise in re.findall(r"(\d\d), exercise (\d+)", GUIDE):
        assert any(heading.startswith(f"Exercise {exercise} ") for heading in headings(notebook)), (
            notebook,
            exercise,
        )
    assert len(named) > 10


def test_the_quiz_with_its_answers_is_that_of_the_notebooks():
    assert with_quiz(GUIDE) == GUIDE, "run: python -m helpers slides"
    assert GUIDE.count("\n1. ") >= len(QUESTIONS)
