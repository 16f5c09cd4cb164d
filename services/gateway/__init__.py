"""Gateway: the front door: Telegram's webhook, the bot's commands, the HTTP API.

Consumes: UpdateReceived (`gateway_updates`), ButtonClicked (`gateway_presses`),
    CampaignChanged (`gateway_campaigns`), RecipientForgotten (`gateway_forgotten`).
Publishes: UpdateReceived, UpdateHandled, ButtonClicked, MessageRequested.
Answers: AuditGateway, KeepGateway.
Stores: projections `telegram_webhooks` (the update log), `campaign_progress`,
    `forgotten_users`; state `telegram_users`, `telegram_user_changes`,
    `telegram_guides`, `telegram_user_guide_collections`, `telegram_commands`, `telegram_broadcasts`,
    `api_keys`, `api_key_rates`, `idempotency_keys`, `bus_attempts`;
    what trimmed events have left, in the schema `trimmed`.
"""
