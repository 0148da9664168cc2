"""Links of experiments: rates over time from traces, and transports over them."""
