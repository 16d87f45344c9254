"""Flower's templates, of which ours extend two (worker/flower/templates)."""

from __future__ import annotations

from pathlib import Path

from flower.urls import settings
from tornado.template import Loader, Template

_OURS = Path(__file__).parent / "templates"
#: A folder that Flower does not have; ours extend "../tasks.html".
_FOLDER = "earwitness"


class Templates(Loader):
    """Loads a template of ours, if there is one, in place of Flower's with the same name."""

    def __init__(self) -> None:
        super().__init__(settings["template_path"])

    def load(self, name: str, parent_path: str | None = None) -> Template:
        """Return the template that a page asks for, or that a template extends."""
        is_of_page = parent_path is None and (_OURS / name).is_file()
        return super().load(f"{_FOLDER}/{name}" if is_of_page else name, parent_path)

    def _create_template(self, name: str) -> Template:
        folder, _, file = name.partition("/")
        if folder != _FOLDER:
            return super()._create_template(name)
        return Template((_OURS / file).read_bytes(), name=name, loader=self)
