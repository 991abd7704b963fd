import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { findProgram } from '../../process/program-path.ts';
import { probeAccelerator, tryAccelerator } from './accel-probe.ts';
import { bootSector } from './boot-sector.ts';

const qemu = await findProgram('qemu-system-x86_64');
const skip = qemu === null ? 'needs qemu-system-x86_64 (Debian package qemu-system-x86)' : false;

async function setUp(t: TestContext): Promise<string> {
  const run_dir = await mkdtemp(join(tmpdir(), 'accel-'));
  t.after(() => rm(run_dir, { recursive: true }));
  return run_dir;
}

/** A stand-in for QEMU that notes each call. */
async function fakeQemu(run_dir: string, script: string): Promise<string> {
  const path = join(run_dir, 'fake-qemu');
  await writeFile(path, `#!/bin/sh\necho called >>${run_dir}/calls\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

test('a boot sector is 512 bytes, ends in its signature and refuses a text that does not fit', () => {
  const sector = bootSector('hello', 'exit');
  assert.equal(sector.length, 512);
  assert.equal(sector.readUInt16LE(510), 0xaa55);
  const text_at = sector.readUInt16LE(6) - 0x7c00;
  assert.equal(sector.toString('latin1', text_at, text_at + 6), 'hello\0');
  assert.throws(() => bootSector('x'.repeat(500), 'tick'), RangeError);
});

test('a real guest really prints under TCG', { skip }, async (t) => {
  const run_dir = await setUp(t);
  assert.equal(await tryAccelerator({ qemu: qemu as string, run_dir, timeout_ms: 20_000 }, 'tcg'), '');
  assert.deepEqual(await readdir(run_dir), []);
});

test('KVM is chosen when its guest prints, and the answer is kept for this boot', async (t) => {
  const run_dir = await setUp(t);
  const fake = await fakeQemu(run_dir, 'echo ACCELERATOR WORKS; exit 1');
  const first = await probeAccelerator({ qemu: fake, run_dir });
  assert.equal(first.accel, 'kvm');
  assert.deepEqual(await probeAccelerator({ qemu: fake, run_dir }), first);
  assert.equal(await readFile(join(run_dir, 'calls'), 'utf8'), 'called\n');
  await writeFile(join(run_dir, 'accelerator.json'), '{"key":"another boot","accel":"tcg"}');
  assert.equal((await probeAccelerator({ qemu: fake, run_dir })).accel, 'kvm');
  assert.equal(await readFile(join(run_dir, 'calls'), 'utf8'), 'called\ncalled\n');
});

for (const [what, script, reason] of [
  ['a guest that hangs', 'exec sleep 60', /starts but never runs/],
  ['a QEMU that refuses', 'echo "Could not access KVM kernel module" >&2; exit 1', /Could not access KVM/],
  ['a QEMU that dies', 'kill -ABRT $$', /SIGABRT/],
] as const) {
  test(`TCG is chosen for ${what}, and the reason is told`, async (t) => {
    const run_dir = await setUp(t);
    const fake = await fakeQemu(run_dir, script);
    const answer = await probeAccelerator({ qemu: fake, run_dir, timeout_ms: 500 });
    assert.equal(answer.accel, 'tcg');
    assert.match(answer.reason, reason);
  });
}
