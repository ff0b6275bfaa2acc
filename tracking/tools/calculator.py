"""Arithmetic for models, which are bad at it: an evaluator of its own that knows numbers, six signs and a few functions."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DecimalException,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    localcontext,
)

from django.conf import settings

from wflo.agents.tools import declare

Number = int | Decimal

DIGITS = 50  # that are reckoned with
DIGITS_SHOWN = 20
BITS_MAX = 20_000  # of a whole number
DEPTH_MAX = 60
FACTORIAL_MAX = 1_000
_CONTEXT = Context(
    prec=DIGITS, rounding=ROUND_HALF_EVEN, Emin=-20_000, Emax=20_000, traps=[DivisionByZero, InvalidOperation, Overflow]
)
_SIGNS = str.maketrans(
    {"\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/", "\N{MINUS SIGN}": "-", "\N{MIDDLE DOT}": "*"}
)


class Wrong(ValueError):
    """The expression cannot be worked out."""


@declare(effect="read")
def calculator(expression: str) -> str:
    """Works out an arithmetic expression exactly.

    Knows + - * / // % ** and parentheses; abs, round, floor, ceil, min, max, sum, sqrt, exp, ln, log10, log2, factorial, sin, cos,
    tan; pi and e. Example: round((1299.99 * 3 - 150) * 1.19, 2)

    Args:
        expression: numbers without thousands separators, such as 12 * (3.5 + 4)
    """
    most = settings.LIMITS["tool_expression_characters"]
    if len(expression) > most:
        raise Wrong(f"an expression has at most {most:,} characters")
    try:
        tree = ast.parse(expression.translate(_SIGNS).strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise Wrong("that is no arithmetic expression such as 12 * (3.5 + 4)") from None
    with localcontext(_CONTEXT):
        try:
            return _written(_value(tree, 0))
        except ZeroDivisionError:  # DivisionByZero of decimals is one too
            raise Wrong("division by zero") from None
        except Overflow:
            raise Wrong("the result is too large") from None
        except (DecimalException, ArithmeticError, ValueError) as error:
            raise error if isinstance(error, Wrong) else Wrong("a function has no value there") from None


def _value(node: ast.expr, depth: int) -> Number:
    if depth > DEPTH_MAX:
        raise Wrong("the expression is nested too deeply")
    match node:
        case ast.Constant(value=bool() | complex()):
            raise Wrong("numbers only")
        case ast.Constant(value=int() as value):
            return _bounded(value)
        case ast.Constant(value=float() as value):
            return _bounded(+Decimal(repr(value)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, depth + 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, depth + 1)
        case ast.BinOp(op=ast.BitXor()):
            raise Wrong("write a power as **, not ^")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _bounded(_OPERATIONS[type(op)](_value(left, depth + 1), _value(right, depth + 1)))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _called(name, [_value(one, depth + 1) for one in arguments])
        case ast.Tuple():
            raise Wrong("write numbers without commas in them")
        case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name) if name not in _FUNCTIONS:
            raise Wrong(f'"{name[:40]}" is not known; there are {", ".join([*_FUNCTIONS, *_CONSTANTS])}')
        case _:
            raise Wrong("only numbers, + - * / // % **, parentheses and functions are known")


def _bounded(value: Number) -> Number:
    if isinstance(value, int) and value.bit_length() > BITS_MAX:
        raise Wrong("the result is too large")
    if isinstance(value, Decimal) and not value.is_finite():
        raise Wrong("a result is infinite, or too large")
    return value


def _divided(left: Number, right: Number) -> Number:
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return Decimal(left) / Decimal(right)


def _floor_divided(left: Number, right: Number) -> Number:
    """Towards minus infinity, as Python has it for whole numbers; decimals alone would go towards zero."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    return _floor(Decimal(left) / Decimal(right))


def _rest(left: Number, right: Number) -> Number:
    return left - right * _floor_divided(left, right)


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if base.bit_length() * exponent > BITS_MAX and base not in (0, 1, -1):
            raise Wrong("the result is too large")
        return int(base**exponent)
    return Decimal(base) ** Decimal(exponent)


def _floor(value: Number) -> int:
    return math.floor(_of_a_size(value))


def _ceil(value: Number) -> int:
    return math.ceil(_of_a_size(value))


def _of_a_size(value: Number) -> Number:
    """Of a decimal like 1E+20000 all digits would be written out."""
    if isinstance(value, Decimal) and value.adjusted() > BITS_MAX // 4:
        raise Wrong("the result is too large")
    return value


def _rounded(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or not -DIGITS <= digits <= DIGITS:
        raise Wrong(f"round has a whole number of digits up to {DIGITS}")
    if isinstance(value, int) and digits >= 0:
        return value
    step = Decimal(1).scaleb(-digits)
    found = Decimal(value).quantize(step, rounding="ROUND_HALF_UP")
    return int(found) if digits <= 0 else found


def _factorial(value: Number) -> int:
    if not isinstance(value, int) or not 0 <= value <= FACTORIAL_MAX:
        raise Wrong(f"factorial is of a whole number from 0 to {FACTORIAL_MAX:,}")
    return math.factorial(value)


def _root(value: Number) -> Number:
    if isinstance(value, int) and value >= 0 and math.isqrt(value) ** 2 == value:
        return math.isqrt(value)
    return Decimal(value).sqrt()


def _as_float(function: Callable[[float], float]) -> Callable[[Number], Decimal]:
    return lambda value: Decimal(repr(round(function(float(value)), 15)))


def _log2(value: Number) -> Decimal:
    return Decimal(value).ln() / Decimal(2).ln()


def _called(name: str, arguments: list[Number]) -> Number:
    try:
        return _bounded(_FUNCTIONS[name](*arguments))
    except TypeError:
        raise Wrong(f"{name} takes another number of arguments") from None


def _written(value: Number) -> str:
    if isinstance(value, int):
        return str(value) if value.bit_length() < 4_000 else f"{Decimal(value):.{DIGITS_SHOWN}e}"
    shown = Context(prec=DIGITS_SHOWN).plus(value).normalize()
    return f"{shown:f}" if -12 <= shown.adjusted() <= 40 else str(shown)


_OPERATIONS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: _divided, ast.FloorDiv: _floor_divided,
    ast.Mod: _rest, ast.Pow: _power,
}  # fmt: skip
_CONSTANTS: dict[str, Number] = {
    "pi": Decimal("3.1415926535897932384626433832795028841971693993751"),
    "e": Decimal("2.7182818284590452353602874713526624977572470936999"),
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs, "round": _rounded, "floor": _floor, "ceil": _ceil, "min": lambda *of: min(of), "max": lambda *of: max(of),
    "sum": lambda *of: sum(of), "sqrt": _root, "exp": lambda of: Decimal(of).exp(), "ln": lambda of: Decimal(of).ln(),
    "log10": lambda of: Decimal(of).log10(), "log2": _log2, "factorial": _factorial, "sin": _as_float(math.sin),
    "cos": _as_float(math.cos), "tan": _as_float(math.tan),
}  # fmt: skip
