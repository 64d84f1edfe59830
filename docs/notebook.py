"""Turn a script with `# %%` cells into a notebook.

python docs/notebook.py docs/tutorial.py        # writes docs/tutorial.ipynb
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any


def notebook(script: str) -> dict[str, Any]:
    """The notebook of a script; cells that begin with `# %% [markdown]` are text."""
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(re.split(r"^# %%", script, flags=re.MULTILINE)[1:]):
        head, _, body = part.partition("\n")
        facts = {"id": f"cell-{number}", "metadata": {}}
        if head.strip() == "[markdown]":
            text = re.sub(r"^# ?", "", body.strip("\n"), flags=re.MULTILINE)
            cells.append({"cell_type": "markdown", **facts, "source": text.splitlines(keepends=True)})
        else:
            code = body.strip("\n").splitlines(keepends=True)
            cells.append({"cell_type": "code", **facts, "execution_count": None, "outputs": [], "source": code})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    source = Path(sys.argv[1])
    source.with_suffix(".ipynb").write_text(json.dumps(notebook(source.read_text("utf-8")), indent=1) + "\n", "utf-8")
