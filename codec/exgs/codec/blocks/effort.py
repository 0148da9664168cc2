"""The effort for each block: that for a scene, with fewer views of each kind."""

from __future__ import annotations

from dataclasses import replace

from exgs.codec.blocks.photographs import PHOTOGRAPH_SHARE, CameraCounts
from exgs.codec.encoding.efforts import EFFORTS, Effort, Quality

_VIEWS = {"low": 8, "default": 20, "high": 30}
_FIT_VIEWS = {"low": 12, "default": 20, "high": 40}
_TRAINING_VIEWS = {"low": 40, "default": 56, "high": 120}
_GAIN_VIEWS = {"low": 4, "default": 8, "high": 15}
_OVERVIEWS = {"low": 16, "default": 40, "high": 60}
_FITTED_OVERVIEWS = {"low": 20, "default": 20, "high": 30}
_DRAWN = {"low": 40, "default": 80, "high": 80}
_HELD_OUT_CAMERAS = {"low": 8, "default": 8, "high": 16}


def block_effort(quality: Quality) -> Effort:
    """The effort of one block."""
    return replace(
        EFFORTS[quality],
        views=_VIEWS[quality],
        fit_views=_FIT_VIEWS[quality],
        training_views=_TRAINING_VIEWS[quality],
        gain_views=_GAIN_VIEWS[quality],
        held_out_views=2 if quality == "high" else 1,
    )


def overview_count(quality: Quality) -> int:
    """The number of views of the whole scene on which each block is measured."""
    return _OVERVIEWS[quality]


def fitted_overview_count(quality: Quality) -> int:
    """The number of views of the whole scene to which each block is fitted."""
    return _FITTED_OVERVIEWS[quality]


def drawn_count(quality: Quality) -> int:
    """The number of views of the whole scene for fits and gains of coarse layers."""
    return _DRAWN[quality]


def camera_counts(quality: Quality, views: int | None = None) -> CameraCounts:
    """The numbers of photographs' cameras; `views` replaces that of the measured ones."""
    return CameraCounts(
        _OVERVIEWS[quality] if views is None else views,
        round(PHOTOGRAPH_SHARE * _TRAINING_VIEWS[quality]),
        _HELD_OUT_CAMERAS[quality],
    )
