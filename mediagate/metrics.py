"""Every metric that Mediagate's processes export."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

HTTP_REQUESTS = Counter("mediagate_http_requests_total", "Gateway requests", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "mediagate_http_request_seconds", "Gateway request time", ["method", "route"], buckets=SECONDS
)
EVENTS_OWED = Counter("mediagate_events_owed_total", "Completions whose event recovery has to publish")

WINDOWS = Counter("mediagate_windows_total", "Windows closed", ["media_type", "trigger"])
WINDOW_ITEMS = Histogram(
    "mediagate_window_items",
    "Items in a closed window",
    ["media_type"],
    buckets=(1, 2, 5, 10, 16, 25, 50, 100),
)
WINDOW_SECONDS = Histogram(
    "mediagate_window_process_seconds", "From close to acknowledgement", ["media_type"], buckets=SECONDS
)
LAST_WINDOW = Gauge(
    "mediagate_last_window_timestamp_seconds", "When the last window was finished", ["media_type"]
)
OPEN_ITEMS = Gauge("mediagate_window_open_items", "Items in the window that still fills", ["media_type"])
OPEN_AGE = Gauge("mediagate_window_open_age_seconds", "Time since that window's first item", ["media_type"])
DECISIONS = Counter(
    "mediagate_decisions_total", "Decisions acknowledged by the broker", ["media_type", "outcome"]
)
DEAD_LETTERS = Counter(
    "mediagate_dead_letters_total", "Records sent to the dead-letter topic", ["topic", "reason"]
)
SCAN_SECONDS = Histogram(
    "mediagate_scan_seconds", "Scan time of a batch", ["scanner", "media_type"], buckets=SECONDS
)
SCANNED_ITEMS = Counter(
    "mediagate_scanned_items_total", "Items that a scanner was given", ["scanner", "media_type"]
)
KNOWN_VERDICTS = Counter(
    "mediagate_known_verdicts_total", "Items whose bytes a scanner had judged before: it was not asked again"
)
BLOCK_LIST_MATCHES = Counter(
    "mediagate_block_list_matches_total", "Items that the block list decided", ["kind"]
)
BLOCK_LIST_SUSPENDED = Counter(
    "mediagate_block_list_suspended_total", "Entries suspended: they had matched too many items in an hour"
)
BREAKER = Gauge(
    "mediagate_breaker_state", "Breaker of a scanner: 0 closed, 1 half-opened, 2 opened", ["scanner"]
)
CANARY_SCANS = Counter("mediagate_canary_scans_total", "Canary pictures judged", ["scanner"])
DISTRUSTED = Gauge("mediagate_scanner_distrusted", "1 where a scanner called its canary safe", ["scanner"])
PAUSED = Gauge("mediagate_stream_paused", "1 while nothing of a media type can be decided", ["media_type"])
BRAKES = Gauge(
    "mediagate_brake_engaged",
    "1 while decisions of a kind are held; of dead_letter: while the stream stands still",
    ["media_type", "outcome"],
)
SHADOW_DECISIONS = Counter(
    "mediagate_shadow_decisions_total",
    "What the shadow policy would have decided",
    ["media_type", "outcome", "shadow_outcome"],
)
RECOVERED = Counter("mediagate_recovered_total", "Rows that recovery helped along", ["action"])

EFFECTS = Counter("mediagate_effects_total", "Decisions carried out", ["effect"])
EFFECT_SECONDS = Histogram(
    "mediagate_effect_seconds", "From decision received to effect done", ["effect"], buckets=SECONDS
)

OLDEST_JOB = Gauge(
    "mediagate_oldest_job_seconds", "Longest time that a job has been in a non-terminal state", ["state"]
)
LAG = Gauge(
    "kafka_consumergroup_lag",
    "Records of a partition that its group has not committed",
    ["consumergroup", "topic", "partition"],
)
