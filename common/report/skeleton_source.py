"""What a case's source says of itself, read without running it, for the skeleton (common/report/skeleton.py)."""
import ast
import re

from common.report.markdown import code, prose

READING_ORDER = ("model", "losses", "data", "train", "test", "figures")        # of a case's files; others follow
ASIDE = {"baselines", "drawing", "extras"}                                     # folders that are read last
SENTENCE = re.compile(r".*?(?:。|(?<!et al)(?<! )\.(?= |$)|$)")                  # up to a stop that ends one


def source_files(folder):
    """A case's Python files in the order of reading: the paper's, others beside them, folders, those ASIDE last."""
    def place(file):
        *parents, _ = file.relative_to(folder).parts
        return not ASIDE.isdisjoint(parents), parents, (*READING_ORDER, file.stem).index(file.stem), file.stem
    return sorted((file for file in folder.rglob("*.py") if file.stem != "__init__"), key=place)


def describe(say, file):
    """[name, first sentence of the docstring] of a Python file, then of its public functions and classes, as cells."""
    try:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError, RecursionError) as problem:
        where = getattr(problem, "lineno", None) or file.name
        return [["", prose(say("unreadable", problem=f"{type(problem).__name__}, {where}"))]]
    public = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
              and not node.name.startswith("_")]
    names = [code(f"class {node.name}" if isinstance(node, ast.ClassDef) else f"{node.name}()") for node in public]
    sentences = [prose(first_sentence(node)) for node in (tree, *public)]
    return list(zip([say("module", lines=len(text.splitlines())), *names], sentences))


def first_sentence(node):
    """The first sentence of a docstring, on one line; its first paragraph where no stop ends one; "" without any."""
    paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
    return SENTENCE.match(" ".join(paragraph.split()))[0]
