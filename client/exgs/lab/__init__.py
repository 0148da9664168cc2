"""The laboratory: simulates whole sessions in virtual time, in one process, without sockets.

The cores of server and client and their policies receive the time as an argument, so a simulated
clock can drive them over a modelled link. Two runs with the same seed give the same bytes.
"""
