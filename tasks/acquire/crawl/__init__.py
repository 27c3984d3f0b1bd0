"""The crawl: plots that the listings lack, requested politely from sources by movie id."""
