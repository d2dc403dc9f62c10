"""Who a person is: passwords, codes of authenticator apps, and sign-ins."""
