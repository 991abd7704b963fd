/** Stopping: what a guest that its keeper has ended has left goes, too; another instance of that name is let be. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { stopInstance } from './instance.ts';
import type { ActionContext, ActionWorld } from './types.ts';

const context: ActionContext = { signal: new AbortController().signal, progress: () => undefined };
const args = { instance: 'uuid-1', name: 'web', hypervisor: 'fake', timeout_ms: 5_000 };

/** What was asked of a host that has these guests, by uuid. */
async function stopOn(uuids: readonly string[]) {
  const stops: (readonly [string, number])[] = [];
  const driver = {
    list: async () => uuids.map((uuid) => ({ name: 'web', uuid })),
    stop: async (name: string, timeout_ms: number) => void stops.push([name, timeout_ms]),
  };
  const world = { drivers: { hypervisors: new Map([['fake', driver]]) } } as unknown as ActionWorld;
  return { ...(await stopInstance(world, args, context)), stops };
}

test('one that runs is given its time', async () => {
  assert.deepEqual(await stopOn(['uuid-1']), { was_running: true, stops: [['web', 5_000]] });
});

test('of one that does not run any more, what it left is removed', async () => {
  assert.deepEqual(await stopOn([]), { was_running: false, stops: [['web', 0]] });
});

test('another one of that name is none of its business', async () => {
  assert.deepEqual(await stopOn(['uuid-2']), { was_running: false, stops: [] });
});
