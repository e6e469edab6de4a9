"""What the server serves when nothing else is given."""
