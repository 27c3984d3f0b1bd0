"""Pictures and tables of the raw and the clean data, and one page with all of them."""
