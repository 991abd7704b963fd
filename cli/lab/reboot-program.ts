/**
 * The program that reboots a host of a lab, as an operator's would reboot a real one: `skein maintenance run` runs it on
 * the host. It starts `skein lab power NODE cycle` outside of the host, since everything inside of it ends.
 */
import { chmodSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from './host.ts';
import { type NodeLayout, rebootProgram } from './layout.ts';

/** Where processes of the lab's maker run: the network namespace that is no host's. */
function outside(): readonly string[] {
  const namespace = '/proc/1/ns/net';
  try {
    const same = readlinkSync(namespace) === readlinkSync('/proc/self/ns/net');
    return same ? ['nsenter', `--net=${namespace}`, '--'] : [];
  } catch {
    // Not permitted to look: then the lab has no namespaces either.
    return [];
  }
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** What the next boot needs and programs of an agent are not given. */
function exports(): readonly string[] {
  return Object.entries(process.env)
    .filter(
      ([name]) => /^SKEIN_[A-Z_]+$/.test(name) && name !== 'SKEIN_SOCKET' && name !== 'SKEIN_BOOT_ID_FILE',
    )
    .map(([name, value]) => `export ${name}=${quoted(value ?? '')}`);
}

/** Writes it anew; where the hosts have no namespaces it works all the same. */
export function writeRebootProgram(node: NodeLayout): void {
  const skein = join(packageRoot(), 'bin', 'skein');
  const cycle = [skein, 'lab', 'power', node.name, 'cycle', '--dir', dirname(node.dir)];
  const argv = [...(node.namespace === null ? [] : outside()), 'setsid', '--fork', ...cycle];
  const lines = [
    '#!/bin/sh',
    `# Reboots host ${node.name} of the lab.`,
    ...exports(),
    'unset SKEIN_BOOT_ID_FILE',
    `exec ${argv.map(quoted).join(' ')} </dev/null >>${quoted(join(node.log_dir, 'reboot.log'))} 2>&1`,
  ];
  const path = rebootProgram(node);
  writeFileSync(path, `${lines.join('\n')}\n`);
  chmodSync(path, 0o700);
}
