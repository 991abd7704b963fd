import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type FakeAgent, FakeError, fakeJob, runCli, startFakeAgent } from './fake-agent.ts';
import { resetFakeCluster } from './fake-rows.ts';

let agent: FakeAgent;
before(async () => {
  agent = await startFakeAgent();
});
after(() => agent.close());
beforeEach(() => resetFakeCluster(agent));

const run = (...argv: string[]) => runCli(agent.socket, argv);

test('error codes have their exit status, and advice even if the agent gives none', async () => {
  const table: readonly [string, number][] = [
    ['not-found', 1],
    ['invalid', 2],
    ['exists', 1],
    ['refused', 1],
    ['no-quorum', 11],
    ['no-cluster', 5],
    ['timeout', 1],
    ['internal', 1],
  ];
  for (const [code, status] of table) {
    agent.handle('query', () => {
      throw new FakeError(code, 'so it is');
    });
    const result = await run('node', 'list');
    assert.equal(result.status, status, code);
    assert.match(result.err, /^skein: so it is\nTry: .+\n$/, code);
  }
});

test('usage errors: status 2, one line what, one line what to try, nothing sent', async () => {
  const table: readonly [string, RegExp][] = [
    ['nosuch', /unknown command 'nosuch'/],
    ['instance nosuch', /unknown command 'nosuch'/],
    ['instance list --nosuch', /unknown option '--nosuch'/],
    ['instance info --socket', /argument missing/],
    ['instance startup', /nothing was named/],
    ['instance reboot web1 -t gently', /"gently"/],
    ['instance modify web1', /nothing to change/],
    ['instance add new1 -o noop -s 1q', /"1q"/],
    ['instance add', /missing required argument/],
    ['instance start web1 --priority urgent', /"urgent"/],
    ['instance list --units k', /"k"/],
    ['node modify n1 -D maybe', /"maybe"/],
    ['node modify n1', /nothing to change/],
    ['node add --expires soon', /"soon"/],
    ['job watch x', /"x"/],
    ['job cancel', /no job was named/],
    ['tag add disk d1 x', /"disk"/],
    ['tag add instance web1', /no tag/],
    ['tag search (', /"\("/],
    ['cluster modify', /nothing to change/],
    ['cluster modify -H acpi=no', /names no hypervisor/],
    ['completion tcsh', /"tcsh"/],
    ['watch --since then', /"then"/],
    ['instance console web1 --seconds x', /"x"/],
  ];
  for (const [line, message] of table) {
    agent.requests.length = 0;
    const { status, err } = await run(...line.split(' '));
    assert.equal(status, 2, `${line}: ${status} ${err}`);
    assert.match(err, message, line);
    assert.match(err, /^skein: [^\n]+\nTry: [^\n]+\n$/, line);
    assert.deepEqual(agent.requests, [], line);
  }
});

test('node add prints the command for the new host; join and init send what was typed', async () => {
  agent.handle('token.create', () => ({ token: 'skein-TOKEN', id: 't1', expires: 3_600 }));
  const made = await run('node', 'add', 'n4', '--vm-capable', 'no', '--expires', '10m');
  assert.equal(made.out, 'skein join --name n4 skein-TOKEN\n');
  assert.match(made.err, /1970-01-01 01:00:00 UTC; it works once/);
  assert.deepEqual(agent.requests[0]?.params, { expires_s: 600, master_capable: true, vm_capable: false });
  agent.handle('cluster.join', () => ({ name: 'n4', member: 4, cluster_name: 'lab' }));
  assert.match((await run('join', '--name', 'n4', 'skein-TOKEN')).out, /^This host is n4 in cluster lab/);
  assert.deepEqual(agent.requests.at(-1)?.params, { token: 'skein-TOKEN', timeout_ms: 60_000, name: 'n4' });
  agent.handle('status', () => ({ name: 'n1' }));
  agent.handle('cluster.init', () => ({ uuid: 'c' }));
  assert.equal(
    (
      await run(
        'cluster',
        'init',
        'prod',
        '--primary-ip',
        '192.0.2.1',
        '--master-ip',
        '192.0.2.9',
        '--ha',
        'lease=scaled',
      )
    ).status,
    0,
  );
  const params = agent.requests.at(-1)?.params ?? {};
  assert.deepEqual(
    [params.cluster_name, params.node_name, params.master_ip, params.ha],
    ['prod', 'n1', '192.0.2.9', { lease: 'scaled' }],
  );
});

