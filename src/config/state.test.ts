/** What must hold for any sequence of commands; and that no input breaks the state. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Change } from './api.ts';
import { decodeCommand, encodeCommand, isDecoded, tryDecodeCommand } from './codec.ts';
import type { Command } from './commands.ts';
import { createState } from './state.ts';
import {
  accept,
  apply,
  init,
  instanceAdd,
  nodeJoin,
  now,
  running,
  stateWith,
  step,
  submit,
  three_nodes,
  tokenAdd,
} from './test-fixtures.ts';

const small = fc.integer({ min: 1, max: 4 });
const when = fc.integer({ min: now, max: now + 1_000 });
const nodeId = small.map((n) => `node-${n}`);
const instanceId = small.map((n) => `instance-i${n}`);
const ended = fc.constantFrom('success' as const, 'error' as const, 'canceled' as const);

/** Small numbers of names and ids, so that commands often meet. */
const simple: fc.Arbitrary<Command> = fc.oneof(
  fc.constant(init),
  fc.tuple(small, small).map(([n, t]): Command => nodeJoin(n, `t${t}`)),
  fc
    .tuple(small, small, small, small)
    .map(([n, t, u, l]): Command => ({ ...nodeJoin(n, `t${t}`), uuid: `node-${u}`, life: `life-${l}` })),
  fc.record({
    type: fc.constant('node-health' as const),
    time: when,
    uuid: nodeId,
    health: fc.constantFrom('lost' as const, 'member' as const),
    reason: fc.constant('said so'),
    if_boot: fc.constant(1),
  }),
  small.map((t) => tokenAdd(`t${t}`)),
  fc
    .tuple(small, fc.constantFrom('diskless', 'sharedfile', 'file'), nodeId)
    .map(([n, template, primary_node]): Command => instanceAdd(`i${n}`, template, { primary_node })),
  fc.record({ type: fc.constant('node-remove' as const), time: when, uuid: nodeId }),
  fc.record({ type: fc.constant('node-boot' as const), time: when, uuid: nodeId, boot: small }),
  fc.record({ type: fc.constant('node-renew' as const), time: when, uuid: nodeId, if_member: small }),
  fc.record({
    type: fc.constant('node-set' as const),
    time: when,
    uuid: nodeId,
    changes: fc.record({ offline: fc.boolean(), drained: fc.boolean() }, { requiredKeys: [] }),
  }),
  fc.record({
    type: fc.constant('instance-remove' as const),
    time: when,
    uuid: instanceId,
    if_epoch: fc.constant(null),
  }),
  fc.record({
    type: fc.constant('instance-owner' as const),
    time: when,
    uuid: instanceId,
    if_epoch: small,
    node: nodeId,
    boot: small,
    evidence: fc.constant({ kind: 'boot' as const, text: '' }),
  }),
  fc.record({
    type: fc.constant('tags' as const),
    time: when,
    kind: fc.constant('node' as const),
    uuid: nodeId,
    add: fc.array(fc.constantFrom('a', 'b', 'no good')),
    remove: fc.array(fc.constantFrom('a', 'c')),
  }),
  fc.tuple(small, small).map(([n, jobs]): Command => submit(`r${n}`, jobs, 2)),
  fc.record({ type: fc.constant('job-start' as const), time: when, job: small, locks: fc.constant([]) }),
  fc.record({ type: fc.constant('job-cancel' as const), time: when, job: small }),
  fc.record({ type: fc.constant('job-end' as const), time: when, job: small, status: ended }),
  fc.record({
    type: fc.constant('op-start' as const),
    time: when,
    job: small,
    op: fc.nat(1),
    version: small,
  }),
  fc.record({
    type: fc.constant('op-log' as const),
    time: when,
    job: small,
    op: fc.nat(1),
    kind: fc.constant('message'),
    text: fc.jsonValue({ maxDepth: 2 }),
  }),
  fc.record({
    type: fc.constant('op-end' as const),
    time: when,
    job: small,
    op: fc.nat(1),
    status: ended,
    result: fc.jsonValue({ maxDepth: 2 }),
  }),
  fc.tuple(small, small).map(([job, n]): Command => ({ type: 'step-begin', time: now, step: step(job, n) })),
  fc.tuple(small, small, fc.constantFrom('done' as const, 'undone' as const)).map(
    ([job, n, status]): Command => ({
      type: 'step-end',
      time: now,
      job,
      op: 0,
      step: n,
      begin: null,
      status,
      result: n,
      commands: [],
    }),
  ),
);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: simple },
  {
    weight: 1,
    arbitrary: fc
      .array(simple, { maxLength: 4 })
      .map((commands): Command => ({ type: 'batch', time: now, commands })),
  },
);
const history = fc
  .array(command, { maxLength: 60 })
  .map((commands) => [...three_nodes, submit('r0'), ...commands]);

