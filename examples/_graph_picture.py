"""A picture of a graph that needs no network: `draw_mermaid_png` sends the graph to a website."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Edge, Graph

_WIDTH, _HEIGHT, _GAP = 120, 36, 60  # of a box, and between two ranks, in pixels
_SIDE = 16  # between the arrows that lead down and up
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" '
    'font-family="sans-serif" font-size="13" text-anchor="middle"><defs>'
    '<marker id="arrow" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#68645c"/></marker></defs>'
    '<rect width="100%" height="100%" fill="#fff"/>'
)


class GraphPicture:
    """A graph as SVG, which a notebook displays; dashed arrows are taken under a condition.

    Args:
        graph: What `get_graph()` of a compiled graph returns.
    """

    def __init__(self, graph: Graph) -> None:
        """Place the nodes: each below those that lead to it."""
        self._edges = graph.edges
        self._names = {key: node.name.strip("_") for key, node in graph.nodes.items()}
        self._ranks = _rank_nodes(graph)
        rows: dict[int, list[str]] = {}
        for key, rank in self._ranks.items():
            rows.setdefault(rank, []).append(key)
        self._width = max(map(len, rows.values())) * (_WIDTH + _GAP) + _GAP
        self._height = len(rows) * (_HEIGHT + _GAP)
        self._places = {
            key: (self._width * (column + 1) // (len(row) + 1), _GAP // 2 + y * (_HEIGHT + _GAP))
            for y, (_, row) in enumerate(sorted(rows.items()))
            for column, key in enumerate(row)
        }

    def _repr_svg_(self) -> str:
        """Return the picture."""
        parts = [_HEAD.format(self._width, self._height), *map(self._draw_arrow, self._edges)]
        for key, (x, y) in self._places.items():
            size = f'width="{_WIDTH}" height="{_HEIGHT}" rx="10"'
            parts.append(
                f'<rect x="{x - _WIDTH // 2}" y="{y}" {size} fill="#eeeefb" stroke="#b9bbef"/>'
            )
            parts.append(f'<text x="{x}" y="{y + 23}">{escape(self._names[key])}</text>')
        return "".join([*parts, "</svg>"])

    def _draw_arrow(self, edge: Edge) -> str:
        (x1, y1), (x2, y2) = self._places[edge.source], self._places[edge.target]
        half = _GAP // 2
        if edge.source == edge.target:
            x, y = x1 + _WIDTH // 2, y1 + _HEIGHT // 2
            way = f"M{x} {y - 9} C{x + 36} {y - 26} {x + 36} {y + 26} {x + 1} {y + 9}"
        elif self._ranks[edge.target] < self._ranks[edge.source]:  # up, beside the arrow down
            side = _SIDE if x2 <= x1 else -_SIDE
            x1, x2, end = x1 + side, x2 + side, y2 + _HEIGHT
            way = f"M{x1} {y1} C{x1} {y1 - half} {x2} {end + half} {x2} {end + 1}"
        else:
            start = y1 + _HEIGHT
            way = f"M{x1} {start} C{x1} {start + half} {x2} {y2 - half} {x2} {y2 - 1}"
        dash = ' stroke-dasharray="4 3"' if edge.conditional else ""
        return f'<path d="{way}" fill="none" stroke="#68645c"{dash} marker-end="url(#arrow)"/>'

    def __repr__(self) -> str:
        """Return the edges as text."""
        names = self._names
        return "\n".join(f"{names[e.source]} -> {names[e.target]}" for e in self._edges)


def _rank_nodes(graph: Graph) -> dict[str, int]:
    """Return the longest way to each node, without arrows that lead back."""
    steps = dict.fromkeys((k for k in graph.nodes if all(e.target != k for e in graph.edges)), 0)
    for key in (queue := list(steps)):  # the shortest ways: an arrow to a nearer node leads back
        for edge in graph.edges:
            if edge.source == key and edge.target not in steps:
                steps[edge.target] = steps[key] + 1
                queue.append(edge.target)
    ranks = dict(steps)
    for _ in graph.nodes:
        for edge in graph.edges:
            if edge.source != edge.target and steps[edge.source] <= steps[edge.target]:
                ranks[edge.target] = max(ranks[edge.target], ranks[edge.source] + 1)
    return ranks
