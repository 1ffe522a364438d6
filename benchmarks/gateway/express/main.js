// The reference's shape: Express, pg, the AWS SDK's presigner, jsonwebtoken, zod.
import { createSecretKey, randomUUID } from "node:crypto";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import express from "express";
import jwt from "jsonwebtoken";
import pg from "pg";
import { z } from "zod";

const MEBIBYTE = 2 ** 20;
const EXPIRES = 900;
const LIMITS = new Map([
  ...["image/jpeg", "image/png", "image/gif", "image/webp"].map((type) => [type, 20 * MEBIBYTE]),
  ...["video/mp4", "video/quicktime", "video/webm"].map((type) => [type, 500 * MEBIBYTE]),
]);
const INSERT = `
  insert into media_jobs (
    media_id, user_id, file_name, file_size, mime_type, sha256, md5, linked_to_type, linked_to_id,
    bucket, key, state, caller, created_at, url_expires_at
  ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'awaiting_upload', $12, $13, $14)`;

const environment = process.env;
const bucket = environment.BUCKET;
const secret = createSecretKey(Buffer.from(environment.JWT_SECRET)); // a string is parsed at every call
const pool = new pg.Pool({ connectionString: environment.DATABASE_URL, max: 10 });
const s3 = new S3Client({
  endpoint: environment.S3_ENDPOINT_URL,
  region: environment.AWS_REGION,
  forcePathStyle: true,
});

const identifier = z.string().min(1).max(255).regex(/^[^\x00-\x1f\x7f]+$/);
const Upload = z
  .object({
    user_id: identifier,
    file_name: z.string().min(1).max(255),
    file_size: z.int().positive(),
    mime_type: z.string().refine((type) => LIMITS.has(type)),
    sha256_hash: z.string().regex(/^[0-9a-fA-F]{64}$/).toLowerCase(),
    md5Hash: z.string().regex(/^[0-9a-fA-F]{32}$/).toLowerCase(),
    linked_to_type: z.string().regex(/^[a-z0-9_]{1,64}$/),
    linked_to_id: identifier,
  })
  .refine((upload) => upload.file_size <= (LIMITS.get(upload.mime_type) ?? 0), { path: ["file_size"] });

function authenticate(request, response, next) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  try {
    if (scheme !== "Bearer") throw new jwt.JsonWebTokenError("a bearer token is needed");
    request.caller = jwt.verify(token, secret, { algorithms: ["HS256"] }).sub;
  } catch (error) {
    return response.status(401).json({ detail: error.message });
  }
  next();
}

async function requestUpload(request, response) {
  const parsed = Upload.safeParse(request.body);
  if (!parsed.success) return response.status(422).json({ errors: parsed.error.issues });
  const upload = parsed.data;
  if (upload.user_id !== request.caller) return response.status(403).json({ detail: "not your own" });

  const mediaId = randomUUID();
  const key = `uploads/${mediaId}`;
  const now = new Date();
  const expiresAt = new Date(now.getTime() + EXPIRES * 1000);
  await pool.query({
    name: "insert_job",
    text: INSERT,
    values: [
      mediaId, upload.user_id, upload.file_name, upload.file_size, upload.mime_type, upload.sha256_hash,
      upload.md5Hash, upload.linked_to_type, upload.linked_to_id, bucket, key, request.caller, now, expiresAt,
    ],
  });

  const headers = {
    "Content-Type": upload.mime_type,
    "Content-Length": String(upload.file_size),
    "Content-MD5": Buffer.from(upload.md5Hash, "hex").toString("base64"),
    "x-amz-checksum-sha256": Buffer.from(upload.sha256_hash, "hex").toString("base64"),
    "If-None-Match": "*",
  };
  const command = new PutObjectCommand({
    Bucket: bucket,
    Key: key,
    ContentType: headers["Content-Type"],
    ContentLength: upload.file_size,
    ContentMD5: headers["Content-MD5"],
    ChecksumSHA256: headers["x-amz-checksum-sha256"],
    IfNoneMatch: headers["If-None-Match"],
  });
  const signed = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const url = await getSignedUrl(s3, command, {
    expiresIn: EXPIRES,
    signableHeaders: new Set([...signed, "host"]),
    unhoistableHeaders: signed,
  });
  response.status(201).json({ media_id: mediaId, upload: { method: "PUT", url, headers, expires_at: expiresAt } });
}

const app = express();
app.disable("x-powered-by");
app.post("/media/request-upload", authenticate, express.json({ limit: "64kb" }), requestUpload);
const server = app.listen(Number(environment.PORT), "127.0.0.1", () => console.log("listening"));
process.on("SIGTERM", () => {
  server.close(() => pool.end());
  server.closeIdleConnections();
});
