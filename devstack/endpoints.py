"""Where the running services are, and the credentials for them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Endpoints:
    """Addresses and credentials of a running stack."""

    kafka_bootstrap_servers: str
    database_url: str = field(repr=False)
    s3_endpoint_url: str
    s3_access_key_id: str
    s3_secret_access_key: str = field(repr=False)
    s3_region: str

    def environment(self) -> dict[str, str]:
        """Return the environment variables that lead a process to this stack."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "DATABASE_URL": self.database_url,
            "S3_ENDPOINT_URL": self.s3_endpoint_url,
            "AWS_ACCESS_KEY_ID": self.s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret_access_key,
            "AWS_REGION": self.s3_region,
        }
