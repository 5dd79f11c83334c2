"""Results as records, statistics over them, tables and pages."""
