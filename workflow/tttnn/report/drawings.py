"""Figures within a page: one that is drawn in it, whose names are its own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

from tttnn.reading import reading

SVG, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
POINT = 96 / 72  # CSS pixels
URL = re.compile(r"url\(#([^)]+)\)")


class Drawing(NamedTuple):
    """An SVG element, and its width in CSS pixels as it was drawn."""

    svg: str
    width: int


def _points(size: str) -> float:
    return float(size.removesuffix("pt"))


def drawing(file: Path, name: str, title: str) -> Drawing:
    """A figure that Matplotlib wrote, as an element that others like it can stand beside.

    The names in it are made its own with `name`, for those of a page are one space; its metadata
    are left out, its size is left to the page. `title` is what it says to who cannot see it.
    """
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", LINK)
    with reading(file, "draw the figure again"):
        try:
            root = ET.fromstring(file.read_bytes())
        except ET.ParseError as error:
            raise ValueError(error) from error
        width = round(_points(root.attrib.pop("width")) * POINT)
        root.attrib.pop("height")
    for child in root.findall(f"{{{SVG}}}metadata"):
        root.remove(child)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key in ("href", f"{{{LINK}}}href") and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, URL.sub(rf"url(#{name}-\1)", value))
    told = ET.Element(f"{{{SVG}}}title", {"id": f"{name}-title"})
    told.text = title
    root.insert(0, told)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title"}
    return Drawing(ET.tostring(root, encoding="unicode"), width)
