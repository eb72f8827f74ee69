"""Lecture notebooks as pages: run once, and written as Markdown with what they print and draw.

A notebook lies in ``notebooks/`` without outputs, as it opens in Jupyter and Colab. Where the gallery is not
run (``-D sphinx_gallery_conf.plot_gallery=0``), neither are notebooks: their pages have no outputs then.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for them."""
    app.connect("builder-inited", _write_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write_all(app: Sphinx) -> None:
    runs = str(app.config.sphinx_gallery_conf.get("plot_gallery", True)) not in ("0", "False")
    folder = Path(app.srcdir) / "lectures"
    folder.mkdir(exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        stamp = f"% {hashlib.sha256(text.encode()).hexdigest()} {'run' if runs else 'not run'}\n"
        page = folder / f"{path.stem}.md"
        if page.is_file() and page.read_text(encoding="utf-8").startswith(stamp):
            continue  # as the gallery does it: what has not changed is not run again
        notebook = _run(path) if runs else json.loads(text)
        page.write_text(stamp + "\n" + markdown(notebook, path.stem, folder), encoding="utf-8")


def _run(path: Path) -> Any:
    """Return a notebook with its outputs, run in a kernel of its own; an error in it is one here."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    quiet = ["--IPKernelApp.log_level=40"]
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=resources, extra_arguments=quiet
    )
    # The checkout is shown, not what is installed.
    return client.execute(env={**os.environ, "PYTHONPATH": str(ROOT)})


def markdown(notebook: Any, name: str, folder: Path) -> str:
    """Return a notebook as Markdown; pictures are written into `folder`."""
    parts = list(_cells(notebook["cells"], name, folder))
    file = f"{{download}}`{name}.ipynb <../../notebooks/{name}.ipynb>`"
    download = f"```{{admonition}} This page is a notebook\n{file} opens in Jupyter and Colab.\n```"
    return "\n\n".join([parts[0], download, *parts[1:]]) + "\n"


def _cells(cells: Any, name: str, folder: Path) -> Iterator[str]:
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source.replace(".ipynb)", ".md)")
            continue
        parts = [f"```python\n{source}\n```", *_outputs(cell, name, folder)]
        if "solution" in cell["metadata"].get("tags", ()):
            title, _, rest = source.partition("\n")
            parts[0] = f"```python\n{rest}\n```"
            summary = title.removeprefix("# @title ")
            parts = [f'<details class="solution">\n<summary>{summary}</summary>', *parts, "</details>"]
        yield "\n\n".join(parts)


def _outputs(cell: Any, name: str, folder: Path) -> Iterator[str]:
    for number, output in enumerate(cell["outputs"]):
        data = output.get("data", {})
        if output["output_type"] == "stream":
            yield f"```text\n{''.join(output['text']).rstrip()}\n```"
        elif "image/png" in data:
            picture = folder / f"{name}_{cell['id']}_{number}.png"
            picture.write_bytes(base64.b64decode(data["image/png"]))
            yield f"![{cell['metadata']['alt']}]({picture.name})"
        elif "text/plain" in data:
            yield f"```text\n{''.join(data['text/plain'])}\n```"
