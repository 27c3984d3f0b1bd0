"""When and in what order: the flows, their configuration and their command lines."""
