"""The command line, python -m helpers train | transfer | findings | grade | doctor.

Wrong use is told in one line; COURSE_DEBUG=1 shows where it came from.
"""

import argparse
import os
import sys

from helpers.commands import doctor, findings, grade, train, transfer


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 something is missing, 2 a wrong use, 130
    interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    # --batch_size means --batch-size; values stay as they are.
    arguments = [
        a.partition("=")[0].replace("_", "-") + a[len(a.partition("=")[0]) :]
        if a.startswith("--")
        else a
        for a in arguments
    ]
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
            message += (
                "; activate the course's environment, or see what is missing: python -m helpers "
                "doctor"
            )
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
    """Return the parser of all commands, with the settings of `train` where that is the command."""
    parser = _Parser(prog="python -m helpers", description="Self-supervised learning with SimCLR.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # `doctor` is for when packages are missing
    train.add_parser(commands, with_settings=command == "train")
    for module in (transfer, findings, grade, doctor):
        module.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
