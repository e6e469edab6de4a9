"""Running bots and workflows: replies, events, conversations."""
