"""The root of every error that the project raises on bad input, and the scene floor's own."""


class ExgsError(Exception):
    """Bad input or a failed exchange; the message is one clear line."""


class SceneError(ExgsError):
    """A scene or camera file that can't be used: names the file, the place and the remedy."""


class SceneWarning(UserWarning):
    """Parts of a scene that had to be mended or left out; says how many."""
