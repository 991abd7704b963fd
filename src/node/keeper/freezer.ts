/**
 * Holds and ends all processes of a guest together: a cgroup where the host has a writable hierarchy (version 2's
 * freezer, else version 1's), otherwise the process group by signals. Everything is synchronous: the fence must fall
 * before the keeper serves another line. Directories are `skein-<hash of the data directory>/<name>`.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning, procStat } from './proc-stat.ts';

export type FreezerKind = 'cgroup-v2' | 'cgroup-v1' | 'signals';

export interface Freezer {
  readonly kind: FreezerKind;
  /** Directory of this keeper's groups; '' with `signals`. */
  readonly base: string;
}

/** One guest's group. `leader` is set once its first process exists. */
export interface FreezerGroup {
  readonly kind: FreezerKind;
  /** '' with `signals`. */
  readonly dir: string;
  leader: { readonly pid: number; readonly start_ticks: number } | null;
}

const v2_roots = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];
const v1_root = '/sys/fs/cgroup/freezer';

/** Looks for a hierarchy that lets us make groups; as a plain user only signals are left. */
export function detectFreezer(data_dir: string, uid: number): Freezer {
  const name = `skein-${createHash('sha256').update(data_dir).digest('hex').slice(0, 12)}`;
  if (uid === 0) {
    const v2 = v2_roots.find((dir) => existsSync(join(dir, 'cgroup.controllers')));
    if (v2 !== undefined && makeBase(join(v2, name), 'cgroup.freeze'))
      return { kind: 'cgroup-v2', base: join(v2, name) };
    if (existsSync(v1_root) && makeBase(join(v1_root, name), 'freezer.state')) {
      return { kind: 'cgroup-v1', base: join(v1_root, name) };
    }
  }
  return { kind: 'signals', base: '' };
}

