/**
 * Checks what the agent sent before anything trusts it. By hand, since the keeper must stay small. A bad line changes
 * nothing and is named in the answer.
 */
import type { MasterIpParams, ProcessSpec } from '../../drivers/types.ts';
import type { KeeperInput } from './protocol-more.ts';

export type ParsedInput =
  | { readonly ok: true; readonly input: KeeperInput }
  /** `id`: whom to answer; null when the line asks for no answer. */
  | { readonly ok: false; readonly id: number | null; readonly error: string };

type Fields = Record<string, unknown>;

class BadField extends Error {}

export function parseKeeperInput(line: Fields): ParsedInput {
  try {
    return { ok: true, input: parse(line) };
  } catch (error) {
    if (!(error instanceof BadField)) throw error;
    return {
      ok: false,
      id: typeof line.id === 'number' ? line.id : null,
      error: `${String(line.type)}: ${error.message}`,
    };
  }
}

function parse(line: Fields): KeeperInput {
  switch (line.type) {
    case 'hello':
      return { type: 'hello', v: number(line, 'v'), pid: number(line, 'pid') };
    case 'lease':
      return {
        type: 'lease',
        deadline_ms: number(line, 'deadline_ms'),
        guard_slack_ms: number(line, 'guard_slack_ms'),
        reset: boolean(line, 'reset'),
      };
    case 'master':
      return { type: 'master', deadline_ms: number(line, 'deadline_ms'), params: masterParams(line.params) };
    case 'spawn':
      return { type: 'spawn', id: number(line, 'id'), spec: processSpec(line.spec) };
    case 'kill':
      return {
        type: 'kill',
        id: number(line, 'id'),
        name: string(line, 'name'),
        timeout_ms: number(line, 'timeout_ms'),
      };
    case 'list':
    case 'sync':
      return { type: line.type, id: number(line, 'id') };
    case 'paused':
      return { type: 'paused', name: string(line, 'name'), proven: boolean(line, 'proven') };
    case 'beat':
      return { type: 'beat' };
    default:
      throw new BadField('unknown type');
  }
}

function masterParams(value: unknown): MasterIpParams | null {
  if (value === null) return null;
  const fields = object(value, 'params');
  const family = number(fields, 'family');
  if (family !== 4 && family !== 6) throw new BadField(`family is ${family}, expected 4 or 6`);
  return {
    netdev: string(fields, 'netdev'),
    ip: string(fields, 'ip'),
    netmask: number(fields, 'netmask'),
    family,
    script: string(fields, 'script'),
  };
}

function processSpec(value: unknown): ProcessSpec {
  const fields = object(value, 'spec');
  const argv = fields.argv;
  if (
    !Array.isArray(argv) ||
    argv.length === 0 ||
    !argv.every((word) => typeof word === 'string' && !word.includes('\0'))
  ) {
    throw new BadField(`argv is ${JSON.stringify(argv)}, expected a list of words`);
  }
  const env: Record<string, string> = {};
  for (const [key, word] of Object.entries(object(fields.env, 'env'))) {
    if (typeof word !== 'string')
      throw new BadField(`env.${key} is ${JSON.stringify(word)}, expected a string`);
    env[key] = word;
  }
  const name = string(fields, 'name');
  if (name === '') throw new BadField(`name is '', expected one`);
  return {
    name,
    tag: string(fields, 'tag'),
    argv: argv as string[],
    env,
    cwd: string(fields, 'cwd'),
    log_file: string(fields, 'log_file'),
    protected: boolean(fields, 'protected'),
  };
}

function object(value: unknown, key: string): Fields {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new BadField(`${key} is ${JSON.stringify(value)}, expected an object`);
  }
  return value as Fields;
}

/** Every number of this protocol is a time, an id or a size: finite and not negative. */
function number(fields: Fields, key: string): number {
  const value = fields[key];
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new BadField(`${key} is ${JSON.stringify(value)}, expected a number from 0`);
  }
  return value;
}

function string(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value !== 'string') throw new BadField(`${key} is ${JSON.stringify(value)}, expected a string`);
  return value;
}

function boolean(fields: Fields, key: string): boolean {
  const value = fields[key];
  if (typeof value !== 'boolean')
    throw new BadField(`${key} is ${JSON.stringify(value)}, expected true or false`);
  return value;
}
