/**
 * How a guest is started so that nothing can run that nobody fences: `setpriv` ties its life to the keeper's, then a
 * shell makes sure that the keeper was still there when that took effect, joins the guest's cgroup, and only then
 * becomes the guest. The parent-death signal survives these execs, since none of them changes privileges.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { commandLine } from './proc-stat.ts';

const marker = 'skein-launch';

/** Constant text: everything that varies comes as an argument. $1 keeper's pid, $2 `cgroup.procs` or '', then the guest. */
const script = `# ${marker}
[ "$PPID" = "$1" ] || exit 125
if [ -n "$2" ]; then echo 0 > "$2" || exit 125; fi
shift 2
exec "$@"`;

/** Where setpriv is; null when the host has none. */
export function findSetpriv(path: string | undefined): string | null {
  for (const dir of (path ?? '/usr/bin:/bin').split(delimiter)) {
    const file = join(dir, 'setpriv');
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch (error) {
      if (!['ENOENT', 'EACCES', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return null;
}

export function launchArguments(
  keeper_pid: number,
  group_dir: string,
  argv: readonly string[],
): readonly string[] {
  const procs = group_dir === '' ? '' : join(group_dir, 'cgroup.procs');
  return ['--pdeathsig', 'KILL', '--', '/bin/sh', '-c', script, marker, String(keeper_pid), procs, ...argv];
}

/** Whether the process has become the guest; false also when it is already gone. */
export function isLaunched(pid: number): boolean {
  const line = commandLine(pid);
  return line !== '' && !line.includes(`# ${marker}\n`);
}
