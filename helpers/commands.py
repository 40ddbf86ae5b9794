"""What the commands of `python -m helpers` do. Each imports what it needs: `doctor` may find packages missing."""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def run_train(options: argparse.Namespace) -> int:
    """Pretrain, and say what the encoder has learned beside raw pixels and a random encoder."""
    from lightning.pytorch.utilities import rank_zero_only

    from helpers.data import load
    from helpers.simclr import find_lars, load_pretrained, pretrain, settings_for

    changes = {name.removeprefix("set_"): value for name, value in vars(options).items()
               if name.startswith("set_") and value is not None}
    settings = settings_for(options.preset, options.data, **changes)
    size = changes.get("image_size") or (settings.image_size if options.preset == "paper" else None)
    if settings.optimizer == "lars":
        find_lars()  # said before images are read or drawn
    if size and rank_zero_only.rank == 0:
        print(f"preparing images of {size} px: minutes if they are many, once", flush=True)
    images = load(options.data, "train", size=size, limit=options.limit)
    val = load(options.data, "val", size=size)
    settings = dataclasses.replace(settings, image_size=images.images.shape[2])
    name = Path(options.data).stem
    out = Path(options.out or f"runs/{name}-{options.preset}-seed{settings.seed}")
    first = rank_zero_only.rank == 0  # of the processes that share the work, one speaks
    if first:
        if options.resume and not (out / "last.ckpt").exists():
            print(f"there is no run in {out} to go on with: a new one begins")
        print(f"{len(images):,} images of {images.images.shape[2]} px from {options.data} to learn from, {len(val):,} "
              f"held out (val); encoder {settings.encoder}, batch {settings.batch_size}, epochs {settings.epochs:g}; "
              f"run in {out}", flush=True)
    start = load_pretrained(options.start) if options.start else None
    result = pretrain(images, settings, val=val, start=start, out=out, resume=options.resume, device=options.device,
                      devices=options.devices, num_nodes=options.num_nodes, keep_seconds=options.keep_seconds,
                      progress=not options.no_progress)
    if not first:
        return 0
    if result.interrupted:
        print(f"stopped after {result.history[-1]['step'] if result.history else 0} steps; {out} holds the encoder so "
              f"far; the same command with --resume goes on")
        return 130
    print(f"trained in {result.card['seconds'] / 60:.1f} min on {result.card['hardware']}")
    report(result, images, val, load(options.data, "test", size=size) if options.test else None, out)
    return 0


def report(result, images, val, test, out: Path) -> None:
    """Print accuracies on val (or, once, on test) beside raw pixels and a random encoder, and keep them in the run."""
    from torch import nn

    from helpers.artifacts import write_aside
    from helpers.evaluation import evaluate, extract_features, knn_accuracy
    from helpers.metrics import proportion_interval
    from helpers.models import build_encoder
    from helpers.runtime import seed_everything

    if images.labels is None or val.labels is None:
        print("the images have no labels, so there is nothing to score; look at neighbours in a notebook")
        return
    seed_everything(result.settings.seed)
    encoders = {"raw pixels": nn.Flatten(),
                "random encoder": build_encoder(result.settings.encoder, result.settings.image_size).eval(),
                "supervised" if result.settings.objective == "supervised" else "SimCLR": result.encoder}
    rows = []
    for name, encoder in encoders.items():
        if test is None:
            bank, queries = (extract_features(encoder, part.images) for part in (images, val))
            scores = {"knn": knn_accuracy(bank, images.labels, queries, val.labels)}
        else:
            scores = evaluate(encoder, images, val, test)
        asked = val if test is None else test
        parts = []
        for score in ("knn", "probe"):
            if score in scores:
                low, high = proportion_interval(round(scores[score] * len(asked)), len(asked))
                label = "kNN" if score == "knn" else f"linear probe, {scores['probe_labels']:,} labels"
                parts.append(f"{label} {scores[score]:.1%} ({low:.1%} to {high:.1%})")
        print(f"{name:>15}: {'; '.join(parts)}")
        rows.append({"encoder": name, "split": asked.name, **scores})
    print(f"on {len(asked):,} {'held-out (val)' if test is None else 'test'} images; 95% intervals over images, not "
          f"over seeds")
    with write_aside(out / "results.json") as aside:
        aside.write_text(json.dumps(rows, indent=1) + "\n")


