"""The place of what the project's modules share, so that tests can load modules as Ansible does."""

from pathlib import Path

import ansible.module_utils

ansible.module_utils.__path__.append(str(Path(__file__).parents[2] / "module_utils"))
