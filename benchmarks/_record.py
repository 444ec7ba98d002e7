"""Keeping a benchmark's result: with the date, the machine, the commit and the command that made it."""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
FIGURES = Path(__file__).parents[1] / "docs" / "figures"


def record(name: str, text: str, *, figures: Mapping[str, Any] | None = None) -> None:
    """Write `results/<name>.md` (and the bare figures as .json), and print the text.

    Args:
        name: of the files, without suffix.
        text: Markdown: a title in the first line, then the result.
        figures: JSON values.
    """
    circumstances = _circumstances()
    title, _, rest = text.strip().partition("\n")
    lines = "\n".join(f"- {key}: {value}" for key, value in circumstances.items())
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(f"{title}\n\n{lines}\n\n{rest.strip()}\n")
    if figures is not None:
        content = json.dumps({**circumstances, **figures}, indent=2, allow_nan=False)
        (RESULTS / f"{name}.json").write_text(content + "\n")
    print(text.strip())


def insert(page: Path, text: str, *, mark: str) -> None:
    """Put a text between a page's marks, `<!-- mark:begin -->` and `<!-- mark:end -->`."""
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    marked = re.compile(f"{begin}.*?{end}", re.DOTALL)
    page.write_text(marked.sub(lambda _: f"{begin}\n{text}\n{end}", page.read_text("utf-8"), count=1), "utf-8")


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, digits: int = 2) -> str:
    """A Markdown table; the first column is text, floats are rounded, None is a dash."""
    widths = [headers, ["---", *("---:" for _ in headers[1:])], *([_cell(v, digits) for v in row] for row in rows)]
    columns = [max(len(row[k]) for row in widths) for k in range(len(headers))]
    lines = []
    for i, row in enumerate(widths):
        pad = [(row[k].rjust if k and i != 1 else row[k].ljust)(columns[k]) for k in range(len(headers))]
        lines.append(f"| {' | '.join(pad)} |")
    return "\n".join(lines)


def _cell(value: object, digits: int) -> str:
    if value is None:
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}" if isinstance(value, float) else str(value)  # no −0.0


def _circumstances() -> dict[str, str]:
    # Folders are given by their names alone: where they lie is nobody's business.
    paths = [Path(argument) for argument in sys.argv[1:]]
    arguments = [path.name if path.exists() or path.is_absolute() else str(path) for path in paths]
    script = f"benchmarks/{Path(sys.argv[0]).name}"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {_cpu_model()}",
        "commit": _commit(),
        "command": shlex.join(["python", script, *arguments]),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    def git(*arguments: str) -> str:
        run = subprocess.run(
            ["git", *arguments], cwd=RESULTS.parent, capture_output=True, text=True, check=True, timeout=60
        )
        return run.stdout.strip()

    is_changed = bool(git("status", "--porcelain", "--", "../src"))
    return git("rev-parse", "--short", "HEAD") + (" with uncommitted changes in src" if is_changed else "")
