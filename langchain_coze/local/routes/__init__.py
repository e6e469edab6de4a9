"""The routes of the server, one module per group of API routes."""
