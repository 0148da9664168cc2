"""The two transfer profiles: HTTP ranges and the WebSocket stream."""
