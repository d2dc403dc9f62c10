"""A service of nobody's, to try a custom connector with: `python service.py --port 9191`."""
