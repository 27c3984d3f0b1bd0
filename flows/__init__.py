"""The flows, their configuration and their command lines."""
