"""Moves objects with boto3, CONCURRENCY at once: copies each, then deletes its source."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import boto3
from botocore.client import Config

CONCURRENCY = int(os.environ["CONCURRENCY"])
SOURCE, DESTINATION = os.environ["TEMP_BUCKET"], os.environ["DEFAULT_BUCKET"]


def main() -> None:
    """Moves all that MOVES says, a byte of DONE for each; then waits to be ended."""
    client = boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT_URL"],
        region_name=os.environ["AWS_REGION"],
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=CONCURRENCY),
    )

    def move(line: str) -> None:
        source, destination = line.split("\t")
        client.copy_object(Bucket=DESTINATION, Key=destination, CopySource={"Bucket": SOURCE, "Key": source})
        client.delete_object(Bucket=SOURCE, Key=source)

    moves = Path(os.environ["MOVES"]).read_text().splitlines()
    with ThreadPoolExecutor(CONCURRENCY) as pool, Path(os.environ["DONE"]).open("ab", buffering=0) as done:
        for _ in pool.map(move, moves):
            done.write(b".")
    Event().wait()


if __name__ == "__main__":
    main()
