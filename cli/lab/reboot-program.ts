/**
 * The programs that reboot a host of a lab, as an operator's would a real one: its own, which `skein maintenance run` runs on
 * the host, and Ganeti's out-of-band program, which runs on another. Both start `skein lab power` outside of the hosts,
 * since everything inside of one ends.
 */
import { chmodSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageRoot } from './host.ts';
import { type NodeLayout, oobProgram, rebootProgram } from './layout.ts';

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

/**
 * `oob power-status|power-on|power-off|power-cycle NODE`. A host is off once all its processes have ended; the first
 * word of its record says that it is to be.
 */
export function writeOobProgram(dir: string, namespaces: boolean): void {
  const skein = join(packageRoot(), 'bin', 'skein');
  const start = [...(namespaces ? outside() : []), 'setsid', '--fork', skein, 'lab', 'power'].map(quoted);
  const lines = [
    '#!/bin/sh',
    '# The management boards of this lab: oob power-status|power-on|power-off|power-cycle NODE',
    ...exports(),
    'unset SKEIN_BOOT_ID_FILE',
    `record=${quoted(dir)}/$2/host.json`,
    '[ -f "$record" ] || { echo "there is no host $2" >&2; exit 1; }',
    'case $1 in',
    '  power-status)',
    `    if grep -q '"power":"off"' "$record" && grep -q '"keeper":null' "$record"`,
    `    then echo '{"powered": false}'; else echo '{"powered": true}'; fi ;;`,
    '  power-on|power-off|power-cycle)',
    `    ${start.join(' ')} "$2" "\${1#power-}" --dir ${quoted(dir)} </dev/null >>${quoted(dir)}/oob.log 2>&1 ;;`,
    '  *) echo "$1: expected power-status, power-on, power-off or power-cycle" >&2; exit 1 ;;',
    'esac',
  ];
  const path = oobProgram(dir);
  writeFileSync(path, `${lines.join('\n')}\n`);
  chmodSync(path, 0o700);
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
