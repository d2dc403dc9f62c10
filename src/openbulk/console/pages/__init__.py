"""The pages: each handler asks the API, and shows what it says."""
