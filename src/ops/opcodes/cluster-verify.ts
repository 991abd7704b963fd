/**
 * Looks at everything and changes nothing: configuration, nodes, guests, disks, spare memory, clocks. Findings are in
 * the job's log as they are made, and in its result: `[success, findings]`, each finding Ganeti's
 * `[type, error code, object type, object name, text]`. Only findings of type ERROR make it fail.
 */

import type { RunContext } from '../op-context.ts';
import { flag, listOf, name, nullable, oneOf, only, optional, parser, text } from '../params.ts';
import { summary } from '../summary.ts';
import { type NodeVerifyReport, type Opcode, OpError } from '../types.ts';
import { cluster_shared, clusterOf } from './lookup.ts';
import {
  type Finding,
  type NodeReport,
  verifyConfiguration,
  verifyMemory,
  verifyNodes,
  verifyPolicies,
} from './verify-checks.ts';

const parse = parser({
  debug_simulate_errors: only(false),
  error_codes: optional(flag, false),
  skip_checks: optional(listOf(oneOf('nplusone_mem', 'hvparam_assessment'), 2), []),
  ignore_errors: optional(listOf(text, 100), []),
  verbose: { ...optional(flag, false), unused: true },
  group_name: nullable(name),
  verify_clutter: { ...optional(flag, false), unused: true },
});

interface VerifyParams {
  readonly error_codes: boolean;
  readonly skip_checks: readonly string[];
  /** Error codes that are reported as warnings. */
  readonly ignore_errors: readonly string[];
  readonly group_name: string | null;
}

export const clusterVerify: Opcode<VerifyParams> = {
  id: 'OP_CLUSTER_VERIFY',
  version: 1,
  parse: (input) => parse(input),
  summary: (given) => summary('OP_CLUSTER_VERIFY', given.group_name),
  locks: () => [cluster_shared],
  async run(ctx: RunContext, given) {
    const nodes = await ctx.learn('nodes', () => {
      clusterOf(ctx.state);
      const group =
        given.group_name === null
          ? null
          : ctx.state
              .list('groups')
              .find((each) => each.name === given.group_name || each.uuid === given.group_name);
      if (group === undefined)
        throw new OpError(
          'OpPrereqError',
          `there is no node group ${JSON.stringify(given.group_name)}`,
          'unknown_entity',
        );
      return ctx.state
        .list('nodes')
        .filter((node) => group === null || node.group === group.uuid)
        .map((node) => ({
          uuid: node.uuid,
          name: node.name,
          ask: !node.offline && ctx.ports.live(node.uuid) !== undefined,
        }));
    });
    const reports = await Promise.all(
      nodes.map(async ({ uuid, name, ask }): Promise<NodeReport> => {
        if (!ask) return { uuid, name, report: null, problem: 'it has not been heard of lately' };
        return { uuid, name, ...(await askNode(ctx, name, uuid)) };
      }),
    );
    const findings = await ctx.learn('findings', () => {
      const found: readonly Finding[] = [
        ...verifyConfiguration(ctx.state),
        ...verifyPolicies(ctx.state),
        ...verifyNodes(ctx.state, reports, ctx.wall()),
        ...(given.skip_checks.includes('nplusone_mem') ? [] : verifyMemory(ctx.state, reports)),
      ];
      return found.map(
        (each): Finding =>
          given.ignore_errors.includes(each[1]) ? ['WARNING', each[1], each[2], each[3], each[4]] : each,
      );
    });
    for (const finding of findings)
      await ctx.log(lineOf(finding, given.error_codes), finding[0] === 'ERROR' ? 'warning' : 'message');
    return [findings.every((finding) => finding[0] !== 'ERROR'), findings];
  },
};

/** A node that cannot answer is a finding, not the end of the check. */
async function askNode(
  ctx: RunContext,
  node_name: string,
  uuid: string,
): Promise<{ report: NodeVerifyReport | null; problem: string }> {
  try {
    const report: NodeVerifyReport | null = await ctx.step(
      `verify-${node_name}`,
      uuid,
      'node.verify',
      {},
      { tolerate_lost: true },
    );
    return { report, problem: report === null ? 'it is lost' : '' };
  } catch (error) {
    if (!(error instanceof OpError)) throw error;
    return { report: null, problem: error.message };
  }
}

/** Ganeti's two ways of writing a finding. */
function lineOf([type, code, object, object_name, what]: Finding, error_codes: boolean): string {
  return error_codes
    ? `${type}:${code}:${object}:${object_name}:${what}`
    : `${type}: ${object} ${object_name}: ${what}`;
}
