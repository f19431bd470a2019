"""The Dockerfile names files that are there and the torch that the package asks for."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")


def test_what_is_copied_is_there_and_not_ignored():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [name for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / name).exists() for name in copied)


def test_torch_is_the_pair_of_the_package():
    requirements = re.findall(r'"(torch(?:audio)?[=<>][^"]+)"', DOCKERFILE)
    assert len(requirements) == 2
    assert all(f'"{requirement}"' in SETUP for requirement in requirements)
    assert re.search(r'"serve": \[', SETUP)


def test_the_command_is_one_of_the_package_and_the_port_is_exposed():
    words = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    assert words[:2] == ["lung-srad", "serve"]
    assert f"EXPOSE {words[words.index('--port') + 1]}" in DOCKERFILE
    assert "USER serve" in DOCKERFILE
