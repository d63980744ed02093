"""What is made from metrics and criteria: rules, dashboards, alerts, reference pages; `make render` writes it."""
