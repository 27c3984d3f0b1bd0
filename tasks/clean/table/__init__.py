"""A user's own table as the clean stage's result. Owns what its columns may hold and which rules it goes through."""