test('job commands', async () => {
  agent.handle('job.cancel', ({ params }) => ({
    canceled: params.job === 12,
    message: `job ${params.job} said`,
  }));
  assert.deepEqual(await run('job', 'cancel', '12'), { status: 0, out: 'job 12 said\n', err: '' });
  assert.equal((await run('job', 'cancel', '1')).status, 1);
  agent.requests.length = 0;
  await run('job', 'cancel', '--pending');
  assert.deepEqual(agent.requests.at(-1)?.params, { job: 12 });
  agent.handle('job.priority', () => null);
  assert.equal((await run('job', 'change-priority', '--priority', 'high', '12')).status, 0);
  assert.deepEqual(agent.requests.at(-1)?.params, { job: 12, priority: -10 });
  agent.handle('job.archive', () => ({ archived: 1 }));
  assert.deepEqual(await run('job', 'archive', '1'), { status: 0, out: '1 of 1 archived\n', err: '' });
  agent.handle('job.why', () => ({ why: 'for node n1, held by job 3' }));
  assert.equal((await run('job', 'why', '12')).out, 'for node n1, held by job 3\n');
});

test('tags: list and search', async () => {
  assert.equal((await run('tag', 'list', 'cluster')).out, 'blue\n');
  assert.equal((await run('tag', 'list', 'instance', 'web1')).out, 'prod\nweb\n');
  const found = await run('tag', 'search', '^(blue|web|rack)');
  assert.equal(
    found.out,
    '/cluster        blue\n/nodes/n2       rack1\n/instances/web1 web\n/instances/web2 web\n',
  );
});

test('cluster verify: findings, verdict, status', async () => {
  agent.handle('job.watch', () =>
    fakeJob(40, 'success', { result: [['ERROR', 'ENODEDOWN', 'node', 'n3', 'does not answer']] }),
  );
  const bad = await run('cluster', 'verify');
  assert.deepEqual([bad.status, bad.out], [1, 'ERROR: node n3: does not answer\nThe cluster has errors.\n']);
  assert.equal(
    (await run('cluster', 'verify', '--error-codes')).out,
    'ERROR:ENODEDOWN:node:n3:does not answer\n',
  );
  agent.handle('job.watch', () => fakeJob(40, 'success', { result: [] }));
  assert.deepEqual((await run('cluster', 'verify')).out, 'The cluster is well.\n');
});

test('status, raft transfer, why, watch', async () => {
  const status = {
    version: '0.1.0',
    node_version: 'v26',
    name: 'n1',
    member: 1,
    peer_id: 'p',
    in_cluster: true,
    role: 'leader',
    term: 3,
    leader: 'n1',
    established: true,
    raft_members: [1, 2, 3],
    commit: 9,
    applied: 9,
    boot: 1,
    lease_left_ms: 9_500,
    lease_valid: true,
    master_ip_held: true,
    keeper: true,
    pid: 7,
    keeper_pid: 6,
    state_hash: '',
    peers: [
      { name: 'n2', member: 2, up: true },
      { name: 'n3', member: 3, up: false },
    ],
    guests: [{ name: 'web1', state: 'running', epoch: 2 }],
    warnings: ['clock'],
  };
  agent.handle('status', () => status);
  const shown = await run('status');
  assert.equal(shown.status, 0);
  for (const part of [
    /leader: {2}n1, term 3, master IP held here/,
    /good for 9\.5 s/,
    /1 of 2 up; DOWN: n3/,
    /web1 running, epoch 2/,
    /WARNING: clock/,
  ]) {
    assert.match(shown.out, part);
  }
  agent.handle('status', () => ({ ...status, in_cluster: false }));
  assert.equal((await run('status')).status, 5);
  agent.handle('raft.transfer', () => null);
  assert.equal((await run('raft', 'transfer', 'n1')).out, 'n1 leads, term 3\n');
  agent.handle('instance.why', () => ({
    lines: ['runs on n1'],
    log: [{ time: 0, epoch: 1, from: '', to: 'n1', evidence: { kind: 'create', text: 'created' } }],
  }));
  assert.equal(
    (await run('instance', 'why', 'web1')).out,
    'runs on n1\n1970-01-01 00:00:00 epoch 1 n1\n  create: created\n',
  );
  agent.handle('events', ({ event }) => {
    event({ index: 5, time: 0, kind: 'leader', name: 'n1', text: 'leads' });
    return null;
  });
  assert.equal((await run('watch')).out, '1970-01-01 00:00:00 leader   n1: leads\n');
});