def run_transfer(options: argparse.Namespace) -> int:
    """Compare the ways to use an encoder, and print the table."""
    from helpers.data import load
    from helpers.results import read_results, results_table, write_results
    from helpers.simclr import load_pretrained
    from helpers.transfer import FROZEN, OPTIONS, compare

    labels = []
    for word in options.labels.split(","):
        if word != "all" and not (word.isdecimal() and int(word)):
            raise ValueError(f"labels are numbers above 0 or the word all, separated by commas, not {word!r}")
        labels.append(None if word == "all" else int(word))
    if options.seeds < 1 or not 1 <= options.tries <= 8:
        raise ValueError(f"there must be at least 1 seed and 1 to 8 tries, not {options.seeds} and {options.tries}")
    found = load_pretrained(options.encoder)
    parts = [load(options.data, split, size=found.settings.image_size) for split in ("train", "val", "test")]
    names = Path(options.encoder).stem, Path(options.data).stem
    out = Path(options.out or f"runs/transfer-{'-'.join(names)}.csv")
    known = _known(out, options.resume, "a comparison")
    rows = compare(found.encoder, *parts, labels=tuple(labels), options=tuple(options.options.split(",")),
                   seeds=options.seeds, tries=options.tries, search_each_seed=not options.search_once, known=known,
                   keep=lambda rows: write_results(out, [{"encoder": names[0], **row} for row in rows]),
                   progress=not options.no_progress)
    rows = [{**row, "way": OPTIONS[row["option"]]} for row in read_results(out)]
    print(results_table(rows, {"labels": "labels per class", "option": "option", "way": "what it does"},
                        {"accuracy": "test accuracy"},
                        {"seconds": "seconds", "mebibytes": "MiB", "parameters": "trained numbers"}))
    print(f"{len(parts[2]):,} test images, read once a row; 95% intervals, ± over seeds or, in brackets, over these "
          f"images. Rows: {out}")
    frozen = [row["before"] == row["after"] for row in rows if row["option"] in FROZEN]
    if frozen:
        print("The frozen encoder did not move (equal fingerprints)." if all(frozen) else
              "The frozen encoder moved. That is a bug: please report it.")
    return 0


def _known(out: Path, resume: bool, what: str) -> list[dict]:
    """Return the rows that an earlier call left in a file."""
    from helpers.results import read_results

    if out.exists() and not resume:
        raise ValueError(f"{out} already holds {what}; add --resume to go on with it, or choose another file with "
                         f"--out")
    return read_results(out) if out.exists() else []


def run_findings(options: argparse.Namespace) -> int:
    """Run a study, and say where it goes the paper's way."""
    from helpers.agreement import judge
    from helpers.findings import run_study
    from helpers.results import write_results
    from helpers.runtime import pick_device, usable_cores
    from helpers.studies import DATA
    from helpers.verdicts import claims_table

    data = tuple(options.data.split(","))
    for name in data:
        if name not in DATA:
            raise ValueError(f"unknown data {name!r}; choose {', '.join(DATA)}")
    workers = options.workers or (usable_cores() if pick_device().type == "cpu" else 1)
    if options.seeds < 1 or workers < 1:
        raise ValueError(f"there must be at least 1 seed and 1 worker, not {options.seeds} and {workers}")
    out = Path(options.out or f"runs/findings-{options.study}.csv")
    known = _known(out, options.resume, "a study")
    rows = run_study(options.study, photos=options.photos, data=data, seeds=options.seeds, workers=workers, known=known,
                     keep=lambda rows: write_results(out, rows), progress=not options.no_progress)
    print(claims_table(judge(options.study, rows)))
    print(f"± is the 95% interval over seeds; one seed has none, and decides nothing. Rows: {out}")
    return 0


