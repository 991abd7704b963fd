/** Each kind of freezer that this host has, on real processes. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  createGroup,
  detectFreezer,
  type Freezer,
  type FreezerGroup,
  freezeGroup,
  groupDirName,
  isGroupFrozen,
  isGroupGone,
  killGroup,
  removeFreezer,
  removeGroup,
  sweepGroups,
  thawGroup,
} from './freezer.ts';
import { isDead, until } from './keeper-harness.ts';
import { procStat } from './proc-stat.ts';

const data_dir = `/freezer-test-${process.pid}`;

function kinds(): Freezer[] {
  const found: Freezer[] = [detectFreezer(data_dir, -1)];
  const best = detectFreezer(data_dir, process.getuid?.() ?? -1);
  if (best.kind !== 'signals') found.push(best);
  const v1 = `/sys/fs/cgroup/freezer/skein-test-${process.pid}`;
  if (best.kind === 'cgroup-v2' && existsSync('/sys/fs/cgroup/freezer/cgroup.procs')) {
    mkdirSync(v1);
    found.push({ kind: 'cgroup-v1', base: v1 });
  }
  return found;
}

async function startIn(group: FreezerGroup): Promise<ChildProcess> {
  const procs = group.dir === '' ? '' : join(group.dir, 'cgroup.procs');
  // Joins before it forks: nothing of it may be outside.
  const script = '[ -z "$1" ] || echo 0 > "$1"; sleep 3600 & wait';
  const child = spawn('sh', ['-c', script, 'sh', procs], { detached: true, stdio: 'ignore' });
  const pid = child.pid ?? 0;
  group.leader = { pid, start_ticks: procStat(pid)?.start_ticks ?? 0 };
  await until('it has joined and forked', () => descendants(pid).length === 1);
  return child;
}

function descendants(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    .trim()
    .split(' ')
    .filter((word) => word !== '');
}

for (const freezer of kinds()) {
  test(`${freezer.kind}: frozen is proven, thawed runs, killed dies even while frozen, nothing is left`, async () => {
    const group = createGroup(freezer, 'guest/web');
    const child = await startIn(group);
    try {
      const pid = child.pid ?? 0;
      assert.equal(isGroupFrozen(group), false);
      freezeGroup(group);
      await until('frozen', () => isGroupFrozen(group));
      thawGroup(group);
      await until('thawed', () => !isGroupFrozen(group));
      assert.equal(isGroupGone(group), false);
      freezeGroup(group);
      await until('frozen again', () => isGroupFrozen(group));
      killGroup(group);
      await until('gone', () => isGroupGone(group) && isDead(pid));
    } finally {
      killGroup(group);
    }
    await until('removed', () => removeGroup(group));
    await until('base removed', () => removeFreezer(freezer));
    assert.ok(freezer.base === '' || !existsSync(freezer.base));
  });
}

test('a keeper sweeps what its predecessor left', async () => {
  const freezer = detectFreezer(data_dir, process.getuid?.() ?? -1);
  const group = createGroup(freezer, 'guest/stray');
  const child = await startIn(group);
  try {
    assert.equal(sweepGroups(freezer), freezer.kind === 'signals' ? 0 : 1);
    if (freezer.kind !== 'signals') await until('the stray is dead', () => isDead(child.pid ?? 0));
  } finally {
    killGroup(group);
  }
  await until('removed', () => removeFreezer(freezer));
});

test('names become one directory each, whatever they hold', () => {
  assert.equal(groupDirName('guest/web.example.com'), 'guest%2Fweb.example.com');
  assert.notEqual(groupDirName('a/b'), groupDirName('a%2Fb'));
  assert.match(groupDirName('x'.repeat(300)), /^[0-9a-f]{64}$/);
});
