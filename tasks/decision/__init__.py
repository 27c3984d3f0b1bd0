"""Decision rules: how a row of genre scores becomes a set of genres. Travels inside every served model."""