function makeBase(dir: string, must_have: string): boolean {
  try {
    mkdirSync(dir, { recursive: true });
  } catch (error) {
    // Read-only or not ours: the caller tries the next kind, and says in the end which one it is.
    if (['EROFS', 'EACCES', 'EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return false;
    throw error;
  }
  if (existsSync(join(dir, must_have))) return true;
  removeDir(dir);
  return false;
}

/** A file name that no two guests share. */
export function groupDirName(name: string): string {
  const plain = encodeURIComponent(name);
  return plain.length <= 200 ? plain : createHash('sha256').update(name).digest('hex');
}

export function createGroup(freezer: Freezer, name: string): FreezerGroup {
  if (freezer.kind === 'signals') return { kind: 'signals', dir: '', leader: null };
  const dir = join(freezer.base, groupDirName(name));
  mkdirSync(dir, { recursive: true });
  return { kind: freezer.kind, dir, leader: null };
}

export function freezeGroup(group: FreezerGroup): void {
  switch (group.kind) {
    case 'cgroup-v2':
      writeFileSync(join(group.dir, 'cgroup.freeze'), '1');
      return;
    case 'cgroup-v1':
      writeFileSync(join(group.dir, 'freezer.state'), 'FROZEN');
      return;
    case 'signals':
      signalLeader(group, 'SIGSTOP');
      return;
  }
}

export function thawGroup(group: FreezerGroup): void {
  switch (group.kind) {
    case 'cgroup-v2':
      writeFileSync(join(group.dir, 'cgroup.freeze'), '0');
      return;
    case 'cgroup-v1':
      writeFileSync(join(group.dir, 'freezer.state'), 'THAWED');
      return;
    case 'signals':
      signalLeader(group, 'SIGCONT');
      return;
  }
}

/** Proof: the kernel reports that nothing in it executes. */
export function isGroupFrozen(group: FreezerGroup): boolean {
  switch (group.kind) {
    case 'cgroup-v2':
      return /^frozen 1$/m.test(readFileSync(join(group.dir, 'cgroup.events'), 'latin1'));
    case 'cgroup-v1':
      return readFileSync(join(group.dir, 'freezer.state'), 'latin1').trim() === 'FROZEN';
    case 'signals':
      return group.leader === null || everyMember(group.leader.pid, (state) => 'TtZX'.includes(state));
  }
}

/** SIGKILL to everything in it; works on a frozen group too. */
export function killGroup(group: FreezerGroup): void {
  switch (group.kind) {
    case 'cgroup-v2':
      if (!existsSync(group.dir)) break;
      if (existsSync(join(group.dir, 'cgroup.kill'))) writeFileSync(join(group.dir, 'cgroup.kill'), '1');
      else {
        freezeGroup(group); // so that nothing forks between the reading and the signals
        for (const pid of groupMembers(group)) signal(pid, 'SIGKILL');
        thawGroup(group);
      }
      break;
    case 'cgroup-v1':
      if (!existsSync(group.dir)) break;
      freezeGroup(group);
      for (const pid of groupMembers(group)) signal(pid, 'SIGKILL');
      thawGroup(group); // a version 1 group dies only when thawed; the signal is first in line
      break;
    case 'signals':
      if (group.leader === null) break;
      for (const pid of sessionMembers(group.leader.pid)) signal(pid, 'SIGKILL');
      break;
  }
  signalLeader(group, 'SIGKILL');
}

/** Whether anything in it still executes. Zombies do not. */
export function isGroupGone(group: FreezerGroup): boolean {
  const { leader } = group;
  if (leader !== null && isRunning(leader.pid, leader.start_ticks)) return false;
  if (group.kind === 'signals')
    return leader === null || everyMember(leader.pid, (state) => 'ZX'.includes(state));
  return groupMembers(group).every((pid) => {
    const state = procStat(pid)?.state;
    return state === undefined || state === 'Z' || state === 'X';
  });
}

/** True when the directory is gone. It stays busy for a moment while the kernel buries the dead. */
export function removeGroup(group: FreezerGroup): boolean {
  return group.kind === 'signals' || removeDir(group.dir);
}

/** Ends what an earlier keeper of the same data directory left behind, and tells how many groups there were. */
export function sweepGroups(freezer: Freezer): number {
  if (freezer.kind === 'signals') return 0;
  const names = readdirSync(freezer.base, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of names) {
    const group: FreezerGroup = { kind: freezer.kind, dir: join(freezer.base, name), leader: null };
    killGroup(group);
    removeGroup(group);
  }
  return names.length;
}

/** True when nothing of this keeper's is left in the hierarchy. */
export function removeFreezer(freezer: Freezer): boolean {
  if (freezer.kind === 'signals') return true;
  sweepGroups(freezer);
  return removeDir(freezer.base);
}

function groupMembers(group: FreezerGroup): readonly number[] {
  if (!existsSync(group.dir)) return [];
  const text = readFileSync(join(group.dir, 'cgroup.procs'), 'latin1');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

function removeDir(dir: string): boolean {
  try {
    rmdirSync(dir);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EBUSY' || code === 'ENOTEMPTY') return false;
    if (code !== 'ENOENT') throw error;
  }
  return true;
}

/** To the leader's whole process group, as long as the leader itself is the process that we started. */
function signalLeader(group: FreezerGroup, name: NodeJS.Signals): void {
  const { leader } = group;
  if (leader === null || procStat(leader.pid)?.start_ticks !== leader.start_ticks) return;
  signal(-leader.pid, name);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function everyMember(session: number, holds: (state: string) => boolean): boolean {
  return sessionMembers(session).every((pid) => {
    const stat = procStat(pid);
    return stat === null || holds(stat.state);
  });
}

/**
 * Processes of the session and group that a guest's first process made; an id is not given out again while a group of
 * that number lives. Reads all of /proc: only asked where there are no cgroups.
 */
function sessionMembers(leader_pid: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const stat = procStat(pid);
      return stat !== null && stat.session === leader_pid && stat.process_group === leader_pid;
    });
}
