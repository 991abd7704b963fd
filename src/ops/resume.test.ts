import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpInput } from '../config/model.ts';
import {
  createFakeWorld,
  type FakeWorld,
  type Hooks,
  leftovers,
  node_uuid,
  type ProposalFate,
} from './fake-world.ts';
import { opcodes } from './opcodes/registry.ts';
import { ended, lead, settle } from './test-harness.ts';
import { type JobEngine, NodeCallError } from './types.ts';

interface Scenario {
  readonly name: string;
  readonly op: OpInput;
  readonly nodes?: number;
  readonly prepare?: (world: FakeWorld) => void;
  /** Checked when the job ended as success. */
  readonly check: (world: FakeWorld) => void;
  /** The cluster and so the job are gone afterwards. */
  readonly ends_cluster?: true;
}

const web = (world: FakeWorld) => world.state.list('instances').find((instance) => instance.name === 'web');
const runsOn = (world: FakeWorld) =>
  [...world.nodes].filter(([, node]) => node.guests.has('web')).map(([uuid]) => uuid);
const withWeb =
  (options: Parameters<FakeWorld['addInstance']>[1] = {}) =>
  (world: FakeWorld) => {
    world.addInstance('web', options);
  };
const loseNode1 = (world: FakeWorld) => {
  world.addInstance('web');
  world.evidence.set(node_uuid(1), { kind: 'horizon', text: 'silent for T' });
  world.nodes.get(node_uuid(1))!.guests.clear();
  // The disk is on shared storage.
  world.nodes.get(node_uuid(2))!.disks.add('disk-web');
};
const create: OpInput = {
  OP_ID: 'OP_INSTANCE_CREATE',
  instance_name: 'web',
  mode: 'create',
  disk_template: 'sharedfile',
  os_type: 'noop',
  disks: [{ size: 128 }, { size: '1g' }],
  nics: [{}],
  pnode: 'n2',
}; // prettier-ignore

