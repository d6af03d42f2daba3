"""No `except` swallows: each raises, logs, uses what it caught, decides, or says why it need not.

The rule, made so that it can fail: a handler that does none of the first three, and every `suppress`,
says in a comment why, if what it catches is broad, or if it ends with nothing in hand.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
#: What can mean anything. Any other is an answer to one question: is it there, is it a number.
BROAD = {
    "BaseException",
    "BotoCoreError",
    "ClientError",
    "DestinationError",
    "Error",
    "Exception",
    "Failed",
    "HotfolderError",
    "LocalError",
    "OSError",
    "RuntimeError",
}
LOGS = {"log", "LOG"}


def silent(path: Path, text: str) -> Iterator[str]:
    """Places that end an error without a word."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            caught = _names(node.type)
            last = node.body[-1].end_lineno or node.lineno
            told = any("#" in line for line in lines[node.lineno - 1 : last])
            if not told and not _speaks(node) and (caught & BROAD or not caught or _is_empty(node.body)):
                yield f"{path}:{node.lineno}: except {' | '.join(sorted(caught)) or 'everything'}"
        elif isinstance(node, ast.With | ast.AsyncWith) and any(map(_suppresses, node.items)):
            # Above it, beside it, or in its first line.
            around = lines[node.lineno - 2 : node.body[0].lineno]
            if not any("#" in line for line in around):
                yield f"{path}:{node.lineno}: suppress"


def _names(kind: ast.expr | None) -> set[str]:
    found = (
        [node for node in ast.walk(kind) if isinstance(node, ast.Name | ast.Attribute)] if kind else []
    )
    return {node.id if isinstance(node, ast.Name) else node.attr for node in found} - {"boto_errors"}


def _speaks(handler: ast.ExceptHandler) -> bool:
    """Whether it raises, logs, or does something with the error itself."""
    for node in (inner for statement in handler.body for inner in ast.walk(statement)):
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Name) and node.id == handler.name:
            return True
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in LOGS
        ):
            return True
    return False


def _is_empty(body: list[ast.stmt]) -> bool:
    (only,) = body if len(body) == 1 else [None]
    if isinstance(only, ast.Return):
        return only.value is None or (isinstance(only.value, ast.Constant) and only.value.value is None)
    return isinstance(only, ast.Pass | ast.Continue | ast.Break)


def _suppresses(item: ast.withitem) -> bool:
    call = item.context_expr
    return isinstance(call, ast.Call) and ast.unparse(call.func) in {"suppress", "contextlib.suppress"}


def test_no_error_is_swallowed_without_a_reason() -> None:
    found = [
        place
        for path in sorted(SOURCE.rglob("*.py"))
        for place in silent(path.relative_to(SOURCE), path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("handler", "is_silent"),
    [
        ("except OSError:\n    pass", True),
        ("except OSError:\n    return []", True),
        ("except (KeyError, OSError):\n    x = 1", True),
        ("except sqlite3.Error:\n    x = 1", True),
        ("except:\n    x = 1", True),
        ("except KeyError:\n    continue", True),
        ("except KeyError:\n    return None", True),
        ("except KeyError:  # nobody asked for it\n    return None", False),
        ("except KeyError:\n    return ''", False),
        ("except OSError:\n    # the next start does it\n    pass", False),
        ("except OSError:\n    log.warning('x.failed')", False),
        ("except OSError as error:\n    said = error.strerror", False),
        ("except OSError as error:\n    said = 1", True),
        ("except OSError:\n    raise", False),
    ],
)
def test_the_rule_can_fail(handler: str, is_silent: bool) -> None:
    block = "\n".join(f"        {line}" for line in f"try:\n    work()\n{handler}".splitlines())
    text = f"def act():\n    for _ in ():\n{block}\n"
    assert bool(list(silent(Path("x.py"), text))) is is_silent


@pytest.mark.parametrize(("reason", "is_silent"), [("", True), ("  # it was there", False)])
def test_a_suppression_says_why(reason: str, is_silent: bool) -> None:
    text = f"x = 1\nwith suppress(OSError):{reason}\n    work()\n"
    assert bool(list(silent(Path("x.py"), text))) is is_silent
