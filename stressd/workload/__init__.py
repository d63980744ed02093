"""What the load is made of and how its answers are judged: content, ledger, judge, pacer, operations."""
