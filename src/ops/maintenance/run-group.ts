/**
 * One group of a maintenance: what runs on its nodes leaves or is stopped, they are rebooted and looked at, and all is
 * put back. Between any two steps it waits while it is held or anything in the cluster is not well.
 *
 * Whatever moves, stops or starts an instance is a job of its own, with that job's locks and checks. A step that fails
 * brakes; let go again, it is tried once more. Canceled before the reboot, it puts back what it had changed.
 */
import type { OpInput } from '../../config/model.ts';
import type { MaintenanceAction, MaintenanceStep } from '../../placement/maintenance-plan.ts';
import { runChild } from '../child-jobs.ts';
import type { RunContext } from '../op-context.ts';
import { OpError } from '../types.ts';
import { brake, cancelWanted, whileHeld } from './hold.ts';
import { type RebootRules, rebootAll, rebootBatches } from './reboots.ts';
import { lastingTrouble } from './trouble.ts';

export interface GroupRules extends RebootRules {
  /** Given to a guest to shut down. */
  readonly shutdown_timeout_s: number;
  /** Instances that went elsewhere come back when all is done. */
  readonly move_back: boolean;
}

type Outcome = 'done' | 'canceled';

/** @param nth of the group, from 1: its steps are named after it */
export async function runGroup(
  ctx: RunContext,
  nth: number,
  steps: readonly MaintenanceStep[],
  rules: GroupRules,
): Promise<Outcome> {
  const reboot_at = steps.findIndex(({ action }) => action.kind === 'reboot');
  const back_at = steps.findLastIndex(({ action }) => action.kind === 'check') + 1;
  const nodes = steps.flatMap(({ action }) => (action.kind === 'reboot' ? [action.node] : []));
  const work = new GroupWork(ctx, nth, rules);

  for (const step of steps.slice(0, reboot_at)) {
    if (await work.forward(step)) continue;
    await work.putBack(steps.slice(back_at));
    return 'canceled';
  }
  const members = await ctx.learn(`members-${nth}`, () =>
    nodes.flatMap(({ uuid }) => {
      const node = ctx.state.get('nodes', uuid);
      return node === undefined ? [] : [{ uuid, member: node.member }];
    }),
  );
  const batches = await ctx.learn(`batches-${nth}`, () => rebootBatches(members, ctx.ports.voters()));
  let stopped = false;
  for (const [at, batch] of batches.entries()) {
    stopped = !(await gate(ctx, `${nth}-reboot-${at}`));
    if (stopped) break;
    stopped = (await rebootAll(ctx, `${nth}-${at}`, batch, rules)) === 'canceled';
    if (stopped) break;
    await work.look(batch, `${nth}-look-${at}`);
  }
  await work.putBack(steps.slice(back_at));
  return stopped ? 'canceled' : 'done';
}

/** Before each step, while it is held or anything is not well. False: the job was canceled. @param name unique within the op */
export async function gate(ctx: RunContext, name: string): Promise<boolean> {
  for (let turn = 0; ; turn += 1) {
    await whileHeld(ctx);
    const found = await ctx.learn(`gate-${name}-${turn}`, async () => {
      const trouble = await lastingTrouble(ctx);
      return cancelWanted(ctx) ? 'canceled' : trouble;
    });
    if (found === null) return true;
    if (found === 'canceled') return false;
    await brake(ctx, `gate-${name}-${turn}`, found);
  }
}

class GroupWork {
  readonly #ctx: RunContext;
  readonly #nth: number;
  readonly #rules: GroupRules;
  /** uuids of nodes and instances that something was done to. */
  readonly #touched = new Set<string>();
  #steps = 0;

  constructor(ctx: RunContext, nth: number, rules: GroupRules) {
    this.#ctx = ctx;
    this.#nth = nth;
    this.#rules = rules;
  }

