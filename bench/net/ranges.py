"""Range requests of 64 KiB: this server, nginx and aiohttp's FileResponse, one process each.

    python -m bench.net.ranges scene.exgs [--rounds 5] [--seconds 2] [--connections 8]

Needs nginx and wrk. The three servers alternate in every round, on one core, with wrk on another.
Figures are medians of the rounds, so that other load affects all servers equally. None writes a
log. The table also has the processor time per request, which does not depend on other load.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.net.site import processor_s, site, table

_RANGE_BYTES = 64 << 10
_NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; location /scenes/ {{ alias {root}/; }} }}
}}
"""
_FILE_RESPONSE = """
import sys
from pathlib import Path
from aiohttp import web

async def send(request):
    return web.FileResponse(Path(sys.argv[1]) / request.match_info["name"])

app = web.Application()
app.router.add_get("/scenes/{name}", send)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None)
"""
_REQUESTS = """
local size, length = %d, %d
local count = math.floor(size / length)
request = function()
    local first = math.random(0, count - 1) * length
    return wrk.format("GET", nil, {["Range"] = "bytes=" .. first .. "-" .. first + length - 1})
end
done = function(summary)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    local rate = summary.requests / summary.duration * 1e6
    io.write(string.format("RATE %%f BAD %%d BYTES %%f ALL %%d\\n", rate, bad,
        summary.bytes / summary.requests, summary.requests))
end
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[int]:
    """Run a process that listens on a port of 127.0.0.1; yield its id."""
    process = subprocess.Popen(command)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _measure(
    port: int, process: int, script: Path, seconds: int, connections: int, cores: set[int]
) -> tuple[float, float]:
    """Requests per second, and per second of the server's processor time.

    Raises ValueError unless every answer is one range.
    """
    before_s = processor_s(process)
    url = f"http://127.0.0.1:{port}/scenes/scene.exgs"
    printed = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, url],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    ).stdout
    found = re.search(r"RATE (\S+) BAD (\d+) BYTES (\S+) ALL (\d+)", printed)
    if found is None or int(found[2]) or not 1 <= float(found[3]) / _RANGE_BYTES < 1.05:
        raise ValueError(f"answers are not what was asked for: {printed}")
    return float(found[1]), int(found[4]) / max(processor_s(process) - before_s, 1e-3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()
    first, *rest = sorted(os.sched_getaffinity(0))
    names = ("nginx", "exgs", "FileResponse")
    rates: dict[str, list[float]] = {name: [] for name in names}
    thrifts: dict[str, list[float]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        root = folder / "scenes"
        root.mkdir()
        shutil.copy(arguments.scene, root / "scene.exgs")
        script = folder / "requests.lua"
        script.write_text(_REQUESTS % (arguments.scene.stat().st_size, _RANGE_BYTES))
        ports = {"nginx": _free_port(), "FileResponse": _free_port()}
        settings = folder / "nginx.conf"
        settings.write_text(
            "user root;" * (os.geteuid() == 0)
            + _NGINX.format(folder=folder, port=ports["nginx"], root=root)
        )
        commands = {
            "nginx": ["nginx", "-p", str(folder), "-c", str(settings)],
            "FileResponse": [
                *(sys.executable, "-c", _FILE_RESPONSE),
                *(str(root), str(ports["FileResponse"])),
            ],
        }
        processes = {
            name: stack.enter_context(_running(command, ports[name]))
            for name, command in commands.items()
        }
        ours = stack.enter_context(site(root, "--quiet"))
        ports["exgs"], processes["exgs"] = ours.port, ours.process.pid
        for process in processes.values():
            os.sched_setaffinity(process, {first})
        for _ in range(arguments.rounds):
            for name in names:
                rate, thrift = _measure(
                    ports[name],
                    processes[name],
                    script,
                    arguments.seconds,
                    arguments.connections,
                    set(rest) or {first},
                )
                rates[name].append(rate)
                thrifts[name].append(thrift)
    rows = []
    for what, of in (("a second", rates), ("a second of processor time", thrifts)):
        rows += [(name, f"{statistics.median(of[name]):.0f} {what}", "") for name in names]
        shares = [one / other for one, other in zip(of["exgs"], of["nginx"], strict=True)]
        target = "at least 0.5" if of is rates else ""
        share = f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
        rows.append((f"exgs against nginx, {what}", share, target))
    print(table(rows))


if __name__ == "__main__":
    main()
