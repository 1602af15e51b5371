"""A table of plain text for a terminal."""
from itertools import chain, repeat


def format_table(header, rows, columns, gap=" "):
    """The lines of a table with aligned columns: the header, then one per row.

    header: texts, fewer than the columns where the last ones have no name. rows: sequences of texts or numbers.
    columns: the width of each column, with `>` to the right, such as "<24" or ">12"; cells past them stand as they are.
    A cell that is wider than its column pushes the rest of its own line to the right: nothing is cut off.
    gap: what stands between two columns.
    """
    return [gap.join(map(format, cells, chain(columns, repeat("")))) for cells in (header, *rows)]
