"""Which list a path stands for, by the resource table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from analytics_assets.sample_api.data import ListKey
from analytics_assets.schema import Resource


class Routes:
    """The paths of every resource."""

    def __init__(self, resources: Mapping[str, Resource]) -> None:
        # A literal path wins over one with a parameter in the same place.
        ordered = sorted(resources.values(), key=lambda resource: resource.path.count("{"))
        self._patterns = [(_pattern(resource.path), resource) for resource in ordered]

    def match(self, path: str, *, version: str, strict_slashes: bool) -> ListKey | None:
        """The list at a quoted path without prefix, if there is one.

        Args:
            path: The path.
            version: What stands for `{version}` in the resources' paths.
            strict_slashes: Whether it must end in a slash just where the resource's path does.
        """
        for pattern, resource in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                if strict_slashes and path.endswith("/") != resource.path.endswith("/"):
                    return None
                parameters = {name: unquote(value) for name, value in match.groupdict().items()}
                if parameters.pop("version", version) != version:
                    return None
                return ListKey(resource.name, **parameters)
        return None


def _pattern(path: str) -> re.Pattern[str]:
    """Matches a resource's path, whether a slash closes it or not."""
    literals_and_names = re.split(r"\{(\w+)\}", path.rstrip("/"))
    parts = [
        f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part)
        for place, part in enumerate(literals_and_names)
    ]
    return re.compile("".join(parts) + "/?")
