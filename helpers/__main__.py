"""The command line, python -m helpers train | transfer | findings | grade | slides | publish | doctor.

Wrong use is told in one line; COURSE_DEBUG=1 shows where it came from.
"""

import argparse
import dataclasses
import os
import sys

from helpers.commands import run_doctor, run_findings, run_grade, run_publish, run_slides, run_train, run_transfer


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 something is missing, 2 a wrong use, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # --batch_size means --batch-size; values stay as they are.
    arguments = [a.partition("=")[0].replace("_", "-") + a[len(a.partition("=")[0]):] if a.startswith("--") else a
                 for a in arguments]
    command = next((a for a in arguments if not a.startswith("-")), "")
    options = None
    try:
        options, unknown = build_parser(command).parse_known_args(arguments)
        if unknown:
            raise ValueError(f"there is no {unknown[0]!r}; see python -m helpers {command} --help")
        return options.run(options)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if os.environ.get("COURSE_DEBUG"):
            raise
        message = " ".join(str(error).split())
        if isinstance(error, ModuleNotFoundError):
            message += "; activate the course's environment, or see what is missing: python -m helpers doctor"
        print(f"python -m helpers {command}: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = "; the same command with --resume goes on" if hasattr(options, "resume") else ""
        print(f"\nstopped{kept}", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser(command: str = "train") -> argparse.ArgumentParser:
    """Return the parser; the options of `train` are the fields of `settings.Settings`."""
    parser = _Parser(prog="python -m helpers", description="Self-supervised learning with SimCLR.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser(
        "train", help="pretrain an encoder on images, without labels", formatter_class=argparse.RawTextHelpFormatter,
        description="Pretrain an encoder with SimCLR. The run's folder gets metrics.csv, run.json, last.ckpt\n"
                    "and encoder.safetensors. Ctrl-C ends a run cleanly; the same command with --resume goes on.",
        epilog="examples:\n  python -m helpers train\n"
               "  python -m helpers train --data cifar10 --batch-size 32 --lr 0.003\n"
               "  python -m helpers train --data my_photos.zip --epochs 20 --test\n"
               "  python -m helpers train --data cifar10 --preset colab --devices 2")
    train.set_defaults(run=run_train)
    train.add_argument("--data", default="shapes", metavar="NAME", help="shapes, shapes-textured, digits, cifar10, "
                       "cifar100, stl10, or a\nfolder or .zip of images (default: shapes)")
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
    _add_transfer(commands)
    _add_findings(commands)
    _add_grade(commands)
    slides = commands.add_parser("slides", help="draw the lectures' figures and build their HTML and PDF",
                                 description="Draw the figures of the lectures and build them with Marp. Needs Node.js "
                                             "and Chromium or Chrome.")
    slides.set_defaults(run=run_slides)
    slides.add_argument("names", nargs="*", metavar="NAME", help="beginnings of names, such as 02; all where none is "
                        "given")
    slides.add_argument("--no-figures", action="store_true", help="take the figures as they are")
    publish = commands.add_parser("publish", help="write your repository's address into notebooks and README",
                                  description="Write the address of your copy on GitHub, and a tag, into set-up cells, "
                                              "README and citation, so that Colab fetches it.")
    publish.set_defaults(run=run_publish)
    publish.add_argument("--repository", required=True, metavar="OWNER/NAME", help="on GitHub")
    publish.add_argument("--tag", required=True, metavar="TAG", help="that notebooks fetch, such as v1.0")
    doctor = commands.add_parser("doctor", help="what machine this is, what is missing, what to do")
    doctor.set_defaults(run=run_doctor)
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
    transfer.add_argument("--labels", default="10,50,100", metavar="LIST", help="labels per class, or all "
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


def _add_grade(commands) -> None:
    grade = commands.add_parser(
        "grade", help="grade a folder of submitted notebooks", formatter_class=argparse.RawTextHelpFormatter,
        description="Grade every notebook in a folder: a row for each, with its points and the mistake that each\n"
                    "exercise looks like, and a second table of the mistakes that the class makes. Each submission\n"
                    "runs in a process of its own, with limits; see the README for what that protects from.",
        epilog="example:\n  python -m helpers grade submissions --out grades.csv")
    grade.set_defaults(run=run_grade)
    grade.add_argument("folder", metavar="FOLDER", help="with the submissions, NAME.ipynb, also in folders of their "
                       "own")
    grade.add_argument("--out", default="grades.csv", metavar="FILE", help="the CSV file (default: grades.csv); the "
                       "class's mistakes go to\nNAME-mistakes.csv beside it")
    grade.add_argument("--seconds", type=float, default=20, metavar="X", help="limit for each submission (default: 20)")
    grade.add_argument("--workers", type=int, metavar="N", help="submissions at the same time (default: as many as "
                       "cores)")
    grade.add_argument("--overwrite", action="store_true", help="replace the tables of an earlier grading")
    grade.add_argument("--no-progress", action="store_true", help="no progress bar")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    from helpers.settings import Settings

    group = parser.add_argument_group("settings (the default is the preset's)")
    for each in dataclasses.fields(Settings):
        group.add_argument(f"--{each.name.replace('_', '-')}", dest=f"set_{each.name}", type=each.type,
                           metavar={int: "N", float: "X", str: "NAME"}[each.type], help=each.metadata["help"])


if __name__ == "__main__":
    sys.exit(main())
