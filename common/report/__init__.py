"""The report of all cases, and the outline of a student report."""
