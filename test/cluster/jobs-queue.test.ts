/**
 * Any node will do: what one node was told, every other answers at once; a submission made twice is one job, also
 * across the death of the leader and of the agent that took it; and the queue keeps its rules (order, dependencies,
 * cancellation, progress) seen from nodes that do not lead.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hostEnvironment, packageRoot } from '../../cli/lab/host.ts';
import type { Job, OpInput } from '../../src/config/model.ts';
import { ApiCallError, connectApi } from '../../src/node/api-client.ts';
import type { CrashMoment } from '../../src/node/crash-point.ts';
import { cleanUpOf, mustSucceed, nextJob, withHookedLab } from './jobs-support.ts';
import {
  cli,
  cliOk,
  killAgent,
  type Lab,
  leaderOf,
  othersThan,
  patience_ms,
  rows,
  sameState,
  statusOf,
  submit,
  waitForJob,
  waitUntil,
} from './support.ts';

const noop: OpInput = { OP_ID: 'OP_TEST_DELAY', duration: 0 };
/** Holds its nodes' locks for as long as it runs. */
const hold = (node: string, seconds = 600): OpInput => ({
  OP_ID: 'OP_TEST_DELAY',
  ...{ duration: seconds, on_nodes: [node], on_master: false, no_locks: false },
});
const diskless = (name: string, node: string): OpInput => ({
  OP_ID: 'OP_INSTANCE_CREATE',
  ...{ instance_name: name, mode: 'create', disk_template: 'diskless', disks: [], nics: [], pnode: node },
  beparams: { maxmem: 64, minmem: 64 },
});

