"""What was logged in runs: read, compared, and drawn as plots and pages."""
