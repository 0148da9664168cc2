"""Policies of the server: pacing, time limits, quotas.

Each is told what happened and at what time (`now_s`), and returns what to do and when to ask again.
None of them reads a clock, sleeps or opens a socket.
"""
