/** The cluster's own balancing: when it acts, and above all when it does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { default_balancing } from '../config/defaults.ts';
import type { Balancing } from '../config/model.ts';
import type { BalancePlan } from '../placement/balance-plan.ts';
import { createBalancer, request_prefix } from './balancer.ts';
import { createFakeWorld, type FakeWorld, type Hooks, node_uuid } from './fake-world.ts';
import { lead } from './test-harness.ts';
import { NodeCallError, type OpsPorts } from './types.ts';

const hour_ms = 3_600_000;
const slot_ms = hour_ms / 6;
/** From where the world's clock begins to where a slot does. */
const to_slot_ms = 200_000;

/** Restarts are allowed: nothing else moves what runs. */
const settings: Balancing = { ...default_balancing, moves_per_hour: 6, allow_restart: true };

/** All on the first node. */
function lopsided(instances: number, balancing: Balancing | null): FakeWorld {
  const world = createFakeWorld(3);
  for (let nth = 0; nth < instances; nth += 1) world.addInstance(`i${nth}`);
  set(world, balancing);
  return world;
}

function set(world: FakeWorld, balancing: Balancing | null): void {
  world.apply({ type: 'cluster-set', time: 1, changes: { balancing } });
}

/** With what is asked for put in place of what there is to gain, if given. */
function balancing(world: FakeWorld, gain: (() => number) | null = null) {
  const ports = world.ports();
  const placement: OpsPorts['placement'] = {
    ...ports.placement,
    async report(ask) {
      if (gain === null) return ports.placement.report(ask);
      const plan: BalancePlan = {
        groups: [
          { group: world.state.list('groups')[0]!, before: 1, after: 1 - gain(), moves: [], not_worth: 0 },
        ],
      };
      return plan as never;
    },
  };
  return createBalancer({ ...ports, placement });
}

async function pass(world: FakeWorld, ms: number): Promise<void> {
  for (let passed_ms = 0; passed_ms < ms; passed_ms += 5_000) {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    world.advance(5_000);
  }
}

const own = (world: FakeWorld) =>
  world.state.list('jobs').filter((job) => job.request_id.startsWith(request_prefix));
const gone = (world: FakeWorld) =>
  world.state.list('instances').filter(({ owner }) => owner.node !== node_uuid(1)).length;

describe('the cluster balances itself', () => {
  it('with no more moves an hour than it may, even where two think that they lead', async () => {
    const world = lopsided(12, settings);
    lead(world, 2);
    const both = [balancing(world), balancing(world)];
    await pass(world, hour_ms);
    const jobs = own(world);
    assert.ok(jobs.length >= 5 && jobs.length <= 7, `${jobs.length} jobs in an hour of six slots`);
    assert.equal(gone(world), jobs.filter(({ status }) => status === 'success').length);
    for (const each of both) each.stop();
    await pass(world, hour_ms);
    assert.equal(own(world).length, jobs.length, 'who leads no more does nothing');
  });

  it('not at all unless it is told to, and not any more once it is told to stop', async () => {
    const world = lopsided(12, null);
    lead(world, 2);
    const balancer = balancing(world);
    await pass(world, hour_ms + to_slot_ms);
    assert.equal(own(world).length, 0);
    set(world, settings);
    balancer.wake();
    await pass(world, slot_ms);
    assert.equal(own(world).length, 1);
    set(world, null);
    balancer.wake();
    await pass(world, hour_ms);
    assert.equal(own(world).length, 1);
  });

  it('begins when there is much to gain, and goes on while there is anything', async () => {
    const world = lopsided(12, settings);
    lead(world, 2);
    let gain = 0.05;
    balancing(world, () => gain);
    await pass(world, hour_ms + to_slot_ms);
    assert.equal(own(world).length, 0, 'too little to begin with');
    gain = 0.2;
    await pass(world, slot_ms);
    assert.equal(own(world).length, 1);
    gain = 0.05;
    await pass(world, 2 * slot_ms);
    assert.equal(own(world).length, 3, 'begun, it goes on');
    gain = 0;
    await pass(world, hour_ms);
    gain = 0.05;
    await pass(world, hour_ms);
    assert.equal(own(world).length, 3, 'ended, it waits for much again');
  });

  it('not while a node is not heard, nor beside a maintenance', async () => {
    const world = lopsided(12, settings);
    lead(world, 2);
    balancing(world);
    world.silent.add(node_uuid(3));
    await pass(world, hour_ms);
    assert.equal(own(world).length, 0);
    world.silent.clear();
    const [maintenance] = world.submit([{ OP_ID: 'OP_MAINTENANCE_RUN' }]);
    world.stuck.add(node_uuid(1));
    await pass(world, 2 * slot_ms);
    assert.equal(world.job(maintenance!).end_timestamp, null);
    assert.equal(own(world).length, 0);
  });

  it('waits longer after each of its moves that failed', async () => {
    const world = lopsided(12, settings);
    const hooks: Hooks = {
      call: ({ verb }) => {
        if (verb === 'instance.stop') throw new NodeCallError('failed', 'it does not stop');
      },
    };
    lead(world, 2, hooks);
    balancing(world);
    await pass(world, 24 * hour_ms);
    const jobs = own(world);
    assert.ok(jobs.length >= 4 && jobs.length <= 8, `${jobs.length} jobs in a day of 144 slots`);
    assert.ok(jobs.every(({ status }) => status === 'error'));
  });

  it('is not held up by what a leader with a clock far ahead had done', async () => {
    const world = lopsided(12, settings);
    const hooks: Hooks = {
      call: ({ verb }) => {
        if (verb === 'instance.stop') throw new NodeCallError('failed', 'it does not stop');
      },
    };
    lead(world, 2, hooks);
    const ops = [{ OP_ID: 'OP_BALANCE_RUN', max_moves: 1, allow_restart: true }];
    world.apply({
      type: 'job-submit',
      time: 9_000_000_000,
      request_id: `${request_prefix}600s-15000000`,
      jobs: [{ ops, priority: 10, depends: [], reason: [] }],
    });
    balancing(world);
    await pass(world, 2 * slot_ms);
    assert.equal(own(world)[0]!.status, 'error');
    assert.ok(own(world).length > 1);
  });

  it('does not act on a plan that was made for other parameters', async () => {
    const world = lopsided(12, settings);
    lead(world, 2);
    let asked = 0;
    balancing(world, () => {
      asked += 1;
      set(world, { ...settings, start_gain: 0.5 });
      return 0.2;
    });
    await pass(world, hour_ms);
    assert.ok(asked >= 2);
    assert.equal(own(world).length, 0);
  });
});
