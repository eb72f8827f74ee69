"""What costs nothing and knows nothing: the lower bounds of a results table."""
