/**
 * Which agent's socket a command talks to: --socket, SKEIN_SOCKET, -N NODE of a lab, this host's agent, and last the
 * lab of the current directory if there is one.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CliError, usageError } from './exit-status.ts';

export const default_socket = '/run/skein/api.sock';

export interface Whereabouts {
  readonly socket: string | undefined;
  readonly on: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Sockets of a lab's nodes by name, from its record; null when there is no lab in that directory. */
export function labSockets(dir: string): ReadonlyMap<string, string> | null {
  const path = join(dir, 'lab.json');
  if (!existsSync(path)) return null;
  const record = JSON.parse(readFileSync(path, 'utf8')) as {
    nodes?: readonly { name: string; socket: string }[];
  };
  return new Map((record.nodes ?? []).map((node) => [node.name, node.socket]));
}

/** Path of the socket. Throws when -N names no node of a lab. */
export function locateAgent({ socket, on, env, cwd }: Whereabouts): string {
  if (socket !== undefined && on !== undefined)
    throw usageError('--socket and --on exclude each other', 'one of them');
  if (socket !== undefined) return resolve(cwd, socket);
  const lab_dir = resolve(cwd, env.SKEIN_LAB ?? '.lab');
  if (on !== undefined) {
    const sockets = labSockets(lab_dir);
    if (!sockets)
      throw new CliError(`--on ${on}: there is no lab in ${lab_dir}`, 'skein lab up, or --socket PATH');
    const found = sockets.get(on);
    if (found) return found;
    throw new CliError(
      `--on ${on}: the lab in ${lab_dir} has no such node`,
      `one of ${[...sockets.keys()].join(', ')}`,
    );
  }
  if (env.SKEIN_SOCKET) return resolve(cwd, env.SKEIN_SOCKET);
  if (existsSync(default_socket)) return default_socket;
  const sockets = labSockets(lab_dir);
  const running = [...(sockets?.values() ?? [])].find((path) => existsSync(path));
  return running ?? default_socket;
}

/** Names of the entries of a directory, none when it does not exist (for completion of lab nodes). */
export function labNodeNames(
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const dir = resolve(cwd, env.SKEIN_LAB ?? '.lab');
  if (!existsSync(dir)) return [];
  return [...(labSockets(dir)?.keys() ?? readdirSync(dir).filter((name) => /^n\d+$/.test(name)))];
}