/** One representative job of every opcode that does anything. */
const scenarios: readonly Scenario[] = [
  {
    name: 'create',
    op: create,
    check: (w) => {
      assert.equal(web(w)?.admin_state, 'up');
      assert.deepEqual(runsOn(w), [node_uuid(2)]);
      assert.equal(w.nodes.get(node_uuid(2))!.disks.size, 2);
    },
  },
  {
    name: 'startup',
    op: { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'web' },
    prepare: withWeb({ up: false }),
    check: (w) => assert.deepEqual(runsOn(w), [node_uuid(1)]),
  },
  {
    name: 'startup after the node rebooted',
    op: { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'inst-web' },
    prepare: (w) => {
      w.addInstance('web', { up: false });
      w.apply({ type: 'node-boot', time: 1, uuid: node_uuid(1), boot: 2 });
    },
    check: (w) => assert.deepEqual(web(w)?.owner, { node: node_uuid(1), boot: 2, epoch: 2 }),
  },
  {
    name: 'shutdown',
    op: { OP_ID: 'OP_INSTANCE_SHUTDOWN', instance_name: 'web' },
    prepare: withWeb(),
    check: (w) => assert.deepEqual([web(w)?.admin_state, runsOn(w)], ['down', []]),
  },
  {
    name: 'reboot',
    op: { OP_ID: 'OP_INSTANCE_REBOOT', instance_name: 'web', reboot_type: 'hard' },
    prepare: withWeb(),
    check: (w) => assert.equal(w.calls.at(-1)?.verb, 'instance.reset'),
  },
  {
    name: 'full reboot',
    op: { OP_ID: 'OP_INSTANCE_REBOOT', instance_name: 'web', reboot_type: 'full' },
    prepare: withWeb(),
    check: (w) => assert.deepEqual(runsOn(w), [node_uuid(1)]),
  },
  {
    name: 'remove',
    op: { OP_ID: 'OP_INSTANCE_REMOVE', instance_name: 'web' },
    prepare: withWeb(),
    check: (w) => assert.deepEqual([web(w), runsOn(w)], [undefined, []]),
  },
  {
    name: 'failover',
    op: { OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: 'web', target_node: 'n3' },
    prepare: withWeb(),
    check: (w) => {
      assert.deepEqual(runsOn(w), [node_uuid(3)]);
      assert.equal(web(w)?.owner_log.at(-1)?.evidence.kind, 'stopped');
      assert.equal(web(w)?.owner.epoch, 2);
    },
  },
  {
    name: 'failover of a lost node',
    op: { OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: 'web', skein_repair: true },
    prepare: loseNode1,
    check: (w) => {
      assert.equal(runsOn(w).length, 1);
      assert.notEqual(runsOn(w)[0], node_uuid(1));
      assert.equal(web(w)?.owner_log.at(-1)?.evidence.kind, 'horizon');
      assert.equal(web(w)?.owner.epoch, 2);
    },
  },
  {
    name: 'shutdown on a lost node',
    op: { OP_ID: 'OP_INSTANCE_SHUTDOWN', instance_name: 'web' },
    prepare: loseNode1,
    check: (w) => {
      const { node, epoch } = web(w)!.owner;
      assert.deepEqual([web(w)?.admin_state, node, epoch], ['down', node_uuid(1), 2]);
      assert.deepEqual(runsOn(w), [], 'the node ends the guest of the old epoch when it is back');
    },
  },
  {
    name: 'shutdown on a node that an operator says is off',
    op: { OP_ID: 'OP_INSTANCE_SHUTDOWN', instance_name: 'web' },
    prepare: (w) => {
      loseNode1(w);
      w.evidence.set(node_uuid(1), { kind: 'word', text: 'off' });
    },
    check: (w) => assert.equal(web(w)?.owner_log.at(-1)?.evidence.kind, 'word'),
  },
  {
    name: 'modify',
    op: { OP_ID: 'OP_INSTANCE_SET_PARAMS', instance_name: 'web', beparams: { memory: '256m', vcpus: 2 } },
    prepare: withWeb(),
    check: (w) => assert.deepEqual(web(w)?.beparams, { maxmem: 256, minmem: 256, vcpus: 2 }),
  },
  {
    name: 'group modify',
    op: {
      OP_ID: 'OP_GROUP_SET_PARAMS',
      group_name: 'default',
      alloc_policy: 'last_resort',
      ipolicy: { 'vcpu-ratio': 2 },
    },
    check: (w) => {
      const [group] = w.state.list('groups');
      assert.deepEqual([group?.alloc_policy, group?.ipolicy], ['last_resort', { 'vcpu-ratio': 2 }]);
    },
  },
  {
    name: 'cluster modify',
    op: {
      OP_ID: 'OP_CLUSTER_SET_PARAMS',
      max_running_jobs: 7,
      beparams: { vcpus: 3 },
      ha: { autorepair: 'off' },
      balancing: { moves_per_hour: 2 },
    },
    check: (w) =>
      assert.deepEqual(
        [
          w.state.list('cluster')[0]!.max_running_jobs,
          w.state.list('cluster')[0]!.ha.autorepair,
          w.state.list('cluster')[0]!.balancing?.moves_per_hour,
        ],
        [7, 'off', 2],
      ),
  },
  {
    name: 'cluster verify',
    op: { OP_ID: 'OP_CLUSTER_VERIFY' },
    prepare: withWeb(),
    check: (w) => assert.deepEqual(w.job(1).ops[0]!.result, [true, []]),
  },
  {
    name: 'cluster destroy',
    op: { OP_ID: 'OP_CLUSTER_DESTROY' },
    nodes: 1,
    check: () => undefined,
    ends_cluster: true,
  },
  {
    name: 'node modify',
    op: { OP_ID: 'OP_NODE_SET_PARAMS', node_name: 'n3', drained: true },
    check: (w) => assert.equal(w.state.get('nodes', node_uuid(3))!.drained, true),
  },
  {
    name: 'node remove',
    op: { OP_ID: 'OP_NODE_REMOVE', node_name: 'n3' },
    check: (w) => assert.deepEqual([w.state.get('nodes', node_uuid(3)), w.removed_members], [undefined, [3]]),
  },
  {
    name: 'tags set',
    op: { OP_ID: 'OP_TAGS_SET', kind: 'node', name: 'n1', tags: ['a', 'b'] },
    check: (w) => assert.deepEqual(w.state.get('nodes', node_uuid(1))!.tags, ['a', 'b']),
  },
  {
    name: 'tags del',
    op: { OP_ID: 'OP_TAGS_DEL', kind: 'cluster', tags: ['x'] },
    prepare: (w) =>
      w.apply({ type: 'tags', time: 1, kind: 'cluster', uuid: '', add: ['x', 'y'], remove: [] }),
    check: (w) => assert.deepEqual(w.state.list('cluster')[0]!.tags, ['y']),
  },
  {
    name: 'tags get',
    op: { OP_ID: 'OP_TAGS_GET', kind: 'cluster' },
    check: (w) => assert.deepEqual(w.job(1).ops[0]!.result, []),
  },
  {
    name: 'maintenance of a node',
    op: { OP_ID: 'OP_MAINTENANCE_RUN', nodes: ['n1'] },
    prepare: (w) => {
      w.addInstance('web', { template: 'sharedfile' });
      w.addInstance('db', { template: 'file' });
    },
    check: (w) => {
      const { boot, drained } = w.state.get('nodes', node_uuid(1))!;
      assert.deepEqual([boot, drained], [2, false]);
      assert.deepEqual(
        [...w.nodes].map(([, node]) => [...node.guests.keys()].sort()),
        [['db', 'web'], [], []],
      );
    },
  },
  {
    name: 'balancing with two moves',
    op: { OP_ID: 'OP_BALANCE_RUN', allow_restart: true },
    prepare: (w) => {
      w.addInstance('web', { template: 'sharedfile' });
      w.addInstance('db', { template: 'sharedfile' });
    },
    check: (w) =>
      assert.deepEqual(
        [...w.nodes].map(([, node]) => [...node.guests.keys()].sort()),
        [[], ['db', 'web'], []],
      ),
  },
  {
    name: 'evacuation of a node with three moves',
    op: { OP_ID: 'OP_NODE_EVACUATE', node_name: 'n1', mode: 'all', allow_restart: true },
    prepare: (w) => {
      w.addInstance('web', { template: 'sharedfile' });
      w.addInstance('db', { template: 'sharedfile' });
      w.addInstance('idle', { template: 'diskless', up: false });
      w.addInstance('other', { template: 'file', node: node_uuid(2) });
    },
    check: (w) => {
      const owners = w.state.list('instances').map(({ name, owner }) => [name, owner.node] as const);
      assert.ok(
        owners.every(([, node]) => node !== node_uuid(1)),
        JSON.stringify(owners),
      );
      const running = [...w.nodes].flatMap(([, node]) => [...node.guests.keys()]).sort();
      assert.deepEqual(running, ['db', 'other', 'web']);
    },
  },
  {
    name: 'delay',
    op: { OP_ID: 'OP_TEST_DELAY', duration: 0.1, on_nodes: ['n1', 'n2'], repeat: 2 },
    check: (w) => assert.equal(new Set(w.calls.map((call) => JSON.stringify(call.key))).size, 4),
  },
]; // prettier-ignore

