"""Watch a scene sharpen in a browser: a bridge from exgs to viser.

    pip install viser
    python examples/viser_bridge.py wss://example.org/scenes/room/stream

Open the address that it prints. What the browser's camera sees comes first; a new view turns the
stream. Colours are those of degree 0: viser draws no view dependence.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import viser

from exgs.client import Part, Receiver, Update, parse_link, receive_in_thread
from exgs.codec import SceneFacts, home_camera
from exgs.scene import Camera, Gaussians
from exgs.scene.gaussians import SH_C0
from exgs.scene.rotations import rotation_matrices


class Bridge:
    """Shows what a receiver brings in a viser server, part by part."""

    def __init__(self, server: viser.ViserServer, scene: Receiver) -> None:
        self._server = server
        self._scene = scene
        self._facts: SceneFacts | None = None
        self._handles: dict[Part, Any] = {}
        self._status = server.gui.add_markdown("connecting")
        server.on_client_connect(self._welcome)

    def show(self, update: Update) -> None:
        """Bring the browsers up to date."""
        if self._facts is None:
            self._facts = update.facts
            self._server.scene.set_up_direction(update.facts.up)
            for client in self._server.get_clients().values():
                self._place(client)
        with self._server.atomic():
            for part in update.dropped | update.replaced | update.refined:
                self._handles.pop(part).remove()
            for part in update.added | update.replaced | update.refined:
                self._handles[part] = self._add(part, update.part_gaussians(part))
        share = min(1.0, update.received_bytes / update.file_bytes)
        self._status.content = (
            f"**{share:.0%}** received, {len(self._handles):,} parts,"
            f" {'complete' if update.is_complete else f'layer {update.layer}'}"
        )

    def _add(self, part: Part, gaussians: Gaussians) -> Any:
        axes = rotation_matrices(gaussians.quats) * gaussians.scales[:, None, :]
        kind = "proxies" if part.is_proxy else "leaves"
        return self._server.scene.add_gaussian_splats(
            f"/scene/{kind}/{part.layer}/{part.tile}",
            centers=gaussians.means,
            covariances=axes @ axes.transpose(0, 2, 1),
            rgbs=np.clip(0.5 + SH_C0 * gaussians.sh0, 0, 1),
            opacities=gaussians.opacities[:, None],
        )

    def _welcome(self, client: viser.ClientHandle) -> None:
        """A browser has connected: place its camera, and look through it from now on."""
        if self._facts is not None:
            self._place(client)

        @client.camera.on_update
        def _(camera: viser.CameraHandle) -> None:
            self._scene.look(_camera(camera))

    def _place(self, client: viser.ClientHandle) -> None:
        facts = self._facts
        if facts is None or facts.home is None:
            return
        home = home_camera(facts.home, facts.up, 640, 480)
        forward = home.viewmat[2, :3]
        client.camera.up_direction = np.array(facts.up)
        client.camera.position = home.position
        client.camera.look_at = home.position + forward
        client.camera.fov = 2 * np.arctan(480 / 2 / home.K[1, 1])


def _camera(of: viser.CameraHandle) -> Camera:
    """The same camera as exgs has it: viser's looks along +z too, with y down."""
    height = 720
    width = max(1, round(height * of.aspect))
    focal = height / 2 / np.tan(of.fov / 2)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    world_from_camera = rotation_matrices(np.array([of.wxyz], np.float64))[0]
    viewmat = np.eye(4)
    viewmat[:3, :3] = world_from_camera.T
    viewmat[:3, 3] = -world_from_camera.T @ of.position
    return Camera(viewmat, K, width, height)


def main() -> None:
    """Serve until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="URL of a stream or an .exgs file, or a path")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--link", help="a slow link to try it over, as in 2mbit,50ms")
    parser.add_argument(
        "--pause", type=float, default=1.0, help="seconds between two updates (default: 1)"
    )
    arguments = parser.parse_args()
    link = parse_link(arguments.link) if arguments.link else None
    server = viser.ViserServer(port=arguments.port, verbose=False)
    try:
        with receive_in_thread(arguments.source, link=link, note=print) as scene:
            bridge = Bridge(server, scene)
            print(f"look at http://localhost:{server.get_port()}", flush=True)
            for update in scene:
                bridge.show(update)
                if not update.is_complete:  # viser sorts all splats anew for each update
                    time.sleep(arguments.pause)
            print("everything is here", flush=True)
            server.sleep_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()
