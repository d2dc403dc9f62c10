"""Stand-ins for the services, each a program of its own: they import nothing of the product.

They answer as the real services document, keep what they hold in memory, and show it on a plain web page.
"""
