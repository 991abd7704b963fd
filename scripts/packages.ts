/**
 * Which Debian packages this host lacks (scripts/debian-packages.txt says why each is needed), and installing them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

export interface Package {
  readonly name: string;
  readonly why: string;
}

export function neededPackages(list = new URL('./debian-packages.txt', import.meta.url)): readonly Package[] {
  return readFileSync(list, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ name: line.split(/\s+/)[0]!, why: line.replace(/^\S+\s+/, '') }));
}

export function missingPackages(): readonly Package[] {
  if (!existsSync('/usr/bin/dpkg-query')) return [];
  return neededPackages().filter(({ name }) => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own notation
    const { stdout } = spawnSync('dpkg-query', ['-W', '-f=${Status}', name], { encoding: 'utf8' });
    return !stdout.includes('install ok installed');
  });
}

/** @throws Error naming what apt-get said. */
export function installPackages(packages: readonly Package[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const args of [
    ['update', '-q'],
    ['install', '-y', '-q', '--no-install-recommends', ...packages.map(({ name }) => name)],
  ]) {
    const { status, stderr, stdout } = spawnSync('apt-get', args, {
      env,
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    });
    if (status !== 0)
      throw new Error(`apt-get ${args[0]} failed:\n${(stderr || stdout).split('\n').slice(-12).join('\n')}`);
  }
}
