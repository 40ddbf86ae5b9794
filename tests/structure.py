"""Print the tree of helpers/ and who imports whom: python tests/structure.py [another checkout]."""

import ast
import sys
from collections import Counter
from pathlib import Path

CORE = "core"
ROOMS = (  # a folder of helpers, and the rooms that it may import besides itself
    (CORE, set()),
    ("findings", {CORE}),
    ("checks", {CORE}),
    ("explorables", {CORE}),
    ("widgets", {CORE, "findings", "checks", "explorables"}),
    ("grading", {CORE, "findings", "checks", "explorables", "widgets"}),
    ("commands", {CORE, "findings", "checks", "explorables", "widgets", "grading"}),
    ("__main__", {CORE, "commands"}),
)


def modules(root: Path) -> dict[str, Path]:
    """Return every module of helpers: its dotted name to its file."""
    found = {}
    for path in sorted((root / "helpers").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path
    return found


def imports(path: Path) -> set[str]:
    """Return the names of what a file imports, wherever in it that stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def arrows(root: Path) -> set[tuple[str, str]]:
    """Return which module of helpers imports which other one."""
    known = modules(root)
    return {
        (name, target)
        for name, path in known.items()
        for target in imports(path) & known.keys()
        if target not in (name, "helpers")
    }


def room(module: str) -> str:
    """Return the folder of helpers that a module is in; the flat files are the core."""
    parts = module.split(".")
    if len(parts) > 2 or (len(parts) == 2 and parts[1] in dict(ROOMS)):
        return parts[1]
    return CORE


def circles(pairs: set[tuple[str, str]]) -> list[str]:
    """Return the modules that import themselves by way of others."""
    reach = {name: {b for a, b in pairs if a == name} for name, _ in pairs}
    while True:
        further = {
            name: to | {c for b in to for c in reach.get(b, ())} for name, to in reach.items()
        }
        if further == reach:
            return sorted(name for name, to in reach.items() if name in to)
        reach = further


def main() -> None:
    """Print the tree and the arrows between rooms."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    known, pairs = modules(root), arrows(root)
    folder = None
    for path in sorted(known.values(), key=lambda path: (path.parent, path)):
        if path.parent != folder:
            folder = path.parent
            print(f"{folder.relative_to(root)}/")
        print(f"    {path.name:24} {len(path.read_text('utf-8').splitlines()):4} lines")
    print(
        f"\n{len(known)} modules, {len(pairs)} arrows, circles: "
        f"{', '.join(circles(pairs)) or 'none'}"
    )
    for (here, there), count in sorted(Counter((room(a), room(b)) for a, b in pairs).items()):
        if here != there:
            print(f"    {here:12} -> {there:12} {count:3} imports")


if __name__ == "__main__":
    main()
