"""The bot, the knowledge base and the workflows of a server that is started without any."""
