"""The sample bot, knowledge base, workflows and agent that a server has by default."""
