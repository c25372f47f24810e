"""The rules, by what they look at. The table of them is in `dpplan.lint`."""
