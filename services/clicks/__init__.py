"""Clicks: who pressed what.

Consumes: ButtonClicked (`clicks_presses`), ClickAnnotated (`clicks_annotations`), PromoPosted
    (`clicks_posts`).
Publishes: ClickAnnotated.
Answers: ListClicks, CountClicks, ListPostClicks, GetClicksSeries, AnnotateClick, AuditClicks.
Stores: projections `marketing_clicks`, `click_annotations`, `posts`; state `bus_attempts`.
"""
