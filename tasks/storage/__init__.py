"""Where files lie, on a filesystem or in object storage, under one face. Knows nothing of what is in them."""
