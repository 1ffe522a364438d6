"""Topics of one run: all that are declared, under names of their own."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from mediagate.topics import TopicAdmin, load_topics

TOPICS_FILE = Path(__file__).parents[1] / "topics.yaml"


async def make_topics(servers: str, directory: Path, prefix: str, named: Mapping[str, str]) -> Path:
    """Makes them, those in `named` so, the others with a prefix; the file that declares them."""
    declared = yaml.safe_load(TOPICS_FILE.read_text())
    for purpose, topic in declared.items():
        topic["name"] = named.get(purpose, f"{prefix}.{topic['name']}")
    path = directory / "topics.yaml"
    path.write_text(yaml.safe_dump(declared))
    async with TopicAdmin(servers) as admin:
        await admin.apply(await admin.plan(load_topics(path)))
    return path
