/**
 * The leader's agent dies, by SIGKILL, at every entry of a job that makes the group smaller: a node's removal, and the
 * cluster's own end. Whoever goes on finishes it: the removed host is in no cluster, in nobody's Raft group, and no
 * lock is left; a destroyed cluster is gone for good, and its host may found another at once.
 *
 * Each entry gets one of the three moments, by a rotating seed. SKEIN_TEST_THOROUGH=1 takes all moments of all
 * entries, and SKEIN_TEST_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { logFile } from '../../cli/lab/host.ts';
import type { OpInput } from '../../src/config/model.ts';
import { ApiCallError, connectApi } from '../../src/node/api-client.ts';
import type { CrashMoment } from '../../src/node/crash-point.ts';
import { agentOf, cleanUpOf, mustSucceed, nextJob, withHookedLab } from './jobs-support.ts';
import { assertGroup, assertOutside, foundOn, joinVia } from './leave-support.ts';
import {
  assertCommits,
  type Lab,
  leaderOf,
  othersThan,
  rows,
  sameState,
  statusOf,
  submit,
  waitForJob,
  waitForVoters,
  waitUntil,
} from './support.ts';

const seed = Number(process.env.SKEIN_TEST_SEED ?? Math.floor(Math.random() * 1_000));
const thorough = process.env.SKEIN_TEST_THOROUGH === '1';
const moments: readonly CrashMoment[] = ['before', 'during', 'after'];
const momentsOf = (entry: number): readonly CrashMoment[] =>
  thorough ? moments : [moments[(entry + seed) % moments.length] as CrashMoment];

interface Order {
  readonly entry: number | null;
  readonly moment: CrashMoment;
}

/** Arms the leader for the next job and hands it in there or, if that dies, wherever `via` says. */
async function submitArmed(
  lab: Lab,
  leader: string,
  via: string,
  op: OpInput,
  order: Order,
): Promise<number> {
  const job = await nextJob(lab, via);
  await lab.node(leader).call('test.crash', { job, ...order });
  const taken = await submit(lab, via, [{ ops: [op] }]).catch((error: Error) => {
    // It may be carried out before its answer gets here: the agent dies, comes back, and the cluster is no more.
    if (error.cause instanceof ApiCallError && error.cause.code === 'no-cluster') return [job];
    throw error;
  });
  assert.deepEqual(taken, [job]);
  return job;
}

async function entriesSeen(lab: Lab, leader: string): Promise<readonly string[]> {
  const { seen } = await lab
    .node(leader)
    .call('test.crash', { job: 1_000_000, entry: null, moment: 'before' });
  return seen;
}

