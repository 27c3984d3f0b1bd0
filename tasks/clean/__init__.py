"""From raw listings to one row per movie."""
