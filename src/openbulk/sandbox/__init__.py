"""Stand-ins for the services. Each is a program of its own and imports nothing of the product.

They answer as the services' own documentation says, keep their data in memory, and show it on a
plain web page.
"""
