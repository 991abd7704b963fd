/**
 * Runs a job again and again with the leader's agent dying at another entry of it each time, and compares what is left
 * with an undisturbed run of the same job.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Job, OpInput } from '../../src/config/model.ts';
import type { CrashMoment } from '../../src/node/crash-point.ts';
import type { Cast, Scenario } from './jobs-scenarios.ts';
import { agentOf, assertLooksLike, mustSucceed, nextJob, observe } from './jobs-support.ts';
import { type Lab, leaderOf, othersThan, rows, sameState, submit, waitForJob, waitUntil } from './support.ts';

const moments: readonly CrashMoment[] = ['before', 'during', 'after'];

interface Stage extends Cast {
  readonly leader: string;
  /** A node that does not lead, to ask. */
  readonly via: string;
}

export interface CrashPlan {
  /** Chooses the moment of each entry, and on whose side the guest is. */
  readonly seed: number;
  /** All three moments of each entry. */
  readonly thorough: boolean;
}

export interface CrashRuns {
  everyEntry(t: TestContext, scenario: Scenario, plan: CrashPlan): Promise<void>;
}

export function createCrashRuns(lab: Lab): CrashRuns {
  async function stage(on_leader: boolean): Promise<Stage> {
    await sameState(lab);
    const leader = await leaderOf(lab);
    const [first, second] = othersThan(lab, leader) as [string, string];
    return on_leader
      ? { leader, via: second, home: leader, target: first }
      : { leader, via: second, home: first, target: leader };
  }

  /** What a lab looks like, with this stage's names for its nodes. */
  const named = (lines: readonly string[], cast: Cast): readonly string[] =>
    lines
      .map((line) => line.replaceAll(`@${cast.home}`, '@home').replaceAll(`@${cast.target}`, '@target'))
      .map((line) => line.replaceAll(`/nodes/${cast.home}`, '/nodes/home'))
      .map((line) => line.replaceAll(/@n\d/g, '@other'))
      .sort();

  async function restore(): Promise<void> {
    const { via } = await stage(false);
    const ops: OpInput[] = [];
    for (const row of await rows(lab, via, 'instance'))
      ops.push({ OP_ID: 'OP_INSTANCE_REMOVE', instance_name: row.name, shutdown_timeout: 1 });
    for (const row of await rows(lab, via, 'tag')) {
      if (row.kind === 'instance') continue;
      ops.push({ OP_ID: 'OP_TAGS_DEL', kind: row.kind, name: row.name, tags: [row.tag] });
    }
    for (const row of await rows(lab, via, 'node'))
      if (row.drained === true)
        ops.push({
          OP_ID: 'OP_NODE_SET_PARAMS',
          node_name: row.name,
          drained: false,
          master_candidate: true,
        });
    const [cluster] = await rows(lab, via, 'cluster');
    if (cluster?.max_running_jobs !== 20) ops.push({ OP_ID: 'OP_CLUSTER_SET_PARAMS', max_running_jobs: 20 });
    await mustSucceed(lab, via, ops);
  }

  interface Run {
    readonly job: Job;
    readonly cast: Stage;
    readonly seen: readonly string[];
  }

  /** One job with the leader armed; null when the leader that was armed did not lead any more. */
  async function run(
    scenario: Scenario,
    entry: number | null,
    moment: CrashMoment,
    on_leader: boolean,
  ): Promise<Run | null> {
    const cast = await stage(on_leader);
    await mustSucceed(lab, cast.via, scenario.prepare?.(cast) ?? []);
    await sameState(lab);
    const id = await nextJob(lab, cast.via);
    const pid = agentOf(lab, cast.leader);
    await lab.node(cast.leader).call('test.crash', { job: id, entry, moment });
    const [got] = await submit(lab, cast.via, [{ ops: scenario.ops(cast) }]);
    assert.equal(got, id);
    const job = await waitForJob(lab, cast.via, id);
    const died = agentOf(lab, cast.leader) !== pid;
    if (entry === null) {
      assert.ok(!died);
      const { seen } = await lab
        .node(cast.leader)
        .call('test.crash', { job: 1_000_000, entry: null, moment: 'before' });
      return seen.length === 0 ? null : { job, cast, seen };
    }
    // The agent's death is the point: it is seen as another process, sooner or later.
    if (!died) {
      const late = await waitUntil(
        () => agentOf(lab, cast.leader) !== pid,
        `${cast.leader} to die at entry ${entry}`,
        5_000,
      ).catch(() => false);
      if (!late) return null;
    }
    return { job, cast, seen: [] };
  }

  async function retried(attempt: () => Promise<Run | null>): Promise<Run> {
    for (let tries = 1; tries <= 3; tries++) {
      const done = await attempt();
      if (done) return done;
      await restore();
    }
    throw new Error('the armed leader lost its lead three times: nothing was tested');
  }

  /** The guest's own count of resets apart. */
  const withoutResets = (lines: readonly string[]): readonly string[] =>
    lines.map((line) => line.replace(/resets [12]$/, 'resets'));

  return {
    async everyEntry(t, scenario, plan) {
      const whole = await retried(() => run(scenario, null, 'before', false));
      assert.equal(whole.job.status, 'success', JSON.stringify(whole.job.ops.map((op) => op.result)));
      await sameState(lab);
      const expected = named(await observe(lab, whole.cast.via), whole.cast);
      t.diagnostic(`${whole.seen.length} entries: ${whole.seen.join(', ')}`);
      await restore();
      const view = (lines: readonly string[]) => (scenario.may_repeat ? withoutResets(lines) : lines);
      const resultsOf = ({ job, cast }: Run): string =>
        JSON.stringify(job.ops.map((op) => op.result))
          .replaceAll(cast.home, 'HOME')
          .replaceAll(cast.target, 'TARGET');

      for (const [entry, label] of whole.seen.entries()) {
        const rotating = moments[(entry + plan.seed) % moments.length] as CrashMoment;
        for (const moment of plan.thorough ? moments : [rotating]) {
          const on_leader = (entry + plan.seed) % 2 === 0;
          const context = `${scenario.name}: leader dies ${moment} entry ${entry} (${label}), ${on_leader ? 'on' : 'off'} the guest's node`;
          const done = await retried(() => run(scenario, entry, moment, on_leader));
          await sameState(lab);
          assert.equal(done.job.status, 'success', `${context}: ${resultsOf(done)}`);
          const same = (lines: readonly string[]) =>
            JSON.stringify(view(named(lines, done.cast))) === JSON.stringify(view(expected));
          await assertLooksLike(lab, done.cast.via, same, expected, context);
          if (!scenario.varying_result) assert.equal(resultsOf(done), resultsOf(whole), context);
          await restore();
        }
      }
    },
  };
}
