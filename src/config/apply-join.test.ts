/** A host that is a node already asks to join: what it is told, and that no number is given to it twice. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { State } from './api.ts';
import type { Command } from './commands.ts';
import {
  accept,
  instanceAdd,
  nodeJoin,
  now,
  refuses,
  running,
  stateWith,
  step,
  three_nodes,
  tokenAdd,
} from './test-fixtures.ts';

type NodeJoin = Extract<Command, { type: 'node-join' }>;

const time = now + 100;

/** Node 4, let in with token t4 in life `life-1` of its agent; then the tokens of later tries. */
const half_in: readonly Command[] = [
  ...three_nodes,
  tokenAdd('t4'),
  { ...nodeJoin(4, 't4'), life: 'life-1' },
  tokenAdd('t5'),
  tokenAdd('t6'),
];

/** The same host asks again. */
const again = (token: string, life: string, changes: Partial<NodeJoin> = {}): NodeJoin => ({
  ...nodeJoin(4, token),
  time,
  uuid: `node-4-${token}-${life}`,
  life,
  ...changes,
});

const lost = (uuid: string, if_boot = 1): Command => ({
  type: 'node-health',
  time,
  uuid,
  health: 'lost',
  reason: 'silent',
  if_boot,
});

const numbers = (state: State) => state.list('nodes').map(({ name, member }) => `${name} ${member}`);

describe('a host that asks again in the life in which it was let in', () => {
  it('is told the same with the same token, also when that has expired', () => {
    const state = stateWith(...half_in);
    const before = state.hash();
    const same = { uuid: 'node-4', member: 4 };
    assert.deepEqual(accept(state, again('t4', 'life-1')), same);
    assert.deepEqual(accept(state, again('t4', 'life-1', { time: now + 10_000 })), same);
    assert.equal(state.hash(), before);
  });

  it('waits with another token, and is then a new node as that says; what it was told before counts no more', () => {
    const state = stateWith(...half_in);
    accept(state, { ...tokenAdd('t7'), vm_capable: false } as Command);
    refuses(
      state,
      again('t7', 'life-1'),
      'in-use',
      /node node4 is not proven lost .*26 s.* or at once with the token that let it in$/,
    );
    accept(state, lost('node-4'));
    const anew = { uuid: 'node-4-t7-life-1', member: 5 };
    assert.deepEqual(accept(state, again('t7', 'life-1')), anew);
    assert.equal(state.get('nodes', 'node-4'), undefined);
    assert.equal(state.get('nodes', anew.uuid)?.vm_capable, false);
    assert.equal(state.get('tokens', 't7')?.used_by, 'peer-4');
    for (const token of ['t4', 't7'])
      assert.deepEqual(accept(state, again(token, 'life-1', { uuid: `late-${token}` })), anew);
    assert.deepEqual(numbers(state), ['node1 1', 'node2 2', 'node3 3', 'node4 5']);
  });

  it('is not put out again by what it asked for before, with a token that it gave up', () => {
    // Its agent asked with t5, was not answered, and was let in with t6; it is a member when the first entry comes.
    const state = stateWith(...three_nodes, tokenAdd('t5'), tokenAdd('t6'), again('t6', 'life-1'));
    refuses(state, again('t5', 'life-1', { uuid: 'late' }), 'in-use', /not proven lost/);
  });
});