describe('jobs, on any node', () => {
  const cleaning = cleanUpOf(after);
  let lab: Lab;
  before(async () => {
    lab = await withHookedLab(cleaning);
  });

  async function jobOf(name: string, id: number): Promise<Record<string, unknown>> {
    const [row] = await rows(lab, name, 'job', { names: [String(id)] });
    assert.ok(row);
    return row;
  }
  const statusIs = (name: string, id: number, status: string) =>
    waitUntil(async () => (await jobOf(name, id)).status === status, `job ${id} to be ${status}`);

  test('a change made on one node is in the very next answer of every other', {
    timeout: 120_000,
  }, async () => {
    const names = lab.nodes.map((node) => node.name);
    for (let round = 0; round < 12; round++) {
      const writer = names[round % names.length] as string;
      const tag = `round-${round}`;
      await mustSucceed(lab, writer, [{ OP_ID: 'OP_TAGS_SET', kind: 'cluster', tags: [tag] }]);
      const answers = await Promise.all(names.map((name) => rows(lab, name, 'tag')));
      for (const [at, answer] of answers.entries())
        assert.ok(
          answer.some((row) => row.tag === tag),
          `${names[at]} does not know what ${writer} was told`,
        );
    }
  });

  test('the same without a moment between: 100 entries of the leader, each read on the others at once', {
    timeout: 120_000,
  }, async () => {
    const leader = await leaderOf(lab);
    const clients = await Promise.all(
      [leader, ...othersThan(lab, leader)].map((name) => connectApi(lab.node(name).socket)),
    );
    const [lead, ...others] = clients;
    assert.ok(lead);
    try {
      for (let round = 0; round < 100; round++) {
        const tag = `quick-${round}`;
        const time = Date.now() / 1000;
        const command = { type: 'tags', time, kind: 'cluster', uuid: '', add: [tag], remove: [] } as const;
        await lead.call('test.propose', { command });
        const answers = await Promise.all(others.map((client) => client.call('query', { resource: 'tag' })));
        for (const { rows: tags } of answers)
          assert.ok(
            tags.some((row) => row.tag === tag),
            `${tag} was acknowledged, and is not there`,
          );
      }
    } finally {
      for (const client of clients) client.close();
    }
  });

  test('every command answers the same on every node', { timeout: 120_000 }, async () => {
    await cliOk(lab, 'n2', [
      'instance',
      'add',
      '-t',
      'diskless',
      '--no-install',
      '-o',
      'noop',
      '-n',
      'n3',
      'same',
    ]);
    await cliOk(lab, 'n3', ['instance', 'startup', 'same']);
    const commands: readonly (readonly string[])[] = [
      ['instance', 'list', '--no-headers', '-o', 'name,pnode,admin_state,disk_template'],
      ['instance', 'info', 'same', '--json'],
      ['node', 'list', '--no-headers', '-o', 'name,role,pinst_cnt,offline'],
      ['job', 'list'],
      ['tag', 'list', 'cluster'],
      ['cluster', 'info', '--json'],
      ['os', 'list'],
      ['group', 'list'],
    ];
    // Live figures (memory, when a node was heard) differ from moment to moment, and are not what is compared.
    const moving = /"(oper_\w+|status|mfree|dfree|mnode|heard_ms)": .*/g;
    for (const command of commands) {
      const texts = await Promise.all(lab.nodes.map((node) => cliOk(lab, node.name, command)));
      const [first, ...rest] = texts.map((text) => text.replaceAll(moving, ''));
      assert.ok(first && first.trim() !== '', command.join(' '));
      for (const text of rest) assert.equal(text, first, command.join(' '));
    }
    await cliOk(lab, 'n1', ['instance', 'remove', '-f', 'same']);
    for (const node of lab.nodes) assert.equal((await rows(lab, node.name, 'instance')).length, 0);
  });

  test('one request id is one job: at once on all nodes, later, and with another content', async () => {
    const request = { request_id: randomUUID(), jobs: [{ ops: [noop] }, { ops: [noop] }] };
    const before_id = await nextJob(lab, 'n1');
    const answers = await Promise.all(lab.nodes.map((node) => node.call('submit', request)));
    for (const answer of answers) assert.deepEqual(answer.jobs, [before_id, before_id + 1]);
    const again = await lab.node('n2').call('submit', { ...request, jobs: [{ ops: [noop] }] });
    assert.deepEqual(again.jobs, [before_id, before_id + 1]);
    assert.equal(await nextJob(lab, 'n3'), before_id + 2);
  });

  test('one request id is one job across the death of the leader and of the agent asked', {
    timeout: 180_000,
  }, async () => {
    for (const moment of ['before', 'during', 'after'] satisfies CrashMoment[]) {
      const leader = await leaderOf(lab);
      await sameState(lab);
      const [asked, other] = othersThan(lab, leader) as [string, string];
      const id = await nextJob(lab, asked);
      await lab.node(leader).call('test.crash', { job: id, entry: 0, moment });
      const request = { request_id: randomUUID(), jobs: [{ ops: [noop] }] };
      const first = lab.node(asked).call('submit', request);
      // Its outcome is unknown to us if it fails; the retry must find it.
      const settled = await first.then(
        (answer) => answer.jobs,
        (error: Error) => (error instanceof ApiCallError ? null : Promise.reject(error)),
      );
      await killAgent(lab, asked);
      const found = await waitUntil(
        async () => (await lab.node(other).call('submit', request)).jobs,
        'the second submission to be answered',
      );
      assert.deepEqual(found, [id]);
      if (settled) assert.deepEqual(settled, [id]);
      assert.equal((await waitForJob(lab, other, id)).status, 'success');
      await sameState(lab);
      assert.equal(await nextJob(lab, asked), id + 1, 'a second job was made');
    }
  });

  test('100 jobs at once end, all, each once', { timeout: 120_000 }, async () => {
    await sameState(lab);
    const [via] = othersThan(lab, await leaderOf(lab)) as [string];
    const since = await nextJob(lab, via);
    const ids = (
      await Promise.all(
        Array.from({ length: 100 }, () =>
          lab.node(via).call('submit', { request_id: randomUUID(), jobs: [{ ops: [noop] }] }),
        ),
      )
    ).flatMap(({ jobs }) => jobs);
    assert.equal(new Set(ids).size, 100);
    assert.deepEqual(
      [...ids].sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, at) => since + at),
    );
    await Promise.all(ids.map((id) => waitForJob(lab, via, id)));
    for (const row of await rows(lab, via, 'job', { names: ids.map(String) }))
      assert.equal(row.status, 'success');
  });

  test('dependencies: in order, within one submission too; and never after a failure', async () => {
    const bad: OpInput = { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'nosuch' };
    const ids = await submit(lab, 'n2', [
      { ops: [{ ...noop, duration: 0.2 }] },
      { ops: [noop], depends: [{ job: -1, states: ['success'] }] },
      { ops: [bad], depends: [{ job: -1, states: [] }] },
      { ops: [noop], depends: [{ job: -1, states: ['success'] }] },
      { ops: [noop], depends: [{ job: -2, states: [] }] },
    ]);
    const jobs: Job[] = [];
    for (const id of ids) jobs.push(await waitForJob(lab, 'n3', id));
    assert.deepEqual(
      jobs.map((job) => job.status),
      ['success', 'success', 'error', 'error', 'success'],
    );
    assert.match(
      JSON.stringify(jobs[3]?.ops[0]?.result),
      new RegExp(`depends on job ${ids[2]} ending as success`),
    );
    for (const at of [1, 2, 4]) {
      const own = jobs[at]?.start_timestamp ?? 0;
      const other = jobs[at === 4 ? 2 : at - 1]?.end_timestamp ?? Number.POSITIVE_INFINITY;
      assert.ok(own >= other, `job ${ids[at]} started at ${own}, what it waits for ended at ${other}`);
    }
  });

  test('priorities: the urgent one starts first, also when it was made urgent while it waited', async () => {
    const [holder] = (await submit(lab, 'n1', [{ ops: [hold('n2')] }])) as [number];
    await statusIs('n3', holder, 'running');
    const [low, normal, high, raised] = (await submit(lab, 'n1', [
      { ops: [hold('n2', 0)], priority: 10 },
      { ops: [hold('n2', 0)] },
      { ops: [hold('n2', 0)], priority: -10 },
      { ops: [hold('n2', 0)], priority: 19 },
    ])) as [number, number, number, number];
    await lab.node('n2').call('job.priority', { job: raised, priority: -20 });
    const { why } = await lab.node('n3').call('job.why', { job: normal });
    assert.match(why ?? '', new RegExp(`\\(job ${holder}\\)`));
    await lab.node('n3').call('job.cancel', { job: holder });
    const jobs: Job[] = [];
    for (const id of [raised, high, normal, low]) jobs.push(await waitForJob(lab, 'n2', id));
    const starts = jobs.map((job) => job.start_timestamp ?? 0);
    assert.deepEqual(
      starts,
      [...starts].sort((a, b) => a - b),
      'raised, high, normal, low',
    );
    assert.deepEqual(
      jobs.map((job) => job.status),
      ['success', 'success', 'success', 'success'],
    );
  });

  test('cancel: a queued job, a waiting one and a running one, each from another node', {
    timeout: 120_000,
  }, async () => {
    const [running, waiting, queued] = (await submit(lab, 'n1', [
      { ops: [hold('n3')] },
      { ops: [hold('n3', 0)] },
      { ops: [noop], depends: [{ job: -1, states: [] }] },
    ])) as [number, number, number];
    await statusIs('n2', running, 'running');
    for (const [id, name] of [
      [queued, 'n2'],
      [waiting, 'n3'],
      [running, 'n2'],
    ] as const) {
      const answer = await lab.node(name).call('job.cancel', { job: id });
      assert.equal(answer.canceled, true, answer.message);
      const job = await waitForJob(lab, 'n1', id);
      assert.equal(job.status, 'canceled', `job ${id}`);
    }
    assert.equal((await rows(lab, 'n1', 'lock')).length, 0);
    const again = await lab.node('n3').call('job.cancel', { job: running });
    assert.deepEqual(again.canceled, false);
    // What the canceled one held is free.
    const [next] = (await submit(lab, 'n2', [{ ops: [hold('n3', 0)] }])) as [number];
    assert.equal((await waitForJob(lab, 'n2', next)).status, 'success');
  });

  test('cancel between two ops: what has ended stays done, the rest is not begun or is undone', {
    timeout: 120_000,
  }, async () => {
    const [id] = (await submit(lab, 'n1', [{ ops: [diskless('gone', 'n2'), hold('n2')] }])) as [number];
    await waitUntil(
      async () => ((await jobOf('n3', id)).opstatus as string[])[1] === 'running',
      'the second op to run',
    );
    await lab.node('n3').call('job.cancel', { job: id });
    const job = await waitForJob(lab, 'n2', id);
    assert.deepEqual([job.status, ...job.ops.map((op) => op.status)], ['canceled', 'success', 'canceled']);
    // An op that has ended stays done, as with Ganeti.
    assert.deepEqual(
      (await rows(lab, 'n2', 'instance')).map((row) => row.name),
      ['gone'],
    );
    await mustSucceed(lab, 'n1', [{ OP_ID: 'OP_INSTANCE_REMOVE', instance_name: 'gone' }]);
  });

  test('job watch on a node that does not lead: states and log lines as they come, across a new leader', {
    timeout: 120_000,
  }, async () => {
    const leader = await leaderOf(lab);
    const [via] = othersThan(lab, leader) as [string];
    const [holder] = (await submit(lab, via, [{ ops: [hold(via)] }])) as [number];
    const [id] = (await submit(lab, via, [{ ops: [{ ...hold(via, 0), repeat: 3 }] }])) as [number];
    const client = await connectApi(lab.node(via).socket);
    try {
      const seen: string[] = [];
      const watched = client.call(
        'job.watch',
        { job: id },
        {
          timeout_ms: patience_ms,
          onEvent: (event) => {
            const { type, job } = event as { type: string; job?: Job };
            if (type === 'job' && job) seen.push(`${job.status} ${job.ops[0]?.log.length}`);
          },
        },
      );
      await waitUntil(() => seen.length > 0, 'the first event');
      await killAgent(lab, leader);
      await lab
        .node(via)
        .call('job.cancel', { job: holder })
        .catch((error: Error) => {
          // The new leader may not be known yet: asked again below.
          if (!(error instanceof ApiCallError)) throw error;
        });
      await waitUntil(
        async () => (await lab.node(via).call('job.cancel', { job: holder })).canceled === false,
        'the holder to end',
      );
      const job = await watched;
      assert.equal(job.status, 'success');
      assert.equal(job.ops[0]?.log.length, 3);
      assert.match(seen[0] ?? '', /^(queued|waiting) 0$/);
      assert.equal(seen.at(-1), 'success 3');
      const counts = seen.map((text) => Number(text.split(' ')[1]));
      assert.deepEqual(
        counts,
        [...counts].sort((a, b) => a - b),
        seen.join(', '),
      );
    } finally {
      client.close();
    }
  });

  test('skein watch shows what happens, on a node that does not lead; skein job watch ends with the job’s status', {
    timeout: 120_000,
  }, async () => {
    const [via, other] = othersThan(lab, await leaderOf(lab)) as [string, string];
    await sameState(lab);
    const { socket } = lab.node(via);
    const child = spawn(join(packageRoot(), 'bin', 'skein'), ['--socket', socket, '--json', 'watch'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: hostEnvironment(lab.node(via)),
    });
    try {
      let text = '';
      child.stdout.on('data', (bytes: Buffer) => {
        text += bytes.toString('utf8');
      });
      // Nothing says that it listens but an event: changes are made until one is seen.
      await waitUntil(async () => {
        await mustSucceed(lab, other, [noop]);
        return text !== '';
      }, 'a first event');
      await mustSucceed(lab, other, [diskless('seen', 'n3')]);
      await mustSucceed(lab, other, [{ OP_ID: 'OP_INSTANCE_REMOVE', instance_name: 'seen' }]);
      const events = await waitUntil(() => {
        const all = text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as { index: number; kind: string; name: string; text: string });
        return all.some((event) => event.name === 'seen' && event.text === 'removed') ? all : null;
      }, 'the removal in skein watch');
      const own = events.filter((event) => event.name === 'seen').map((event) => event.text);
      assert.equal(own[0], 'created on n3');
      assert.ok(own.includes('admin state up'), own.join(', '));
      const indices = events.map((event) => event.index);
      assert.deepEqual(
        indices,
        [...indices].sort((a, b) => a - b),
      );
    } finally {
      child.kill('SIGINT');
    }
    const code = await new Promise<number | null>((resolve) => {
      if (child.exitCode !== null) resolve(child.exitCode);
      else child.once('exit', resolve);
    });
    assert.equal(code, 0);
    const [bad] = await submit(lab, via, [
      { ops: [{ OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'nosuch' }] },
    ]);
    const watched = await cli(lab, via, ['job', 'watch', String(bad)]);
    assert.equal(watched.code, 1);
    assert.match(watched.stderr, /there is no instance "nosuch"/);
    for (const node of lab.nodes) assert.ok((await statusOf(lab, node.name))?.in_cluster);
  });
});
