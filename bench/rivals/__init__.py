"""What a user would pick instead, each a process of its own, written as its documentation tells users to.

Each listens on PORT, takes the webhook at `/webhook` with the secret SECRET, and stores the press in the
database DATABASE_URL before it answers; the bare endpoint stores nothing.
"""
