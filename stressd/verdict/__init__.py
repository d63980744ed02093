"""From what was measured to an answer: statistics, the verdict, and the report in its renderings."""
