/**
 * The lab's network without the lab: the same namespaces, bridges and cables for what Skein is compared with, so that
 * only the daemons differ.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labHash, type NodeLayout, namespaceName, nodeLayout } from '../cli/lab/layout.ts';
import { ensureNetwork, removeNetwork, setPort } from '../cli/lab/network.ts';
import type { LabRecord } from '../cli/lab/record.ts';

export const virtual_ip = '10.77.0.100';

export interface PeerNode {
  readonly name: string;
  readonly address: string;
  readonly namespace: string;
}

export interface PeerNetwork {
  /** Scratch space for configuration, data and logs. */
  readonly dir: string;
  readonly nodes: readonly PeerNode[];
  readonly client_namespace: string;
  node(name: string): PeerNode;
  /** Its cable out, or in again. */
  setLink(name: string, up: boolean): Promise<void>;
  close(): Promise<void>;
}

function peerNode({ name, address, namespace }: NodeLayout): PeerNode {
  if (namespace === null) throw new Error(`${name} has no namespace`);
  return { name, address, namespace };
}

export async function openPeerNetwork(count: number): Promise<PeerNetwork> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'skein-bench-')));
  const hash = labHash(dir);
  const layouts = Array.from({ length: count }, (_, at) => nodeLayout(dir, at + 1, true));
  const client = { namespace: namespaceName(hash, 'cl'), address: '10.77.0.250' };
  const record: LabRecord = {
    version: 1,
    dir,
    hash,
    namespaces: true,
    hypervisor: 'fake',
    lease: 'default',
    master_ip: virtual_ip,
    client,
    nodes: layouts,
  };
  const close = async (): Promise<void> => {
    await removeNetwork(hash);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await ensureNetwork(record);
  } catch (error) {
    await close();
    throw error;
  }
  const layoutOf = (name: string): NodeLayout => {
    const found = layouts.find((layout) => layout.name === name);
    if (!found) throw new Error(`no node ${name}`);
    return found;
  };
  return {
    dir,
    nodes: layouts.map(peerNode),
    client_namespace: client.namespace,
    node: (name) => peerNode(layoutOf(name)),
    setLink: (name, up) => setPort(record, layoutOf(name), up),
    close,
  };
}

/** Whether the address is on a device of that namespace. */
export function holdsAddress(namespace: string, address: string): boolean {
  const argv = ['-n', namespace, '-o', 'addr', 'show', 'to', address];
  return execFileSync('ip', argv, { timeout: 5_000, encoding: 'utf8' }).trim() !== '';
}
