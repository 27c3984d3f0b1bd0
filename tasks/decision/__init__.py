"""Decision rules: from genre scores to sets of genres. Part of every served model."""
