/** A new generation: it only rises, and silence says nothing of a node that was not seen in it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { State } from './api.ts';
import { unseenNodes } from './apply-recover.ts';
import type { Command } from './commands.ts';
import type { Evidence } from './model.ts';
import { accept, instanceAdd, now, refuses, stateWith, three_nodes } from './test-fixtures.ts';

const time = now + 100;
const guest = instanceAdd('web', 'diskless', { primary_node: 'node-2' });

const recover = (generation: number, words: readonly string[] = []): Command => ({
  type: 'cluster-recover',
  time,
  generation,
  node: 'node-1',
  words,
});
const seen = (uuid: string): Command => ({ type: 'node-seen', time, uuid });
const word = (uuid: string): Command => ({ type: 'node-word', time, uuid });
const take = (kind: Evidence['kind'], if_epoch = 1): Command => ({
  type: 'instance-owner',
  time,
  uuid: 'instance-web',
  if_epoch,
  node: 'node-1',
  boot: 1,
  evidence: { kind, text: 'because' },
});
const unseen = (state: State) => Object.fromEntries(unseenNodes(state.get('meta', 'meta')?.recovery));

describe('cluster-recover', () => {
  it('raises the generation and counts every other node as not seen', () => {
    const state = stateWith(...three_nodes);
    accept(state, recover(7, ['node-3']));
    assert.equal(state.get('cluster', 'cluster')?.generation, 7);
    assert.deepEqual(unseen(state), { 'node-2': false, 'node-3': true });
    assert.equal(state.get('nodes', 'node-1')?.health, 'member');
    assert.equal(state.get('nodes', 'node-2')?.health, 'lost');
    assert.match(state.get('nodes', 'node-2')?.health_reason ?? '', /not seen since/);
    assert.deepEqual(
      [state.get('meta', 'meta')?.next_member, state.get('meta', 'meta')?.next_job],
      [4, 1],
      'the counters go on',
    );
    for (const generation of [7, 6]) refuses(state, recover(generation), 'stale', /not above the present 7/);
  });

  it('a second recovery begins the list anew: a word of before is none', () => {
    const state = stateWith(...three_nodes);
    accept(state, recover(7, ['node-3']));
    accept(state, seen('node-2'));
    accept(state, recover(8));
    assert.deepEqual(unseen(state), { 'node-2': false, 'node-3': false });
  });

  it('a node that was seen or removed is off the list; a word is for those on it', () => {
    const state = stateWith(...three_nodes);
    refuses(state, word('node-2'), 'invalid', /no word is needed/);
    accept(state, recover(7));
    accept(state, word('node-2'));
    assert.deepEqual(unseen(state), { 'node-2': true, 'node-3': false });
    accept(state, seen('node-2'));
    accept(state, seen('node-2'));
    assert.deepEqual(unseen(state), { 'node-3': false });
    refuses(state, word('node-2'), 'invalid', /node2 is not one that was not seen/);
    accept(state, { type: 'node-remove', time, uuid: 'node-3' });
    assert.deepEqual(unseen(state), {});
  });

  it('an instance of a node not seen is taken on power or word alone', () => {
    const kinds: readonly Evidence['kind'][] = ['create', 'stopped', 'boot', 'released', 'horizon'];
    for (const kind of kinds) {
      const state = stateWith(...three_nodes, guest);
      accept(state, recover(7));
      refuses(state, take(kind), 'invalid', /node node2 was not seen since the cluster was recovered/);
      accept(state, seen('node-2'));
      accept(state, take(kind));
    }
    for (const kind of ['power', 'word'] as const) {
      const state = stateWith(...three_nodes, guest);
      accept(state, recover(7));
      accept(state, take(kind));
      assert.equal(state.get('instances', 'instance-web')?.owner.node, 'node-1');
    }
  });
});
