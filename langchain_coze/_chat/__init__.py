"""One turn of a bot or a chatflow: plan it, send it, read its answer."""
