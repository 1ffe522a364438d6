"""FastAPI as one would write it: pydantic, asyncpg, boto3's presigner, PyJWT, on uvicorn with uvloop."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import boto3
import jwt
import uvicorn
from botocore.config import Config
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field, StringConstraints, model_validator

EXPIRES = timedelta(minutes=15)
LIMITS = {
    **dict.fromkeys(["image/jpeg", "image/png", "image/gif", "image/webp"], 20 * 2**20),
    **dict.fromkeys(["video/mp4", "video/quicktime", "video/webm"], 500 * 2**20),
}
INSERT = """
insert into media_jobs (
    media_id, user_id, file_name, file_size, mime_type, sha256, md5, linked_to_type, linked_to_id,
    bucket, key, state, caller, created_at, url_expires_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'awaiting_upload', $12, $13, $14)
"""
BUCKET, SECRET = os.environ["BUCKET"], os.environ["JWT_SECRET"]

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["S3_ENDPOINT_URL"],
    region_name=os.environ["AWS_REGION"],
    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
)


class UploadRequest(BaseModel):
    """What a client wants to upload."""

    user_id: Identifier
    file_name: str = Field(min_length=1, max_length=255)
    file_size: int = Field(strict=True, gt=0)
    mime_type: str
    sha256_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]
    md5Hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{32}$", to_lower=True)]  # noqa: N815
    linked_to_type: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    linked_to_id: Identifier

    @model_validator(mode="after")
    def _is_accepted(self) -> "UploadRequest":
        if self.file_size > LIMITS.get(self.mime_type, 0):
            raise ValueError("this type, or so large a file, is not accepted")
        return self


class SignedUpload(BaseModel):
    """The request that stores the file."""

    method: str = "PUT"
    url: str
    headers: dict[str, str]
    expires_at: datetime


class UploadAnswer(BaseModel):
    """A job that waits for its upload."""

    media_id: UUID
    upload: SignedUpload


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Has a pool of connections while the application runs."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=10) as pool:
        app.state.pool = pool
        yield


async def subject(bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    """Whom the token names; a coroutine, since a plain function would cost a thread's turn."""
    options: Any = {"require": ["exp", "sub"]}
    try:
        claims = jwt.decode(bearer.credentials, SECRET, algorithms=["HS256"], options=options)
    except jwt.PyJWTError as error:
        raise HTTPException(401, "the token is not valid here") from error
    return str(claims["sub"])


app = FastAPI(lifespan=lifespan, openapi_url=None)


@app.post("/media/request-upload", status_code=201)
async def request_upload(
    upload: UploadRequest, request: Request, subject: Annotated[str, Depends(subject)]
) -> UploadAnswer:
    """Answers a signed URL for a declared file."""
    if upload.user_id != subject:
        raise HTTPException(403, "uploads for other users are not yours")
    media_id, now = uuid4(), datetime.now(UTC)
    key, expires_at = f"uploads/{media_id}", now + EXPIRES
    pool: Any = request.app.state.pool
    await pool.execute(
        INSERT,
        media_id,
        upload.user_id,
        upload.file_name,
        upload.file_size,
        upload.mime_type,
        upload.sha256_hash,
        upload.md5Hash,
        upload.linked_to_type,
        upload.linked_to_id,
        BUCKET,
        key,
        subject,
        now,
        expires_at,
    )
    headers = {
        "Content-Type": upload.mime_type,
        "Content-Length": str(upload.file_size),
        "Content-MD5": base64.b64encode(bytes.fromhex(upload.md5Hash)).decode(),
        "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(upload.sha256_hash)).decode(),
        "If-None-Match": "*",
    }
    url = s3.generate_presigned_url(
        "put_object",
        Params={
            "Bucket": BUCKET,
            "Key": key,
            "ContentType": headers["Content-Type"],
            "ContentLength": upload.file_size,
            "ContentMD5": headers["Content-MD5"],
            "ChecksumSHA256": headers["x-amz-checksum-sha256"],
            "IfNoneMatch": headers["If-None-Match"],
        },
        ExpiresIn=int(EXPIRES.total_seconds()),
    )
    return UploadAnswer(
        media_id=media_id, upload=SignedUpload(url=url, headers=headers, expires_at=expires_at)
    )


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning")
