"""What senders answers about templates."""

from shared.queries import ListTemplates, TemplateList, TemplateView
from shared.templates import Templates


async def list_templates(_query: ListTemplates, templates: Templates) -> TemplateList:
    """Describe every template."""
    return TemplateList(
        items=tuple(TemplateView(name=name, required=templates.describe(name)) for name in templates.names())
    )
