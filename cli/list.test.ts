import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type FakeAgent, runCli, startFakeAgent } from './fake-agent.ts';
import { instances, resetFakeCluster } from './fake-rows.ts';

let agent: FakeAgent;
before(async () => {
  agent = await startFakeAgent();
});
after(() => agent.close());
beforeEach(() => resetFakeCluster(agent));

const run = (...argv: string[]) => runCli(agent.socket, argv);

test('instance list: Ganeti’s columns, aligned, within 80 columns', async () => {
  const { status, out } = await run('instance', 'list');
  assert.equal(status, 0);
  assert.equal(
    out,
    [
      'Instance Hypervisor OS           Primary_node Status         Memory',
      'db1      kvm        noop         n2           ADMIN_down          -',
      'web1     kvm        debian+small n1           running          1.5G',
      'web2     kvm        noop         n3           ERROR_nodedown      ?',
      '',
    ].join('\n'),
  );
  assert.ok(out.split('\n').every((line) => line.length < 80));
  assert.deepEqual(agent.requests[0]?.params, {
    resource: 'instance',
    names: [],
    // What the columns show, and what lists are chosen by: no more travels.
    fields: ['name', 'id', 'status', 'hypervisor', 'os', 'pnode', 'oper_ram'],
  });
});

test('list: short form, names, globs, fields, separator, units, no headers', async () => {
  assert.match((await run('list', 'web1')).out, /^Instance.*\nweb1 .*\n$/);
  assert.equal((await run('instance', 'list', 'web?', '-o', 'name', '--no-headers')).out, 'web1\nweb2\n');
  assert.equal(
    (
      await run(
        'instance',
        'list',
        '-o',
        'name,be/vcpus,disk.size/1,oper_ram,tags',
        '--separator',
        ':',
        '--no-headers',
        'db1',
        'web1',
      )
    ).out,
    'db1:2:512:-:\nweb1:1:?:1536:prod,web\n',
  );
  assert.match(
    (await run('instance', 'list', '-o', '+disk_template', 'web1')).out,
    /Memory Disk_template\n.* sharedfile\n$/,
  );
  assert.equal(
    (await run('instance', 'list', '-o', 'oper_ram', '--units', 'g', '--no-headers', 'web1')).out,
    '1.5\n',
  );
  const env = { GNT_INSTANCE_LIST: 'name,pnode' };
  assert.equal(
    (await runCli(agent.socket, ['instance', 'list', 'db1'], { env })).out,
    'Instance Primary_node\ndb1      n2\n',
  );
});

test('an unknown field is status 14, an unknown name status 1; both say what to try', async () => {
  const field = await run('instance', 'list', '-o', 'name,colour');
  assert.deepEqual(
    [field.status, field.err],
    [14, 'skein: "colour" is no field of an instance\nTry: skein instance list-fields\n'],
  );
  const name = await run('instance', 'list', 'nosuch');
  assert.deepEqual(
    [name.status, name.err],
    [1, 'skein: instance "nosuch" does not exist\nTry: skein instance list\n'],
  );
});

test('node, group, job and os lists', async () => {
  assert.equal(
    (await run('node', 'list')).out,
    [
      'Node DTotal DFree MTotal MNode MFree Pinst Sinst',
      'n1   100.0G 50.0G  23.4G  2.0G 21.4G     1     0',
      'n2        *     *      *     *     *     1     0',
      '',
    ].join('\n'),
  );
  assert.equal(
    (await run('group', 'list')).out,
    'Group   Nodes Instances AllocPolicy NDParams\ndefault     2         3 preferred\n',
  );
  assert.equal(
    (await run('job', 'list')).out,
    'ID Status  Summary\n 1 success INSTANCE_CREATE(web1)\n12 waiting INSTANCE_REMOVE(db1),TEST_DELAY(5)\n',
  );
  assert.equal((await run('job', 'list', '--pending', '--no-headers', '-o', 'id')).out, '12\n');
  assert.equal((await run('os', 'list')).out, 'Name\ndebian+small\nnoop\n');
});

test('--json prints rows as they are, or only the fields asked for; before or after the command', async () => {
  assert.deepEqual(
    JSON.parse((await run('instance', 'list', '--json')).out),
    JSON.parse(JSON.stringify(instances)),
  );
  assert.deepEqual(JSON.parse((await run('--json', 'instance', 'list', '-o', 'name,be/vcpus', 'db1')).out), [
    { name: 'db1', 'be/vcpus': 2 },
  ]);
  assert.deepEqual(JSON.parse((await run('tag', 'list', 'instance', 'web1', '--json')).out), ['prod', 'web']);
});

test('--stale says how old the answer is', async () => {
  const { err, out } = await run('node', 'list', '--stale', '-o', 'name', '--no-headers');
  assert.equal(out, 'n1\nn2\n');
  assert.match(err, /1\.5 s old/);
  assert.equal(agent.requests[0]?.params.stale, true);
});

test('info prints every field, times readable', async () => {
  const { out, status } = await run('cluster', 'info');
  assert.equal(status, 0);
  assert.match(out, /^name: lab\n/);
  assert.match(out, /\nctime: 1970-01-01 00:00:00\n/);
  assert.match(out, /\nha:\n {2}lease_ms: 10000\n/);
  assert.match((await run('instance', 'info', 'web1')).out, /^name: web1\n(.*\n)*disk\.sizes: 2048\n/);
  assert.match((await run('node', 'info', 'n2')).out, /tags: rack1/);
  assert.equal((await run('instance', 'info')).status, 2);
});
