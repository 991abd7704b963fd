import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from '../config/commands.ts';
import { jobKey } from '../config/keys.ts';
import { createState } from '../config/state.ts';
import { init, instanceAdd } from '../config/test-fixtures.ts';
import type { LiveNode } from '../ops/types.ts';
import { stable_ms } from './ha/attempts.ts';
import { createHaLoop } from './ha-loop.ts';
import type { HeardNode } from './ha-types.ts';
import { CommandRefused } from './ops-ports.ts';
import { settleBar } from './settle-bar.ts';
import { createTestEnv, settled } from './test-env.ts';

const lost: Command = {
  type: 'node-health',
  time: 1,
  uuid: 'n1',
  health: 'lost',
  reason: 'silent',
  if_boot: 1,
};
const unknown = () => Object.assign(new Error('slow disk'), { code: 'timeout', outcome: 'unknown' });

function createBar(answers: (() => Promise<unknown>)[]) {
  const env = createTestEnv();
  const proposed: string[] = [];
  const rig = { env, proposed, barred: true, stopped: false };
  const deps = {
    after: env.after,
    stopped: () => rig.stopped,
    propose: async (command: Command) => {
      proposed.push(command.type);
      await answers.shift()?.();
      return { index: 1, value: null };
    },
  };
  const result = settleBar(deps, lost, () => {
    rig.barred = false;
  }).then(
    () => 'done',
    (error: Error) => error.message,
  );
  return Object.assign(rig, { result });
}

test('a bar is lifted when the loss is applied, refused, or was never proposed', async () => {
  const errors: readonly (Error | null)[] = [
    null,
    new CommandRefused('stale', 'another boot'),
    Object.assign(new Error('not the leader'), { outcome: 'not-proposed' }),
  ];
  for (const error of errors) {
    const rig = createBar([() => (error ? Promise.reject(error) : Promise.resolve())]);
    assert.equal(await rig.result, error ? error.message : 'done');
    assert.equal(rig.barred, false);
    assert.equal(rig.env.timers, 0);
  }
});

test('of unknown outcome: barred until an entry proposed after it is applied', async () => {
  const rig = createBar([
    () => Promise.reject(unknown()),
    () => Promise.reject(Object.assign(new Error('busy'), { outcome: 'not-proposed' })),
    () => Promise.reject(unknown()),
  ]);
  assert.equal(await rig.result, 'slow disk');
  assert.equal(rig.barred, true);
  await rig.env.advance(800);
  assert.equal(rig.barred, true, 'an entry that was not proposed says nothing of the one before');
  await rig.env.advance(5_000);
  assert.deepEqual(rig.proposed, ['node-health', 'batch', 'batch', 'batch']);
  assert.equal(rig.barred, false);
});

test('of unknown outcome and the lead lost: nothing more is proposed', async () => {
  const rig = createBar([() => Promise.reject(unknown())]);
  await rig.result;
  rig.stopped = true;
  await rig.env.advance(60_000);
  assert.deepEqual(rig.proposed, ['node-health']);
});

test('a higher boot is logged once; one that is refused does not keep the others from it; stopped, it is silent', async () => {
  const env = createTestEnv();
  const state = createState();
  assert.ok(state.apply(1, init).ok);
  const proposed: Command[] = [];
  const heardOf = (uuid: string, boot: number): [string, HeardNode] => [
    uuid,
    { uuid, heard_at_ms: env.now_ms(), boot, lease_ms: 10_000, guard_slack_ms: 2_000, kill_ms: 1_000 },
  ];
  let refuse = true;
  const loop = createHaLoop({
    isPowered: () => Promise.reject(new Error('nobody is to ask')),
    env,
    machine: { state },
    granter: {
      bar: () => () => undefined,
      heard: () => new Map([heardOf('node-1', 2), heardOf('node-9', 5)]),
      live: () => new Map(),
    },
    term: 3,
    since_ms: env.now_ms(),
    propose: async (command) => {
      proposed.push(command);
      if (refuse) throw new CommandRefused('stale', 'refused');
      const applied = state.apply(state.index + 1, command);
      assert.ok(applied.ok);
      return { index: state.index, value: applied.value };
    },
  });
  await env.advance(300);
  assert.ok(proposed.length >= 2, 'tried again after a refusal');
  refuse = false;
  proposed.length = 0;
  await env.advance(1_000);
  assert.deepEqual(
    proposed.map((command) => command.type),
    ['node-boot'],
    'a node that is not in the configuration is nobody; a logged boot is not logged again',
  );
  assert.equal(state.get('nodes', 'node-1')?.boot, 2);
  loop.stop();
  await settled();
  assert.equal(env.timers, 0);
});

const web = 'instance-web';

