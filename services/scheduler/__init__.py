"""Scheduler: when a promo is due, and what became of it.

Consumes: PromoDue, SlotSkipped (`scheduler_promos`); PromoPosted, MessageSent, MessageFailed,
    MessageSuppressed, MessageAmbiguous (`scheduler_outcomes`); RecipientForgotten (`scheduler_forgotten`).
Publishes: PromoDue, SlotSkipped, PromoCancelled.
Answers: StartSchedule, StopSchedule, PauseSchedule, CreateSchedule, EditSchedule, DeleteSchedule,
    GetSchedule, ListSchedules, PlanSlots, ListPromos, GetPromo, CreatePromo, EditPromo, DeletePromo,
    ReorderPromos, PreviewPromo, ListPromoLog, CountPosts, AuditScheduler, KeepScheduler.
Stores: projections `promo_log_chats` (read through the view `marketing_promo_logs`), `forgotten_users`;
    state `promos`, `schedules`, `commands`, `slots`, `cancellations`, `bus_attempts`;
    what trimmed events have left, in the schema `trimmed`.
"""