  /** False: the job was canceled, and this was not done. */
  async forward({ action, why }: MaintenanceStep): Promise<boolean> {
    const name = this.#next();
    if (!(await gate(this.#ctx, name))) return false;
    const op = opOf(action, this.#rules);
    if (op === null) return true;
    // What was so before stays so.
    if (await this.#ctx.learn(`is-so-${name}`, () => isSo(this.#ctx, action))) return true;
    if (why !== null) await this.#ctx.log(`${described(action)}: ${why}`);
    // Before it is tried: a job that fails may have done its first half.
    this.#touched.add(subjectOf(action));
    return this.#once(name, action, op);
  }

  /** All that {@link forward} changed is undone, as far as it can be; what cannot be is said. */
  async putBack(steps: readonly MaintenanceStep[]): Promise<void> {
    // A node that is drained takes nothing back.
    const last = (step: MaintenanceStep): number => (step.action.kind === 'undrain' ? 0 : 1);
    for (const { action } of steps.toSorted((a, b) => last(a) - last(b))) {
      const name = this.#next();
      const op = opOf(action, this.#rules);
      if (op === null || !this.#touched.has(subjectOf(action))) continue;
      const moves = action.kind === 'migrate' || action.kind === 'failover';
      if (moves && !this.#rules.move_back) continue;
      if (!(await this.#once(name, action, op)))
        await this.#ctx.log(`${described(action)} was left undone: the job was canceled`, 'warning');
    }
  }

  /** Nodes that came back are asked what they can do. */
  async look(nodes: readonly string[], name: string): Promise<void> {
    const ctx = this.#ctx;
    for (let turn = 0; ; turn += 1) {
      const problems: string[] = [];
      for (const [at, uuid] of nodes.entries()) {
        const found = await ctx.learn(
          `known-${name}-${turn}-${at}`,
          () => ctx.state.get('nodes', uuid)?.name ?? null,
        );
        if (found === null) continue;
        try {
          const report = await ctx.step(`verify-${name}-${turn}-${at}`, uuid, 'node.verify', {});
          const enabled = await ctx.learn(
            `enabled-${name}-${turn}-${at}`,
            () => ctx.state.get('cluster', 'cluster')?.enabled_hypervisors ?? [],
          );
          for (const hypervisor of enabled) {
            const able = report.hypervisors[hypervisor];
            if (!able?.available)
              problems.push(
                `node ${found}: hypervisor ${hypervisor}: ${able?.reason ?? 'is not known there'}`,
              );
          }
        } catch (error) {
          if (!(error instanceof OpError)) throw error;
          problems.push(error.message);
        }
      }
      if (problems.length === 0) return;
      await brake(ctx, `look-${name}-${turn}`, problems.join('; '));
      const given_up = await ctx.learn(`given-up-${name}-${turn}`, () => cancelWanted(ctx));
      if (given_up) return;
    }
  }

  /** Tried until it succeeds, a person's word before each new try. False: canceled instead. */
  async #once(name: string, action: MaintenanceAction, op: OpInput): Promise<boolean> {
    const ctx = this.#ctx;
    for (let attempt = 0; ; attempt += 1) {
      const again = await ctx.learn(`op-${name}-${attempt}`, () => whatIsLeft(ctx, action, op));
      if (again === null) return true;
      const { job, problem } = await runChild(ctx, `${name}-${attempt}`, again, `maintenance ${ctx.job}`);
      if (problem === null) return true;
      await brake(ctx, `${name}-${attempt}`, `${described(action)} failed (job ${job}): ${problem}`);
      const given_up = await ctx.learn(`given-up-${name}-${attempt}`, () => cancelWanted(ctx));
      if (given_up) return false;
    }
  }

  #next(): string {
    this.#steps += 1;
    return `${this.#nth}-${this.#steps}`;
  }
}

/** The uuid of what it is about. */
function subjectOf(action: MaintenanceAction): string {
  return 'instance' in action ? action.instance.uuid : action.node.uuid;
}

/** The job that does it; null: nothing is to be done by a job. */
function opOf(action: MaintenanceAction, rules: GroupRules): OpInput | null {
  switch (action.kind) {
    case 'drain':
    case 'undrain':
      return {
        OP_ID: 'OP_NODE_SET_PARAMS',
        node_name: action.node.name,
        node_uuid: action.node.uuid,
        drained: action.kind === 'drain',
      };
    case 'failover':
      return {
        OP_ID: 'OP_INSTANCE_FAILOVER',
        instance_name: action.instance.name,
        instance_uuid: action.instance.uuid,
        target_node: action.to.name,
        target_node_uuid: action.to.uuid,
        shutdown_timeout: rules.shutdown_timeout_s,
      };
    case 'stop':
      return {
        OP_ID: 'OP_INSTANCE_SHUTDOWN',
        instance_name: action.instance.name,
        instance_uuid: action.instance.uuid,
        timeout: rules.shutdown_timeout_s,
      };
    case 'start':
      return {
        OP_ID: 'OP_INSTANCE_STARTUP',
        instance_name: action.instance.name,
        instance_uuid: action.instance.uuid,
      };
    // A node that leads hands over when it goes down; it needs nobody's help.
    case 'hand-over':
    case 'reboot':
    case 'check':
      return null;
    case 'migrate':
    case 'copy':
    case 'replace-secondary':
      throw new OpError(
        'OpExecError',
        `${described(action)}: this version has no such step in a maintenance`,
        'internal_error',
      );
    default:
      return action satisfies never;
  }
}

/** There is nothing to do, and so nothing to undo: the node is drained already, the instance is not to run. */
function isSo({ state }: RunContext, action: MaintenanceAction): boolean {
  if (action.kind === 'drain') return state.get('nodes', action.node.uuid)?.drained ?? true;
  return action.kind === 'stop' && state.get('instances', action.instance.uuid)?.admin_state !== 'up';
}

/** What of an action somebody, or a job that failed half-way, has not done yet; null: nothing. */
function whatIsLeft({ state }: RunContext, action: MaintenanceAction, op: OpInput): OpInput | null {
  if (!('instance' in action)) return op;
  const { uuid, name } = action.instance;
  const instance = state.get('instances', uuid);
  if (instance === undefined) return null;
  if (action.kind !== 'failover' || instance.owner.node !== action.to.uuid) return op;
  // The new owner has it already. To start one that runs is no error.
  if (instance.admin_state !== 'up') return null;
  return { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: name, instance_uuid: uuid };
}

export function described(action: MaintenanceAction): string {
  switch (action.kind) {
    case 'migrate':
    case 'failover':
    case 'copy':
    case 'replace-secondary':
      return `${action.kind} of instance ${action.instance.name} from ${action.from.name} to ${action.to.name}`;
    case 'stop':
    case 'start':
      return `${action.kind} of instance ${action.instance.name} on ${action.node.name}`;
    default:
      return `${action.kind} of node ${action.node.name}`;
  }
}
