/** Asking an out-of-band program for a host's power: what is an answer, and what is none. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createPowerDriver } from './power-driver.ts';

const dir = mkdtempSync(join(tmpdir(), 'skein-power-'));
after(() => rmSync(dir, { recursive: true, force: true }));

function program(name: string, body: string): string {
  const path = join(dir, name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o700);
  return path;
}

const driver = (timeout_ms = 5_000) => createPowerDriver({ reboot_program: '/none', timeout_ms });

test('it is asked as Ganeti asks it, and answers as Ganeti wants it answered', async () => {
  const on = program('on', '[ "$1 $2" = "power-status n2" ] && echo \'{"powered": true}\'');
  const off = program('off', '[ "$1 $2" = "power-status n2" ] && echo \'{"powered": false}\'');
  assert.equal(await driver().isPowered(on, 'n2'), true);
  assert.equal(await driver().isPowered(off, 'n2'), false);
});

test('anything else is no answer', async () => {
  for (const [name, body, message] of [
    ['words', 'echo off', /power-status said "off\\n": expected \{"powered"/],
    ['other', 'echo \'{"powered": "no"}\'', /expected \{"powered"/],
    ['nothing', 'true', /power-status said "": expected/],
    ['null', 'echo null', /expected \{"powered"/],
    ['fails', 'echo \'{"powered": false}\'; echo no route >&2; exit 3', /failed with status 3.*no route/s],
  ] as const)
    await assert.rejects(driver().isPowered(program(name, body), 'n2'), { message }, name);
  await assert.rejects(driver().isPowered('/no/such/program', 'n2'), { code: 'missing-program' });
  await assert.rejects(driver().isPowered('relative', 'n2'), { code: 'invalid' });
});

test('one that hangs is ended', async () => {
  await assert.rejects(driver(200).isPowered(program('hangs', 'exec sleep 600'), 'n2'), { code: 'timeout' });
});
