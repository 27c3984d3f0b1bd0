"""The crawl: plots that the listings lack, from sources asked politely. Owns `data/crawl`.

Knows nothing of how listings are downloaded, nor of what cleaning makes of the plots.
"""
