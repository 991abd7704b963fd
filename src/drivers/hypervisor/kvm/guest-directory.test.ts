import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { guestSpec } from '../../testing/guest-spec.ts';
import type { DriverError } from '../../types.ts';
import { boundConsoleLog, guestFiles, readGuestRecord, writeGuestRecord } from './guest-directory.ts';

test('a name is the directory while its sockets fit, and a hash beyond that', () => {
  assert.equal(guestFiles('/run/skein', 'web1').qmp, '/run/skein/web1/qmp.sock');
  const long = `${'a'.repeat(120)}.example.org`;
  const { serial } = guestFiles('/run/skein', long);
  assert.match(serial, /^\/run\/skein\/h-[0-9a-f]{16}\/serial\.sock$/);
  assert.notEqual(serial, guestFiles('/run/skein', `b${long}`).serial);
  // A guest that is named like a hash may not share another's directory.
  assert.notEqual(guestFiles('/run/skein', 'h-0123456789abcdef').directory, '/run/skein/h-0123456789abcdef');
});

test('a run directory that is too long is refused by name', () => {
  assert.throws(
    () => guestFiles(`/${'x'.repeat(90)}`, 'web1'),
    (error: DriverError) =>
      error.code === 'invalid' && /a path of \d+ bytes, expected at most 107/.test(error.message),
  );
});

for (const name of ['', '..', '../x', 'a/b', '-x', '.hidden', 'a\nb']) {
  test(`refuses the name ${JSON.stringify(name)}`, () =>
    assert.throws(() => guestFiles('/run/skein', name), /instance name/));
}

test('the record is read back; a missing or foreign one is none; the console log stays bounded', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'guest-'));
  t.after(() => rm(dir, { recursive: true }));
  const files = guestFiles(dir, 'web1');
  assert.equal(await readGuestRecord(files), null);
  const record = { version: 1, guest: guestSpec(), paused: true, accel: 'tcg' } as const;
  await writeGuestRecord(files, record);
  assert.deepEqual(await readGuestRecord(files), record);
  await writeFile(files.record, '{"version":');
  assert.equal(await readGuestRecord(files), null);

  await boundConsoleLog(files); // None yet: fine.
  await writeFile(files.console_log, 'short');
  await boundConsoleLog(files);
  assert.equal(await readFile(files.console_log, 'utf8'), 'short');
  await truncate(files.console_log, 5 << 20);
  await boundConsoleLog(files);
  assert.equal((await stat(files.console_log)).size, 0);
  assert.equal((await stat(`${files.console_log}.1`)).size, 5 << 20);
});
