"""From raw listings to one row a movie. Owns reading the CSVs, the cleaning rules and the parsing of side fields.

Knows nothing of where the listings came from, of how texts are tokenised, or of any model.
"""
