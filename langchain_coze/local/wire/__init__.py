"""The wire format of requests, replies and events; imports no other part of the server."""
