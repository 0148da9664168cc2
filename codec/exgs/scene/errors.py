"""The base class of all errors on bad input, and the errors of scene files."""


class ExgsError(Exception):
    """Bad input or a failed connection. The message is one line."""


class SceneError(ExgsError):
    """A scene or camera file can't be used. The message names file, place and remedy."""


class SceneWarning(UserWarning):
    """Parts of a scene had to be repaired or left out. The message has their number."""
