/**
 * Ganeti's options for instance policies, to the `ipolicy` of an opcode and back to a command that sets the same.
 * Values are read here; whether they fit together is for the cluster to say.
 */
import type { Command } from 'commander';
import { CliError, usageError } from './exit-status.ts';
import type { Row } from './fields.ts';
import { parseKeyValues } from './key-values.ts';
import { parseSize } from './sizes.ts';

export interface IPolicyOptions {
  readonly ipolicyBoundsSpecs?: string;
  readonly ipolicyStdSpecs?: string;
  readonly ipolicyDiskTemplates?: string;
  readonly ipolicyVcpuRatio?: string;
  readonly ipolicySpindleRatio?: string;
  readonly ipolicyMemoryRatio?: string;
}

type Spec = Readonly<Record<string, number>>;

/** In the order in which they are printed. */
const spec_names = ['memory-size', 'cpu-count', 'disk-count', 'disk-size', 'nic-count', 'spindle-use'];
const sizes = new Set(['memory-size', 'disk-size']);
const bounds_option = '--ipolicy-bounds-specs';
const bounds_example = `${bounds_option} min:memory-size=128m,…/max:memory-size=32g,…`;

/** `std`: also the standard spec, which only a cluster has. */
export function addIPolicyOptions(command: Command, std: boolean): Command {
  command.option(
    '--ipolicy-bounds-specs <specs>',
    'what instances may have: min:memory-size=128m,cpu-count=1,…/max:…; more pairs after //',
  );
  if (std) command.option('--ipolicy-std-specs <specs>', 'what a usual instance has: memory-size=1g,…');
  return command
    .option('--ipolicy-disk-templates <list>', 'disk templates that instances may have: a,b')
    .option('--ipolicy-vcpu-ratio <ratio>', 'virtual CPUs for each CPU of a node, at most')
    .option('--ipolicy-spindle-ratio <ratio>', 'spindle use for each spindle of a node, at most')
    .option('--ipolicy-memory-ratio <ratio>', 'memory promised for each MiB of a node, at most');
}

function parseSpec(text: string, option: string): Spec {
  const spec: Record<string, number> = {};
  for (const [name, value] of Object.entries(parseKeyValues(text, option))) {
    if (!spec_names.includes(name))
      throw usageError(`${option}: "${name}" is no part of a spec`, `one of ${spec_names.join(', ')}`);
    if (typeof value !== 'string')
      throw usageError(`${option}: ${name} has no value in "${text}"`, `${name}=1`);
    if (sizes.has(name)) spec[name] = parseSize(value, `${option}: ${name}`);
    else if (/^\d+$/.test(value)) spec[name] = Number(value);
    else throw usageError(`${option}: ${name} is "${value}", no whole number`, `${name}=1`);
  }
  return spec;
}

/** All amounts at both ends: a bound that was forgotten must not become one that was never meant. */
export function parseBounds(text: string): readonly { readonly min: Spec; readonly max: Spec }[] {
  return text.split('//').map((pair) => {
    const found = new Map<string, Spec>();
    // Ganeti separates the two by a slash; a colon will do.
    for (const end of pair.split(/[/:](?=(?:min|max):)/)) {
      const [, name, specs] = /^(min|max):(.*)$/.exec(end) ?? [];
      if (name === undefined || specs === undefined || found.has(name))
        throw usageError(`${bounds_option}: "${end}" begins with neither min: nor max:`, bounds_example);
      found.set(name, parseSpec(specs, bounds_option));
    }
    const [min, max] = [found.get('min'), found.get('max')];
    if (!min || !max)
      throw usageError(`${bounds_option}: "${pair}" has no ${min ? 'max' : 'min'}`, bounds_example);
    for (const [end, spec] of [
      ['min', min],
      ['max', max],
    ] as const) {
      const missing = spec_names.filter((name) => spec[name] === undefined);
      if (missing.length > 0)
        throw usageError(
          `${bounds_option}: ${end} in "${pair}" lacks ${missing.join(', ')}`,
          'all six of them',
        );
    }
    return { min, max };
  });
}

function parseRatio(text: string, option: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 1) return value;
  throw usageError(`${option}: "${text}" is no number of at least 1`, `${option} 4.0, or default`);
}

/** What the options change of a policy; undefined: none was given. `default` takes a part back. */
export function ipolicyOf(options: IPolicyOptions): Readonly<Record<string, unknown>> | undefined {
  const change: Record<string, unknown> = {};
  const set = (key: string, text: string | undefined, parse: (text: string) => unknown): void => {
    if (text !== undefined) change[key] = text === 'default' ? 'default' : parse(text);
  };
  set('minmax', options.ipolicyBoundsSpecs, parseBounds);
  set('std', options.ipolicyStdSpecs, (text) => parseSpec(text, '--ipolicy-std-specs'));
  set('disk-templates', options.ipolicyDiskTemplates, (text) =>
    text.split(',').filter((template) => template !== ''),
  );
  set('vcpu-ratio', options.ipolicyVcpuRatio, (text) => parseRatio(text, '--ipolicy-vcpu-ratio'));
  set('spindle-ratio', options.ipolicySpindleRatio, (text) => parseRatio(text, '--ipolicy-spindle-ratio'));
  set('memory-ratio', options.ipolicyMemoryRatio, (text) => parseRatio(text, '--ipolicy-memory-ratio'));
  return Object.keys(change).length === 0 ? undefined : change;
}

/** The options that set the specs of `row[key]`; '' when it has none. */
export function specOptions(row: Row, key: 'ipolicy' | 'custom_ipolicy'): string {
  const policy = row[key] as { readonly std?: Spec; readonly minmax?: readonly { min: Spec; max: Spec }[] };
  if (typeof policy !== 'object' || policy === null)
    throw new CliError(`the agent says no ${key} of ${String(row.name)}`, 'a newer agent');
  const text = (spec: Spec): string => spec_names.map((name) => `${name}=${spec[name]}`).join(',');
  const std =
    policy.std && key === 'ipolicy' && row.cluster_name !== undefined
      ? [`--ipolicy-std-specs ${text(policy.std)}`]
      : [];
  const pairs = policy.minmax?.map(({ min, max }) => `min:${text(min)}/max:${text(max)}`);
  return [...std, ...(pairs ? [`${bounds_option} ${pairs.join('//')}`] : [])].join(' ');
}
