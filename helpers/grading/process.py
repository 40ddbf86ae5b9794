"""One submission in a process of its own: what it may use is confined, what it sends is data, and
it is ended in time.

`confinement.py` says what a process may do, and what stops it. A submission can still fake its own
results: it runs in the process that checks it.
"""

import json
import threading
from collections import Counter
from multiprocessing.connection import Connection

import torch

from helpers.checks import check, exercises, find
from helpers.grading.confinement import confine, end
from helpers.grading.submission import defined_names, parse, run_definitions

MEBIBYTES = 2048  # of memory above what torch itself takes
START = 120.0  # seconds until torch is loaded
NOT_DONE, WRONG = "not done", "wrong"


def run_submission(
    context, cells: list[str], own: str, seconds: float
) -> tuple[dict[str, str], str]:
    """Return what a process finds out about a submission, and what went wrong with it, "" if
    nothing did.
    """
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(cells, own, seconds, theirs), daemon=True)
    process.start()
    theirs.close()
    late = threading.Event()

    def stop() -> None:
        late.set()
        end(process)  # also while half a message keeps us waiting

    timer = threading.Timer(START, stop)
    results: dict[str, str] = {}
    timer.start()
    try:
        while True:
            try:
                # not unpickled: a submission could have written it
                name, value = json.loads(mine.recv_bytes(10_000))
            except (EOFError, OSError):
                process.join(2)
                killed = process.exitcode is not None and process.exitcode < 0
                limit = (
                    f"stopped after {seconds:g} s"
                    if "ready" in results
                    else f"did not start within {START:g} s"
                )
                return results, (
                    limit
                    if late.is_set()
                    else f"its process ended early "
                    f"({'killed' if killed else f'exit {process.exitcode}'})"
                )
            except (ValueError, TypeError):
                return results, "its process sent nonsense"
            if name == "ready" and "ready" not in results:
                timer.cancel()
                timer = threading.Timer(seconds, stop)
                timer.start()
            elif name == "done":
                return results, ""
            elif name not in (*exercises(), "problem", "notebook") or not isinstance(value, str):
                return results, "its process sent nonsense"
            results[name] = value
    finally:
        timer.cancel()
        end(process)
        mine.close()


def _work(cells: list[str], own: str, seconds: float, pipe: Connection) -> None:
    """Run the definitions of a submission and check its functions: in a process of its own."""

    def send(name: str, value: str = "") -> None:
        pipe.send_bytes(json.dumps([name, value[:400]]).encode())

    torch.set_num_threads(1)
    confine(own, seconds, MEBIBYTES, pipe.fileno())
    send("ready")
    parsed = [parse(cell) for cell in cells]
    statements = [statement for part in parsed if part for statement in part]
    defined = {name for statement in statements for name in defined_names(statement)}
    votes = Counter(find(name).notebook for name in exercises() if find(name).function in defined)
    number = votes.most_common(1)[0][0] if votes else ""
    send("notebook", number)
    broken = [cell for cell, part in zip(cells, parsed, strict=True) if part is None]
    if broken:
        send("problem", f"{len(broken)} cell{'s' * (len(broken) > 1)} with a syntax error")
    functions = {find(name).function: name for name in exercises() if find(name).notebook == number}
    space: dict = {"__name__": "__main__"}
    failed = run_definitions(statements, set(functions), space)
    for function, name in functions.items():
        if function in space:
            send(name, _outcome(name, space[function]))
        elif function in failed:
            send(name, f"{WRONG}: {failed[function]}")
        elif any(f"def {function}(" in cell for cell in broken):
            send(name, f"{WRONG}: syntax error")
        else:
            send(name, NOT_DONE)
    send("done")


def _outcome(name: str, answer) -> str:
    try:
        feedback = check(name, answer)
    except Exception as error:
        return f"{WRONG}: {type(error).__name__}"
    if feedback.passed:
        return "passed"
    if feedback.message.startswith("Not done"):
        return NOT_DONE
    return feedback.mistake or f"{WRONG}: {feedback.message.splitlines()[0]}"
