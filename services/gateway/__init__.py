"""Gateway: the front door: Telegram's webhook, the bot's commands, the HTTP API.

Consumes: UpdateReceived (`gateway_updates`), ButtonClicked (`gateway_presses`).
Publishes: UpdateReceived, UpdateHandled, ButtonClicked, MessageRequested.
Answers: AuditGateway.
Stores: projection `telegram_webhooks` (the update log); state `telegram_users`, `telegram_guides`,
    `telegram_user_guide_collections`, `telegram_commands`, `api_keys`, `api_key_rates`, `idempotency_keys`,
    `bus_attempts`.
"""
