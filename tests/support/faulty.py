"""hotfolder with a fault plan: `python -m tests.support.faulty PLAN.json run --config ...`.

The plan is JSON: `{"step": NAME, "nth": N, "mark": PATH}`. At the N-th time the process comes to the
named step it writes the step's name to PATH and kills itself with SIGKILL, so nothing of it runs on: no
`finally`, no flush. With `{"witness": PATH}` it writes a line of JSON there for every object that the
store confirmed, at the moment of its answer. All of that is wrapped around the product's functions here;
the product has no hook for it.
"""

import functools
import inspect
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hotfolder.cli import main
from tests.support.steps import BY_NAME, Step, When, found

_IN = 0.002  # seconds after which a request is certainly begun and, on loopback, often not answered


def _die(mark: str, name: str) -> None:
    # With os calls only: they are in the page cache, which outlives the process, when they return.
    descriptor = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, name.encode())
    os.kill(os.getpid(), signal.SIGKILL)


class _Killer:
    """Wraps one function so that its n-th call that counts is the last thing the process does."""

    def __init__(self, step: Step, nth: int, mark: str) -> None:
        self._step, self._nth = step, nth
        self._calls = itertools.count(1)  # next() of it is atomic: several threads may call
        self._die = functools.partial(_die, mark, step.name)

    def _is_it(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
        return self._step.counts(*arguments, **named) and next(self._calls) == self._nth

    def _begin(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        match self._step.when:
            case When.BEFORE:
                self._die()
            case When.HALFWAY:
                descriptor, data, *_ = arguments
                function(descriptor, bytes(data)[: len(data) // 2])
                self._die()
            case When.IN:
                threading.Timer(_IN, self._die).start()
            case When.AFTER:
                pass

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*arguments: Any, **named: Any) -> Any:
                is_it = self._is_it(arguments, named)
                if is_it:
                    self._begin(function, arguments)
                answer = await function(*arguments, **named)
                if is_it:
                    self._end()
                return answer

            return awaited

        @functools.wraps(function)
        def called(*arguments: Any, **named: Any) -> Any:
            is_it = self._is_it(arguments, named)
            if is_it:
                self._begin(function, arguments)
            answer = function(*arguments, **named)
            if is_it:
                self._end()
            return answer

        return called

    def _end(self) -> None:
        # Also where IN was meant and the answer was faster: the process must not get past the step.
        self._die()


def install(plan: dict[str, Any]) -> None:
    """Wrap what the plan asks for. Raises KeyError for a step that is not in the table."""
    if "step" in plan:
        step = BY_NAME[plan["step"]]
        holder, name, function = found(step)
        setattr(holder, name, _Killer(step, int(plan.get("nth", step.nth)), plan["mark"]).wrap(function))
    if "witness" in plan:
        _witness(plan["witness"])


def _witness(path: str) -> None:
    """Write down the key of each object at the moment of the store's answer."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for name in ("put answered", "completed by the store"):
        holder, attribute, function = found(BY_NAME[name])
        setattr(holder, attribute, _witnessed(function, descriptor))


def _witnessed(function: Callable[..., Any], descriptor: int) -> Callable[..., Any]:
    @functools.wraps(function)
    async def answered(wire: Any, what: Any, *arguments: Any, **named: Any) -> Any:
        receipt = await function(wire, what, *arguments, **named)
        key = what if isinstance(what, str) else what.key
        os.write(descriptor, json.dumps({"key": key}).encode() + b"\n")
        return receipt

    return answered


if __name__ == "__main__":
    install(json.loads(Path(sys.argv[1]).read_text()))
    sys.argv = ["hotfolder", *sys.argv[2:]]
    main()
