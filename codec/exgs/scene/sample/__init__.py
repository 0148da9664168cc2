"""The sample scene: a furnished room, made by the project itself so that nothing is downloaded."""

from exgs.scene.sample.splats import sample_scene

__all__ = ["sample_scene"]
