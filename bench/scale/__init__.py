"""Costs of large scenes on server and client, with synthetic chunk tables in sparse files."""
