/**
 * The registers that torture reads and writes: two fields of each of some instances that never run. Both live in the
 * replicated state, change by single commands, and are read by ordinary queries.
 *
 *   NAME/os   the OS parameter `v`: set without a condition
 *   NAME/tag  the one tag `vN`: replacing a tag is refused when the old one is not there, which is compare-and-set
 */
import { randomUUID } from 'node:crypto';
import type { Command } from '../../../src/config/commands.ts';
import type { OpInput } from '../../../src/config/model.ts';
import { ApiCallError } from '../../../src/node/api-client.ts';
import type { ApiMethods } from '../../../src/node/api-types.ts';
import { CliError } from '../../exit-status.ts';
import type { Lab, LabNode } from '../lab.ts';

export const initial_value = 0;

export interface Register {
  readonly name: string;
  readonly uuid: string;
}

export type QueryParams = ApiMethods['query']['params'];
export type Row = Readonly<Record<string, unknown>>;

export const osKey = (register: Register): string => `${register.name}/os`;
export const tagKey = (register: Register): string => `${register.name}/tag`;

export function writeCommand({ uuid }: Register, value: number, time: number): Command {
  return { type: 'instance-set', time, uuid, if_epoch: null, changes: { osparams: { v: String(value) } } };
}

export function casCommand({ uuid }: Register, expected: number, value: number, time: number): Command {
  return { type: 'tags', time, kind: 'instance', uuid, add: [`v${value}`], remove: [`v${expected}`] };
}

export function readParams({ name }: Register): QueryParams {
  return { resource: 'instance', names: [name], fields: ['osparams', 'tags'] };
}

/** Both registers in a row; what no client can have set is shown as it is, and the checker will not place it. */
export function valuesOf(row: Row): { readonly os: unknown; readonly tag: unknown } {
  const text = (row.osparams as { readonly v?: string } | undefined)?.v;
  const tags = row.tags as readonly string[];
  const [tag = ''] = tags;
  return {
    os: text !== undefined && /^\d+$/.test(text) ? Number(text) : (text ?? null),
    tag: tags.length === 1 && /^v\d+$/.test(tag) ? Number(tag.slice(1)) : tags,
  };
}

/** Runs jobs of one opcode each, to their ends. */
async function run(node: LabNode, ops: readonly OpInput[]): Promise<void> {
  const request_id = randomUUID();
  const { jobs } = await node.call('submit', { request_id, jobs: ops.map((op) => ({ ops: [op] })) });
  for (const id of jobs) {
    const job = await node.call('job.watch', { job: id }, { timeout_ms: 120_000, onEvent: () => undefined });
    if (job.status === 'success') continue;
    throw new CliError(
      `job ${id} ended ${job.status}: ${JSON.stringify(job.ops[0]?.result)}`,
      'skein job list',
    );
  }
}

/** Makes `count` instances through the normal way of a job, and sets their registers to {@link initial_value}. */
export async function makeRegisters(lab: Lab, count: number): Promise<readonly Register[]> {
  const [node] = lab.nodes;
  if (!node) throw new CliError('the lab has no nodes', 'skein lab down');
  const run_name = randomUUID().slice(0, 8);
  const names = Array.from({ length: count }, (_, at) => `torture-${run_name}-${at}`);
  await run(
    node,
    names.map((name, at) => ({
      OP_ID: 'OP_INSTANCE_CREATE',
      ...{ instance_name: name, mode: 'create', disk_template: 'diskless', disks: [], nics: [] },
      ...{
        pnode: lab.nodes[at % lab.nodes.length]!.name,
        beparams: { maxmem: 64, minmem: 64 },
        start: false,
      },
    })),
  );
  const { rows } = await node.call('query', { resource: 'instance', names, fields: ['name', 'uuid'] });
  const registers = rows.map((row) => ({ name: String(row.name), uuid: String(row.uuid) }));
  const time = Date.now() / 1000;
  for (const register of registers) {
    const { uuid } = register;
    const tags = {
      type: 'tags',
      time,
      kind: 'instance',
      uuid,
      add: [`v${initial_value}`],
      remove: [],
    } as const;
    for (const command of [writeCommand(register, initial_value, time), tags]) await propose(node, command);
  }
  return registers;
}

async function propose(node: LabNode, command: Command): Promise<void> {
  try {
    await node.call('test.propose', { command });
  } catch (error) {
    if (!(error instanceof ApiCallError) || !/unknown method/.test(error.message)) throw error;
    throw new CliError(
      'the lab’s agents take no commands from tests',
      'skein lab down, then SKEIN_TEST=1 skein lab up',
    );
  }
}

export async function removeRegisters(lab: Lab, registers: readonly Register[]): Promise<void> {
  const [node] = lab.nodes;
  if (!node) return;
  await run(
    node,
    registers.map(({ name }) => ({ OP_ID: 'OP_INSTANCE_REMOVE', instance_name: name })),
  );
}
