/**
 * The one-time join token: where the cluster is, which peer ids to expect there, and a secret of 256 bits. The text
 * is for a human to carry; a checksum tells a damaged paste from a wrong token. Only the secret's hash goes into the
 * log. Pure: time and randomness come in.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

export const join_token_prefix = 'skein-join-1:';
const max_token_chars = 16 * 1024;
const checksum_bytes = 4;
export const join_secret_bytes = 32;

const schema = z.strictObject({
  peers: z
    .array(
      z.strictObject({
        peer_id: z.string().min(1).max(128),
        addresses: z.array(z.string().min(1).max(256)).min(1).max(16),
      }),
    )
    .min(1)
    .max(16),
  id: z.string().min(1).max(64),
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  cluster_name: z.string().min(1).max(255),
  expires: z.number().int().positive(),
});

/** `secret` is base64url of 32 bytes. `expires` is Unix time in milliseconds. */
export type JoinToken = Readonly<z.infer<typeof schema>>;

export class JoinTokenError extends Error {
  readonly code: 'wrong-prefix' | 'truncated' | 'checksum' | 'malformed' | 'expired';
  constructor(code: JoinTokenError['code'], message: string) {
    super(message);
    this.name = 'JoinTokenError';
    this.code = code;
  }
}

export interface NewJoinToken {
  readonly id: string;
  readonly cluster_name: string;
  readonly peers: readonly { readonly peer_id: string; readonly addresses: readonly string[] }[];
  /** Unix time, ms. */
  readonly expires: number;
  /** 32 bytes from a cryptographic source. */
  readonly secret: Uint8Array;
}

/** The text for the new host, and the hash for the log. Throws {@link JoinTokenError} `malformed` naming the field. */
export function createJoinToken(input: NewJoinToken): { text: string; secret_hash: string } {
  if (input.secret.byteLength !== join_secret_bytes) {
    throw new JoinTokenError(
      'malformed',
      `secret has ${input.secret.byteLength} bytes, expected ${join_secret_bytes}`,
    );
  }
  const secret = Buffer.from(input.secret).toString('base64url');
  const token = check({
    peers: input.peers,
    id: input.id,
    secret,
    cluster_name: input.cluster_name,
    expires: input.expires,
  });
  const payload = Buffer.from(JSON.stringify(token));
  const text = join_token_prefix + Buffer.concat([payload, checksum(payload)]).toString('base64url');
  if (text.length > max_token_chars) {
    throw new JoinTokenError(
      'malformed',
      `the token has ${text.length} characters, at most ${max_token_chars}: name fewer peers`,
    );
  }
  return { text, secret_hash: hashJoinSecret(secret) };
}

/** Throws {@link JoinTokenError}. White space around and line breaks within, as terminals make them, are ignored. */
export function parseJoinToken(text: string, now_unix_ms: number): JoinToken {
  const compact = text.replace(/\s+/g, '');
  if (!compact.startsWith(join_token_prefix)) {
    const begin = JSON.stringify(compact.slice(0, join_token_prefix.length));
    throw new JoinTokenError(
      'wrong-prefix',
      `a join token begins with "${join_token_prefix}", this one with ${begin}`,
    );
  }
  const body = compact.slice(join_token_prefix.length);
  if (body.length > max_token_chars)
    throw new JoinTokenError(
      'malformed',
      `the token has ${body.length} characters, at most ${max_token_chars}`,
    );
  const stray = /[^A-Za-z0-9_-]/.exec(body);
  if (stray !== null)
    throw new JoinTokenError(
      'malformed',
      `the token has a ${JSON.stringify(stray[0])} in it, which no token has`,
    );
  const bytes = Buffer.from(body, 'base64url');
  const payload = bytes.subarray(0, Math.max(0, bytes.byteLength - checksum_bytes));
  if (bytes.byteLength <= checksum_bytes || !checksum(payload).equals(bytes.subarray(payload.byteLength))) {
    // The payload is one JSON object: without its end, the rest is missing, otherwise something in it changed.
    const whole = payload.at(-1) === 0x7d && count(payload, 0x7b) === count(payload, 0x7d);
    if (!whole)
      throw new JoinTokenError(
        'truncated',
        `the token is cut short or damaged (${compact.length} characters). Copy all of it`,
      );
    throw new JoinTokenError('checksum', 'the token is damaged: its checksum does not match. Copy it again');
  }
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw new JoinTokenError('malformed', `the token's content is not JSON: ${String(error)}`);
  }
  const token = check(value);
  if (token.expires <= now_unix_ms) {
    const at = new Date(token.expires).toISOString();
    throw new JoinTokenError('expired', `the token expired at ${at}. Make a new one with "skein node add"`);
  }
  return token;
}

/** sha256 of the secret's text, in hexadecimal: what the log holds. */
export function hashJoinSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** In constant time. */
export function joinSecretMatches(secret: string, secret_hash: string): boolean {
  const a = Buffer.from(hashJoinSecret(secret), 'hex');
  const b = Buffer.from(secret_hash, 'hex');
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}

function check(value: unknown): JoinToken {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue === undefined ? '' : `${issue.path.join('.') || 'content'}: ${issue.message}`;
  throw new JoinTokenError('malformed', `the token is malformed (${where})`);
}

function count(bytes: Uint8Array, byte: number): number {
  return bytes.reduce((sum, one) => sum + (one === byte ? 1 : 0), 0);
}

function checksum(payload: Uint8Array): Buffer {
  return createHash('sha256').update(payload).digest().subarray(0, checksum_bytes);
}
