"""The sample scene: a furnished room, made by the project itself so that nothing is downloaded."""

from exgs.sample.splats import sample_scene
from exgs.sample.viewpoints import sample_cameras, sample_path

__all__ = ["sample_cameras", "sample_path", "sample_scene"]
