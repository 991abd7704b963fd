/** Which QEMU a guest runs in, and under which accelerator. The answer of the probe is asked for once. */
import { mkdir } from 'node:fs/promises';
import { findProgram, missingProgram } from '../../process/program-path.ts';
import { DriverError, type GuestSpec } from '../../types.ts';
import { type Accelerator, probeAccelerator } from './accel-probe.ts';

export interface QemuChoice {
  /** The emulator's absolute path; rejects with `missing-program`. */
  qemu(hvparams: GuestSpec['hvparams']): Promise<string>;
  /** Rejects with `unsupported` when the guest insists on KVM and it does not work. */
  accelerator(qemu: string, hvparams: GuestSpec['hvparams']): Promise<Accelerator>;
}

/** Ganeti's default; a wrapper on some systems and absent on others: the emulator itself is meant. */
const default_kvm_path = '/usr/bin/kvm';
const emulator = 'qemu-system-x86_64';

/** Creates the choice; `accel` other than `auto` is taken without trying. */
export function createQemuChoice(run_dir: string, accel: 'auto' | 'kvm' | 'tcg'): QemuChoice {
  const probes = new Map<string, Promise<Accelerator>>();

  async function probe(qemu: string): Promise<Accelerator> {
    const running = probes.get(qemu);
    if (running !== undefined) return await running;
    const begun = mkdir(run_dir, { recursive: true, mode: 0o700 }).then(() =>
      probeAccelerator({ qemu, run_dir }),
    );
    probes.set(qemu, begun);
    try {
      return await begun;
    } catch (error) {
      // What failed may work next time: a program was installed, a disk has room again.
      probes.delete(qemu);
      throw error;
    }
  }

  return {
    async qemu(hvparams) {
      const configured = hvparams.kvm_path;
      const wanted = typeof configured === 'string' && configured !== '' ? configured : default_kvm_path;
      const found = await findProgram(wanted === default_kvm_path ? emulator : wanted);
      if (found !== null) return found;
      if (wanted === default_kvm_path) throw missingProgram(emulator);
      const hint = 'correct kvm_path, or install the Debian package qemu-system-x86';
      throw new DriverError(
        'missing-program',
        `hypervisor parameter kvm_path="${wanted}": no such program`,
        hint,
      );
    },

    async accelerator(qemu, hvparams) {
      const wanted = hvparams.kvm_flag === 'disabled' ? 'tcg' : accel;
      const answer: Accelerator =
        wanted === 'auto' ? await probe(qemu) : { accel: wanted, reason: 'configured' };
      if (hvparams.kvm_flag === 'enabled' && answer.accel !== 'kvm') {
        const message = `hypervisor parameter kvm_flag="enabled", but: ${answer.reason}`;
        throw new DriverError(
          'unsupported',
          message,
          'set kvm_flag="" to run without hardware virtualization',
        );
      }
      return answer;
    },
  };
}
