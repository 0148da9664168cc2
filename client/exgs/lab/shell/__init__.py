"""Runs experiments: processes, files, and real sockets. Only this package uses real clocks."""
