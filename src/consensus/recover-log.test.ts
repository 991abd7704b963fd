import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf, encodeConfiguration } from './configuration.ts';
import { bootstrapLog, openLogStore } from './log-store.ts';
import { MemoryDisk } from './memory-disk.ts';
import { configurationIn, planLogRecovery, recoverLogTo } from './recover-log.ts';
import type { Entry, LogStore } from './types.ts';

const options = { reserve_bytes: 0 };
const command = new Uint8Array([1, 2, 3]);
const empty = (index: number, term: number): Entry => ({
  index,
  term,
  kind: 'empty',
  data: new Uint8Array(0),
});

/** Three voters and a learner; the last entry was never committed. */
async function oldLog(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await bootstrapLog(disk, configurationOf([1]));
  const log = await openLogStore(disk, options);
  const data = encodeConfiguration(configurationOf([1, 2, 3], [4]));
  await log.append({ term: 5, vote: 2, commit: 2 }, [
    empty(1, 1),
    { index: 2, term: 1, kind: 'config', data },
    empty(3, 4),
  ]);
  await log.close();
  return disk;
}

async function opened<T>(disk: MemoryDisk, look: (log: LogStore) => T | Promise<T>): Promise<T> {
  const log = await openLogStore(disk, options);
  try {
    return await look(log);
  } finally {
    await log.close();
  }
}

test('the recovered log keeps every entry and ends with one voter, far above every term; a second time changes nothing', async () => {
  const disk = await oldLog();
  const before = await opened(disk, ({ initial }) => initial);
  const plan = planLogRecovery(before, 3);
  assert.deepEqual([plan.self, plan.index], [3, 4]);
  assert.ok(plan.term > 100_000);
  assert.equal(await opened(disk, (log) => recoverLogTo(log, plan, command)), true);
  const after = await opened(disk, ({ initial }) => initial);
  assert.deepEqual(after.entries.slice(0, 3), before.entries);
  assert.deepEqual(configurationIn(after), configurationOf([3], [1, 2, 4]));
  assert.deepEqual(
    after.entries.slice(3).map(({ index, term, kind }) => [index, term, kind]),
    [
      [4, plan.term, 'config'],
      [5, plan.term, 'command'],
    ],
  );
  assert.deepEqual(after.entries[4]?.data, command);
  assert.equal(after.hard_state.term, plan.term);
  assert.equal(await opened(disk, (log) => recoverLogTo(log, plan, command)), false);
  assert.equal((await opened(disk, ({ initial }) => initial)).entries.length, 5);
});

test('a log that is not the planned one, of a stranger, or damaged is not touched', async () => {
  const disk = await oldLog();
  const found = await opened(disk, ({ initial }) => initial);
  assert.throws(() => planLogRecovery(found, 9), /member 9 is not in the configuration/);
  const fault = { file: 'segment', offset: 0, index: 1, good_to: 0, hard_state: null, reason: 'a bad sum' };
  assert.throws(() => planLogRecovery({ ...found, fault }, 3), /damaged/);
  const plan = planLogRecovery(found, 3);
  await opened(disk, (log) => log.append(null, [empty(4, 5)]));
  await assert.rejects(
    opened(disk, (log) => recoverLogTo(log, plan, command)),
    /ends at index 4 in term 5: expected 3/,
  );
});

test('power lost at any operation of the disk leaves the old log or the recovered one, and the next try completes it', async () => {
  let seen_old = 0;
  let seen_new = 0;
  for (let at = 1; ; at += 1) {
    const disk = await oldLog();
    const plan = planLogRecovery(await opened(disk, ({ initial }) => initial), 3);
    const from = disk.count;
    let cut = false;
    disk.faults = {
      before: (_operation, _name, count) => {
        if (count - from !== at) return;
        cut = true;
        disk.powerOff();
      },
    };
    await opened(disk, (log) => recoverLogTo(log, plan, command)).catch((error: Error) =>
      assert.ok(cut, error),
    );
    if (!cut) break;
    for (const keep of [0, 0.6, 1]) {
      const found_disk = disk.afterCrash(() => keep);
      const where = `operation ${at}, ${keep} of what was not synced`;
      const found = await opened(found_disk, ({ initial }) => initial);
      assert.equal(found.fault, undefined, where);
      assert.ok(found.entries.length === 3 || found.entries.length === 5, `${where}: all or nothing`);
      if (found.entries.length === 3) {
        seen_old += 1;
        assert.deepEqual(configurationIn(found).voters, [1, 2, 3], where);
      } else seen_new += 1;
      await opened(found_disk, (log) => recoverLogTo(log, plan, command));
      assert.deepEqual(configurationIn(await opened(found_disk, ({ initial }) => initial)).voters, [3]);
    }
  }
  assert.ok(seen_old > 3 && seen_new > 3, `${seen_old} cuts before the write counted, ${seen_new} after`);
});