describe('a host that may have voted', () => {
  it('is let in anew once it is proven lost: a new node in place of the former', () => {
    const state = stateWith(
      ...half_in,
      { type: 'tags', time, kind: 'node', uuid: 'node-4', add: ['rack:a'], remove: [] },
      {
        type: 'node-set',
        time,
        uuid: 'node-4',
        changes: { offline: true, ndparams: { oob_program: '/x' } },
      },
      { type: 'node-boot', time, uuid: 'node-4', boot: 7 },
    );
    refuses(
      state,
      again('t5', 'life-2'),
      'in-use',
      /node node4 is not proven lost \(its health is member\).*26 s.*skein node remove node4$/,
    );
    accept(state, lost('node-4', 7));
    const asked = again('t5', 'life-2', { primary_ip: '192.0.2.99', addresses: ['/ip4/192.0.2.99'] });
    assert.deepEqual(accept(state, asked), { uuid: asked.uuid, member: 5 });
    const node = state.get('nodes', asked.uuid)!;
    assert.deepEqual(
      [node.name, node.tags, node.ndparams, node.offline, node.master_candidate, node.health, node.boot],
      ['node4', ['rack:a'], { oob_program: '/x' }, false, true, 'member', 1],
    );
    assert.deepEqual([node.primary_ip, node.secondary_ip, node.serial_no], ['192.0.2.99', '192.0.2.99', 1]);
    assert.deepEqual(numbers(state), ['node1 1', 'node2 2', 'node3 3', 'node4 5']);
    // The same entry once more, as a leader that died in between leaves it to its successor.
    const before = state.hash();
    assert.deepEqual(accept(state, asked), { uuid: asked.uuid, member: 5 });
    assert.equal(state.hash(), before);
    // And a late one of the life before.
    refuses(state, again('t6', 'life-1'), 'in-use', /not proven lost/);
  });

  it('gets another number for the token that it has used, too, as long as that is good', () => {
    const state = stateWith(...half_in);
    refuses(state, again('t4', 'life-2'), 'in-use', /not proven lost/);
    accept(state, lost('node-4'));
    refuses(state, again('t4', 'life-2', { time: now + 600 }), 'denied', /t4 has expired/);
    assert.deepEqual(accept(state, again('t4', 'life-2')), { uuid: 'node-4-t4-life-2', member: 5 });
    accept(state, { type: 'node-remove', time, uuid: 'node-4-t4-life-2' });
    refuses(state, again('t4', 'life-3'), 'denied', /removed since/);
  });

  it('is let in anew when it was founded, or joined, before lives were told', () => {
    const state = stateWith(...half_in, lost('node-3'));
    assert.deepEqual(accept(state, { ...nodeJoin(3, 't5'), time, uuid: 'node-3-anew', life: 'life-1' }), {
      uuid: 'node-3-anew',
      member: 5,
    });
  });

  it('stays out while its node owns an instance, or a job works on it', () => {
    const owned = instanceAdd('web1', 'diskless', { primary_node: 'node-4' });
    refuses(
      stateWith(...half_in, owned, lost('node-4')),
      again('t5', 'life-2'),
      'in-use',
      /node node4 owns instance web1.*skein instance failover web1/,
    );
    const [submitted, started, begun] = running as readonly [Command, Command, Command];
    const locks = [{ name: 'node/node-4', exclusive: false }];
    const locked = stateWith(...half_in, submitted, { ...started, locks } as Command, lost('node-4'));
    refuses(locked, again('t5', 'life-2'), 'in-use', /node node4 is being worked on by job 1.*job watch 1/);
    accept(locked, { type: 'job-end', time, job: 1, status: 'error' });
    assert.deepEqual(accept(locked, again('t5', 'life-2')), { uuid: 'node-4-t5-life-2', member: 5 });
    const stepping = stateWith(...half_in, submitted, started, begun, lost('node-4'), {
      type: 'step-begin',
      time,
      step: step(1, 0, { node: 'node-4' }),
    });
    refuses(stepping, again('t5', 'life-2'), 'in-use', /node node4 has a step of job 1/);
  });

  it('must not take the last master candidate along', () => {
    const set = (uuid: string, changes: object): Command =>
      ({ type: 'node-set', time, uuid, changes }) as Command;
    const others = ['node-1', 'node-2', 'node-3'].map((uuid) => set(uuid, { master_candidate: false }));
    const state = stateWith(...half_in, ...others, lost('node-4'));
    accept(state, { ...tokenAdd('t7'), master_capable: false } as Command);
    refuses(state, again('t7', 'life-2'), 'in-use', /node4 is the last master candidate/);
    accept(state, again('t5', 'life-2'));
  });

  it('is unseen no more after a recovery', () => {
    const state = stateWith(...half_in, {
      type: 'cluster-recover',
      time,
      generation: 2,
      node: 'node-1',
      words: [],
    });
    accept(state, again('t5', 'life-2'));
    assert.deepEqual(
      state.get('meta', 'meta')?.recovery?.unseen.map(({ node }) => node),
      ['node-2', 'node-3'],
    );
  });
});

describe('what stays refused', () => {
  it('another host under the name, the name of another, the address of another, a wrong token', () => {
    const state = stateWith(...half_in, lost('node-4'));
    const refused: readonly (readonly [Partial<NodeJoin>, string, RegExp])[] = [
      [{ peer_id: 'peer-9' }, 'exists', /there is a node node4 already.*skein node remove node4$/],
      [{ name: 'node9' }, 'exists', /this host is a member already, as node node4: skein join --name node4/],
      [{ name: 'node3' }, 'exists', /there is a node node3 already/],
      [{ primary_ip: '192.0.2.13' }, 'exists', /the address 192\.0\.2\.13 is taken by node node3/],
      [{ uuid: 'node-4' }, 'exists', /the uuid node-4 is taken/],
      [{ secret_hash: 'cd'.repeat(32) }, 'denied', /t5 is not valid/],
      [{ time: now + 600 }, 'denied', /t5 has expired/],
      [{ life: 'no life' }, 'invalid', /life: "no life" is no id/],
    ];
    for (const [changes, code, message] of refused)
      refuses(state, again('t5', 'life-2', changes), code, message);
  });

  it('entries of before lives were told are applied as they were then', () => {
    const state = stateWith(...half_in, lost('node-4'));
    const { life: _, ...early } = again('t5', 'life-2');
    refuses(state, early, 'exists', /there is a node node4 already/);
    assert.deepEqual(accept(state, { ...early, token: 't4' }), { uuid: 'node-4', member: 4 });
  });
});
