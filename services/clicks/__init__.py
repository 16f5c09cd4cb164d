"""Clicks: who pressed what.

Consumes: ButtonClicked (`clicks_presses`), PromoPosted (`clicks_posts`).
Publishes: nothing.
Answers: ListClicks, CountClicks.
Stores: projections `marketing_clicks`, `posts`; state `bus_attempts`.
"""
