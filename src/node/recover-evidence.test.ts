import assert from 'node:assert/strict';
import { test } from 'node:test';
import { default_ha } from '../config/defaults.ts';
import { horizonMs } from '../config/horizon.ts';
import { accept, node, stateWith, three_nodes } from '../config/test-fixtures.ts';
import { evidenceFor } from './ha/evidence.ts';
import { createHaLoop } from './ha-loop.ts';
import type { HeardNode } from './ha-types.ts';
import { createTestEnv } from './test-env.ts';

const T = horizonMs(default_ha, default_ha);
const now_ms = 10 * T;

const heardAt = (uuid: string, heard_at_ms: number | null, boot = 1): HeardNode => ({
  uuid,
  heard_at_ms,
  boot,
  lease_ms: default_ha.lease_ms,
  guard_slack_ms: default_ha.guard_slack_ms,
  kill_ms: default_ha.kill_ms,
});

function evidence(unseen: readonly (readonly [string, boolean])[], heard?: HeardNode, logged_boot = 1) {
  const view = {
    now_ms,
    leader_since_ms: now_ms - 5 * T,
    ha: default_ha,
    nodes: [{ ...node, boot: logged_boot }],
    heard: new Map(heard ? [[heard.uuid, heard]] : []),
    unseen: new Map(unseen),
  };
  return evidenceFor(view, 'node-1', 1)?.kind ?? null;
}

test('silence and a higher boot say nothing of a node not seen since a recovery; an operator’s word does', () => {
  const unseen = [['node-1', false]] as const;
  const said = [['node-1', true]] as const;
  assert.equal(evidence([]), 'horizon', 'without a recovery');
  assert.equal(evidence([['node-2', false]]), 'horizon', 'another node is meant');
  assert.equal(evidence(unseen), null);
  assert.equal(evidence([], undefined, 2), 'boot');
  assert.equal(evidence(unseen, undefined, 2), null, 'what the log knows of its boots may be old');
  assert.equal(evidence(unseen, heardAt('node-1', now_ms - 1)), null);
  assert.equal(evidence(said), 'word');
  assert.equal(evidence(said, heardAt('node-1', null)), 'word', 'not heard in this term');
  assert.equal(evidence(said, heardAt('node-1', now_ms - 2 * T)), null, 'it was heard: it is not off');
});

test('a node that renews its lease is recorded as seen, once, and from then on its silence counts', async () => {
  const env = createTestEnv();
  const state = stateWith(...three_nodes);
  accept(state, { type: 'cluster-recover', time: 1, generation: 7, node: 'node-1', words: [] });
  const heard = new Map([['node-1', heardAt('node-1', env.now_ms())]]);
  const proposed: string[] = [];
  const loop = createHaLoop({
    isPowered: () => Promise.reject(new Error('nobody is to ask')),
    env,
    machine: { state },
    granter: { bar: () => () => undefined, heard: () => heard, live: () => new Map() },
    term: 3,
    since_ms: env.now_ms(),
    propose: async (command) => {
      if (command.type === 'node-seen') proposed.push(command.uuid);
      return { index: state.index, value: accept(state, command) };
    },
  });
  await env.advance(2 * T);
  assert.deepEqual([loop.evidence('node-2'), loop.evidence('node-3')], [null, null]);
  heard.set('node-2', heardAt('node-2', env.now_ms()));
  await env.advance(1_000);
  assert.equal(loop.evidence('node-2'), null);
  await env.advance(2 * T);
  assert.deepEqual([loop.evidence('node-2')?.kind, loop.evidence('node-3')], ['horizon', null]);
  assert.deepEqual(proposed, ['node-2']);
  loop.stop();
});