/** Counts how often an agent of a host was ended by SIGKILL from now on, as its keeper has it. */
function killsOf(lab: Lab, name: string): () => number {
  const count = () =>
    readFileSync(logFile(lab.node(name)), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"agent ended"') && line.includes('SIGKILL')).length;
  const before_count = count();
  return () => count() - before_count;
}

const hasDied = (lab: Lab, name: string, pid: number, context: string) =>
  waitUntil(() => agentOf(lab, name) !== pid, `${context}: ${name} to die`, 10_000);

describe(`leader death while a node is removed (SKEIN_TEST_SEED=${seed})`, () => {
  const cleaning = cleanUpOf(after);
  let lab: Lab;
  before(async () => {
    lab = await withHookedLab(cleaning);
  });

  /** Removes a node with the leader armed; the entries that it wrote. The node is let in again afterwards. */
  async function remove(order: Order, removes_leader: boolean, context: string): Promise<readonly string[]> {
    await sameState(lab);
    const leader = await leaderOf(lab);
    const [first, second] = othersThan(lab, leader) as [string, string];
    const gone = removes_leader ? leader : first;
    const rest = othersThan(lab, gone);
    const pid = agentOf(lab, leader);
    const op = { OP_ID: 'OP_NODE_REMOVE', node_name: gone };
    const id = await submitArmed(lab, leader, second, op, order);
    const job = await waitForJob(lab, second, id);
    assert.equal(job.status, 'success', `${context}: ${JSON.stringify(job.ops[0]?.result)}`);
    if (order.entry !== null) await hasDied(lab, leader, pid, context);
    const seen = order.entry === null && !removes_leader ? await entriesSeen(lab, leader) : [];
    await assertOutside(lab, gone, context);
    await assertGroup(lab, rest, context);
    await sameState(lab, rest);
    await assertCommits(lab, second);
    await joinVia(lab, second, gone, 3);
    return seen;
  }

  let entries: readonly string[] = [];
  test('undisturbed: another node, then the leader itself', { timeout: 180_000 }, async (t) => {
    entries = await remove({ entry: null, moment: 'before' }, false, 'undisturbed');
    t.diagnostic(`${entries.length} entries: ${entries.join(', ')}`);
    assert.ok(entries.length >= 4, 'job, plan, member and node each have an entry');
    await remove({ entry: null, moment: 'before' }, true, 'the leader itself, undisturbed');
  });

  test('at every entry', { timeout: 400_000 }, async () => {
    assert.ok(entries.length > 0);
    for (const [entry, label] of entries.entries())
      for (const moment of momentsOf(entry))
        await remove({ entry, moment }, false, `the leader dies ${moment} entry ${entry} (${label})`);
  });

  test('the leader itself is removed and dies on the way', { timeout: 400_000 }, async () => {
    // Its own part ends when it is out of the group: what comes after that is another leader's.
    const own = entries.findIndex((label) => label.includes('remove-member')) + 1;
    assert.ok(own > 0, entries.join(', '));
    for (let entry = 0; entry < own; entry++)
      for (const moment of momentsOf(entry))
        await remove({ entry, moment }, true, `the leader, removed, dies ${moment} entry ${entry}`);
  });

  test('OP_NODE_ADD is refused on every node, and says what to do instead', async () => {
    const [, hash] = (await sameState(lab)).split(':');
    for (const { name } of lab.nodes) {
      await assert.rejects(
        lab.node(name).call('submit', {
          request_id: 'node-add-is-refused',
          jobs: [{ ops: [{ OP_ID: 'OP_NODE_ADD', node_name: 'n9' }] }],
        }),
        (error: Error) => {
          assert.ok(error instanceof ApiCallError);
          assert.equal(error.code, 'invalid');
          assert.match(
            error.message,
            /OP_NODE_ADD is not used here: a node joins by a token.*skein node add/,
          );
          return true;
        },
      );
    }
    assert.equal((await sameState(lab)).split(':')[1], hash, 'no entry of it is in the log');
  });
});

describe(`leader death while the cluster is destroyed (SKEIN_TEST_SEED=${seed})`, () => {
  const cleaning = cleanUpOf(after);
  let lab: Lab;
  before(async () => {
    lab = await withHookedLab(cleaning, { nodes: 1, init: false });
  });

  /** Waits for the end of a job that ends with its cluster; how that was heard of. */
  const destroyed = (id: number): Promise<string> =>
    waitUntil(async () => {
      const client = await connectApi(lab.node('n1').socket);
      try {
        return (await client.call('job.watch', { job: id }, { timeout_ms: 30_000 })).status;
      } catch (error) {
        if (error instanceof ApiCallError && error.code === 'no-cluster') return 'gone';
        throw error;
      } finally {
        client.close();
      }
    }, `job ${id} to end`);

  async function destroy(order: Order, context: string): Promise<void> {
    await foundOn(lab, 'n1');
    await waitForVoters(lab, 1);
    const uuid = (await rows(lab, 'n1', 'cluster'))[0]?.uuid;
    await mustSucceed(lab, 'n1', [{ OP_ID: 'OP_TAGS_SET', kind: 'cluster', tags: ['of-this-one'] }]);
    const pid = agentOf(lab, 'n1');
    const status = await statusOf(lab, 'n1');
    assert.equal(status?.role, 'leader');
    const killed = killsOf(lab, 'n1');
    const op = { OP_ID: 'OP_CLUSTER_DESTROY' };
    const id = await submitArmed(lab, 'n1', 'n1', op, order);
    const end = await destroyed(id);
    if (order.entry === null) assert.equal(end, 'success', context);
    await hasDied(lab, 'n1', pid, context);
    await assertOutside(lab, 'n1', context);
    assert.equal(killed(), order.entry === null ? 0 : 1, `${context}: it was the order that ended the agent`);
    // Nothing brings it back: not a further restart, and not the order to found it that its host was once given.
    const again = agentOf(lab, 'n1');
    process.kill(again, 'SIGKILL');
    await hasDied(lab, 'n1', again, context);
    await assertOutside(lab, 'n1', `${context}, restarted`);
    await foundOn(lab, 'n1');
    await waitForVoters(lab, 1);
    assert.notEqual((await rows(lab, 'n1', 'cluster'))[0]?.uuid, uuid, context);
    assert.deepEqual(await rows(lab, 'n1', 'tag'), [], context);
    assert.deepEqual(await rows(lab, 'n1', 'job'), [], context);
    assert.deepEqual(await rows(lab, 'n1', 'lock'), [], context);
    await assertCommits(lab, 'n1');
    await lab.node('n1').call('cluster.leave', { force: true });
    await assertOutside(lab, 'n1', `${context}, left`);
  }

  /**
   * By name: the process that writes them does not live to say. The last is refused, as its job went with the cluster,
   * so that nothing comes after it.
   */
  const entries: readonly (readonly [string, readonly CrashMoment[]])[] = [
    ['job-start+op-start', moments],
    ['step-end destroy done', moments],
    ['op-end+job-end', ['before', 'during']],
  ];

  async function everyEntry(): Promise<void> {
    for (const [entry, [label, possible]] of entries.entries())
      for (const moment of possible)
        await destroy({ entry, moment }, `it dies ${moment} entry ${entry} (${label})`);
  }

  test('undisturbed', { timeout: 120_000 }, async () => {
    await destroy({ entry: null, moment: 'before' }, 'undisturbed');
  });
  test('at every entry', { timeout: 300_000 }, everyEntry);
});
