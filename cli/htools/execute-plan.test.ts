/** `hbal -X`: which jobs, in which sets, and how it ends. What is printed was compared with Ganeti 3.0.2's, over LUXI. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { smallCluster } from '../../src/placement/test-small-cluster.ts';
import { type Agent, AgentError, type AgentJob, type EndedJob } from './agent.ts';
import { hbal } from './hbal.ts';
import { runProgram } from './program.ts';
import { type TestWorld, testWorld } from './test-world.ts';

const names = ['1', '2', '3', '4'];
/** Two nodes with four instances each, and two with none: two sets of two jobs. */
const lopsided = smallCluster({
  nodes: [['a'], ['b'], ['c'], ['d']],
  instances: [
    ...names.map((at) => [`i${at}`, 'a', { memory_mib: 2_048 }] as const),
    ...names.map((at) => [`j${at}`, 'c', { memory_mib: 2_048 }] as const),
  ],
});
/** A node that is to be emptied, whose instances are down. */
const drained = smallCluster({
  nodes: [['a', { offline: true, drained: true }], ['b'], ['c']],
  instances: [
    ['i1', 'a', { status: 'ADMIN_down' }],
    ['i2', 'a', { status: 'USER_down' }],
  ],
});

interface Scene {
  readonly cluster: PlacementCluster;
  /** How a job ends, by its number, from 101 on. */
  readonly end?: (id: number, world: TestWorld) => Promise<EndedJob> | EndedJob;
  readonly up?: readonly string[];
}

interface Seen {
  readonly submitted: (readonly AgentJob[])[];
  readonly sockets: (string | null)[];
  open: number;
}

const well = (id: number): EndedJob => ({ id, status: 'success', problem: null });

async function run(
  { cluster, end = well, up = [] }: Scene,
  ...args: string[]
): Promise<Seen & { status: number; out: string; err: string }> {
  const seen: Seen = { submitted: [], sockets: [], open: 0 };
  let last = 100;
  const agent: Agent = {
    cluster: async () => cluster,
    upOf: async (wanted) => wanted.filter((name) => up.includes(name)),
    submit: async (jobs) => {
      seen.submitted.push(jobs);
      return jobs.map(() => ++last);
    },
    ended: async (id) => end(id, world),
    close: async () => {
      seen.open -= 1;
    },
  };
  const world = testWorld({
    agent: (socket) => {
      seen.sockets.push(socket);
      seen.open += 1;
      return agent;
    },
  });
  const status = await runProgram(hbal, ['-L', ...args], world);
  const out = world.printed.out.split('\n');
  const from = out.findIndex((line) => line.startsWith('Solution length='));
  return { ...seen, status, out: out.slice(from + 1).join('\n'), err: world.printed.err };
}

const moved = ({ submitted }: Seen): readonly (readonly string[])[] =>
  submitted.map((jobs) =>
    jobs.map(
      ({ ops: [op] }) => `${op?.OP_ID} ${op?.instance_name} ${op?.target_node} ${op?.target_node_uuid}`,
    ),
  );

const failover = (name: string, node: string): string => `OP_INSTANCE_FAILOVER ${name} ${node} uuid-${node}`;
const both_sets = [
  [failover('i1', 'b'), failover('j1', 'd')],
  [failover('i2', 'b'), failover('j2', 'd')],
];
const first_set_ran = [
  'Exiting early due to user request, ',
  '1jobset(s) submitted: ',
  '[("Executing jobset for instances i1,j1",[(101,JOB_STATUS_SUCCESS),(102,JOB_STATUS_SUCCESS)])]',
  '1 jobset(s) not submitted:',
  '["Executing jobset for instances i2,j2"]',
  '',
];

