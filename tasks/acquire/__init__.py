"""The room where raw listings come from. Owns `data/raw`, `data/download` and `data/crawl`.

They come from the embedded sample, from folders, archives and buckets of the user, and from downloads; plots also from
other sources, asked one by one.

Knows nothing of what later stages make of the rows: it copies what it is given, and cleans nothing.
"""