def run_grade(options: argparse.Namespace) -> int:
    """Grade submissions, and print which mistakes the class makes."""
    from helpers.grading import grade, plain, summarize, write_rows
    from helpers.runtime import usable_cores

    folder, out = Path(options.folder), Path(options.out)
    mistakes = out.with_name(f"{out.stem}-mistakes.csv")
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; name the one that holds the students' notebooks")
    if not options.seconds > 0 or (options.workers is not None and options.workers < 1):
        raise ValueError(f"there must be more than 0 seconds and at least 1 worker, not {options.seconds:g} and "
                         f"{options.workers}")
    for path in (out, mistakes):
        if path.exists() and not options.overwrite:
            raise ValueError(f"{path} is there already; add --overwrite to replace it, or choose another --out")
    rows = grade(folder, not options.no_progress, options.workers or usable_cores(), options.seconds,
                 keep=lambda rows: write_rows(out, rows))
    summary = summarize(rows)
    write_rows(mistakes, summary)
    for row in summary:
        print(f"{row['exercise']:>18}  {row['submissions']:>3} of {row['of']:<3}  {row['outcome']}")
    trouble = [row for row in rows if row["problem"]]
    for row in trouble:
        print(f"{'look at':>18}  {plain(row['submission'])}: {plain(row['problem'])}")
    print(f"{len(rows)} submissions in {out}; the class's mistakes in {mistakes}")
    return 0


def run_slides(options: argparse.Namespace) -> int:
    """Draw the lectures' figures and build HTML and PDF."""
    from helpers.slides import build, decks, draw_figures, write_quiz

    chosen = [deck for deck in decks() if not options.names or any(map(deck.stem.startswith, options.names))]
    if not chosen:
        raise ValueError(f"no lecture begins with {' or '.join(options.names)}; there are "
                         f"{', '.join(deck.stem for deck in decks())}")
    write_quiz()
    if not options.no_figures:
        draw_figures()
    for deck in chosen:
        build(deck)
        print(f"built {deck.stem}.html and {deck.stem}.pdf", flush=True)
    return 0


def run_publish(options: argparse.Namespace) -> int:
    """Stamp the repository's address and tag into notebooks, README and citation."""
    from helpers.publishing import publish

    changed = publish(options.repository, options.tag)
    print(f"{len(changed)} files name https://github.com/{options.repository} at {options.tag} now; commit them, set "
          f"the tag, and push both" if changed else "nothing to change: all files name it already")
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """Print what machine this is, what is missing and what to do about it."""
    problems = _missing_packages()
    if problems:
        for problem in problems:
            print(f"{'to mend':>14}  {problem}")
        return 1
    from helpers.artifacts import cache_dir
    from helpers.runtime import environment

    for name, value in environment().items():
        print(f"{name:>14}  {value}")
    place = cache_dir()
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    print(f"{'data go to':>14}  {place} ({free:.0f} GB free)")
    if free < 1:
        problems.append(f"only {free:.1f} GB are free where data go: free some, or set COURSE_DATA to another folder")
    if not os.access(existing, os.W_OK):
        problems.append(f"{existing} cannot be written: set COURSE_DATA to a folder that can")
    for problem in problems:
        print(f"{'to mend':>14}  {problem}")
    if not problems:
        print(f"{'all is well':>14}  open notebooks/00_welcome.ipynb")
    return 1 if problems else 0


def _missing_packages() -> list[str]:
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return ["packaging is missing: pip install -r requirements.txt"]
    problems = []
    for line in (PROJECT / "requirements.txt").read_text().splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        needed = Requirement(line)
        try:
            found = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{needed.name} is missing: pip install -r requirements.txt")
            continue
        if not needed.specifier.contains(found, prereleases=True):
            problems.append(f"{needed.name} {found} is not {needed.specifier}: pip install -U -r requirements.txt")
    return problems
