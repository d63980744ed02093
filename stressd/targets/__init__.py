"""What is soaked: the protocol of a target, and an adapter a file."""
