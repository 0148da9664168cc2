"""The quality of a viewer's picture over time: by rendering, or by a model of measured curves."""
