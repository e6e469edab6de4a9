"""Requests, replies and events as they are on the wire; imports no other part of the server."""
