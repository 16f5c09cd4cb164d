"""`/settings`: how somebody wants to be reached, and in which language."""

from services.gateway.bot import texts
from services.gateway.bot.newsletter import is_subscribed, set_subscribed
from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.roles import Role
from shared.markdown import Message

NAMES = {"en": "English", "es": "Español"}
"""Languages, in their own words."""


async def settings(asked: Asked, hands: Hands) -> Message:
    """Show the settings, or change one of them."""
    match [word.lower() for word in asked.words]:
        case []:
            return await _overview(asked, hands)
        case ["language"]:
            return _languages(asked)
        case ["language", language] if language in {*texts.TEXTS, "auto"}:
            return await _speak(asked, hands, None if language == "auto" else language)
        case ["news", "on" | "off" as wanted]:
            await set_subscribed(asked, hands, wanted=wanted == "on")
            return await _overview(await asked.again(hands), hands)
    raise NotUnderstood


async def _overview(asked: Asked, hands: Hands) -> Message:
    news = await is_subscribed(asked, hands)
    language = NAMES[texts.language_of(asked.user.language)]
    message = Message().title(asked.say("settings.title")).blank()
    message.bullet(
        asked.say("settings.marketing", state=asked.say("settings.on" if news else "settings.off"))
    )
    message.bullet(asked.say("settings.language", language=language))
    key, wanted = ("settings.marketing_on", "off") if news else ("settings.marketing_off", "on")
    message.row(asked.press(key, "settings", f"news {wanted}"))
    return message.row(asked.press("settings.language_button", "settings", "language"))


def _languages(asked: Asked) -> Message:
    message = Message().text(asked.say("settings.language_ask"))
    message.row(*(asked.button(NAMES[each], "settings", f"language {each}") for each in sorted(texts.TEXTS)))
    message.row(asked.press("settings.language_auto", "settings", "language auto"))
    return message.row(asked.press("back", "settings"))


async def _speak(asked: Asked, hands: Hands, language: str | None) -> Message:
    await hands.users.choose_language(asked.user, language, asked.cause)
    return await _overview(await asked.again(hands), hands)


SETTINGS = Command(
    name="settings",
    category="general",
    description="Channels, language and quiet hours",
    role=Role.PUBLIC,
    run=settings,
    help="Sets how we reach you. What concerns your own account always comes.",
    private=True,
)
