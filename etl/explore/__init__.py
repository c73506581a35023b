"""Datasette on the database: what it is told of tables, views and questions, and how it is served."""
