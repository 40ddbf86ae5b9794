"""python -m helpers transfer: compare the three ways to use an encoder on labelled images."""

import argparse
from pathlib import Path


def add_parser(commands) -> None:
    """Add the command and its options."""
    transfer = commands.add_parser(
        "transfer",
        help="compare the three ways to use an encoder on labelled images",
        formatter_class=argparse.RawTextHelpFormatter,
        description="Compare on labelled images: training from scratch, (1) training all layers, "
        "(2) training the\n"
        "last layers on the frozen encoder, (3) a new classifier on its embeddings. Every choice "
        "is made\n"
        "on validation images; test images are read once. Each seed labels other images, the same "
        "for\n"
        "every option. Rows go to a CSV file as they come; the same command with --resume goes on.",
        epilog="example:\n  python -m helpers transfer --encoder cifar10-tiny --data my_photos.zip "
        "--options 1,2,3 --labels 10,50,100",
    )
    transfer.set_defaults(run=run)
    transfer.add_argument(
        "--encoder",
        default="shapes-tiny",
        metavar="NAME",
        help="a shipped one, a run's folder or a file (default: shapes-tiny)",
    )
    transfer.add_argument(
        "--data",
        default="digits",
        metavar="NAME",
        help="shapes, digits, cifar10, cifar100, stl10, "
        "or a folder or .zip of\nclass folders (default: digits)",
    )
    transfer.add_argument(
        "--options", default="scratch,1,2,3", metavar="LIST", help="of scratch,1,2,3 (default: all)"
    )
    transfer.add_argument(
        "--labels",
        default="10,50,100",
        metavar="LIST",
        help="labels per class, or all (default: 10,50,100)",
    )
    transfer.add_argument("--seeds", type=int, default=5, metavar="N", help="how many (default: 5)")
    transfer.add_argument(
        "--tries",
        type=int,
        default=8,
        metavar="N",
        help="configurations that each option may try on validation, 1 to 8\n(default: 8)",
    )
    transfer.add_argument(
        "--search-once",
        action="store_true",
        help="let the first seed's choices serve all seeds: quicker",
    )
    transfer.add_argument(
        "--out", metavar="FILE", help="the CSV file (default: runs/transfer-ENCODER-DATA.csv)"
    )
    transfer.add_argument(
        "--resume", action="store_true", help="go on with the rows that the file holds"
    )
    transfer.add_argument("--no-progress", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> int:
    """Compare the ways to use an encoder, and print the table."""
    from helpers.data import load
    from helpers.results import earlier_rows, read_results, results_table, write_results
    from helpers.simclr import load_pretrained
    from helpers.transfer import FROZEN, OPTIONS, compare

    labels = []
    for word in options.labels.split(","):
        if word != "all" and not (word.isdecimal() and int(word)):
            raise ValueError(
                f"labels are numbers above 0 or the word all, separated by commas, not {word!r}"
            )
        labels.append(None if word == "all" else int(word))
    if options.seeds < 1 or not 1 <= options.tries <= 8:
        raise ValueError(
            f"there must be at least 1 seed and 1 to 8 tries, not {options.seeds} and "
            f"{options.tries}"
        )
    found = load_pretrained(options.encoder)
    parts = [
        load(options.data, split, size=found.settings.image_size)
        for split in ("train", "val", "test")
    ]
    names = Path(options.encoder).stem, Path(options.data).stem
    out = Path(options.out or f"runs/transfer-{'-'.join(names)}.csv")
    known = earlier_rows(out, options.resume, "a comparison")
    rows = compare(
        found.encoder,
        *parts,
        labels=tuple(labels),
        options=tuple(options.options.split(",")),
        seeds=options.seeds,
        tries=options.tries,
        search_each_seed=not options.search_once,
        known=known,
        keep=lambda rows: write_results(out, [{"encoder": names[0], **row} for row in rows]),
        progress=not options.no_progress,
    )
    rows = [{**row, "way": OPTIONS[row["option"]]} for row in read_results(out)]
    print(
        results_table(
            rows,
            {"labels": "labels per class", "option": "option", "way": "what it does"},
            {"accuracy": "test accuracy"},
            {"seconds": "seconds", "mebibytes": "MiB", "parameters": "trained numbers"},
        )
    )
    print(
        f"{len(parts[2]):,} test images, read once a row; 95% intervals, ± over seeds or, in "
        f"brackets, over these images. Rows: {out}"
    )
    frozen = [row["before"] == row["after"] for row in rows if row["option"] in FROZEN]
    if frozen:
        print(
            "The frozen encoder did not move (equal fingerprints)."
            if all(frozen)
            else "The frozen encoder moved. That is a bug: please report it."
        )
    return 0
