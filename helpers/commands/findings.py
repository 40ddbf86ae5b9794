"""python -m helpers findings: measure one of the paper's findings at small scale."""

import argparse
from pathlib import Path


def add_parser(commands) -> None:
    """Add the command and its options."""
    findings = commands.add_parser(
        "findings",
        help="measure one of the paper's findings at small scale",
        formatter_class=argparse.RawTextHelpFormatter,
        description="Run the grid of a study and compare it with the paper. Rows go to a CSV file "
        "as they come; the\n"
        "same command with --resume goes on. A run takes one to three minutes of one core.",
        epilog="examples:\n  python -m helpers findings temperature --data shapes\n"
        "  python -m helpers findings composition --photos my_photos.zip --seeds 5",
    )
    findings.set_defaults(run=run)
    findings.add_argument(
        "study",
        metavar="NAME",
        help="composition, color, head, knowledge, batch_epochs or temperature",
    )
    findings.add_argument(
        "--photos",
        default="cifar10",
        metavar="NAME",
        help="the photos: cifar10, or a folder or .zip of class folders\n(default: cifar10)",
    )
    findings.add_argument(
        "--data", default="photos,shapes", metavar="LIST", help="of photos,shapes (default: both)"
    )
    findings.add_argument("--seeds", type=int, default=3, metavar="N", help="how many (default: 3)")
    findings.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="runs at the same time, one thread each (default: as many as cores;\n1 with a GPU)",
    )
    findings.add_argument(
        "--out", metavar="FILE", help="the CSV file (default: runs/findings-NAME.csv)"
    )
    findings.add_argument(
        "--resume", action="store_true", help="go on with the rows that the file holds"
    )
    findings.add_argument(
        "--no-progress", action="store_true", help="no estimate and no progress bar"
    )


def run(options: argparse.Namespace) -> int:
    """Run a study, and say where it goes the paper's way."""
    from helpers.findings.claims import judge
    from helpers.findings.run import run_study
    from helpers.findings.studies import DATA
    from helpers.findings.verdicts import claims_table
    from helpers.results import earlier_rows, write_results
    from helpers.runtime import pick_device, usable_cores

    data = tuple(options.data.split(","))
    for name in data:
        if name not in DATA:
            raise ValueError(f"unknown data {name!r}; choose {', '.join(DATA)}")
    workers = options.workers or (usable_cores() if pick_device().type == "cpu" else 1)
    if options.seeds < 1 or workers < 1:
        raise ValueError(
            f"there must be at least 1 seed and 1 worker, not {options.seeds} and {workers}"
        )
    out = Path(options.out or f"runs/findings-{options.study}.csv")
    known = earlier_rows(out, options.resume, "a study")
    rows = run_study(
        options.study,
        photos=options.photos,
        data=data,
        seeds=options.seeds,
        workers=workers,
        known=known,
        keep=lambda rows: write_results(out, rows),
        progress=not options.no_progress,
    )
    print(claims_table(judge(options.study, rows)))
    print(f"± is the 95% interval over seeds; one seed has none, and decides nothing. Rows: {out}")
    return 0
