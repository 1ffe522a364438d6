"""Quix Streams: one event at a time, and a checkpoint after 50: flushed, then committed."""

import os
from typing import Any

from quixstreams import Application

from benchmarks.stream.decision import Header, decide, headers_of

WINDOW = 50


def headers(_: Any, key: bytes, timestamp: int, headers: list[Header]) -> list[Header]:
    """The decision's, of the upload's."""
    return headers_of(dict(headers)["ce_id"], key)


def main() -> None:
    """Decides until it is told to end."""
    app = Application(
        broker_address=os.environ["SERVERS"],
        consumer_group=os.environ["GROUP"],
        auto_offset_reset="earliest",
        commit_every=WINDOW,
        commit_interval=1.0,
        producer_extra_config={"acks": "all", "enable.idempotence": True},
        state_dir=os.environ["STATE"],
        auto_create_topics=False,
        loglevel="WARNING",
    )
    uploads = app.dataframe(app.topic(os.environ["INPUT"]))
    decisions = uploads.apply(decide).set_headers(headers)
    decisions.to_topic(app.topic(os.environ["OUTPUT"]))
    app.run()


if __name__ == "__main__":
    main()
