"""Documents of a knowledge base: what is added, and the flows that add, follow and delete it."""
