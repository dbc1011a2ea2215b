"""What an installation consists of, as CycloneDX. `make sbom` runs this.

    requirements/run.txt -> cyclonedx-py -> components with hashes -> + summaries, the version, who needs whom -> FILE

cyclonedx-py reads a list of requirements, which does not say who needs whom; the installed packages of ``.venv`` do.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import traderecon

ROOT = Path(__file__).parents[1]
LISTED = ROOT / "requirements" / "run.txt"
NAME = "traderecon"


def components() -> dict[str, Any]:
    """The bill as cyclonedx-py writes it; it warns that nothing in it depends on anything."""
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--of", "JSON"]
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", *options, str(LISTED)]
    bill: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return bill


def completed(bill: dict[str, Any], version: str) -> dict[str, Any]:
    """The same with the version of the product, a summary of each component, and who needs whom."""
    root = {**bill["metadata"]["component"], "version": version}
    found = {canonicalize_name(it["name"]): it for it in bill["components"]}
    refs = {str(name): it["bom-ref"] for name, it in found.items()}
    graph = [
        {"ref": ref, "dependsOn": sorted({refs[needed] for needed in needs(name) if needed in refs})}
        for name, ref in [(NAME, root["bom-ref"]), *refs.items()]
    ]
    described = [_described(it, installed(name)) for name, it in found.items()]
    return {
        **bill,
        "metadata": {**bill["metadata"], "component": root},
        "components": described,
        "dependencies": sorted(graph, key=lambda it: str(it["ref"])),
    }


def needs(name: str) -> Iterator[str]:
    """What a package needs here, extras aside; nothing where it is not installed, being for another system."""
    package = installed(name)
    for line in (package and package.requires) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def installed(name: str) -> Distribution | None:
    """The installed package of that name."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _described(component: dict[str, Any], package: Distribution | None) -> dict[str, Any]:
    """A component with its package's summary in place of its line in the list."""
    rest = {key: value for key, value in component.items() if key != "description"}
    summary = package.metadata["Summary"] if package else None
    return {**rest, "description": summary} if summary else rest


def main() -> None:
    """Write the file that is named."""
    file = Path(sys.argv[1])
    bill = completed(components(), traderecon.__version__)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{file}: {len(bill['components'])} components\n")


if __name__ == "__main__":
    main()
