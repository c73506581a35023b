"""The report: what it shows is asked of the database, added up in the page by its script, and written as one file."""
