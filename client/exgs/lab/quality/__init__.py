"""What a viewer sees at every moment: by rendering, or by a model of measured curves."""
