"""What a running soak shows of itself: metrics for Prometheus, a status for people, a server for both."""
