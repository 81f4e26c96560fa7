"""docs/performance.md: prose by hand around tables that are written anew between their markers."""
import re

from .bed import REPOSITORY

PAGE, PICTURES = REPOSITORY / "docs/performance.md", REPOSITORY / "docs/performance"


def fill(named):
    """Writes what `named` gives for a table's name between its markers; None leaves it as it is."""
    def table(found):
        made = named(found[1])
        return found[0] if made is None else f"<!-- table:{found[1]} -->\n\n{made}\n\n<!-- end -->"
    PAGE.write_text(re.sub(r"<!-- table:([\w-]+) -->\n.*?<!-- end -->", table, PAGE.read_text(), flags=re.S))
    print(PAGE)


def draw(name, picture):
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{name}.svg").write_text(picture)
    print(f"{PICTURES / name}.svg: {len(picture) / 1000:.0f} kB")
