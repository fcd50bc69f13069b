"""The page of a run (notebook 08) travels in the package: an installation without the repository runs by itself."""

import json
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithPage(build_py):
    """Also writes ``acssm_lib/batch/page.ipynb``, the notebook without its stored outputs."""

    def run(self):
        super().run()
        if self.editable_mode:  # there the page is found in the repository
            return
        (source,) = Path("notebooks").glob("*_reproduce_group.ipynb")
        page = json.loads(source.read_text(encoding="utf-8"))
        for cell in page["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        self._page.write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def _page(self):
        return Path(self.build_lib, "acssm_lib", "batch", "page.ipynb")

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else [str(self._page)])]


setup(cmdclass={"build_py": BuildWithPage})
