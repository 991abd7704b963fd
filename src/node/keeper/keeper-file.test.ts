import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { beginBoot, readKeeperFile, writeKeeperFile } from './keeper-file.ts';

const master = { netdev: 'eth0', ip: '192.0.2.1', netmask: 24, family: 4 as const, script: '' };

function inDirectory(body: (dir: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'keeper-file-'));
  try {
    body(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('boot rises exactly with the boot id and is on disk; the noted address survives', () =>
  inDirectory((dir) => {
    assert.equal(beginBoot(dir, 'a').file.boot, 1);
    const { path, file } = beginBoot(dir, 'a');
    assert.equal(file.boot, 1);
    writeKeeperFile(path, { ...file, master });
    assert.deepEqual(beginBoot(dir, 'b').file, { boot: 2, boot_id: 'b', master });
    assert.deepEqual(readKeeperFile(path), { boot: 2, boot_id: 'b', master });
  }));

test('a damaged file stops the keeper and is left as it is', () =>
  inDirectory((dir) => {
    for (const text of [
      '',
      '{',
      'null',
      '{"boot":0,"boot_id":"a"}',
      '{"boot":"2","boot_id":"a"}',
      '{"boot":2}',
    ]) {
      writeFileSync(join(dir, 'keeper.json'), text);
      assert.throws(() => beginBoot(dir, 'a'), /keeper\.json .*must not be guessed/);
      assert.equal(readFileSync(join(dir, 'keeper.json'), 'utf8'), text);
    }
  }));
