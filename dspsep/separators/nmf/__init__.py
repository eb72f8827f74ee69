"""Non-negative matrix factorisation in its forms: spectra of a few templates, and when each is heard."""
