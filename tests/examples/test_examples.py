"""The examples do what they say: on a thread, in a Jupyter kernel, in a browser by viser."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exgs.codec import HomeView
from tests.client.scenes import write_box
from tests.client.test_streaming_profile import streaming
from tests.examples.browser import CHROMIUM, page_at

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURE = os.environ.get("EXGS_EXAMPLE_PICTURE")  # a file to keep the browser's picture in

needs_viser = pytest.mark.skipif(
    importlib.util.find_spec("viser") is None or CHROMIUM is None,
    reason="needs viser (pip install viser) and Chromium",
)
needs_jupyter = pytest.mark.skipif(
    importlib.util.find_spec("nbclient") is None or importlib.util.find_spec("ipykernel") is None,
    reason="needs a Jupyter kernel (pip install nbclient ipykernel)",
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples") / "box.exgs"
    write_box(path, 9000, home=HomeView((0.0, 0.0, -5.0), (0.0, 0.0, 1.0), 0.9))
    return path


def test_the_thread_example_shows_a_scene_part_by_part(box: Path) -> None:
    with streaming(box) as server:
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "thread.py"), server.url],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert "9,000 Gaussians in" in done.stdout
    assert "complete" in done.stdout


@needs_jupyter
def test_the_notebook_runs_in_a_kernel(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient
    import nbformat

    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    with streaming(box) as server:
        monkeypatch.setenv("EXGS_SCENE", server.url)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        nbclient.NotebookClient(notebook, timeout=120).execute()
    text = str([cell.get("outputs") for cell in notebook.cells])
    assert "9,000 Gaussians" in text
    assert "image/png" in text


@contextmanager
def _bridge(source: str) -> Iterator[str]:
    """The address of a viser bridge."""
    command = [sys.executable, "-u", str(EXAMPLES / "viser_bridge.py"), source, "--port", "8399"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if found := re.search(r"http://localhost:(\d+)", line):
                    yield f"http://127.0.0.1:{found[1]}"
                    break
            else:
                pytest.fail("the bridge did not start")
        finally:
            process.kill()


@needs_viser
def test_the_viser_bridge_shows_the_scene_in_a_browser(box: Path) -> None:
    async def main(address: str) -> Image.Image:
        async with page_at(address) as page, asyncio.timeout(90):
            while True:
                await asyncio.sleep(1)
                picture = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
                if "complete" in await page.text() and _colours(picture) >= 4:
                    return picture

    with streaming(box) as server, _bridge(server.url) as address:
        picture = asyncio.run(main(address))
    if PICTURE:
        picture.save(PICTURE)


def _colours(picture: Image.Image) -> int:
    """How many of the box's walls, each of a colour of its own, are to be seen."""
    pixels = np.asarray(picture, np.int64)[:, :560].reshape(-1, 3)  # left of viser's panel
    hues = [(2, -1, -1), (-1, 2, -1), (-1, -1, 2), (1, 1, -2)]
    return sum(int((pixels @ np.array(hue) > 60).sum() > 300) for hue in hues)
