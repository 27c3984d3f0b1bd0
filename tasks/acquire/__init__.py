"""The room where raw listings come from. Owns `data/raw`: the embedded sample, folders and archives that the user has.

Knows nothing of what later stages make of the rows: it copies what it is given, and cleans nothing.
"""
