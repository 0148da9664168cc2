"""The aiohttp server: static ranges and the streaming profile."""
