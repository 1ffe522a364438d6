"""Several SQL statements in one text."""

from alembic import op


def execute(statements: str) -> None:
    """Runs them in order; each ends with a semicolon at the end of its line."""
    for statement in statements.split(";\n"):
        if statement.strip():
            op.execute(statement)
