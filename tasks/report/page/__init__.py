"""The report of a run as one page. Owns its sections, their sentences and pictures; knows only what stages left."""
