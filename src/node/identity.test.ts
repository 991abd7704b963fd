import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { IdentityError, identity_file, loadOrCreateIdentity } from './identity.ts';

describe('identity', () => {
  let root = '';
  let dir = '';
  let path = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'skein-identity-'));
    dir = join(root, 'deep', 'state');
    path = join(dir, identity_file);
  });
  afterEach(() => rm(root, { recursive: true }));

  const refused = (pattern: RegExp) => (error: unknown) => {
    assert.ok(error instanceof IdentityError, String(error));
    assert.ok(error.message.includes(path), error.message);
    assert.match(error.message, pattern);
    return true;
  };

  it('is made once and stays', async () => {
    const made = await loadOrCreateIdentity(dir);
    assert.match(made.peer_id, /^12D3KooW/);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(dir), [identity_file]);
    const bytes = await readFile(path);
    const again = await loadOrCreateIdentity(dir);
    assert.equal(again.peer_id, made.peer_id);
    assert.deepEqual(await readFile(path), bytes);
    assert.ok(again.private_key.equals(made.private_key));
  });

  it('is one even when two start at once', async () => {
    const both = await Promise.all([loadOrCreateIdentity(dir), loadOrCreateIdentity(dir)]);
    assert.equal(both[0].peer_id, both[1].peer_id);
    assert.deepEqual(await readdir(dir), [identity_file]);
  });

  it('is refused, and left as it is, when others can read it', async () => {
    await loadOrCreateIdentity(dir);
    await chmod(path, 0o640);
    await assert.rejects(loadOrCreateIdentity(dir), refused(/mode 640, expected 600/));
    assert.equal((await stat(path)).mode & 0o777, 0o640);
  });

  it('is refused with wrong content', async () => {
    await loadOrCreateIdentity(dir);
    const key = await readFile(path);
    for (const [bytes, pattern] of [
      [Buffer.alloc(0), /0 bytes/],
      [Buffer.alloc(300), /300 bytes/],
      [key.subarray(0, 30), /private key/],
      [Buffer.from('hello'), /private key/],
      [privateKeyToProtobuf(await generateKeyPair('secp256k1')), /secp256k1/],
    ] as const) {
      await writeFile(path, bytes);
      await assert.rejects(loadOrCreateIdentity(dir), refused(pattern));
      assert.deepEqual(await readFile(path), Buffer.from(bytes));
    }
    await rm(path);
    await symlink('/etc/hostname', path);
    await assert.rejects(loadOrCreateIdentity(dir), refused(/cannot be read/));
  });
});
