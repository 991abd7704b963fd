/**
 * Wraps a command so that nothing of it outlives its end or ours: it gets a PID namespace of its own, which the kernel
 * empties when the command ends, is killed, or the process that started it dies. Used for programs that write to
 * disks: a job step's program that went on by itself could write to a disk that somebody else owns by then. Without
 * root only the command itself is tied to us. It sees a /proc of its own, and what it mounts is unmounted with it.
 */
import { findProgram } from './program-path.ts';

/**
 * The command line to run instead of `argv`. `sh` is the namespace's first process, so that the command itself keeps
 * the usual signal defaults, which process 1 does not have.
 */
export async function containedArgv(argv: readonly string[]): Promise<readonly string[]> {
  const setpriv = await findProgram('setpriv');
  if (setpriv === null) return argv;
  const tied = [setpriv, '--pdeathsig', 'KILL'];
  const unshare = process.getuid?.() === 0 ? await findProgram('unshare') : null;
  if (unshare === null) return [...tied, ...argv];
  return [
    ...tied,
    unshare,
    '--pid',
    '--fork',
    '--kill-child=KILL',
    '--mount-proc',
    '/bin/sh',
    '-c',
    '"$@"; exit $?',
    'sh',
    ...argv,
  ];
}
