import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type FakeAgent, FakeError, fakeJob, no_answer, runCli, startFakeAgent } from './fake-agent.ts';
import { resetFakeCluster } from './fake-rows.ts';

let agent: FakeAgent;
before(async () => {
  agent = await startFakeAgent();
});
after(() => agent.close());
beforeEach(() => resetFakeCluster(agent));

const run = (...argv: string[]) => runCli(agent.socket, argv);

/** Ops of the only submission. */
function submitted(): unknown[] {
  const [found, ...more] = agent.requests.filter(({ method }) => method === 'submit');
  assert.ok(found && more.length === 0);
  return (found.params.jobs as { ops: unknown[] }[]).flatMap(({ ops }) => ops);
}

test('each submitting command makes the opcode that Ganeti’s would', async () => {
  const table: readonly [string, unknown[]][] = [
    ['instance startup web1', [{ OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'web1' }]],
    [
      'instance start web1 --paused -B memory=1g',
      [
        {
          OP_ID: 'OP_INSTANCE_STARTUP',
          instance_name: 'web1',
          beparams: { memory: 1024 },
          startup_paused: true,
        },
      ],
    ],
    [
      'instance stop web1 --timeout 5',
      [{ OP_ID: 'OP_INSTANCE_SHUTDOWN', instance_name: 'web1', timeout: 5 }],
    ],
    [
      'instance reboot web1 -t full',
      [{ OP_ID: 'OP_INSTANCE_REBOOT', instance_name: 'web1', reboot_type: 'full' }],
    ],
    ['instance reboot web1', [{ OP_ID: 'OP_INSTANCE_REBOOT', instance_name: 'web1', reboot_type: 'hard' }]],
    [
      'instance failover -f -n n2 web1',
      [{ OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: 'web1', target_node: 'n2' }],
    ],
    ['instance remove -f web1', [{ OP_ID: 'OP_INSTANCE_REMOVE', instance_name: 'web1' }]],
    [
      'instance modify web1 -B vcpus=2 -H acpi=no',
      [
        {
          OP_ID: 'OP_INSTANCE_SET_PARAMS',
          instance_name: 'web1',
          beparams: { vcpus: 2 },
          hvparams: { acpi: false },
        },
      ],
    ],
    [
      'instance add -t diskless -o noop --no-nics new1',
      [
        {
          OP_ID: 'OP_INSTANCE_CREATE',
          mode: 'create',
          instance_name: 'new1',
          disk_template: 'diskless',
          os_type: 'noop',
          disks: [],
          nics: [],
          start: true,
        },
      ],
    ],
    [
      'node modify -D yes -O no n1',
      [{ OP_ID: 'OP_NODE_SET_PARAMS', node_name: 'n1', drained: true, offline: false }],
    ],
    ['node remove -f n2', [{ OP_ID: 'OP_NODE_REMOVE', node_name: 'n2' }]],
    [
      'tag add instance web1 a b',
      [{ OP_ID: 'OP_TAGS_SET', kind: 'instance', tags: ['a', 'b'], name: 'web1' }],
    ],
    ['tag add cluster a', [{ OP_ID: 'OP_TAGS_SET', kind: 'cluster', tags: ['a'] }]],
    [
      'tag remove group default a',
      [{ OP_ID: 'OP_TAGS_DEL', kind: 'nodegroup', tags: ['a'], name: 'default' }],
    ],
    [
      'cluster modify -B memory=1g -H kvm:acpi=no --ha lease_ms=5000,autorepair=off',
      [
        {
          OP_ID: 'OP_CLUSTER_SET_PARAMS',
          beparams: { memory: 1024 },
          hvparams: { kvm: { acpi: false } },
          ha: { lease_ms: 5000, autorepair: 'off' },
        },
      ],
    ],
    [
      'cluster modify --balancing moves-per-hour=4,start-gain=0.2,allow-restart=yes',
      [
        {
          OP_ID: 'OP_CLUSTER_SET_PARAMS',
          balancing: { moves_per_hour: 4, start_gain: 0.2, allow_restart: true },
        },
      ],
    ],
    ['cluster modify --balancing off', [{ OP_ID: 'OP_CLUSTER_SET_PARAMS', balancing: 'off' }]],
    ['cluster destroy --yes-do-it', [{ OP_ID: 'OP_CLUSTER_DESTROY' }]],
  ];
  for (const [line, ops] of table) {
    agent.requests.length = 0;
    const { status, err } = await run(...line.split(' '));
    assert.equal(status, 0, `${line}: ${err}`);
    assert.deepEqual(submitted(), ops, line);
  }
});

test('--submit, --print-jobid, --priority, --reason; --dry-run is refused', async () => {
  const sent = await run('instance', 'start', 'web1', '--submit', '--priority', 'low', '--reason', 'because');
  assert.deepEqual([sent.status, sent.out], [0, '40\n']);
  assert.ok(!agent.requests.some(({ method }) => method === 'job.watch'));
  const [job] = (agent.requests[0]?.params.jobs ?? []) as [{ priority: number; reason: unknown }];
  assert.equal(job.priority, 10);
  assert.deepEqual(job.reason, [['gnt:user', 'because', 1_700_000_000_000_000_000]]);
  assert.equal((await run('instance', 'start', 'web1', '--print-jobid')).out, '40\n');
  agent.requests.length = 0;
  const dry = await run('instance', 'start', 'web1', '--dry-run');
  assert.equal(dry.status, 2);
  assert.match(dry.err, /--dry-run is not supported/);
  assert.deepEqual(agent.requests, []);
});

