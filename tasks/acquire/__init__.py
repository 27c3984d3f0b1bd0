"""Raw listings and plots from the sample, the user's files, downloads and the crawl. Nothing is cleaned here."""
