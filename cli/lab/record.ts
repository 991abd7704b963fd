/**
 * What a lab has written down: `lab.json` (what it is, written before anything is made) and `nI/host.json` (in which
 * state one host is). One file a host, so that two commands for two hosts do not overwrite each other.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CliError } from '../exit-status.ts';
import type { NodeLayout } from './layout.ts';
import type { ProcessId } from './proc.ts';

export interface LabRecord {
  readonly version: 1;
  readonly dir: string;
  readonly hash: string;
  readonly namespaces: boolean;
  readonly hypervisor: 'kvm' | 'fake';
  readonly lease: 'scaled' | 'default';
  readonly master_ip: string;
  /** null without namespaces: a host that is no member, for clients. */
  readonly client: { readonly namespace: string; readonly address: string } | null;
  readonly nodes: readonly NodeLayout[];
}

export type Cut = 'none' | 'both' | 'in' | 'out';

export interface HostState {
  readonly power: 'on' | 'off';
  readonly keeper: ProcessId | null;
  readonly cut: Cut;
  readonly frozen: boolean;
  /** The kernel's boot id when its keeper was started: after a reboot of the machine nothing of it is left. */
  readonly machine_boot_id: string;
}

export const fresh_state: HostState = {
  power: 'on',
  keeper: null,
  cut: 'none',
  frozen: false,
  machine_boot_id: '',
};

function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(4).toString('hex')}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, path);
}

export function machineBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

export function saveRecord(record: LabRecord): void {
  writeWhole(join(record.dir, 'lab.json'), `${JSON.stringify(record, null, 2)}\n`);
}

/** null: there is no lab in that directory. */
export function loadRecord(dir: string): LabRecord | null {
  const path = join(dir, 'lab.json');
  if (!existsSync(path)) return null;
  try {
    const record = JSON.parse(readFileSync(path, 'utf8')) as LabRecord;
    if (record.version === 1 && Array.isArray(record.nodes)) return record;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new CliError(`${path} is damaged`, `skein lab down --dir ${dir}`);
}

export function saveState(node: NodeLayout, state: HostState): void {
  writeWhole(join(node.dir, 'host.json'), `${JSON.stringify(state)}\n`);
}

export function loadState(node: NodeLayout): HostState {
  const path = join(node.dir, 'host.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as HostState) : fresh_state;
}

/** The host's next boot is a new one. */
export function newBootId(node: NodeLayout): void {
  writeWhole(node.boot_id_file, `${randomUUID()}\n`);
}