test('no agent: says which socket', async () => {
  const { status, err } = await runCli('/nonexistent/api.sock', ['node', 'list']);
  assert.equal(status, 1);
  assert.match(err, /^skein: no agent answers on \/nonexistent\/api\.sock: ENOENT\nTry: /);
});

test('console: bytes both ways, binary safe; ^] leaves; --follow sends nothing; a guest without one is refused', async () => {
  const got: Buffer[] = [];
  const banner = Buffer.from([0xff, 0x00, 0x0a, 0xfe, 0x41]);
  agent.handle('instance.console', ({ socket, params }) => {
    socket.on('data', (chunk: Buffer) => got.push(chunk));
    if (params.attach) setImmediate(() => socket.write(banner));
    return { node: 'n1', kind: 'unix', message: '' };
  });
  const typed = await runCli(agent.socket, ['instance', 'console', 'web1'], { input: 'ls\r\u001dnever' });
  assert.equal(typed.status, 0);
  const followed = await runCli(
    agent.socket,
    ['instance', 'console', 'web1', '--follow', '--seconds', '0.2'],
    { input: 'never' },
  );
  assert.deepEqual(Buffer.from(followed.out, 'utf8'), Buffer.from(banner.toString('utf8')));
  assert.ok(!Buffer.concat(got).includes('never'));
  assert.ok(Buffer.concat(got).includes('ls\r'));
  agent.handle('instance.console', () => ({
    node: 'n1',
    kind: 'none',
    message: 'web1 has no serial console',
  }));
  const none = await run('instance', 'console', 'web1');
  assert.deepEqual([none.status, none.err.split('\n')[0]], [1, 'skein: web1 has no serial console']);
});

test('maintenance: plan, run, status, pause, resume', async () => {
  const plan = { groups: [], mib: 0 };
  agent.handle('maintenance.plan', ({ params }) => ({ plan, lines: [`before: ${params.nodes}`] }));
  assert.equal((await run('maintenance', 'plan', 'n1', 'n2', '--offline')).out, 'before: n1,n2\n');
  assert.deepEqual(agent.requests.at(-1)?.params, { nodes: ['n1', 'n2'], offline: true });

  assert.equal((await run('maintenance', 'run', 'n1', '--reboot-by', 'hand', '--submit')).status, 0);
  const { jobs } = agent.requests.at(-1)!.params as { jobs: { ops: Record<string, unknown>[] }[] };
  const [job] = jobs;
  assert.deepEqual(job?.ops[0], {
    OP_ID: 'OP_MAINTENANCE_RUN',
    nodes: ['n1'],
    offline: false,
    reboot_by: 'hand',
    move_back: true,
  });
  const wrong = await run('maintenance', 'run', '--reboot-by', 'magic');
  assert.match(wrong.err, /--reboot-by "magic" is not known.*program, oob, hand/s);

  agent.handle('query', () => ({ rows: [], stale_ms: null, index: 1 }));
  assert.match((await run('maintenance', 'status')).err, /no maintenance is under way/);
  const input = { OP_ID: 'OP_MAINTENANCE_RUN' };
  const log = [[1, [1_700_000_000, 0], 'message', 'group 1 of 3 (n1) begins']];
  agent.handle('query', () => ({
    rows: [{ id: 7, status: 'running', end_ts: null, hold: 'n2 is lost', ops: [input], oplog: [log] }],
    stale_ms: null,
    index: 1,
  }));
  assert.equal(
    (await run('maintenance', 'status')).out,
    'job 7: waits: n2 is lost\n  22:13:20 group 1 of 3 (n1) begins\nto go on: skein maintenance resume 7\n',
  );
  agent.handle('job.hold', () => null);
  assert.match(
    (await run('maintenance', 'pause', '--why', 'lunch')).out,
    /^job 7 waits after the step at hand/,
  );
  assert.deepEqual(agent.requests.at(-1)?.params, { job: 7, why: 'lunch' });
  assert.equal((await run('maintenance', 'resume', '7')).out, 'job 7 goes on\n');
  assert.deepEqual(agent.requests.at(-1)?.params, { job: 7, why: null });
});
