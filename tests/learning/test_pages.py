import pytest

from lnsmadam.pages import between_markers, markdown, put_tables


def test_markdown():
    assert markdown(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_put_tables(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n")
    for table in ("new\n", "newer\n"):
        put_tables(page, {"x": table})
        assert page.read_text() == f"before\n<!-- x: begin -->\n{table}<!-- x: end -->\nafter\n"


def test_missing_markers():
    with pytest.raises(ValueError, match="no markers for y"):
        between_markers("text", "y", "table")