function setUp(scenario: Scenario): FakeWorld {
  const world = createFakeWorld(scenario.nodes ?? 3);
  scenario.prepare?.(world);
  return world;
}

function assertOutcome(world: FakeWorld, scenario: Scenario, id: number, context: string): void {
  if (scenario.ends_cluster) {
    assert.equal(world.state.count('cluster'), 0, context);
    return;
  }
  const job = world.job(id);
  assert.equal(job.status, 'success', `${context}: ${JSON.stringify(job.ops[0]!.result)}`);
  scenario.check(world);
  assert.deepEqual(leftovers(world), [], context);
}

/** Runs once without a fault and counts the points at which one can be put. */
async function countPoints(scenario: Scenario): Promise<{ proposals: number; calls: number }> {
  const world = setUp(scenario);
  const engine = lead(world, 1);
  const [id] = world.submit([scenario.op]);
  await settle(world, () => ended(world, id!));
  assertOutcome(world, scenario, id!, `${scenario.name}, no fault`);
  engine.stop();
  return { proposals: world.proposals.length, calls: world.calls.length };
}

for (const scenario of scenarios) {
  test(`${scenario.name}: every leader death is survived`, async () => {
    const points = await countPoints(scenario);
    for (let at = 0; at < points.proposals; at++) {
      for (const fate of ['lose', 'apply-then-lose'] satisfies ProposalFate[]) {
        const context = `${scenario.name}, ${fate} at proposal ${at}`;
        const world = setUp(scenario);
        let dead = false;
        const first = lead(world, 1, {
          proposal: (_command, count) => {
            if (dead) assert.fail(`${context}: a proposal left after the end of the term`);
            if (count < at) return 'apply';
            dead = true;
            return fate;
          },
        });
        const [id] = world.submit([scenario.op]);
        await settle(world, () => dead || ended(world, id!));
        first.stop();
        const second = lead(world, 2);
        await settle(world, () => ended(world, id!));
        assertOutcome(world, scenario, id!, context);
        second.stop();
      }
    }
    for (let at = 0; at < points.calls; at++) {
      const context = `${scenario.name}, leader dies in call ${at}`;
      const world = setUp(scenario);
      let dead = false;
      let first: JobEngine | null = null;
      first = lead(world, 1, {
        proposal: () => (dead ? assert.fail(`${context}: a proposal left after stop()`) : 'apply'),
        call: (_call, count) => {
          if (count !== at) return;
          dead = true;
          first!.stop();
        },
      });
      const [id] = world.submit([scenario.op]);
      await settle(world, () => dead);
      const second = lead(world, 2);
      await settle(world, () => ended(world, id!));
      assertOutcome(world, scenario, id!, context);
      second.stop();
    }
  });

  test(`${scenario.name}: cancellation at every point leaves all or nothing`, async () => {
    const points = await countPoints(scenario);
    for (let at = 0; at < points.proposals; at++) {
      const context = `${scenario.name}, canceled after proposal ${at}`;
      const world = setUp(scenario);
      let id = 0;
      const engine = lead(world, 1, {
        proposal: (_command, count) => {
          if (count === at && id > 0 && !ended(world, id))
            world.apply({ type: 'job-cancel', time: 2, job: id });
          return 'apply';
        },
      });
      id = world.submit([scenario.op])[0]!;
      await settle(world, () => ended(world, id));
      if (scenario.ends_cluster && world.state.count('cluster') === 0) continue;
      const job = world.job(id);
      assert.ok(
        job.status === 'success' || job.status === 'canceled',
        `${context}: ${job.status} ${JSON.stringify(job.ops[0]!.result)}`,
      );
      if (job.status === 'success') scenario.check(world);
      assert.deepEqual(leftovers(world), [], context);
      engine.stop();
    }
  });
}

