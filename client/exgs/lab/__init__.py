"""The laboratory: whole sessions in virtual time, in one process, without sockets or sleeps.

The cores of server and client and their policies are told the time, so the same bytes go over a
modelled link in seconds of a made-up clock. Two runs with the same seed are equal byte by byte.
"""
