"""Policies of a client: what to ask for, how much, when to try again.

Each is a small value that is told what happened and at what time (`now_s`), and says what to do
and when to ask again. None of them reads a clock, sleeps or opens a socket.
"""
