"""The faults of replies that users can switch on."""
