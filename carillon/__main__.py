"""The entry point of the command line."""

import typer

from carillon import (
    audit,
    backup,
    demo,
    dlq,
    forget,
    keys,
    promo,
    rebuild,
    reconcile,
    schedule,
    template,
    up,
    webhook,
    why,
)

app = typer.Typer(
    help="Scheduled Telegram promos, counted presses, and notifications never lost, never doubled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(up.command)
app.command("demo")(demo.command)
app.command("audit")(audit.command)
app.command("rebuild")(rebuild.command)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("forget")(forget.command)
app.command("reconcile")(reconcile.command)
app.command("why")(why.command)
app.add_typer(dlq.app, name="dlq")
app.add_typer(keys.app, name="keys")
app.add_typer(promo.app, name="promo")
app.add_typer(schedule.app, name="schedule")
app.add_typer(template.app, name="template")
app.add_typer(webhook.app, name="webhook")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
