"""docs/tour.ipynb: it is stored without outputs, and runs from the first cell to the last."""

import json
import os
import re
from pathlib import Path

import pytest

from lipinc.config.loading import PACKAGE

NOTEBOOK = PACKAGE.parent / "docs" / "tour.ipynb"


def test_it_is_stored_without_outputs_and_links_to_pages_that_exist():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links and all((NOTEBOOK.parent / link).is_file() for link in links)


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()  # raises what a cell raises
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [printed(cell) for cell in cells]
    assert all(cell.execution_count for cell in cells)
    assert not [text for text in shown if "Traceback" in text or "error: " in text]  # of shell commands
    verdicts = [line for text in shown for line in text.splitlines() if re.search(r"\.mp4: .*\d\.\d{3} \(", line)]
    assert len(verdicts) == 4 and all(line.endswith("(demo corpus: means nothing)") for line in verdicts)
    assert shown[-1].endswith("(demo corpus: means nothing)\n")
    assert {file.name for file in Path(tmp_path, "tour").iterdir()} >= {
        "corpus",
        "cache",
        "outputs",
        "features.safetensors",
    }


def printed(cell: dict) -> str:
    return "".join(output.get("text", "") for output in cell["outputs"])
