"""Policies of a client: request sizes, credit, reconnections, timeouts.

Each is a small object that receives events with their time (`now_s`) and decides what to do and
when to ask again. None of them reads a clock, sleeps or opens a socket.
"""
