"""Stores for jobs and resume data: `jobs` keeps them in SQLite, `memory` keeps them nowhere.

Nothing is imported here, so that a program with stores in memory does not load SQLAlchemy.
"""
