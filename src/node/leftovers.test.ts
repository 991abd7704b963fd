import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accept, cluster, init, instanceAdd, now, stateWith, submit } from '../config/test-fixtures.ts';
import type { DiskSpec, StorageDriver } from '../drivers/types.ts';
import { openJournal, type Undo } from './journal.ts';
import { createLeftovers } from './leftovers.ts';
import { createTestEnv, settled } from './test-env.ts';

const key = { job: 1, op: 0, step: 2, undo: false };
const specOf = (uuid: string, path = `/srv/file/web9/${uuid}.file.disk0`): DiskSpec => ({
  uuid,
  instance_name: 'web9',
  index: 0,
  size: 64,
  mode: 'rw',
  logical_id: ['loop', path],
});
const undoOf = (disk: DiskSpec, changes: Partial<Undo> = {}): Undo => ({
  verb: 'disk.remove',
  args: { template: 'file', disk },
  generation: cluster.generation,
  ...changes,
});

async function rig() {
  const env = createTestEnv();
  const files = new Map<string, unknown>();
  const records = {
    list: async () => [...files.keys()],
    read: async (name: string) => structuredClone(files.get(name)),
    write: async (name: string, value: unknown) => void files.set(name, structuredClone(value)),
    remove: async (name: string) => void files.delete(name),
    pathOf: (name: string) => name,
  };
  const removed: string[] = [];
  const trouble = { of: '' };
  const driver = {
    info: async (disk: DiskSpec) => ({ exists: true, size: disk.size, path: String(disk.logical_id[1]) }),
    async remove(disk: DiskSpec) {
      if (trouble.of !== '') throw new Error(trouble.of);
      removed.push(disk.uuid);
    },
  } as Partial<StorageDriver> as StorageDriver;
  const state = stateWith(init, instanceAdd('web1', 'file'));
  const start = async () => {
    const journal = await openJournal(records);
    const drivers = { storage: new Map([['file', driver]]) };
    return { journal, leftovers: createLeftovers({ env, journal, state, drivers }) };
  };
  const endJob = () => {
    accept(state, submit('r'));
    accept(state, { type: 'job-cancel', time: now, job: 1 });
  };
  return { env, files, removed, trouble, state, start, endJob };
}

test('a step that was begun before the host was lost: its disk goes when the job has ended, and then its key', async () => {
  const { files, removed, start, endJob } = await rig();
  const first = await start();
  // The host dies while it makes the disk.
  void first.journal.once(key, 'disk.create', () => new Promise(() => undefined), undoOf(specOf('aaaa')));
  await settled();
  const { leftovers } = await start();
  leftovers.tidy();
  await settled();
  assert.deepEqual([removed, files.size], [[], 1], 'the log may not have told yet how it went on');
  endJob();
  leftovers.tidy();
  leftovers.tidy();
  await settled();
  assert.deepEqual([removed, files.size], [['aaaa'], 0]);
});

test('never a disk that the configuration has, by uuid or by path; nor one of another generation', async () => {
  const { files, removed, state, start, endJob } = await rig();
  const [known] = state.list('disks');
  assert.ok(known);
  const { journal, leftovers } = await start();
  const undos = [
    undoOf(specOf(known.uuid)),
    undoOf(specOf('bbbb', String(known.logical_id[1]))),
    undoOf(specOf('cccc'), { generation: cluster.generation + 1 }),
    undoOf(specOf('dddd'), { verb: 'instance.cleanup' }),
    undefined,
  ];
  for (const [step, undo] of undos.entries())
    await journal.once({ ...key, step }, 'disk.create', async () => ({ ok: true, value: null }), undo);
  endJob();
  leftovers.tidy();
  await settled();
  assert.deepEqual([removed, files.size], [[], 0]);
});

test('what cannot be removed is kept in mind; an act that outlives its job is waited for', async () => {
  const { env, files, removed, trouble, start, endJob } = await rig();
  const { journal, leftovers } = await start();
  const gate = Promise.withResolvers<{ ok: true; value: null }>();
  const acted = journal.once(key, 'disk.create', () => gate.promise, undoOf(specOf('aaaa')));
  await settled();
  endJob();
  trouble.of = 'the mount is gone';
  leftovers.tidy();
  await env.advance(29_000);
  assert.deepEqual([removed, files.size], [[], 1]);
  assert.match(env.complaints.join(), /could not be removed.*the mount is gone/);
  trouble.of = '';
  await env.advance(1_000);
  assert.deepEqual([removed, files.size], [['aaaa'], 1], 'it runs still');
  gate.resolve({ ok: true, value: null });
  await acted;
  await env.advance(1_000);
  assert.deepEqual([removed, files.size], [['aaaa', 'aaaa'], 0], 'and may have made it after that');
  leftovers.stop();
  assert.equal(env.timers, 0);
});
