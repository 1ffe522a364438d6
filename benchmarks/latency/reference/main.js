// The reference's design: Express, a queue in memory that is flushed by count or time, one batch at a time.
import { createSecretKey, randomUUID } from "node:crypto";
import {
  CopyObjectCommand, DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import express from "express";
import jwt from "jsonwebtoken";
import pg from "pg";
import { z } from "zod";

const IMAGE_BATCH_SIZE = 50;
const IMAGE_MAX_WAIT = 10_000;
const EXPIRES = 900;
const TABLES = `
  create table if not exists reference_jobs (
    media_id uuid primary key, user_id text not null, file_name text not null, file_size bigint not null,
    mime_type text not null, sha256 text not null, md5 text not null, linked_to_type text not null,
    linked_to_id text not null, key text not null, status text not null);
  create table if not exists reference_items (
    media_id uuid primary key, bucket text not null, key text not null, mime_type text not null,
    sha256 text not null, width int not null, height int not null)`;

const environment = process.env;
const bucket = environment.BUCKET;
const permanent = environment.PERMANENT_BUCKET;
const secret = createSecretKey(Buffer.from(environment.JWT_SECRET)); // a string is parsed at every call
const pool = new pg.Pool({ connectionString: environment.DATABASE_URL, max: 10 });
const s3 = new S3Client({
  endpoint: environment.S3_ENDPOINT_URL,
  region: environment.AWS_REGION,
  forcePathStyle: true,
});
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const identifier = z.string().min(1).max(255);
const Upload = z.object({
  user_id: identifier,
  file_name: identifier,
  file_size: z.int().positive(),
  mime_type: z.string().regex(/^image\//),
  sha256_hash: z.string().regex(/^[0-9a-fA-F]{64}$/),
  md5Hash: z.string().regex(/^[0-9a-fA-F]{32}$/),
  linked_to_type: identifier,
  linked_to_id: identifier,
});
const Completion = z.object({ media_id: z.uuid() });

let queue = [];
let scanning = false;
let timer = null;

function queueMediaJob(job) {
  queue.push(job);
  scheduleFlush();
}

function scheduleFlush() {
  if (queue.length >= IMAGE_BATCH_SIZE) {
    maybeFlushImages();
  } else if (queue.length > 0 && timer === null) {
    timer = setTimeout(maybeFlushImages, Math.max(0, queue[0].queuedAt + IMAGE_MAX_WAIT - Date.now()));
  }
}

async function maybeFlushImages() {
  clearTimeout(timer);
  timer = null;
  if (scanning) return;
  scanning = true;
  const batch = queue.slice(0, IMAGE_BATCH_SIZE);
  queue = queue.slice(IMAGE_BATCH_SIZE);
  try {
    await scanMediaJobs(batch);
  } finally {
    scanning = false;
    scheduleFlush();
  }
}

async function scanMediaJobs(jobs) {
  const results = jobs.map(() => ({ nsfw: false, width: 1024, height: 768 })); // the scanner answers at once
  const decidedAt = Date.now();
  tell({ window: jobs.map((job) => job.media_id) });
  await Promise.all(jobs.map((job, index) => finish(job, results[index], decidedAt)));
}

async function finish(job, result, decidedAt) {
  if (result.nsfw) return;
  const key = `${job.linked_to_type}/${job.file_name}`;
  await s3.send(
    new CopyObjectCommand({
      Bucket: permanent, Key: key, CopySource: `${bucket}/${job.key}`,
      ContentType: job.mime_type, MetadataDirective: "REPLACE",
    }),
  );
  await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: job.key }));
  await pool.query({
    name: "item",
    text: "insert into reference_items values ($1, $2, $3, $4, $5, $6, $7)",
    values: [job.media_id, permanent, key, job.mime_type, job.sha256, result.width, result.height],
  });
  await pool.query({
    name: "complete",
    text: "update reference_jobs set status = 'completed' where media_id = $1",
    values: [job.media_id],
  });
  tell({
    media_id: job.media_id,
    accepted: job.acceptedAt / 1000,
    decided: decidedAt / 1000,
    published: Date.now() / 1000,
  });
}

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
  await pool.query({
    name: "job",
    text: "insert into reference_jobs values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending')",
    values: [
      mediaId, upload.user_id, upload.file_name, upload.file_size, upload.mime_type, upload.sha256_hash,
      upload.md5Hash, upload.linked_to_type, upload.linked_to_id, key,
    ],
  });
  const headers = { "Content-Type": upload.mime_type, "Content-Length": String(upload.file_size) };
  const command = new PutObjectCommand({
    Bucket: bucket, Key: key, ContentType: upload.mime_type, ContentLength: upload.file_size,
  });
  const url = await getSignedUrl(s3, command, {
    expiresIn: EXPIRES,
    signableHeaders: new Set(["content-type", "content-length", "host"]),
  });
  response.status(201).json({ media_id: mediaId, upload: { method: "PUT", url, headers } });
}

async function uploadComplete(request, response) {
  const parsed = Completion.safeParse(request.body);
  if (!parsed.success) return response.status(422).json({ errors: parsed.error.issues });
  const acceptedAt = Date.now();
  const { rows } = await pool.query({
    name: "queue",
    text: `update reference_jobs set status = 'queued'
           where media_id = $1 and user_id = $2 and status = 'pending' returning *`,
    values: [parsed.data.media_id, request.caller],
  });
  if (rows.length === 0) return response.status(404).json({ detail: "there is no such upload" });
  const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket: bucket, Key: rows[0].key }), {
    expiresIn: EXPIRES,
  });
  queueMediaJob({ ...rows[0], url, acceptedAt, queuedAt: Date.now() });
  response.status(202).json({ media_id: rows[0].media_id });
}

await pool.query(TABLES);
const app = express();
app.disable("x-powered-by");
app.use(express.json({ limit: "64kb" }));
app.post("/media/request-upload", authenticate, requestUpload);
app.post("/media/upload-complete", authenticate, uploadComplete);
app.get("/readyz", (_, response) => response.json({ status: "ready" }));
const server = app.listen(Number(environment.PORT), "127.0.0.1");
process.on("SIGTERM", () => {
  server.close(() => pool.end());
  server.closeIdleConnections();
});
