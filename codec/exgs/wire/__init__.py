"""The streaming protocol without sockets: frames, events, sessions."""
