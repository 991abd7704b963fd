import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProcessKeeper, ProcessSpec } from '../../drivers/types.ts';
import { guardedKeeper } from './guarded-keeper.ts';

test('asks in the moment of the spawn, and lets the rest pass', async () => {
  const calls: string[] = [];
  const keeper: ProcessKeeper = {
    spawn: async (spec) => {
      calls.push(`spawn ${spec.tag}`);
      return { pid: 7 };
    },
    kill: async (name) => void calls.push(`kill ${name}`),
    list: async () => [],
    onExit: () => void calls.push('onExit'),
  };
  let reason: string | null = null;
  const guarded = guardedKeeper(keeper, (spec) => (spec.tag === 'web:1' ? reason : null));
  const spec = (tag: string): ProcessSpec => ({
    name: 'guest/web',
    tag,
    argv: ['x'],
    env: {},
    cwd: '/',
    log_file: '/x',
    protected: true,
  });
  assert.deepEqual(await guarded.spawn(spec('web:1')), { pid: 7 });
  reason = 'epoch 1 is over';
  await assert.rejects(guarded.spawn(spec('web:1')), /guest\/web is not started: epoch 1 is over/);
  await guarded.spawn(spec('web:2'));
  await guarded.kill('guest/web', 1);
  guarded.onExit(() => undefined);
  assert.deepEqual(await guarded.list(), []);
  assert.deepEqual(calls, ['spawn web:1', 'spawn web:2', 'kill guest/web', 'onExit']);
});
