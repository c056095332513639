"""Which mutants a module has: small changes to its code, each of which some test should notice. Made by cosmic-ray.

One operator is our own, since cosmic-ray has none like it: a statement that only has an effect is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import unified_diff
from typing import Any, NamedTuple

import cosmic_ray.plugins
import parso
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator

OPERATORS = (
    *(
        f"core/ReplaceComparisonOperator_{pair}"
        for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_GtE", "LtE_Gt", "Gt_LtE", "GtE_Lt", "Eq_NotEq",
                     "NotEq_Eq", "Is_IsNot", "IsNot_Is")
    ),
    *(
        f"core/ReplaceBinaryOperator_{pair}"
        for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul", "BitAnd_BitOr",
                     "BitOr_BitAnd", "LShift_RShift", "RShift_LShift")
    ),
    *(f"core/ReplaceUnaryOperator_{pair}" for pair in ("Delete_USub", "Delete_Not", "Delete_Invert")),
    *(
        f"core/{name}"
        for name in ("AddNot", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue",
                     "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "NumberReplacer", "ZeroIterationForLoop")
    ),
)  # fmt: skip
"""Of cosmic-ray's, those whose mutants mean something: ``==`` made ``is``, or a decorator that is gone, say little."""


class Mutant(NamedTuple):
    """A module with one change. ``before`` and ``after`` are the lines that differ."""

    line: int
    before: str
    after: str
    code: str


class LeaveOut(Operator):  # type: ignore[misc] # cosmic-ray is not typed
    """Leaves out a call that nobody uses the answer of, or an assignment to an attribute, an element or in place."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """As ``Operator``."""
        if node.type == "simple_stmt" and _has_an_effect(node.children[0]):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """As ``Operator``."""
        prefix = node.get_first_leaf().prefix
        node.children[0] = parso.parse(f"{prefix}pass")
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """As ``Operator``."""
        return (Example("forget(x)", "pass"), Example("self.window = []", "pass"))


def _has_an_effect(statement: Any) -> bool:
    if statement.type == "expr_stmt":
        target, sign = statement.children[0], statement.children[1]
        return bool(target.type != "name" or (sign.type == "operator" and sign.value != "="))
    return bool(statement.type in ("atom_expr", "await_expr"))


def mutants_of(code: str) -> list[Mutant]:
    """Every mutant of ``code``, each once, in the order of lines. Annotations, how a dataclass keeps its fields, the
    cache of machine code and the ``strict`` of a ``zip`` are left alone: none says what is computed."""
    known, found = {_meaning(code)}, []
    operators = [LeaveOut(), *(cosmic_ray.plugins.get_operator(name)() for name in OPERATORS)]
    for operator in operators:
        occurrence = 0
        while (mutated := mutate_code(code, operator, occurrence)) is not None:
            occurrence += 1
            try:
                meaning = _meaning(mutated)
            except SyntaxError:  # a star that is no product
                continue
            if meaning not in known:
                known.add(meaning)
                found.append(_described(code, mutated))
    return sorted(found, key=lambda mutant: mutant.line)


def _described(code: str, mutated: str) -> Mutant:
    changes = list(unified_diff(code.splitlines(), mutated.splitlines(), n=0, lineterm=""))[2:]
    line = int(changes[0].split()[1].lstrip("-").split(",")[0])
    before, after = (" ".join(each[1:].strip() for each in changes[1:] if each.startswith(sign)) for sign in ("-", "+"))
    return Mutant(line, before, after, mutated)


def _meaning(code: str) -> str:
    return ast.dump(_Unannotated().visit(ast.parse(code)))


class _Unannotated(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in ("dataclass", "njit"):
            node.keywords = []
        node.keywords = [each for each in node.keywords if each.arg != "strict"]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._visit(node)

    def _visit(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        for each in ast.walk(node.args):
            if isinstance(each, ast.arg):
                each.annotation = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not any(isinstance(each, ast.Call) for each in ast.walk(node.annotation)):
            node.annotation = ast.Constant("")
        return self.generic_visit(node)
