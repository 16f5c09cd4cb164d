"""Clicks: who pressed what.

Consumes: ButtonClicked (`clicks_presses`), ClickAnnotated (`clicks_annotations`), PromoPosted
    (`clicks_posts`), RecipientForgotten (`clicks_forgotten`).
Publishes: ClickAnnotated; again, where a stream has lost them, ButtonClicked and PromoPosted.
Answers: ListClicks, CountClicks, ListPostClicks, GetClicksSeries, AnnotateClick, AuditClicks, KeepClicks.
Stores: projections `marketing_clicks`, `click_annotations`, `posts`, `forgotten_users`; state `bus_attempts`;
    what trimmed events have left, in the schema `trimmed`.
"""
