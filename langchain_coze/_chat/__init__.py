"""One turn of a bot or chatflow: plan it, send it and parse its answer."""
