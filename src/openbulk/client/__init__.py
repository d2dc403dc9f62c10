"""The terminal client: commands that speak to a server over its own API.

Nothing here imports the engine or the storage. What a command needs to know, the API says.
"""
