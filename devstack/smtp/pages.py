"""The inbox as a person looks at it: a list of mails, and each with its parts."""

from collections.abc import Sequence
from datetime import UTC, datetime

from jinja2 import Environment

from devstack.smtp.postbox import Mail

_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0 }
  tr { border-bottom: 1px solid #ddd }
  iframe { width: 100%; height: 32rem; border: 1px solid #ddd; background: #fff }
  pre { white-space: pre-wrap; background: #f6f6f6; padding: 1rem }
</style>
<h1>{{ title }}</h1>
"""

_LIST = """
{% if mails %}
<table>
<tr><th>Arrived (UTC)<th>To<th>Subject
{% for mail in mails|reverse %}
<tr><td>{{ mail.arrived|clock }}<td>{{ mail.recipients|join(", ") }}
<td><a href="/inbox/{{ mail.number }}">{{ mail.message["Subject"] or "(no subject)" }}</a>
{% endfor %}
</table>
{% else %}
<p>No mail yet. The page shows what has come when it is loaded.
{% endif %}
"""

_MAIL = """
<p><a href="/inbox">Inbox</a>
<table>
<tr><th>Arrived (UTC)<td>{{ mail.arrived|clock }}
<tr><th>Envelope<td>{{ mail.sender }} → {{ mail.recipients|join(", ") }}
{% for name, value in mail.message.items() %}<tr><th>{{ name }}<td>{{ value }}
{% endfor %}
</table>
{% if html is not none %}
<h2>HTML part</h2>
<iframe sandbox title="HTML part" srcdoc="{{ html }}"></iframe>
{% endif %}
{% if text is not none %}
<h2>Text part</h2>
<pre>{{ text }}</pre>
{% endif %}
"""

_environment = Environment(autoescape=True)
_environment.filters["clock"] = lambda seconds: f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
_list = _environment.from_string(_FRAME + _LIST)
_mail = _environment.from_string(_FRAME + _MAIL)


def inbox_page(mails: Sequence[Mail]) -> str:
    """Return the list of mails, newest first."""
    return _list.render(title=f"Inbox: {len(mails)}", mails=mails)


def mail_page(mail: Mail) -> str:
    """Return one mail: headers, the HTML part in a sandboxed frame, the text part."""
    title = mail.message["Subject"] or "(no subject)"
    return _mail.render(title=title, mail=mail, html=mail.part("html"), text=mail.part("plain"))
