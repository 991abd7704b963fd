/** The oracles of placement, explanations, bounds of the wire, and of promises after a recovery. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accept, instanceAdd, node, stateWith, three_nodes } from '../../src/config/test-fixtures.ts';
import { proposal_limits } from '../../src/consensus/waiting-proposals.ts';
import { whyLines } from '../../src/node/instance-why.ts';
import type { Member } from '../../src/node/member.ts';
import { mesh_limits } from '../../src/node/mesh/limits.ts';
import { unexplained } from './explained.ts';
import type { SimHost } from './host/sim-host.ts';
import { watchReplica } from './host/watched-replica.ts';
import { Oracles } from './oracles.ts';
import { PlacementOracle } from './oracles-placement.ts';
import { VirtualTime } from './virtual-time.ts';

const turn = (next: () => void) => void setImmediate(next);

function oracles(): { readonly oracles: Oracles; readonly breaches: readonly string[] } {
  const breaches: string[] = [];
  return { oracles: new Oracles(new VirtualTime(turn), (what) => breaches.push(what)), breaches };
}

test('an instance is given to a node that is drained, or that has no room for it', () => {
  const breaches: string[] = [];
  const state = stateWith(...three_nodes);
  const oracle = new PlacementOracle(1_000_000, (what) => breaches.push(what));
  oracle.look('leader', state);
  accept(state, instanceAdd('web'));
  oracle.look('leader', state);
  assert.deepEqual(breaches, []);
  accept(state, { type: 'node-set', time: 2, uuid: node.uuid, changes: { drained: true } });
  oracle.look('leader', state);
  assert.deepEqual(breaches, [], 'what is there stays');
  accept(state, instanceAdd('mail'));
  oracle.look('another leader', state);
  assert.deepEqual(breaches, [], 'nobody knows when it came');
  accept(state, instanceAdd('db'));
  oracle.look('another leader', state);
  assert.match(String(breaches), /^O9: instance db is given to \S+, which is drained$/);
  const small: string[] = [];
  const tight = new PlacementOracle(1, (what) => small.push(what));
  tight.look('leader', stateWith(...three_nodes));
  const full = stateWith(...three_nodes);
  tight.look('leader', full);
  accept(full, instanceAdd('web'));
  tight.look('leader', full);
  assert.match(String(small), /^O9: instance web is given to \S+, which is then to run \d+ MiB of 1$/);
});

test('a standstill: the explanation names the lost node and what keeps the instance there, or there is none', () => {
  const lines = ['web: admin state up', 'node n1 is lost: gone', 'not guarded: it waits'];
  assert.equal(unexplained('n1', true, lines), null);
  assert.equal(unexplained('n1', false, lines), 'n1 is there');
  assert.match(String(unexplained('n2', true, lines)), /nothing says that n2 is lost/);
  assert.match(String(unexplained('n1', true, lines.slice(0, 2))), /nothing says why/);
});

test('what the agent says of an instance is what the oracle looks for', () => {
  const state = stateWith(...three_nodes);
  accept(state, instanceAdd('web'));
  const web = () => state.list('instances').find(({ name }) => name === 'web')!;
  const { name } = node;
  accept(state, { type: 'cluster-recover', time: 3, generation: 2, node: 'node-2', words: [] });
  assert.equal(unexplained(name, true, whyLines(state, web(), 4)), null);
  accept(state, { type: 'node-word', time: 4, uuid: node.uuid });
  const tag = 'ganeti:watcher:autorepair:suspend';
  accept(state, { type: 'tags', time: 5, kind: 'instance', uuid: web().uuid, add: [tag], remove: [] });
  const lines = whyLines(state, web(), 6);
  assert.ok(lines.some((line) => line.startsWith('repair may not start it elsewhere')));
});

test('frames and calls beyond their bounds', () => {
  const { oracles: all, breaches } = oracles();
  all.frame('n1', mesh_limits.max_frame_bytes);
  all.calls('n1', 500);
  assert.equal(breaches.length, 0);
  all.frame('n1', mesh_limits.max_frame_bytes + 1);
  all.calls('n1', 501);
  assert.deepEqual(
    breaches.map((breach) => breach.slice(0, 4)),
    ['O10:', 'O10:'],
  );
});

test('what waits beyond its bounds: proposals, their bytes, bytes of the mesh by stream', () => {
  const look = (given: { count?: number; bytes?: number; raft?: number; rpc?: number }): string => {
    const { oracles: all, breaches } = oracles();
    const { count = 0, bytes = 0, raft = 0, rpc = 0 } = given;
    const host = {
      name: 'n1',
      log_disk: { used_bytes: 0 },
      member: null,
      agent: { waiting_proposals: { count, bytes } },
      queued_bytes: [
        { member: 2, raft: 0, rpc: 0 },
        { member: 3, raft, rpc },
      ],
    };
    all.checkBounds([host as unknown as SimHost]);
    return breaches.join();
  };
  const { raft_queue_bytes: raft, rpc_hard_queue_bytes: rpc } = mesh_limits;
  const { bytes } = proposal_limits;
  assert.equal(look({ count: 500, bytes, raft, rpc }), '');
  assert.match(look({ count: 501 }), /^O10: 501 proposals of 0 bytes wait on n1$/);
  assert.match(look({ bytes: bytes + 1 }), /^O10: 0 proposals of \d+ bytes wait on n1$/);
  assert.match(look({ raft: raft + 1 }), /^O10: \d+ bytes of Raft and 0 of calls wait on n1 for member 3$/);
  assert.match(look({ rpc: rpc + 1 }), /^O10: 0 bytes of Raft and \d+ of calls wait on n1 for member 3$/);
});

test('proposals wait until they are answered, however', async () => {
  const answers: PromiseWithResolvers<{ index: number; result: unknown }>[] = [];
  const replica = {
    propose: (_data: Uint8Array) => {
      const answer = Promise.withResolvers<{ index: number; result: unknown }>();
      answers.push(answer);
      return answer.promise;
    },
  };
  const waiting = watchReplica(replica);
  const first = replica.propose(new Uint8Array(3));
  const second = replica.propose(new Uint8Array(4));
  assert.deepEqual(waiting(), { count: 2, bytes: 7 });
  answers[0]!.resolve({ index: 9, result: 'done' });
  assert.deepEqual(await first, { index: 9, result: 'done' });
  assert.deepEqual(waiting(), { count: 1, bytes: 4 });
  answers[1]!.reject(new Error('lost'));
  await assert.rejects(second, /lost/);
  assert.deepEqual(waiting(), { count: 0, bytes: 0 });
});

test('after a recovery: jobs that the survivor had are promised still, others are not, and old hosts promise nothing', () => {
  const { oracles: all, breaches } = oracles();
  const applies = (generation: number, hash: string) => {
    const host = { name: `host of ${generation}` } as SimHost;
    const member = {
      file: { generation },
      stateHash: () => ({ index: 7, hash }),
      replica: { status: () => ({ role: 'follower', term: 1 }) },
    } as unknown as Member;
    all.applied(host, member);
    all.compareHash(host, member);
  };
  applies(1, 'a');
  all.jobAcknowledged(1, 'kept', 1);
  all.jobAcknowledged(2, 'gone', 1);
  all.recovering(new Set([1]));
  all.jobAcknowledged(3, 'last', 1);
  assert.equal(all.was_recovered, false);
  applies(2, 'b');
  assert.equal(all.was_recovered, true);
  assert.deepEqual([...all.acknowledged], [[1, 'kept']]);
  all.jobAcknowledged(2, 'new', 2);
  all.jobAcknowledged(3, 'by an old host', 1);
  assert.deepEqual([...all.acknowledged.keys()], [1, 2]);
  assert.deepEqual(breaches, []);
  applies(2, 'c');
  assert.match(String(breaches), /^O5: index 7/);
});

test('a leader takes up its duties with less applied than somebody had in an earlier term', () => {
  const { oracles: all, breaches } = oracles();
  const member = (generation: number, term: number, index: number) =>
    ({
      file: { generation },
      state: { index },
      replica: { status: () => ({ term }) },
    }) as unknown as Member;
  all.knows('n1', member(1, 3, 40));
  all.knows('n2', member(1, 3, 39));
  all.leads('n2', member(1, 4, 40));
  // A follower may apply the first entry of a term before its leader does; terms of another generation are others.
  all.knows('n1', member(1, 4, 42));
  all.leads('n2', member(1, 4, 41));
  all.leads('n3', member(2, 5, 12));
  assert.deepEqual(breaches, []);
  all.leads('n3', member(1, 5, 41));
  assert.match(
    String(breaches),
    /^O4: n3 takes up the lead of term 5 with 41 entries applied, n1 had applied 42/,
  );
});
