"""Links of experiments: rates over time from traces, and models of congestion control."""
