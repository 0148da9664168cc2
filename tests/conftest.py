"""Fixtures and settings of all tests."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A shell lets what it starts in the background ignore interrupts, and children inherit that: tests
# of interrupts want none of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Processor time is shared with other tests, so examples may take any time.
settings.register_profile("exgs", deadline=None)
settings.load_profile("exgs")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real scenes: EXGS_DATA, or shared/data beside the repository."""
    found = os.environ.get("EXGS_DATA")
    path = Path(found) if found else Path(__file__).parents[2] / "shared" / "data"
    if not (path / "playbot.ply").exists():
        pytest.skip(f"needs the real scenes, which are not in {path}; name their folder: EXGS_DATA")
    return path


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A local S3 server that fsspec uses for s3:// URLs, also in processes that a test starts."""
    moto = pytest.importorskip(
        "moto.server", reason="needs a local S3 server: moto[s3], flask, flask-cors"
    )
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs")
    from fsspec.config import conf, set_conf_files

    server = moto.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    settings = {"s3": {"endpoint_url": url, "key": "k", "secret": "s"}}
    folder = tmp_path / "fsspec"
    folder.mkdir()
    (folder / "conf.json").write_text(json.dumps(settings))
    monkeypatch.setenv("FSSPEC_CONFIG_DIR", str(folder))
    before = dict(conf)
    set_conf_files(str(folder), conf)
    reset = urllib.request.Request(f"{url}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()  # all servers of a process have the same buckets
    s3fs.S3FileSystem().mkdir("bucket")
    yield url
    server.stop()
    conf.clear()
    conf.update(before)