test('several instances are several jobs of one submission, and selectors find them', async () => {
  assert.equal((await run('instance', 'stop', '--tags', 'web', '--force-multiple')).status, 0);
  assert.deepEqual(
    submitted().map((op) => (op as { instance_name: string }).instance_name),
    ['web1', 'web2'],
  );
  agent.requests.length = 0;
  assert.equal((await run('instance', 'stop', '--node', 'n2', '--force-multiple')).status, 0);
  assert.deepEqual(
    submitted().map((op) => (op as { instance_name: string }).instance_name),
    ['db1'],
  );
  const asked = await run('instance', 'stop', '--all');
  assert.equal(asked.status, 13);
  assert.match(asked.err, /db1, web1, web2/);
  assert.equal((await run('instance', 'stop', '--all', 'web1')).status, 2);
});

test('destructive commands name what is lost, and ask: y goes on, anything else is status 13', async () => {
  const silent = await run('instance', 'remove', 'web1');
  assert.equal(silent.status, 13);
  assert.match(silent.err, /web1 \(running on n1\); its disks are lost \(2048 MiB, sharedfile\)/);
  const no = await runCli(agent.socket, ['instance', 'remove', 'web1'], { tty: true, input: 'n\n' });
  assert.equal(no.status, 13);
  assert.ok(!agent.requests.some(({ method }) => method === 'submit'));
  const yes = await runCli(agent.socket, ['instance', 'remove', 'web1'], { tty: true, input: 'y\n' });
  assert.equal(yes.status, 0, yes.err);
  for (const line of ['node remove n1', 'cluster destroy', 'instance failover web1']) {
    assert.equal((await run(...line.split(' '))).status, 13, line);
  }
});

test('a failed job: reason, advice, status 1; a canceled one likewise', async () => {
  agent.handle('job.watch', () =>
    fakeJob(40, 'error', { result: ['OpPrereqError', ['Instance web1 is not known', 'unknown_entity']] }),
  );
  const failed = await run('instance', 'start', 'web1');
  assert.equal(failed.status, 1);
  assert.equal(
    failed.err,
    'skein: job 40 failed: Instance web1 is not known (unknown_entity)\nTry: skein instance list, skein node list or skein os list for the names there are\n',
  );
  agent.handle('job.watch', () => fakeJob(40, 'canceled'));
  const canceled = await run('instance', 'start', 'web1');
  assert.equal(canceled.status, 1);
  assert.match(canceled.err, /job 40 was canceled/);
});

test('a submission is retried over a new connection with the same request id, and says so', async () => {
  let calls = 0;
  agent.handle('submit', ({ drop }) => {
    calls++;
    if (calls === 1) drop();
    if (calls === 2) throw new FakeError('unknown-outcome', 'the leader went away');
    return calls <= 2 ? no_answer : { jobs: [41] };
  });
  const { status, err } = await run('instance', 'start', 'web1');
  assert.equal(status, 0, err);
  const ids = agent.requests
    .filter(({ method }) => method === 'submit')
    .map(({ params }) => params.request_id);
  assert.equal(ids.length, 3);
  assert.equal(new Set(ids).size, 1);
  assert.match(String(ids[0]), /^[0-9a-f-]{36}$/);
  assert.match(err, /asking again in 0\.1 s/);
});

test('what was refused is not retried', async () => {
  agent.handle('submit', () => {
    throw new FakeError('refused', 'the queue is full');
  });
  assert.equal((await run('instance', 'start', 'web1')).status, 1);
  assert.equal(agent.requests.length, 1);
});

test('a watched job: each log line once, also over a broken connection; progress only on a terminal', async () => {
  const line = (serial: number, text: string, kind = 'message') => [serial, [60, 0], kind, text];
  let calls = 0;
  agent.handle('job.watch', ({ event, drop }) => {
    calls++;
    event({ type: 'job', job: fakeJob(40, 'running', { log: [line(1, 'disk made')] }) });
    event({ type: 'progress', op: 0, step: 'install', text: 'unpacking', done: 5, total: 10, eta_s: 3 });
    if (calls === 1) {
      drop();
      return no_answer;
    }
    return fakeJob(40, 'success', { log: [line(1, 'disk made'), line(2, 'slow disk', 'warning')] });
  });
  const plain = await run('instance', 'start', 'web1');
  assert.equal(plain.status, 0);
  assert.equal(plain.err.split('disk made').length, 2);
  assert.match(plain.err, /00:01:00 disk made\n/);
  assert.match(plain.err, /00:01:00 WARNING: slow disk\n/);
  assert.ok(!plain.err.includes('unpacking') && !plain.err.includes('\u001b'));
  assert.match(plain.err, /job 40 ended well: INSTANCE_STARTUP\(web1\)\n$/);
  const live = await runCli(agent.socket, ['job', 'watch', '40'], { tty: true });
  assert.ok(live.err.includes('install: unpacking [##########..........]  50 %, 3 s left'), live.err);
});

test('Ctrl-C detaches: the job goes on, and how to see it again is said', async () => {
  let press: () => void = () => undefined;
  agent.handle('job.watch', ({ event }) => {
    event({ type: 'job', job: fakeJob(40, 'running') });
    setImmediate(() => press());
    return no_answer;
  });
  const result = await runCli(agent.socket, ['instance', 'start', 'web1'], {
    onStart: (interrupt) => {
      press = interrupt;
    },
  });
  assert.equal(result.status, 1);
  assert.match(result.err, /The job goes on/);
  assert.match(result.err, /skein job watch 40/);
  assert.ok(!agent.requests.some(({ method }) => method === 'job.cancel'));
});
