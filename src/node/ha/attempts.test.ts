import assert from 'node:assert/strict';
import { test } from 'node:test';
import { default_ha } from '../../config/defaults.ts';
import type { Instance, Job, Node } from '../../config/model.ts';
import { createState } from '../../config/state.ts';
import { init, instanceAdd, node } from '../../config/test-fixtures.ts';
import { type Attempt, type AttemptsView, failuresOf, stable_ms, tendAttempts } from './attempts.ts';

const web = 'instance-web';
const start_ms = 1_000_000;

interface Scene {
  readonly now_ms?: number;
  readonly age_ms?: number;
  readonly runs?: boolean;
  readonly busy?: boolean;
  readonly silent?: boolean;
  readonly admin_state?: Instance['admin_state'];
  readonly job?: Pick<Job, 'status' | 'end_timestamp'>;
  readonly job_ended_at_ms?: number;
}

function view(scene: Scene): AttemptsView {
  const state = createState();
  assert.ok(state.apply(1, init).ok);
  assert.ok(state.apply(2, instanceAdd('web')).ok);
  const instance = state.list('instances')[0];
  assert.ok(instance);
  const now_ms = scene.now_ms ?? start_ms;
  const owner: Node = { ...node, health: 'member' };
  const guest = { name: 'web', uuid: web, epoch: 1, state: 'running', memory_mib: 64, vcpus: 1 };
  return {
    now_ms,
    leader_since_ms: 0,
    ha: default_ha,
    nodes: [owner],
    instances: [{ ...instance, admin_state: scene.admin_state ?? 'up' }],
    heard: new Map([
      [
        owner.uuid,
        {
          uuid: owner.uuid,
          heard_at_ms: scene.silent ? now_ms - default_ha.lease_ms : now_ms,
          boot: 1,
          lease_ms: default_ha.lease_ms,
          guard_slack_ms: default_ha.guard_slack_ms,
          kill_ms: default_ha.kill_ms,
        },
      ],
    ]),
    live: new Map([
      [
        owner.uuid,
        {
          boot: 1,
          total_memory_mib: 1024,
          free_memory_mib: 512,
          cpus: 1,
          total_disk_mib: 1024,
          free_disk_mib: 512,
          guests: scene.runs ? [guest] : [],
          os: [],
          age_ms: scene.age_ms ?? 0,
        },
      ],
    ]),
    busy: new Set(scene.busy ? [web] : []),
    job_ended_at_ms: new Map(scene.job_ended_at_ms === undefined ? [] : [[web, scene.job_ended_at_ms]]),
    job: (id) => (scene.job && id === 7 ? ({ ...scene.job, id } as Job) : undefined),
  };
}

const at = (state: Attempt['state'], at_ms = start_ms, count = 3): Attempt => ({
  job: 7,
  count,
  state,
  at_ms,
});
const look = (attempt: Attempt, scene: Scene) =>
  tendAttempts(new Map([[web, attempt]]), view(scene)).get(web);

test('a job that has not ended says nothing; one that ended badly or is gone is a failure; one that ended well is none yet', () => {
  const running = at('running', 5);
  assert.deepEqual(look(running, { job: { status: 'running', end_timestamp: null } }), running);
  assert.deepEqual(look(running, { job: { status: 'error', end_timestamp: 1 } }), at('failed'));
  assert.deepEqual(look(running, {}), at('failed'));
  assert.deepEqual(look(running, { job: { status: 'success', end_timestamp: 1 } }), at('started'));
});

test('a guest that ended again within a minute of its start is a failure; one that ran for a minute is repaired', () => {
  assert.deepEqual(look(at('started'), { now_ms: start_ms + 100 }), at('failed', start_ms + 100));
  const last_ms = start_ms + stable_ms - 1;
  assert.deepEqual(look(at('started'), { now_ms: last_ms }), at('failed', last_ms));
  assert.deepEqual(look(at('started'), { now_ms: last_ms, runs: true }), at('started'));
  assert.equal(look(at('started'), { now_ms: start_ms + stable_ms, runs: true }), undefined);
  assert.equal(look(at('started'), { now_ms: start_ms + stable_ms }), undefined);
});

test('it takes a report that is newer than the start and the last job, from a node that is well', () => {
  const now_ms = start_ms + 500;
  assert.deepEqual(
    look(at('started'), { now_ms, age_ms: 400, job_ended_at_ms: now_ms - 400 }),
    at('started'),
  );
  assert.deepEqual(look(at('started'), { now_ms, job_ended_at_ms: start_ms }), at('failed', now_ms));
  assert.deepEqual(look(at('started'), { now_ms, busy: true }), at('started'));
  assert.deepEqual(look(at('started'), { now_ms, silent: true }), at('started'));
  // Old news of a minute ago is no minute of running.
  assert.deepEqual(
    look(at('started'), { now_ms: start_ms + stable_ms, age_ms: 10, runs: true }),
    at('started'),
  );
});

test('what a person stopped or removed is forgotten; only failures make the decider wait', () => {
  assert.equal(look(at('failed'), { admin_state: 'down' }), undefined);
  assert.deepEqual(look(at('failed', 5), {}), at('failed', 5));
  assert.deepEqual(look(at('failed', 5), { runs: true }), at('started'), 'somebody else started it');
  assert.deepEqual(look(at('failed', 5), { runs: true, busy: true }), at('failed', 5));
  assert.deepEqual(look(at('failed', 5), { runs: true, job_ended_at_ms: start_ms }), at('failed', 5));
  assert.equal(tendAttempts(new Map([['gone', at('failed')]]), view({})).size, 0);
  const attempts = new Map([
    ['a', at('running')],
    ['b', at('started')],
    ['c', at('failed', 9, 2)],
  ]);
  assert.deepEqual([...failuresOf(attempts)], [['c', at('failed', 9, 2)]]);
});
