/**
 * Where a program is, and which Debian package brings it. Guarantees that a missing program is always reported with
 * the package to install; never runs anything.
 */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DriverError } from '../types.ts';

/** The path that external programs are looked up on: Ganeti's, with the places of local administrators in front. */
export const default_path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const debian_packages: Readonly<Record<string, string>> = {
  arping: 'iputils-arping',
  busybox: 'busybox-static',
  cpio: 'cpio',
  debootstrap: 'debootstrap',
  gzip: 'gzip',
  ip: 'iproute2',
  kvm: 'qemu-system-x86',
  mcopy: 'mtools',
  mformat: 'mtools',
  ndptool: 'libndp-tools',
  'qemu-img': 'qemu-utils',
  'qemu-system-x86_64': 'qemu-system-x86',
  setpriv: 'util-linux',
  syslinux: 'syslinux',
  unshare: 'util-linux',
};

/** The Debian package that brings a program; undefined when we know none. */
export function debianPackageOf(program: string): string | undefined {
  return debian_packages[basename(program)];
}

/** The error for a program that is not there: names the program and its package. */
export function missingProgram(program: string): DriverError {
  const package_name = debianPackageOf(program);
  const hint =
    package_name === undefined
      ? `install "${basename(program)}", or correct its path`
      : `install the Debian package ${package_name}: apt-get install ${package_name}`;
  return new DriverError('missing-program', `program "${program}" was not found`, hint);
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    // Not there or not permitted: both mean that it cannot be run from here.
    return false;
  }
}

/** The absolute path of `program` (looked up on `path` unless it has a slash); null when there is none. */
export async function findProgram(
  program: string,
  path: string = process.env.PATH ?? default_path,
): Promise<string | null> {
  if (program.includes('/')) return (await isExecutableFile(program)) ? program : null;
  for (const directory of [...path.split(':'), ...default_path.split(':')]) {
    const candidate = join(directory, program);
    if (directory !== '' && (await isExecutableFile(candidate))) return candidate;
  }
  return null;
}

/** Like {@link findProgram}, but rejects with `missing-program` naming the package. */
export async function requireProgram(program: string, path?: string): Promise<string> {
  const found = path === undefined ? await findProgram(program) : await findProgram(program, path);
  if (found === null) throw missingProgram(program);
  return found;
}
