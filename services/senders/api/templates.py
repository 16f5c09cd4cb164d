"""What senders answers about templates."""

from collections.abc import Collection

from shared.queries import ListTemplates, TemplateList, TemplateView
from shared.templates import Templates


async def list_templates(
    _query: ListTemplates, templates: Templates, senders: Collection[str] = ()
) -> TemplateList:
    """Describe every template, and say whose letters may be sent."""
    items = (TemplateView(name=name, required=templates.describe(name)) for name in templates.names())
    return TemplateList(items=tuple(items), senders=tuple(sorted(senders)))
