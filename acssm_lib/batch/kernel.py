"""The kernel of a run: this very Python, whatever kernelspecs and modules lie around."""

import os
import sys

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec

from acssm_lib.batch import family


class OwnPython(AsyncKernelManager):
    """Starts ``sys.executable``; a ``python3`` of the user's kernelspecs may be another Python, or none."""

    @property
    def kernel_spec(self):
        own = get_kernel_dict()
        # The working directory comes last on the path: a page may import what lies beside it, but a random.py there
        # does not stand for Python's own.
        own["argv"] = [
            sys.executable,
            "-P",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
            "--IPKernelApp.exec_lines=__import__('sys').path.append('')",
        ]
        return KernelSpec(**own)

    async def _async_launch_kernel(self, kernel_cmd, **words):
        await super()._async_launch_kernel(kernel_cmd, **words)
        group = getattr(self.provisioner, "pgid", None)
        if group and group != os.getpid():
            family.groups.append(group)

    _launch_kernel = _async_launch_kernel
