"""What to send next: policies that an experiment compares."""
