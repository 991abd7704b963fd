/** A maintenance plan for people: a line for each step. */
import type { MaintenanceAction, MaintenancePlan } from './maintenance-plan.ts';

/** Lines without line ends. */
export function maintenanceLines(plan: MaintenancePlan): readonly string[] {
  const lines = [`before: ${load(plan.before)}`];
  plan.groups.forEach(({ nodes, steps, seconds }, at) => {
    const names = nodes.map(({ name }) => name).join(', ');
    lines.push(`group ${at + 1} of ${plan.groups.length}: ${names}, about ${duration(seconds)}`);
    for (const step of steps) {
      const notes = [
        ...(step.mib > 0 ? [`${step.mib} MiB`] : []),
        ...(step.seconds > 0 ? [duration(step.seconds)] : []),
        ...(step.down_s > 0 ? [`down for ${duration(step.down_s)}`] : []),
        load(step.load),
      ];
      lines.push(`  ${described(step.action)}: ${notes.join(', ')}`);
      if (step.why !== null) lines.push(`    ${step.why}`);
    }
  });
  lines.push(
    `in all: about ${duration(plan.seconds)}, ${plan.mib} MiB over the network, instances down for ${duration(plan.down_s)} in sum`,
  );
  return lines;
}

function described(action: MaintenanceAction): string {
  switch (action.kind) {
    case 'migrate':
    case 'failover':
    case 'copy':
    case 'replace-secondary':
      return `${action.kind} ${action.instance.name} ${action.from.name} -> ${action.to.name}`;
    case 'stop':
    case 'start':
      return `${action.kind} ${action.instance.name} on ${action.node.name}`;
    default:
      return `${action.kind} ${action.node.name}`;
  }
}

function load({ score, n1_failures }: MaintenancePlan['before']): string {
  const shown = score === null ? 'no node is there' : `score ${score.toFixed(8)}`;
  return n1_failures === 0 ? shown : `${shown}, ${n1_failures} not N+1`;
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
