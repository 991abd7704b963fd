/** What a run of the cluster simulator ends with, for people: hours and speed, faults delivered, what was reached. */
import { formatSeconds } from './duration.ts';
import type { SwarmState } from './state.ts';

const fault_prefix = 'fault: ';

function columns(counts: readonly (readonly [string, number])[]): readonly string[] {
  const width = Math.max(1, ...counts.map(([, count]) => String(count).length));
  const cells = counts.map(([name, count]) => `${String(count).padStart(width)}  ${name}`);
  const cell = Math.max(1, ...cells.map((one) => one.length)) + 2;
  const across = Math.max(1, Math.floor(78 / cell));
  const lines: string[] = [];
  for (let at = 0; at < cells.length; at += across)
    lines.push(
      `  ${cells
        .slice(at, at + across)
        .map((one) => one.padEnd(cell))
        .join('')
        .trimEnd()}`,
    );
  return lines;
}

/** @param names every mark that can be reached: what was never reached is shown as 0 */
export function marksTable(
  marks: Readonly<Record<string, number>>,
  names: readonly string[],
): readonly string[] {
  const all = [...new Set([...names, ...Object.keys(marks)])].map(
    (name) => [name, marks[name] ?? 0] as const,
  );
  const faults = all.filter(([name]) => name.startsWith(fault_prefix));
  const others = all.filter(([name]) => !name.startsWith(fault_prefix));
  return [
    'Faults delivered:',
    ...columns(faults.map(([name, count]) => [name.slice(fault_prefix.length), count] as const)),
    'Reached:',
    ...columns(others),
  ];
}

export function speedLine(simulated_s: number, wall_s: number): string {
  return `${(simulated_s / 3600).toFixed(2)} simulated hours in ${formatSeconds(wall_s)}: ${(simulated_s / Math.max(wall_s, 0.001)).toFixed(0)} simulated seconds per second`;
}

export function swarmSummary(state: SwarmState, names: readonly string[]): readonly string[] {
  const commits = Object.entries(state.commits).map(([commit, seeds]) => `${commit} (${seeds})`);
  const { breaches } = state;
  return [
    ...marksTable(state.marks, names),
    `${state.seeds} seeds from base 0x${state.base.toString(16).padStart(8, '0')}, ${state.repeated} of them twice with equal traces; ${state.jobs} jobs; commits ${commits.join(', ') || 'none'}`,
    speedLine(state.simulated_s, state.wall_s),
    state.seeds === 0
      ? 'oracles: nothing was run to its end'
      : breaches.length === 0
        ? 'oracles: all held'
        : `oracles: ${breaches.length} seeds broke a rule`,
  ];
}