describe('hbal -L -X', () => {
  it('submits set after set, each when the one before has ended', async () => {
    const order: string[] = [];
    const seen = await run(
      {
        cluster: lopsided,
        end: async (id, world) => {
          order.push(`${id} after ${world.printed.out.split('Got job IDs').length - 1} sets`);
          return well(id);
        },
      },
      '-X',
      '--allow-restart',
    );
    assert.equal(seen.err, '');
    assert.equal(seen.status, 0);
    assert.equal(seen.out, 'Got job IDs 101,102\nGot job IDs 103,104\n');
    assert.deepEqual(moved(seen), both_sets);
    assert.deepEqual(order, ['101 after 1 sets', '102 after 1 sets', '103 after 2 sets', '104 after 2 sets']);
    assert.equal(seen.submitted[0]?.[0]?.ops[0]?.instance_uuid, 'uuid-i1');
    assert.equal(seen.submitted[0]?.[0]?.priority, 0);
    assert.match(seen.submitted[0]?.[0]?.reason ?? '', /^hbal \(skein\) version \S+ called$/);
    assert.deepEqual(seen.sockets, [null, null]);
    assert.equal(seen.open, 0, 'all connections are closed');
  });

  it('takes a first set only, a reason, a priority and another socket; --exec-jobs is the same', async () => {
    const seen = await run(
      { cluster: lopsided },
      ...['-L/s', '--exec-jobs', '--allow-restart', '--first-job-group', '--reason', 'x', '--priority=high'],
    );
    assert.deepEqual(moved(seen), both_sets.slice(0, 1));
    assert.deepEqual(
      seen.submitted[0]?.map(({ priority, reason }) => [priority, reason]),
      [
        [-10, 'x'],
        [-10, 'x'],
      ],
    );
    assert.deepEqual(seen.sockets, ['/s', '/s']);
  });

  it('submits nothing when any move would stop an instance, or needs a copy, and names each', async () => {
    const seen = await run({ cluster: lopsided }, '-X');
    assert.equal(seen.status, 1);
    assert.deepEqual(seen.submitted, []);
    const lines = seen.err.split('\n');
    assert.match(lines[0]!, /^Error: hbal: nothing was submitted/);
    assert.deepEqual(
      lines.slice(1, 5).map((line) => line.split(':')[0]),
      ['  i1', '  j1', '  i2', '  j2'],
    );
    assert.match(lines[1]!, /live migration is not there yet: expected --allow-restart.* starts it on b/);

    const copies = smallCluster({
      nodes: [['a'], ['b'], ['c'], ['d']],
      instances: names.map((at) => [`i${at}`, 'a b', { memory_mib: 2_048 }] as const),
    });
    const refused = await run({ cluster: copies }, '-X', '--allow-restart');
    assert.equal(refused.status, 1);
    assert.deepEqual(refused.submitted, []);
    assert.match(refused.err, /\n {2}i\d: its disks would be copied to another node \(replace-disks\)/);
  });

  it('moves instances that are down, and none of them that came up meanwhile', async () => {
    const seen = await run({ cluster: drained }, '-E', '-X');
    assert.equal(seen.err, '');
    assert.deepEqual(moved(seen), [[failover('i1', 'b')], [failover('i2', 'c')]]);

    const late = await run({ cluster: drained, up: ['i2'] }, '-E', '-X');
    assert.equal(late.status, 1);
    assert.deepEqual(moved(late), [[failover('i1', 'b')]]);
    assert.match(late.err, /^Error: hbal: up by now, and a move would stop it: i2: .*\nAborting\.\n/);
  });

  it('ends at the first set that has a job which did not end well, with the reason', async () => {
    const end = (id: number): EndedJob =>
      id === 101 ? { id, status: 'error', problem: 'no room on b (insufficient_resources)' } : well(id);
    const seen = await run({ cluster: lopsided, end }, '-X', '--allow-restart');
    assert.equal(seen.status, 1);
    assert.deepEqual(moved(seen), both_sets.slice(0, 1));
    assert.equal(seen.out, 'Got job IDs 101,102\n');
    assert.equal(
      seen.err,
      'job 101 (i1): no room on b (insufficient_resources)\n' +
        'Error: hbal: Not all jobs completed successfully: [(JobId {fromJobId = 101},JOB_STATUS_ERROR)]\nAborting.\n\n',
    );
  });

  it('SIGINT: ends well after the set that runs, and says what is left', async () => {
    const end = (id: number, world: TestWorld): EndedJob => {
      if (id === 101) world.raise('SIGINT');
      return well(id);
    };
    const seen = await run({ cluster: lopsided, end }, '-X', '--allow-restart');
    assert.equal(seen.status, 0);
    assert.deepEqual(moved(seen), both_sets.slice(0, 1));
    assert.deepEqual(seen.out.split('\n'), [
      'Got job IDs 101,102',
      'Cancel request registered, will exit at the end of the current job set...',
      ...first_set_ran,
    ]);
  });

  for (const signals of [['SIGTERM'], ['SIGINT', 'SIGINT']] as const) {
    it(`${signals.join(' and ')}: ends at once, and says which jobs go on`, async () => {
      const end = (_id: number, world: TestWorld): Promise<EndedJob> => {
        for (const signal of signals) world.raise(signal);
        return new Promise(() => undefined);
      };
      const seen = await run({ cluster: lopsided, end }, '-X', '--allow-restart');
      assert.equal(seen.status, 2);
      assert.deepEqual(moved(seen), both_sets.slice(0, 1));
      assert.match(seen.out, /Double cancel request, exiting now\.\.\.\nJobs that go on: 101,102\n$/);
      assert.equal(seen.open, 0);
    });
  }

  it('lost sight of a job: fails, and says which jobs were under way', async () => {
    const end = (): EndedJob => {
      throw new AgentError('lost sight of job 101');
    };
    const seen = await run({ cluster: lopsided, end }, '-X', '--allow-restart');
    assert.equal(seen.status, 1);
    assert.equal(seen.err, 'Error: hbal: lost sight of job 101, while these jobs were under way: 101,102\n');
  });

  it('without -L: Ganeti’s refusal, after the plan', async () => {
    const text = ['g|u|preferred||', '', 'a|16384|0|8192|9|9|8|M|u|1', 'b|16384|0|16384|9|9|8|N|u|1', ''];
    const web = names.map((at) => `web${at}|2048|0|1|running|Y|a||ext||1`);
    const world = testWorld({ read: () => [...text, ...web, '', ''].join('\n') });
    assert.equal(await runProgram(hbal, ['-t', 'file', '-X', '-q'], world), 1);
    assert.equal(world.printed.err, 'Error: hbal: Execution of commands possible only on LUXI\n');
    assert.match(world.printed.out, /Cluster score improved/);
  });
});
