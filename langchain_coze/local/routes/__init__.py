"""The routes of the server, one module per group of the Coze API."""
