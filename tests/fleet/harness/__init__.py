"""Several routers, the pods whose slots they share, and load over all of them."""
