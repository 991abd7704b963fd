/**
 * What outlives agent and keeper on a simulated host as long as its power is on: guests as processes with a monitor,
 * and the master address. Guarantees: the watcher hears of every moment in which a guest's virtual CPUs begin or cease
 * to run, from here and from nowhere else.
 */
import type { GuestSpec, ProcessSpec } from '../../../src/drivers/types.ts';
import type { World } from '../world.ts';

export interface SimGuest {
  readonly spec: ProcessSpec;
  readonly guest: GuestSpec;
  readonly pid: number;
  /** What its monitor says. `prelaunch`: its CPUs have never run. */
  monitor: 'prelaunch' | 'running' | 'stopped';
  /** By the keeper. */
  frozen: boolean;
  paused_proven: boolean;
  /** Was sent SIGKILL. */
  dying: boolean;
  gone: boolean;
  running: boolean;
  /** Commands that wait in the monitor of a guest that stands still. */
  readonly waiting: (() => void)[];
}

export class Kernel {
  readonly guests = new Map<string, SimGuest>();
  readonly #world: World;
  readonly host: string;
  #frozen = false;
  #holds_address = false;
  #next_pid = 100;
  /** Told when a guest's process has ended. */
  onExit: (guest: SimGuest, signal: string | null) => void = () => undefined;

  constructor(world: World, host: string) {
    this.#world = world;
    this.host = host;
    world.watcher.leases.booted(host);
  }

  get holds_address(): boolean {
    return this.#holds_address;
  }

  setAddress(held: boolean): void {
    if (held === this.#holds_address) return;
    this.#holds_address = held;
    this.#world.watcher.address(this.host, held);
  }

  spawn(spec: ProcessSpec, guest: GuestSpec): SimGuest {
    const made: SimGuest = {
      spec,
      guest,
      pid: this.#next_pid++,
      monitor: 'prelaunch',
      frozen: false,
      paused_proven: false,
      dying: false,
      gone: false,
      running: false,
      waiting: [],
    };
    this.guests.set(spec.name, made);
    this.#world.watcher.leases.started(this.host, guest.uuid, guest.epoch);
    return made;
  }

  /** A command arrives at a guest's monitor: it acts now, or when the guest is thawed. */
  command(guest: SimGuest, act: () => void): void {
    if (guest.gone) return;
    if (guest.frozen || this.#frozen) guest.waiting.push(() => this.command(guest, act));
    else {
      act();
      this.settle(guest);
    }
  }

  setFrozen(guest: SimGuest, frozen: boolean): void {
    guest.frozen = frozen;
    if (!frozen) this.#world.watcher.thawed(guest.guest.uuid, guest.guest.epoch);
    this.settle(guest);
    if (!frozen) for (const act of guest.waiting.splice(0)) act();
  }

  /** SIGKILL; it is gone a moment later. */
  kill(guest: SimGuest, delay_ms: number): void {
    if (guest.dying || guest.gone) return;
    guest.dying = true;
    this.#world.time.after(delay_ms, () => this.end(guest, 'SIGKILL'));
  }

  /** Its process has ended. */
  end(guest: SimGuest, signal: string | null): void {
    if (guest.gone) return;
    guest.gone = true;
    this.guests.delete(guest.spec.name);
    this.settle(guest);
    this.onExit(guest, signal);
  }

  /** The whole host stands still, or goes on. */
  setHostFrozen(frozen: boolean): void {
    this.#frozen = frozen;
    for (const guest of this.guests.values()) {
      this.settle(guest);
      if (!frozen && !guest.frozen) for (const act of guest.waiting.splice(0)) act();
    }
  }

  /** The power is cut: all of it is gone, and nobody is told. */
  powerOff(): void {
    this.onExit = () => undefined;
    for (const guest of [...this.guests.values()]) this.end(guest, null);
    this.setAddress(false);
    this.#frozen = false;
  }

  settle(guest: SimGuest): void {
    const runs = !guest.gone && guest.monitor === 'running' && !guest.frozen && !this.#frozen;
    if (runs === guest.running) return;
    guest.running = runs;
    const { trace, time } = this.#world;
    trace.add(time.now_ms, this.host, `${runs ? 'runs' : 'halts'} ${guest.guest.name} ${guest.spec.tag}`);
    this.#world.watcher.runs(this.host, guest.guest.uuid, runs);
  }
}
