"""Stand-ins for the services. Each is a program of its own and imports nothing of the product.

They answer as the real services document, keep their data in memory, and show it on a plain web
page.
"""
