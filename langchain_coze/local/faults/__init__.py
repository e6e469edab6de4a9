"""The faults that a local server can inject into its replies."""
