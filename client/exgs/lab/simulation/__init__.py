"""Simulates one session in virtual time: the whole protocol, or any policy over a modelled link."""
