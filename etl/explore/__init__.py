"""Serves the database with Datasette: tables, views and questions."""
