/**
 * A hypervisor without guests: each is a file that says it runs. For tests and for trying out a cluster where there is
 * no QEMU. Its guests survive the agent as real ones do, and, when told the host's boot id, end with the host's boot.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DriverError, type GuestInfo, type GuestSpec, type HypervisorDriver } from '../../types.ts';

export interface FakeDriverOptions {
  readonly dir: string;
  /** Guests recorded under another boot id are gone, as they would be after a power cut. */
  readonly boot_id?: string;
}

interface FakeRecord {
  readonly boot_id: string;
  readonly state: 'running' | 'paused';
  readonly resets: number;
  readonly guest: GuestSpec;
}

/** Creates the fake driver; every act takes effect when its file is on disk. */
export function createFakeDriver(options: FakeDriverOptions): HypervisorDriver {
  const { dir } = options;
  const boot_id = options.boot_id ?? '';

  function pathOf(name: string): string {
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,240}$/.test(name)) {
      throw new DriverError(
        'invalid',
        `instance name ${JSON.stringify(name)}: expected letters, digits, ".", "_" and "-"`,
      );
    }
    return join(dir, `${name}.json`);
  }

  async function read(name: string): Promise<FakeRecord | null> {
    try {
      const record = JSON.parse(await readFile(pathOf(name), 'utf8')) as FakeRecord;
      return record.boot_id === boot_id ? record : null;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  async function write(record: FakeRecord): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const path = pathOf(record.guest.name);
    const handle = await open(`${path}.new`, 'w', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(record)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${path}.new`, path);
  }

  async function change(name: string, update: (record: FakeRecord) => FakeRecord): Promise<void> {
    const record = await read(name);
    if (record === null) throw new DriverError('not-found', `instance ${name} does not run on this host`);
    await write(update(record));
  }

  function validate(hvparams: GuestSpec['hvparams']): void {
    const [name] = Object.keys(hvparams).filter((key) => !key.startsWith('migration_'));
    if (name !== undefined) {
      throw new DriverError(
        'invalid',
        `hypervisor parameter ${name}=${JSON.stringify(hvparams[name])}: fake has no parameters but migration_*`,
      );
    }
  }

  return {
    name: 'fake',
    capabilities: () => Promise.resolve({ available: true, reason: '', details: { dir } }),
    validate,
    async start(guest, { paused }) {
      validate(guest.hvparams);
      const running = await read(guest.name);
      if (running === null)
        return await write({ boot_id, state: paused ? 'paused' : 'running', resets: 0, guest });
      const { uuid, epoch } = running.guest;
      if (uuid !== guest.uuid || epoch !== guest.epoch) {
        throw new DriverError(
          'exists',
          `${guest.name} runs already as ${uuid} in epoch ${epoch}, not as ${guest.uuid} in epoch ${guest.epoch}`,
          'stop that one first',
        );
      }
    },
    async stop(name) {
      await rm(pathOf(name), { force: true });
    },
    reset: (name) => change(name, (record) => ({ ...record, resets: record.resets + 1 })),
    pause: (name) => change(name, (record) => ({ ...record, state: 'paused' })),
    resume: (name) => change(name, (record) => ({ ...record, state: 'running' })),
    async list() {
      const files = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return [];
        throw error;
      });
      const rows: GuestInfo[] = [];
      for (const file of files.filter((name) => name.endsWith('.json')).sort()) {
        const record = await read(file.slice(0, -'.json'.length));
        if (record === null) continue;
        const { name, uuid, epoch, memory_mib, vcpus } = record.guest;
        rows.push({ name, uuid, epoch, state: record.state, memory_mib, vcpus, pid: 0 });
      }
      return rows;
    },
    console: (name) => ({
      kind: 'none',
      path: '',
      message: `instance ${name} is a fake one: it has no console`,
    }),
    async cleanup(name) {
      if ((await read(name)) !== null)
        throw new DriverError('exists', `instance ${name} still runs: nothing was removed`, 'stop it first');
      await rm(pathOf(name), { force: true });
    },
  };
}
