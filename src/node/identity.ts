/**
 * Who this host is: an Ed25519 key in one file, made once and never replaced by itself. The file is created whole and
 * synced before anyone is told the peer id, and refused, never repaired, when anyone but its owner could read it or
 * its content is not such a key: a host that silently becomes another one would lose its place in the cluster.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

export const identity_file = 'identity.key';
/** Protobuf of an Ed25519 private key: two field headers and 64 bytes of key; more is something else. */
const max_key_bytes = 256;

export interface Identity {
  readonly private_key: Ed25519PrivateKey;
  readonly peer_id: string;
}

/** The message names the file, what is wrong with it and what to do. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
}

/** Reads `identity.key` in `dir`, or makes it (and `dir`) if there is none. Throws {@link IdentityError}. */
export async function loadOrCreateIdentity(dir: string): Promise<Identity> {
  const path = join(dir, identity_file);
  const present = await readIdentity(path);
  if (present !== null) return present;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const private_key = await generateKeyPair('Ed25519');
  const temporary = `${path}.${randomUUID()}.new`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    try {
      await file.writeFile(privateKeyToProtobuf(private_key));
      await file.sync();
    } finally {
      await file.close();
    }
    // Not a rename: of two that start at once, both must end with the same key.
    await linkUnlessPresent(temporary, path);
  } finally {
    await unlink(temporary);
  }
  await syncDirectory(dir);
  const made = await readIdentity(path);
  if (made === null) throw new IdentityError(`${path} vanished while it was being made`);
  return made;
}

async function readIdentity(path: string): Promise<Identity | null> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw new IdentityError(`${path} cannot be read: ${String(error)}`);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new IdentityError(`${path} is not a regular file`);
    const mode = stat.mode & 0o777;
    if ((mode & 0o077) !== 0) {
      throw new IdentityError(
        `${path} has mode ${mode.toString(8)}, expected 600: others can read this host's key. Check who did, then chmod 600`,
      );
    }
    const uid = process.getuid?.();
    if (uid !== undefined && stat.uid !== uid)
      throw new IdentityError(`${path} belongs to uid ${stat.uid}, expected ${uid}`);
    if (stat.size === 0 || stat.size > max_key_bytes) {
      throw new IdentityError(
        `${path} has ${stat.size} bytes, expected an Ed25519 key of 1 to ${max_key_bytes}. Restore it, or remove it to make this host a new one`,
      );
    }
    return parseIdentity(path, await file.readFile());
  } finally {
    await file.close();
  }
}

function parseIdentity(path: string, bytes: Uint8Array): Identity {
  let key: ReturnType<typeof privateKeyFromProtobuf>;
  try {
    key = privateKeyFromProtobuf(bytes);
  } catch (error) {
    throw new IdentityError(
      `${path} holds no private key (${String(error)}). Restore it, or remove it to make this host a new one`,
    );
  }
  if (key.type !== 'Ed25519')
    throw new IdentityError(`${path} holds a key of type ${key.type}, expected Ed25519`);
  return { private_key: key, peer_id: peerIdFromPrivateKey(key).toString() };
}

async function linkUnlessPresent(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
