"""Senders: the only service that sends messages.

Consumes: MessageRequested (`senders_transactional_telegram`, `senders_transactional_email`,
    `senders_transactional_push`, `senders_campaign_telegram`, `senders_campaign_email`,
    `senders_campaign_push`), PromoDue (`senders_promos`), PromoCancelled (`senders_cancellations`),
    ButtonClicked (`senders_presses`), dead letters (`senders_dead_letters`).
Publishes: PromoPosted, MessageSent, MessageFailed, MessageSuppressed, MessageAmbiguous, RecipientChanged,
    RecipientForgotten, ChatChanged, CampaignChanged, MessageRequested (campaign items).
Answers: ListTemplates, ResolveChat, GetMessage, ListMessages, CancelMessage, GetRecipient,
    ListRecipients, PutRecipient, IntroduceRecipients, ForgetRecipient, LinkUser, UnlinkUser,
    AddPushSubscription, ListPushSubscriptions, DeletePushSubscription, TellChat, ListSuppressions,
    AddSuppression, LiftSuppression, TellBounce, UnsubscribeRecipient, CreateCampaign, GetCampaign,
    ListCampaigns, AddCampaignRecipients, StartCampaign, PauseCampaign, ResumeCampaign, CancelCampaign,
    EstimateCampaign, AuditSenders, KeepSenders.
Stores: state `messages`, `deliveries`, `delivery_history`, `recipients`, `push_subscriptions`,
    `suppressions`, `migrated_chats`, `chats_told`, `forgotten_recipients`, `commands_done`,
    `promo_cancellations`, `message_cancellations`, `campaigns`,
    `campaign_recipients`, `campaign_reached`, `campaign_parts`, `campaign_sums`, `campaign_tallies`,
    `governor`, `bus_attempts`;
    what trimmed events have left, in the schema `trimmed`.
"""