/** One node that should run `web`; the test says what it reports and ends the jobs. */
function createRepairs(state = createState()) {
  const env = createTestEnv();
  assert.ok(state.apply(1, init).ok);
  assert.ok(state.apply(2, instanceAdd('web')).ok);
  const apply = (command: Command) => {
    const applied = state.apply(state.index + 1, command);
    assert.ok(applied.ok, JSON.stringify(applied));
    return { index: state.index, value: applied.value };
  };
  const rig = {
    env,
    state,
    apply,
    runs: false,
    boot: 1,
    /** What the node last said; each job ends with this one if it is set. */
    reported_at_ms: env.now_ms(),
    end_at_once: null as null | 'success' | 'error',
    submitted_at_ms: [] as number[],
    ops: [] as string[],
    ids: new Set<string>(),
    end(status: 'success' | 'error') {
      const job = state.list('jobs').find((one) => one.end_timestamp === null);
      assert.ok(job, 'a job is under way');
      const time = env.wall_s();
      apply({ type: 'job-start', time, job: job.id, locks: [] });
      apply({ type: 'op-start', time, job: job.id, op: 0, version: 1 });
      apply({ type: 'op-end', time, job: job.id, op: 0, status, result: null });
      apply({ type: 'job-end', time, job: job.id, status });
      assert.equal(state.get('jobs', jobKey(job.id))?.status, status);
    },
    report(runs: boolean) {
      rig.runs = runs;
      rig.reported_at_ms = env.now_ms();
    },
  };
  const live = (): LiveNode => ({
    boot: rig.boot,
    total_memory_mib: 1024,
    free_memory_mib: 512,
    cpus: 1,
    total_disk_mib: 1024,
    free_disk_mib: 512,
    guests: rig.runs
      ? [{ name: 'web', uuid: web, epoch: 1, state: 'running', memory_mib: 64, vcpus: 1 }]
      : [],
    os: [],
    age_ms: env.now_ms() - rig.reported_at_ms,
  });
  const heard = (): HeardNode => ({
    uuid: 'node-1',
    heard_at_ms: env.now_ms(),
    boot: rig.boot,
    lease_ms: 10_000,
    guard_slack_ms: 2_000,
    kill_ms: 1_000,
  });
  const loop = createHaLoop({
    isPowered: () => Promise.reject(new Error('nobody is to ask')),
    env,
    machine: { state },
    granter: {
      bar: () => () => undefined,
      heard: () => new Map([['node-1', heard()]]),
      live: () => new Map([['node-1', live()]]),
    },
    term: 3,
    since_ms: env.now_ms(),
    propose: async (command) => {
      const done = apply(command);
      if (command.type !== 'job-submit') return done;
      assert.ok(!rig.ids.has(command.request_id), `request ${command.request_id} came twice`);
      rig.ids.add(command.request_id);
      rig.submitted_at_ms.push(env.now_ms());
      rig.ops.push(command.jobs[0]?.ops[0]?.OP_ID ?? '');
      if (rig.end_at_once) rig.end(rig.end_at_once);
      return done;
    },
  });
  return Object.assign(rig, { stop: () => loop.stop() });
}

test('while its job is under way, and until its node has reported since, no second one is submitted', async () => {
  const rig = createRepairs();
  await rig.env.advance(5_000);
  assert.deepEqual(rig.ops, ['OP_INSTANCE_STARTUP']);
  rig.end('success');
  await rig.env.advance(5_000);
  assert.equal(rig.ops.length, 1, 'the report is older than the job');
  rig.report(true);
  await rig.env.advance(5_000);
  assert.equal(rig.ops.length, 1);
  rig.stop();
});

test('a job that begins and ends between two looks is waited for like any other', async () => {
  const rig = createRepairs();
  rig.end_at_once = 'success';
  await rig.env.advance(10_000);
  assert.equal(rig.ops.length, 1, 'nothing newer is known of the node');
  rig.stop();
});

/** Lets time pass in looks of the decider, with a report before each. */
async function reporting(rig: ReturnType<typeof createRepairs>, ms: number, runs: boolean): Promise<void> {
  for (let left_ms = ms; left_ms > 0; left_ms -= 250) {
    rig.report(runs);
    await rig.env.advance(250);
  }
}

const gaps = (times: readonly number[]) =>
  times.slice(1).map((at_ms, index) => Math.round((at_ms - (times[index] ?? 0)) / 1000));

test('a guest that ends right after each start is started less and less often, although each job succeeds', async () => {
  const rig = createRepairs();
  rig.end_at_once = 'success';
  await reporting(rig, 40_000, false);
  assert.deepEqual(gaps(rig.submitted_at_ms), [2, 3, 5, 9, 17]);
  rig.stop();
});

test('a start that fails is counted; a guest that ran for a minute begins anew', async () => {
  const rig = createRepairs();
  rig.end_at_once = 'error';
  await reporting(rig, 10_000, false);
  assert.deepEqual(gaps(rig.submitted_at_ms), [1, 2, 4]);
  rig.end_at_once = 'success';
  await reporting(rig, 10_000, false);
  assert.equal(rig.submitted_at_ms.length, 5, 'the fifth had to wait for 8 s');
  await reporting(rig, stable_ms + 1_000, true);
  assert.equal(rig.submitted_at_ms.length, 5);
  rig.submitted_at_ms.length = 0;
  await reporting(rig, 5_000, false);
  assert.deepEqual(gaps(rig.submitted_at_ms), [2, 3]);
  rig.stop();
});

test('a failover whose guest ends again is a failure too', async () => {
  const rig = createRepairs();
  rig.boot = 2;
  rig.end_at_once = 'error';
  await reporting(rig, 4_000, false);
  assert.deepEqual([...new Set(rig.ops)], ['OP_INSTANCE_FAILOVER']);
  assert.deepEqual(gaps(rig.submitted_at_ms), [1, 2]);
  const { owner } = rig.state.get('instances', web) ?? assert.fail('no instance');
  rig.apply({
    type: 'instance-owner',
    time: 9,
    uuid: web,
    node: 'node-1',
    boot: 2,
    if_epoch: owner.epoch,
    evidence: { kind: 'boot', text: 'boot 1 is over' },
  });
  rig.end_at_once = 'success';
  rig.submitted_at_ms.length = 0;
  await reporting(rig, 20_000, false);
  assert.equal(rig.ops.at(-1), 'OP_INSTANCE_STARTUP');
  assert.deepEqual(gaps(rig.submitted_at_ms), [9], 'the fourth attempt did not last: 8 s');
  rig.stop();
});
