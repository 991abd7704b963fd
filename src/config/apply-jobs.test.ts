/** Jobs, opcodes and steps: accepted once, in order, with an end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { State } from './api.ts';
import type { Command } from './commands.ts';
import { jobKey, stepKey } from './keys.ts';
import { limits } from './limits.ts';
import type { Job, OpStatus } from './model.ts';
import {
  accept,
  init,
  instanceAdd,
  now,
  refuses,
  running,
  stateWith,
  step,
  submit,
} from './test-fixtures.ts';

const time = now + 100;
const start = (job: number): Command => ({
  type: 'job-start',
  time,
  job,
  locks: [{ name: 'node/node-1', exclusive: true }],
});
const opStart = (job: number, op: number): Command => ({ type: 'op-start', time, job, op, version: 1 });
const opEnd = (
  job: number,
  op: number,
  status: 'success' | 'error' | 'canceled',
  result: unknown = null,
): Command => ({ type: 'op-end', time, job, op, status, result });
const jobEnd = (job: number, status: 'success' | 'error' | 'canceled', at = time): Command => ({
  type: 'job-end',
  time: at,
  job,
  status,
});
const cancel = (job: number): Command => ({ type: 'job-cancel', time, job });
const jobOf = (state: State, id: number): Job => state.get('jobs', jobKey(id))!;
const opsOf = (state: State, id: number): readonly OpStatus[] => jobOf(state, id).ops.map((op) => op.status);

describe('job-submit', () => {
  it('numbers jobs, resolves relative dependencies, and knows a request again', () => {
    const state = stateWith(init);
    const one = submit('r1', 3);
    const depends = [{ job: -1, states: ['success'] as const }];
    const command: Command = {
      ...one,
      jobs: [
        one.jobs[0]!,
        { ...one.jobs[1]!, depends },
        { ...one.jobs[2]!, depends: [{ job: -2, states: [] }] },
      ],
    };
    assert.deepEqual(accept(state, command), [1, 2, 3]);
    assert.deepEqual(jobOf(state, 2).depends, [{ job: 1, states: ['success'] }]);
    assert.deepEqual(jobOf(state, 3).depends, [{ job: 1, states: [] }]);
    const before = state.hash();
    assert.deepEqual(accept(state, submit('r1', 3)), [1, 2, 3]);
    assert.equal(state.hash(), before);
    assert.deepEqual(accept(state, submit('r2')), [4]);
    const job = jobOf(state, 4);
    assert.deepEqual(
      [job.status, job.received_timestamp, job.ops[0]!.status, job.ops[0]!.version],
      ['queued', now + 3, 'queued', 0],
    );
  });

  const dependsOn = (job: number): Command => ({
    ...submit('r9'),
    jobs: [{ ...submit('r9').jobs[0]!, depends: [{ job, states: [] }] }],
  });
  const refused: readonly (readonly [string, Command, string, RegExp])[] = [
    ['a dependency before the request', dependsOn(-1), 'invalid', /job -1/],
    ['a dependency on itself', dependsOn(0), 'invalid', /job 0/],
    ['a dependency on a later job', dependsOn(7), 'invalid', /job 7/],
    ['no jobs', { ...submit('r9'), jobs: [] }, 'invalid', /jobs/],
    [
      'a job without ops',
      { ...submit('r9'), jobs: [{ ...submit('r9').jobs[0]!, ops: [] }] },
      'invalid',
      /ops/,
    ],
    [
      'an op that is no opcode',
      { ...submit('r9'), jobs: [{ ...submit('r9').jobs[0]!, ops: [{ OP_ID: 'rm -rf' }] }] },
      'invalid',
      /OP_INSTANCE_CREATE/,
    ],
    [
      'a priority out of range',
      { ...submit('r9'), jobs: [{ ...submit('r9').jobs[0]!, priority: 99 }] },
      'invalid',
      /priority/,
    ],
    ['an empty request id', submit(''), 'invalid', /request_id/],
  ];
  for (const [what, command, code, message] of refused) {
    it(`refuses ${what}`, () => refuses(stateWith(init, submit('r1')), command, code, message));
  }

  it('is full at the limit, all or nothing', () => {
    const state = stateWith(init);
    for (let at = 0; at < limits.pending_jobs / limits.jobs_per_submit; at++)
      accept(state, submit(`r${at}`, limits.jobs_per_submit));
    refuses(state, submit('more'), 'full', /5000/);
    accept(state, cancel(1));
    refuses(state, submit('two', 2), 'full', /4999/);
    accept(state, submit('one'));
  });
});

describe('the life of a job', () => {
  it('queued, running, success', () => {
    const state = stateWith(init, submit('r1', 1, 2), start(1));
    assert.deepEqual([jobOf(state, 1).status, jobOf(state, 1).locks.length], ['running', 1]);
    refuses(state, start(1), 'stale', /running: expected queued/);
    refuses(state, opStart(1, 1), 'stale', /op 0 is queued/);
    accept(state, opStart(1, 0));
    refuses(state, opStart(1, 0), 'stale', /running/);
    refuses(state, jobEnd(1, 'success'), 'invalid', /op 0 is running/);
    accept(state, opEnd(1, 0, 'success', ['x']));
    accept(state, opStart(1, 1));
    accept(state, opEnd(1, 1, 'success'));
    assert.equal(accept(state, jobEnd(1, 'success')), 'success');
    const job = jobOf(state, 1);
    assert.deepEqual(
      [job.status, job.end_timestamp, job.locks, job.ops[0]!.result],
      ['success', time, [], ['x']],
    );
    refuses(state, jobEnd(1, 'error'), 'stale', /ended already/);
    refuses(state, opEnd(1, 1, 'error'), 'stale', /success/);
    refuses(state, { type: 'job-priority', time, job: 1, priority: 5 }, 'stale', /ended/);
    refuses(state, cancel(1), 'stale', /ended already \(success\)/);
  });

  it('an error takes the later ops along', () => {
    const state = stateWith(
      init,
      submit('r1', 1, 3),
      start(1),
      opStart(1, 0),
      opEnd(1, 0, 'success'),
      opStart(1, 1),
      opEnd(1, 1, 'error', ['OpExecError', ['no']]),
    );
    assert.equal(accept(state, jobEnd(1, 'error')), 'error');
    assert.deepEqual(opsOf(state, 1), ['success', 'error', 'error']);
    assert.deepEqual(jobOf(state, 1).ops[1]!.result, ['OpExecError', ['no']]);
  });

  it('cancel ends a queued job at once', () => {
    const state = stateWith(init, submit('r1', 1, 2));
    assert.equal(accept(state, cancel(1)), 'canceled');
    assert.deepEqual([jobOf(state, 1).status, ...opsOf(state, 1)], ['canceled', 'canceled', 'canceled']);
    refuses(state, start(1), 'stale', /canceled/);
  });

  it('cancel of a running job asks its engine', () => {
    const state = stateWith(init, ...running);
    assert.equal(accept(state, cancel(1)), 'canceling');
    assert.deepEqual(
      [jobOf(state, 1).status, jobOf(state, 1).cancel_requested, ...opsOf(state, 1)],
      ['canceling', true, 'canceling'],
    );
    const before = state.hash();
    assert.equal(accept(state, cancel(1)), 'canceling');
    assert.equal(state.hash(), before);
    accept(state, { type: 'op-log', time, job: 1, op: 0, kind: 'message', text: 'undoing' });
    accept(state, opEnd(1, 0, 'canceled'));
    assert.equal(accept(state, jobEnd(1, 'canceled')), 'canceled');
  });

  it('priority is for what has not ended', () => {
    const state = stateWith(init, submit('r1', 1, 2), start(1), opStart(1, 0), opEnd(1, 0, 'success'));
    accept(state, { type: 'job-priority', time, job: 1, priority: -10 });
    assert.deepEqual(
      jobOf(state, 1).ops.map((op) => op.priority),
      [0, -10],
    );
  });

  it('log lines are numbered through the job, and the oldest go', () => {
    const state = stateWith(init, ...running);
    const log: Command = { type: 'op-log', time: now + 0.25, job: 1, op: 0, kind: 'message', text: 'x' };
    for (let at = 1; at <= limits.log_lines_per_op + 2; at++) assert.equal(accept(state, log), at);
    const lines = jobOf(state, 1).ops[0]!.log;
    assert.equal(lines.length, limits.log_lines_per_op);
    assert.deepEqual(lines[0], [3, [now, 250_000], 'message', 'x']);
    refuses(state, { ...log, text: 'x'.repeat(limits.log_text_chars) } as Command, 'invalid', /too long/);
    refuses(state, { ...log, op: 1 } as Command, 'not-found', /no op 1/);
  });

  it('archives only what has ended and nobody waits for', () => {
    const state = stateWith(init, submit('r1', 2), cancel(1));
    refuses(state, { type: 'job-archive', time, jobs: [1, 2] }, 'in-use', /job 2 is queued/);
    const depends = [{ job: 1, states: [] }];
    accept(state, { ...submit('r2'), jobs: [{ ...submit('r2').jobs[0]!, depends }] });
    refuses(state, { type: 'job-archive', time, jobs: [1] }, 'in-use', /job 3 depends on it/);
    accept(state, cancel(3));
    assert.equal(accept(state, { type: 'job-archive', time, jobs: [1, 1, 77] }), 1);
    assert.equal(state.get('jobs', jobKey(1)), undefined);
    const again = { ...submit('r4'), jobs: [{ ...submit('r4').jobs[0]!, depends }] };
    refuses(state, again, 'not-found', /job 1/);
  });

  it('keeps the last finished jobs, and those that others wait for', () => {
    const state = stateWith(init, submit('waits-for-1'), cancel(1));
    accept(state, {
      ...submit('waiting'),
      jobs: [{ ...submit('waiting').jobs[0]!, depends: [{ job: 1, states: [] }] }],
    });
    for (let at = 0; at < 2; at++) accept(state, submit(`bulk${at}`, limits.jobs_per_submit));
    for (let id = 3; id < 3 + 2 * limits.jobs_per_submit; id++)
      accept(state, { type: 'job-cancel', time: time + id, job: id });
    const finished = state.list('jobs').filter((job) => job.status === 'canceled');
    assert.equal(finished.length, limits.finished_jobs);
    assert.deepEqual(
      finished.slice(0, 2).map((job) => job.id),
      [1, 4],
    );
  });
});

describe('steps', () => {
  const begin = (changes = {}): Command => ({ type: 'step-begin', time, step: step(1, 0, changes) });
  const end = (
    changes: Partial<Extract<Command, { type: 'step-end' }>> = {},
  ): Extract<Command, { type: 'step-end' }> => ({
    type: 'step-end',
    time,
    job: 1,
    op: 0,
    step: 0,
    begin: null,
    status: 'done',
    result: 5,
    commands: [],
    ...changes,
  });
  const set: Command = {
    type: 'instance-set',
    time,
    uuid: 'instance-web1',
    if_epoch: null,
    changes: { admin_state: 'down' },
  };
  const bad: Command = { type: 'instance-remove', time, uuid: 'none', if_epoch: null };
  const given = (): State => stateWith(init, instanceAdd('web1'), ...running);

  it('begins, ends, and is gone with its job', () => {
    const state = given();
    accept(state, begin({ node: 'node-1', undo: { verb: 'disk.remove', args: { disk: 'd' } } }));
    assert.equal(state.get('steps', stepKey(1, 0, 0))?.status, 'open');
    accept(state, end());
    assert.deepEqual(
      [state.get('steps', stepKey(1, 0, 0))?.status, state.get('steps', stepKey(1, 0, 0))?.result],
      ['done', 5],
    );
    accept(state, opEnd(1, 0, 'success'));
    accept(state, jobEnd(1, 'success'));
    assert.equal(state.count('steps'), 0);
    refuses(state, begin(), 'stale', /job 1 is success/);
    refuses(state, end(), 'stale', /not open/);
  });

  it('only the very same may be said twice', () => {
    const state = given();
    accept(state, begin());
    const before = state.hash();
    accept(state, begin());
    assert.equal(state.hash(), before);
    refuses(state, begin({ args_hash: 'other' }), 'stale', /begun before/);
    accept(state, end());
    const ended = state.hash();
    accept(state, end());
    assert.equal(state.hash(), ended);
    refuses(state, end({ result: 6 }), 'stale', /it is done/);
    refuses(state, end({ status: 'node-lost' }), 'stale', /it is done/);
    refuses(state, begin(), 'stale', /begun before/);
    accept(state, end({ status: 'undone', result: null }));
    refuses(state, end({ status: 'done' }), 'stale', /undone/);
  });

  it('needs a running job and op, and a node that exists', () => {
    const state = stateWith(init, submit('r1'));
    refuses(state, begin(), 'stale', /job 1 is queued/);
    accept(state, start(1));
    refuses(state, begin(), 'stale', /op 0 of job 1 is queued/);
    accept(state, opStart(1, 0));
    refuses(state, begin({ node: 'node-9' }), 'not-found', /node-9/);
    refuses(state, begin({ op: 4 }), 'not-found', /no op 4/);
    refuses(state, begin({ job: 9 }), 'not-found', /no job 9/);
  });

  it('ends together with its commands, or not at all', () => {
    const state = given();
    accept(state, begin());
    refuses(state, end({ result: null, commands: [set, bad] }), 'not-found', /instance none/);
    accept(state, end({ result: null, commands: [set] }));
    assert.equal(state.get('instances', 'instance-web1')?.admin_state, 'down');
    assert.deepEqual(
      state.get('steps', stepKey(1, 0, 0))?.result,
      [null],
      'what the commands answered is the result',
    );
  });

  it('begins and ends in one', () => {
    const state = given();
    const both = end({ begin: step(1, 0), result: null, commands: [set, submit('inner')] });
    assert.deepEqual(accept(state, both), [null, [2]]);
    const ended = state.hash();
    assert.deepEqual(accept(state, both), [null, [2]], 'said twice, done once');
    assert.equal(state.hash(), ended);
    refuses(
      state,
      end({ begin: step(1, 0, { args_hash: 'other' }), result: null, commands: [set] }),
      'stale',
      /begun before/,
    );
    refuses(state, end({ begin: step(1, 3) }), 'invalid', /another step/);
  });
});

describe('batch', () => {
  it('sees what it has removed itself', () => {
    const remove: Command = { type: 'instance-remove', time, uuid: 'instance-a', if_epoch: null };
    const state = stateWith(init, instanceAdd('a'));
    refuses(state, { type: 'batch', time, commands: [remove, remove] }, 'not-found', /instance-a/);
    accept(state, {
      type: 'batch',
      time,
      commands: [remove, instanceAdd('a', 'sharedfile'), remove, instanceAdd('b')],
    });
    assert.deepEqual(
      state.list('instances').map(({ name }) => name),
      ['b'],
    );
    assert.equal(state.count('disks'), 0);
  });

  it('is all or nothing, however deep', () => {
    const state = stateWith(init);
    const batch = (...commands: Command[]): Command => ({ type: 'batch', time, commands });
    refuses(
      state,
      batch(instanceAdd('a'), batch(instanceAdd('b'), instanceAdd('a'))),
      'exists',
      /instance a/,
    );
    assert.equal(state.count('instances'), 0);
    const values = accept(state, batch(instanceAdd('a'), batch(submit('r1'), submit('r1')))) as unknown[];
    assert.deepEqual(values[1], [[1], [1]]);
    const last: Command = { type: 'tags', time, kind: 'node', uuid: 'node-1', add: ['x'], remove: [] };
    refuses(state, batch(batch(batch(batch(last)))), 'invalid', /nested deeper/);
  });
});
