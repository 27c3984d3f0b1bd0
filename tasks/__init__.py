"""What happens: one room per stage, in the order of the data. Importing any of it does nothing."""