test('every opcode but node add has a scenario', () => {
  const covered = new Set(scenarios.map((scenario) => scenario.op.OP_ID));
  const missing = [...opcodes.keys()].filter((id) => !covered.has(id) && id !== 'OP_NODE_ADD');
  assert.deepEqual(missing, []);
});

test('a create that fails at any step is undone, also by a leader that takes over in the undo', async () => {
  const points = await countPoints(scenarios[0]!);
  for (let at = 0; at < points.calls; at++) {
    const failing: Hooks['call'] = (call) => {
      if (!call.key.undo && call.key.step === failing_step)
        throw new NodeCallError('failed', 'no space left');
    };
    let failing_step = -1;
    const probe = createFakeWorld();
    let seen = 0;
    const first_probe = lead(probe, 1, {
      call: (call) => {
        if (seen++ === at) failing_step = call.key.step;
      },
    });
    const [probed] = probe.submit([create]);
    await settle(probe, () => ended(probe, probed!));
    first_probe.stop();

    const whole = createFakeWorld();
    const engine = lead(whole, 1, { call: failing });
    const [id] = whole.submit([create]);
    await settle(whole, () => ended(whole, id!));
    engine.stop();
    assert.equal(whole.job(id!).status, 'error');
    assert.match(JSON.stringify(whole.job(id!).ops[0]!.result), /no space left/);
    assert.deepEqual(leftovers(whole), [], `failed at call ${at}`);
    assert.equal(whole.state.count('instances'), 0);

    const total = whole.proposals.length;
    for (let cut = 0; cut < total; cut++) {
      const world = createFakeWorld();
      let dead = false;
      const first = lead(world, 1, {
        call: failing,
        proposal: (_command, count) => {
          if (count < cut) return 'apply';
          dead = true;
          return 'lose';
        },
      });
      const [cut_id] = world.submit([create]);
      await settle(world, () => dead || ended(world, cut_id!));
      first.stop();
      const second = lead(world, 2, { call: failing });
      await settle(world, () => ended(world, cut_id!));
      second.stop();
      assert.equal(world.job(cut_id!).status, 'error', `failed at call ${at}, cut at ${cut}`);
      assert.match(JSON.stringify(world.job(cut_id!).ops[0]!.result), /no space left/);
      assert.deepEqual(leftovers(world), [], `failed at call ${at}, cut at ${cut}`);
      assert.equal(world.state.count('instances'), 0);
    }
  }
});

test("a new leader does not act on an earlier one's evidence: the node came back", async () => {
  const world = createFakeWorld();
  loseNode1(world);
  let dead = false;
  const first = lead(world, 1, {
    proposal: (command) => {
      if (command.type !== 'step-end' || command.begin?.name !== 'owner') return 'apply';
      assert.equal(world.barred.get(node_uuid(1)), 1, 'barred before the proposal');
      dead = true;
      return 'lose';
    },
  });
  const [id] = world.submit([{ OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: 'web' }]);
  await settle(world, () => dead);
  first.stop();
  assert.equal(world.barred.get(node_uuid(1)), 1, 'the bar outlives a proposal of unknown outcome');
  // It lives, and its guest runs on.
  world.evidence.delete(node_uuid(1));
  world.nodes.get(node_uuid(1))!.guests.set('web', 1);
  const second = lead(world, 2);
  await settle(world, () => ended(world, id!));
  second.stop();
  assert.equal(world.job(id!).status, 'error');
  assert.deepEqual(runsOn(world), [node_uuid(1)]);
  assert.equal(web(world)?.owner.epoch, 1);
  assert.equal(world.barred.size, 0);
});
