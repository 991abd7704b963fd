/**
 * Which accelerator to use: KVM where it works, otherwise TCG. Found by trying, since /dev/kvm may exist and its
 * guests hang all the same: a boot sector must print its line under KVM within five seconds. The answer is kept per
 * boot of the host, so that the try is paid once.
 */
import { readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../process/run-command.ts';
import { DriverError } from '../../types.ts';
import { bootSector } from './boot-sector.ts';

export interface Accelerator {
  readonly accel: 'kvm' | 'tcg';
  /** Why this one. */
  readonly reason: string;
}

export interface AccelProbeOptions {
  /** An absolute path of a QEMU system emulator. */
  readonly qemu: string;
  /** Where the answer and the boot sector are kept; must exist. */
  readonly run_dir: string;
  readonly timeout_ms?: number;
}

const default_timeout_ms = 5_000;
/** A KVM that needs longer for a boot sector is emulated itself; then the faster of the two is taken. */
const kvm_suspicious_ms = 1_500;
/** The firmware does not boot from a disk of a single sector. */
const image_bytes = 1 << 20;
const marker = 'ACCELERATOR WORKS';

/** The command line that boots the sector at `image` under `accel`; QEMU exits by itself when it has printed. */
export function probeArguments(qemu: string, accel: 'kvm' | 'tcg', image: string): readonly string[] {
  return [
    ...[
      qemu,
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-machine',
      'pc',
      '-m',
      '4',
      '-accel',
      accel,
      // As guests get it: some hosts have a /dev/kvm that runs a plain processor at a crawl and not this one.
      ...(accel === 'kvm' ? ['-cpu', 'host'] : []),
    ],
    ...['-serial', 'stdio', '-monitor', 'none', '-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04'],
    ...[
      '-blockdev',
      JSON.stringify({
        driver: 'file',
        'node-name': 'f0',
        filename: image,
        'read-only': true,
        locking: 'off',
      }),
    ],
    ...['-blockdev', JSON.stringify({ driver: 'raw', 'node-name': 'd0', file: 'f0', 'read-only': true })],
    ...['-device', 'virtio-blk-pci,drive=d0,bootindex=0,romfile='],
  ];
}

async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

async function cached(path: string, key: string): Promise<Accelerator | null> {
  try {
    const saved = JSON.parse(await readFile(path, 'utf8')) as { key: string; accel: string; reason: string };
    if (saved.key !== key || (saved.accel !== 'kvm' && saved.accel !== 'tcg')) return null;
    return { accel: saved.accel, reason: saved.reason };
  } catch {
    // No answer yet, or a torn one: then we try again, which costs seconds and no more.
    return null;
  }
}

/** Tries one accelerator; resolves with '' when the guest printed, otherwise with what went wrong. */
export async function tryAccelerator(options: AccelProbeOptions, accel: 'kvm' | 'tcg'): Promise<string> {
  const image = join(options.run_dir, `accel-${process.pid}-${accel}.img`);
  await writeFile(image, bootSector(`${marker}\r\n`, 'exit'), { mode: 0o600 });
  await truncate(image, image_bytes);
  try {
    const timeout_ms = options.timeout_ms ?? default_timeout_ms;
    const result = await runCommand(probeArguments(options.qemu, accel, image), {
      timeout_ms,
      allow_failure: true,
    });
    if (result.stdout.includes(marker)) return '';
    return result.stderr.trim() || `the guest ended with status ${result.code} and printed nothing`;
  } catch (error) {
    if (error instanceof DriverError && error.code === 'timeout') return 'a guest starts but never runs';
    if (error instanceof DriverError && error.code === 'failed') return error.message;
    throw error;
  } finally {
    await rm(image, { force: true });
  }
}

/** KVM if a guest runs under it, else TCG. Rejects with `missing-program` when there is no QEMU. */
export async function probeAccelerator(options: AccelProbeOptions): Promise<Accelerator> {
  const key = `${await bootId()} ${options.qemu}`;
  const path = join(options.run_dir, 'accelerator.json');
  const known = await cached(path, key);
  if (known !== null) return known;
  const began_ms = performance.now();
  let problem = await tryAccelerator(options, 'kvm');
  const kvm_ms = performance.now() - began_ms;
  if (problem === '' && kvm_ms > kvm_suspicious_ms) {
    const tcg_began_ms = performance.now();
    const tcg_problem = await tryAccelerator(options, 'tcg');
    const tcg_ms = performance.now() - tcg_began_ms;
    if (tcg_problem === '' && tcg_ms < kvm_ms) {
      problem = `it is slower (${Math.round(kvm_ms)} ms for a test guest) than TCG (${Math.round(tcg_ms)} ms)`;
    }
  }
  const answer: Accelerator =
    problem === ''
      ? { accel: 'kvm', reason: 'a test guest ran under KVM' }
      : { accel: 'tcg', reason: `KVM does not work here: ${problem.split('\n').at(-1)}` };
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, `${JSON.stringify({ key, ...answer })}\n`, { mode: 0o600 });
  await rename(temporary, path);
  return answer;
}
