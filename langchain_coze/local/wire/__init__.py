"""What goes over the wire: requests that are read, replies that are written."""