describe('any history', () => {
  it('gives two replicas, one through bytes, the same results and hash', () => {
    fc.assert(
      fc.property(history, (commands) => {
        const [a, b] = [createState(), createState()];
        for (const one of commands) {
          const decoded = tryDecodeCommand(encodeCommand(one));
          if (!decoded.ok) b.skip(b.index + 1);
          assert.deepEqual(decoded.ok ? apply(b, decoded.command) : decoded, apply(a, one));
          assert.equal(b.hash(), a.hash());
        }
      }),
      { numRuns: 40 },
    );
  });

  it('keeps the hash that loading everything anew would give, and says all that changed', () => {
    fc.assert(
      fc.property(history, (commands) => {
        const state = createState();
        const copy = new Map<string, Change>();
        for (const one of commands) {
          const before = state.hash();
          const result = apply(state, one);
          const changes = state.takeChanges();
          if (!result.ok) assert.deepEqual([state.hash(), changes], [before, []]);
          for (const change of changes) copy.set(`${change.table}/${change.key}`, change);
        }
        const followed = createState();
        followed.load(
          state.index,
          [...copy.values()].filter(({ value }) => value !== null),
        );
        const loaded = createState();
        loaded.load(state.index, state.entries());
        assert.equal(loaded.hash(), state.hash());
        assert.equal(followed.hash(), state.hash());
        assert.deepEqual(loaded.tableHashes(), state.tableHashes());
        assert.deepEqual([...loaded.entries()], [...state.entries()]);
      }),
      { numRuns: 40 },
    );
  });

  it('hashes alike however seldom it is asked', () => {
    fc.assert(
      fc.property(history, fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }), (commands, asked) => {
        const often = createState();
        const seldom = createState();
        commands.forEach((one, at) => {
          apply(often, one);
          apply(seldom, one);
          often.hash();
          if (asked[at % asked.length]) assert.equal(seldom.hash(), often.hash());
        });
        assert.deepEqual(seldom.tableHashes(), often.tableHashes());
      }),
      { numRuns: 40 },
    );
  });

  it('leaves the rules standing', () => {
    fc.assert(
      fc.property(history, (commands) => {
        const state = createState();
        const members = new Map<number, string>();
        for (const one of commands) {
          apply(state, one);
          for (const instance of state.list('instances')) {
            assert.ok(state.get('nodes', instance.owner.node), 'an owner exists');
            assert.equal(instance.primary_node, instance.owner.node);
            assert.ok(instance.disks.every((uuid) => state.get('disks', uuid)?.instance === instance.uuid));
          }
          for (const node of state.list('nodes')) {
            const identity = `${node.uuid} ${node.peer_id} ${node.ctime}`;
            assert.equal(members.get(node.member) ?? identity, identity, 'a member number is given once');
            members.set(node.member, identity);
            assert.ok([node.offline, node.drained, node.master_candidate].filter(Boolean).length <= 1);
          }
          for (const one of state.list('steps')) {
            const status = state.list('jobs').find((job) => job.id === one.job)?.status ?? '';
            assert.ok(['running', 'canceling'].includes(status), 'steps belong to running jobs');
          }
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('state', () => {
  it('hashes contents, not order', () => {
    const make = (names: readonly string[]): string => {
      const state = stateWith(init);
      for (const name of names) accept(state, instanceAdd(name));
      return state.hash();
    };
    assert.equal(make(['a', 'b', 'c']), make(['c', 'a', 'b']));
    assert.notEqual(make(['a', 'b']), make(['a', 'c']));
  });

  it('hashes any change of one field', () => {
    const state = stateWith(init, instanceAdd('a'));
    const before = state.tableHashes();
    accept(state, {
      type: 'instance-set',
      time: now + 2,
      uuid: 'instance-a',
      if_epoch: null,
      changes: { os: 'other' },
    });
    const after = state.tableHashes();
    assert.notEqual(after.instances, before.instances);
    assert.equal(after.nodes, before.nodes);
  });

  it('lists in key order and gives objects that cannot be changed', () => {
    const state = stateWith(init, instanceAdd('c'), instanceAdd('a'), instanceAdd('b'));
    assert.deepEqual(
      state.list('instances').map(({ name }) => name),
      ['a', 'b', 'c'],
    );
    const kept = state.get('instances', 'instance-a')!;
    assert.throws(() => Object.assign(kept.owner, { epoch: 9 }), TypeError);
    accept(state, { type: 'instance-remove', time: now, uuid: 'instance-a', if_epoch: null });
    assert.equal(kept.owner.epoch, 1);
    assert.deepEqual(
      state.list('instances').map(({ name }) => name),
      ['b', 'c'],
    );
  });

  it('entries() shows the moment of the call', () => {
    const state = stateWith(init, instanceAdd('a'));
    const entries = state.entries();
    accept(state, { type: 'instance-remove', time: now, uuid: 'instance-a', if_epoch: null });
    assert.ok([...entries].some(({ key }) => key === 'instance-a'));
  });

  it('load reports what differs', () => {
    const source = stateWith(init, instanceAdd('a'));
    const target = stateWith(init, instanceAdd('b'));
    target.takeChanges();
    target.load(50, source.entries());
    const changed = target.takeChanges().map(({ table, key, value }) => [table, key, value === null]);
    assert.deepEqual(changed, [
      ['instances', 'instance-b', true],
      ['instances', 'instance-a', false],
    ]);
    assert.equal(target.index, 50);
    assert.equal(target.hash(), source.hash());
  });

  it('takes indices only upwards', () => {
    const state = stateWith(init);
    assert.throws(() => state.skip(1), /cannot follow/);
    assert.throws(() => state.apply(0, init), /cannot follow/);
    state.skip(2);
    assert.equal(state.index, 2);
  });

  it('tells each changed key once, oldest first', () => {
    const state = stateWith(init, instanceAdd('a'));
    accept(state, { type: 'node-boot', time: now, uuid: 'node-1', boot: 2 });
    const keys = state.takeChanges().map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(keys.at(-1), 'node-1');
    assert.deepEqual(state.takeChanges(), []);
  });
});

describe('bad commands', () => {
  const bad: readonly (readonly [string, unknown, RegExp])[] = [
    ['nothing', undefined, /plain data/],
    ['an unknown type', { type: 'cluster-explode', time: now }, /"cluster-explode"/],
    ['the name of something inherited', { type: 'constructor', time: now }, /"constructor"/],
    ['no time', { type: 'cluster-destroy' }, /time/],
    ['an infinite time', { type: 'cluster-destroy', time: Number.POSITIVE_INFINITY }, /finite/],
    ['a function', { type: 'cluster-destroy', time: now, f: () => 1 }, /function/],
    ['a Map', { type: 'op-log', time: now, job: 1, op: 0, kind: 'm', text: new Map() }, /plain data/],
    [
      'half a surrogate pair',
      { type: 'op-log', time: now, job: 1, op: 0, kind: 'm', text: '\ud800' },
      /well-formed/,
    ],
    [
      'a bottomless pit',
      {
        type: 'op-log',
        time: now,
        job: 1,
        op: 0,
        kind: 'm',
        text: JSON.parse('['.repeat(100) + ']'.repeat(100)),
      },
      /nested deeper/,
    ],
    ['__proto__', JSON.parse('{"type":"cluster-destroy","time":1,"__proto__":{"a":1}}'), /__proto__/],
    [
      'too many values',
      { type: 'op-log', time: now, job: 1, op: 0, kind: 'm', text: Array(300_000).fill(0) },
      /more than 200000 values/,
    ],
  ];
  for (const [what, value, message] of bad) {
    it(`refuses ${what}`, () => {
      const state = stateWith(init, ...running);
      const before = state.hash();
      const result = apply(state, value as Command);
      assert.ok(!result.ok);
      assert.equal(result.error.code, 'invalid');
      assert.match(result.error.message, message);
      assert.equal(state.hash(), before);
    });
  }

  it('checks what was not decoded, even if it looks like something that was', () => {
    const decoded = decodeCommand(encodeCommand(init));
    assert.ok(isDecoded(decoded));
    assert.throws(() => Object.assign(decoded, { time: 'later' }), TypeError);
    const altered = { ...decoded, time: 'later' } as unknown as Command;
    assert.ok(!isDecoded(altered));
    assert.match(JSON.stringify(apply(createState(), altered)), /cluster-init.time/);
  });

  it('decodes only its own version', () => {
    assert.deepEqual(decodeCommand(encodeCommand(init)), init);
    assert.throws(() => decodeCommand(Uint8Array.of(0x92, 0x63, 0x80)), /version 99: expected 1/);
    assert.throws(() => decodeCommand(Uint8Array.of(0x01)), /envelope/);
    assert.throws(() => decodeCommand(new Uint8Array(0)), /decoded/);
    assert.throws(
      () => encodeCommand({ ...submit('r'), reason: 'x'.repeat(9_000_000) } as unknown as Command),
      /too large/,
    );
  });

  it('never throws on any bytes, nor on a command with some of its bytes changed', () => {
    const valid = [init, ...three_nodes, ...running, instanceAdd('a', 'sharedfile')].map(encodeCommand);
    const changed = fc
      .tuple(
        fc.constantFrom(...valid),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }),
      )
      .map(([bytes, edits]) => {
        const copy = Uint8Array.from(bytes);
        for (const [at, byte] of edits) copy[at % copy.length] = byte;
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), changed), (bytes) => {
        const outcome = tryDecodeCommand(bytes);
        if (!outcome.ok) return;
        const [a, b] = [stateWith(...three_nodes), stateWith(...three_nodes)];
        apply(a, outcome.command);
        apply(b, outcome.command);
        assert.equal(a.hash(), b.hash());
      }),
      { numRuns: 500 },
    );
  });
});
