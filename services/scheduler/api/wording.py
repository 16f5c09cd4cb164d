"""What people write of promos, checked as Telegram would: its own words for what it would refuse."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.scheduler.domain.catalogue import Draft
from shared import markdown
from shared.bus import Refusal
from shared.queries import PromoIn, PromoPreview, PromoView
from shared.templates import TemplateProblem, Templates

NEW = Draft(title="", cta_text="")


def refused(errors: Sequence[tuple[str, str]]) -> Refusal:
    """Return the refusal of fields that are wrong, each with what is wrong with it."""
    named = [{"field": field, "message": message} for field, message in errors]
    detail = "; ".join(f"{field}: {message}" for field, message in errors)
    return Refusal(422, "Invalid promo", detail, {"errors": named})


def draft_of(view: PromoView) -> Draft:
    """Return what is written of a promo that there is."""
    return Draft(
        title=view.title, cta_text=view.cta_text, payload=view.payload, url=view.url,
        description=view.description, format=view.format, template=view.template, variables=view.variables,
    )  # fmt: skip


def rewritten(before: Draft, given: PromoIn) -> Draft:
    """Return a draft with what is given instead of what it had; raises the refusal of a contradiction."""
    if given.payload is not None and given.url is not None:
        raise refused([("url", "expected exactly one of payload and url")])
    if given.template is not None and given.description:
        raise refused([("template", "expected one of template and description")])
    changes: dict[str, Any] = given.model_dump(
        include={"title", "cta_text", "payload", "url", "description", "format", "template", "variables"},
        exclude_none=True,
    )
    if given.payload is not None:
        changes["url"] = None
    if given.url is not None:
        changes["payload"] = None
    if given.description is not None:
        changes |= {"template": None, "variables": {}}
    if given.template is not None:
        changes |= {"description": "", "format": "plain", "variables": given.variables or {}}
    return replace(before, **changes)


def text_of(draft: Draft, templates: Templates) -> str:
    """Return the MarkdownV2 of a draft; raises the refusal that says all that is wrong with it."""
    errors = [(name, "is missing") for name in ("title", "cta_text") if not getattr(draft, name).strip()]
    if (draft.payload is None) == (draft.url is None):
        errors.append(("payload", "expected exactly one of payload and url"))
    if draft.url is not None and not draft.url.startswith("https://"):
        errors.append(("url", "expected an https URL"))
    if draft.variables and draft.template is None:
        errors.append(("variables", "expected a template that they are for"))
    if errors:
        raise refused(errors)
    errors += [("button", problem) for problem in markdown.keyboard_problems([[draft.button]])]
    try:
        text = _rendered(draft, templates)
        markdown.check(text)
    except TemplateProblem as problem:
        errors.append(("template", str(problem)))
    except markdown.Refused as refusal:
        errors += [("text", problem) for problem in refusal.problems]
    if errors:
        raise refused(errors)
    return text


def preview(draft: Draft, text: str) -> PromoPreview:
    """Return what Telegram shows of a draft whose text has been checked."""
    shown = markdown.check(text)
    entities = tuple(entity.to_dict() for entity in shown.entities)
    return PromoPreview(text=text, plain=shown.text, entities=entities, button=draft.button)


def _rendered(draft: Draft, templates: Templates) -> str:
    if draft.template is None:
        return draft.written()
    return templates.render(draft.template, "telegram", {**draft.variables, "title": draft.title}).text
