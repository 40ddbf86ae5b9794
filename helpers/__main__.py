"""The command line, python -m helpers train | transfer | findings | doctor. Wrong use is told in one line;
COURSE_DEBUG=1 shows where it came from."""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 something is missing, 2 a wrong use, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # --batch_size means --batch-size; values stay as they are.
    arguments = [a.partition("=")[0].replace("_", "-") + a[len(a.partition("=")[0]):] if a.startswith("--") else a
                 for a in arguments]
    parser = build_parser(next((a for a in arguments if not a.startswith("-")), ""))
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        if os.environ.get("COURSE_DEBUG"):
            raise
        message = " ".join(str(error).split())
        print(f"python -m helpers {options.command}: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser(command: str = "train") -> argparse.ArgumentParser:
    """Return the parser; the options of `train` are the fields of `settings.Settings`."""
    parser = _Parser(prog="python -m helpers", description="Self-supervised learning with SimCLR.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="what machine this is, what is missing, what to do")
    doctor.set_defaults(run=run_doctor)
    _add_transfer(commands)
    _add_findings(commands)
    train = commands.add_parser(
        "train", help="pretrain an encoder on images, without labels", formatter_class=argparse.RawTextHelpFormatter,
        description="Pretrain an encoder with SimCLR. The run's folder gets metrics.csv, run.json, last.ckpt\n"
                    "and encoder.safetensors. Ctrl-C ends a run cleanly; the same command with --resume goes on.",
        epilog="examples:\n  python -m helpers train\n"
               "  python -m helpers train --data cifar10 --batch-size 32 --lr 0.003\n"
               "  python -m helpers train --data my_photos.zip --epochs 20 --test\n"
               "  python -m helpers train --data cifar10 --preset colab --devices 2")
    train.set_defaults(run=run_train)
    train.add_argument("--data", default="shapes", metavar="NAME", help="shapes, shapes-textured, cifar10, cifar100, "
                       "stl10, or a folder or\n.zip of images (default: shapes)")
    train.add_argument("--preset", default="laptop", metavar="NAME", help="smoke (seconds), laptop (minutes on a CPU), "
                       "colab (one GPU),\npaper (many GPUs); every option below changes one thing of it")
    train.add_argument("--out", metavar="FOLDER", help="the run's folder (default: runs/DATA-PRESET-seedN)")
    train.add_argument("--resume", action="store_true", help="go on with the run in the folder from where it was kept")
    train.add_argument("--start", metavar="NAME", help="begin with this encoder's weights: a shipped name, a run's "
                       "folder\nor a file")
    train.add_argument("--test", action="store_true", help="at the end, read the test split once: kNN and linear probe")
    train.add_argument("--limit", type=int, metavar="N", help="use only N images")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    train.add_argument("--devices", type=int, default=1, metavar="N", help="how many devices share each batch")
    train.add_argument("--num-nodes", type=int, default=1, metavar="N", help="how many hosts take part")
    train.add_argument("--keep-seconds", type=float, default=30, metavar="X",
                       help="how often the run is kept (default: 30)")
    train.add_argument("--no-progress", action="store_true", help="no progress bar")
    if command == "train":  # these need all packages, while `doctor` is for when some are missing
        _add_settings(train)
    return parser


def _add_transfer(commands) -> None:
    transfer = commands.add_parser(
        "transfer", help="compare the three ways to use an encoder on labelled images",
        formatter_class=argparse.RawTextHelpFormatter,
        description="Compare on labelled images: training from scratch, (1) training all layers, (2) training the\n"
                    "last layers on the frozen encoder, (3) a new classifier on its embeddings. Every choice is made\n"
                    "on validation images; test images are read once. Each seed labels other images, the same for\n"
                    "every option. Rows go to a CSV file as they come; the same command with --resume goes on.",
        epilog="example:\n  python -m helpers transfer --encoder cifar10-tiny --data my_photos.zip --options 1,2,3 "
               "--labels 10,50,100")
    transfer.set_defaults(run=run_transfer)
    transfer.add_argument("--encoder", default="shapes-tiny", metavar="NAME", help="a shipped one, a run's folder or a "
                          "file (default: shapes-tiny)")
    transfer.add_argument("--data", default="digits", metavar="NAME", help="shapes, digits, cifar10, cifar100, stl10, "
                          "or a folder or .zip of\nclass folders (default: digits)")
    transfer.add_argument("--options", default="scratch,1,2,3", metavar="LIST", help="of scratch,1,2,3 (default: all)")
    transfer.add_argument("--labels", default="10,50,100", metavar="LIST", help="labels a class, or all "
                          "(default: 10,50,100)")
    transfer.add_argument("--seeds", type=int, default=5, metavar="N", help="how many (default: 5)")
    transfer.add_argument("--tries", type=int, default=8, metavar="N", help="configurations that each option may try "
                          "on validation, 1 to 8\n(default: 8)")
    transfer.add_argument("--search-once", action="store_true", help="let the first seed's choices serve all "
                          "seeds: quicker")
    transfer.add_argument("--out", metavar="FILE", help="the CSV file (default: runs/transfer-ENCODER-DATA.csv)")
    transfer.add_argument("--resume", action="store_true", help="go on with the rows that the file holds")
    transfer.add_argument("--no-progress", action="store_true", help="no progress bar")


def _add_findings(commands) -> None:
    findings = commands.add_parser(
        "findings", help="measure one of the paper's findings at small scale",
        formatter_class=argparse.RawTextHelpFormatter,
        description="Run the grid of a study and compare it with the paper. Rows go to a CSV file as they come; the\n"
                    "same command with --resume goes on. A run takes one to three minutes of one core.",
        epilog="examples:\n  python -m helpers findings temperature --data shapes\n"
               "  python -m helpers findings composition --photos my_photos.zip --seeds 5")
    findings.set_defaults(run=run_findings)
    findings.add_argument("study", metavar="NAME", help="composition, color, head, knowledge, batch_epochs or "
                          "temperature")
    findings.add_argument("--photos", default="cifar10", metavar="NAME", help="the photos: cifar10, or a folder or "
                          ".zip of class folders\n(default: cifar10)")
    findings.add_argument("--data", default="photos,shapes", metavar="LIST", help="of photos,shapes (default: both)")
    findings.add_argument("--seeds", type=int, default=3, metavar="N", help="how many (default: 3)")
    findings.add_argument("--workers", type=int, metavar="N", help="runs at the same time, one thread each (default: "
                          "as many as cores;\n1 with a GPU)")
    findings.add_argument("--out", metavar="FILE", help="the CSV file (default: runs/findings-NAME.csv)")
    findings.add_argument("--resume", action="store_true", help="go on with the rows that the file holds")
    findings.add_argument("--no-progress", action="store_true", help="no estimate and no progress bar")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    from helpers.settings import Settings

    group = parser.add_argument_group("settings (the default is the preset's)")
    for each in dataclasses.fields(Settings):
        group.add_argument(f"--{each.name.replace('_', '-')}", dest=f"set_{each.name}", type=each.type,
                           metavar={int: "N", float: "X", str: "NAME"}[each.type], help=each.metadata["help"])


def run_train(options: argparse.Namespace) -> int:
    """Pretrain, and say what the encoder has learned beside raw pixels and a random encoder."""
    from lightning.pytorch.utilities import rank_zero_only

    from helpers.data import load
    from helpers.simclr import load_pretrained, pretrain, settings_for

    changes = {name.removeprefix("set_"): value for name, value in vars(options).items()
               if name.startswith("set_") and value is not None}
    settings = settings_for(options.preset, options.data, **changes)
    size = changes.get("image_size") or (settings.image_size if options.preset == "paper" else None)
    images = load(options.data, "train", size=size, limit=options.limit)
    val = load(options.data, "val", size=size)
    settings = dataclasses.replace(settings, image_size=images.images.shape[2])
    name = Path(options.data).stem
    out = Path(options.out or f"runs/{name}-{options.preset}-seed{settings.seed}")
    first = rank_zero_only.rank == 0  # of the processes that share the work, one speaks
    if first:
        print(f"{len(images):,} images of {images.images.shape[2]} px from {options.data}; encoder {settings.encoder}, "
              f"batch {settings.batch_size}, {settings.epochs:g} epochs; run in {out}", flush=True)
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
    known = []
    if out.exists():
        if not options.resume:
            raise ValueError(f"{out} already holds a comparison; add --resume to go on with it, or choose another file "
                             f"with --out")
        known = read_results(out)
    rows = compare(found.encoder, *parts, labels=tuple(labels), options=tuple(options.options.split(",")),
                   seeds=options.seeds, tries=options.tries, search_each_seed=not options.search_once, known=known,
                   keep=lambda rows: write_results(out, [{"encoder": names[0], **row} for row in rows]),
                   progress=not options.no_progress)
    rows = [{**row, "way": OPTIONS[row["option"]]} for row in read_results(out)]
    print(results_table(rows, {"labels": "labels a class", "option": "option", "way": "what it does"},
                        {"accuracy": "test accuracy"},
                        {"seconds": "seconds", "mebibytes": "MiB", "parameters": "trained numbers"}))
    print(f"{len(parts[2]):,} test images, read once a row; ± is the 95% interval over seeds. Rows: {out}")
    frozen = [row["before"] == row["after"] for row in rows if row["option"] in FROZEN]
    if frozen:
        print("The frozen encoder did not move (equal fingerprints)." if all(frozen) else
              "The frozen encoder moved. That is a bug: please report it.")
    return 0


def run_findings(options: argparse.Namespace) -> int:
    """Run a study, and say where it agrees with the paper."""
    from helpers.agreement import judge, verdicts_table
    from helpers.findings import DATA, run_study
    from helpers.results import read_results, write_results
    from helpers.runtime import pick_device, usable_cores

    data = tuple(options.data.split(","))
    for name in data:
        if name not in DATA:
            raise ValueError(f"unknown data {name!r}; choose {', '.join(DATA)}")
    workers = options.workers or (usable_cores() if pick_device().type == "cpu" else 1)
    if options.seeds < 1 or workers < 1:
        raise ValueError(f"there must be at least 1 seed and 1 worker, not {options.seeds} and {workers}")
    out = Path(options.out or f"runs/findings-{options.study}.csv")
    known = []
    if out.exists():
        if not options.resume:
            raise ValueError(f"{out} already holds a study; add --resume to go on with it, or choose another file with "
                             f"--out")
        known = read_results(out)
    rows = run_study(options.study, photos=options.photos, data=data, seeds=options.seeds, workers=workers, known=known,
                     keep=lambda rows: write_results(out, rows), progress=not options.no_progress)
    print(verdicts_table(judge(options.study, rows)))
    print(f"± is the 95% interval over seeds. Rows: {out}")
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


if __name__ == "__main__":
    sys.exit(main())
