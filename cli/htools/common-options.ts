/** Options that several htools have, with what their values must be. */
import { InputError } from '../../src/placement/input-error.ts';
import { parseSize } from '../../src/placement/size-units.ts';
import { BadValue, type OptionSpec } from './getopt.ts';

export const htools_version = '(skein) version 0.1.0';

export interface CommonSettings {
  readonly text_file: string | null;
  /** The last one given first, as they come. */
  readonly simulate: readonly string[];
  readonly print_nodes: readonly string[] | null;
  readonly save: string | null;
  readonly verbose: number;
  readonly kvm_node_memory_mib: number;
  readonly capacity_checks: boolean;
}

export const common_defaults: CommonSettings = {
  text_file: null,
  simulate: [],
  print_nodes: null,
  save: null,
  verbose: 1,
  kvm_node_memory_mib: 4096,
  capacity_checks: true,
};

type CommonName =
  | 'print_nodes'
  | 'text_file'
  | 'simulate'
  | 'save'
  | 'verbose'
  | 'quiet'
  | 'capacity_checks'
  | 'kvm_node_memory_mib';

/** Each by the name of what it sets. */
export function commonOptions<S extends CommonSettings>(): { readonly [name in CommonName]: OptionSpec<S> } {
  return {
    print_nodes: {
      kind: 'optional',
      short: 'p',
      long: 'print-nodes',
      value: 'FIELDS',
      help: 'print the final node list',
      completion: 'none',
      apply: (settings, value) => ({ ...settings, print_nodes: fieldList(value) }),
    },
    text_file: {
      kind: 'required',
      short: 't',
      long: 'text-data',
      value: 'FILE',
      help: 'the cluster data FILE',
      completion: 'file',
      apply: (settings, text_file) => ({ ...settings, text_file }),
    },
    simulate: {
      kind: 'required',
      long: 'simulate',
      value: 'SPEC',
      help: "simulate an empty cluster, given as 'alloc_policy,num_nodes,disk,ram,cpu'",
      completion: 'string',
      apply: (settings, spec) => ({ ...settings, simulate: [...settings.simulate, spec] }),
    },
    save: {
      kind: 'required',
      short: 'S',
      long: 'save',
      value: 'FILE',
      help: 'Save cluster state at the end of the processing to FILE',
      completion: 'none',
      apply: (settings, save) => ({ ...settings, save }),
    },
    verbose: {
      kind: 'flag',
      short: 'v',
      long: 'verbose',
      help: 'increase the verbosity level',
      completion: 'none',
      apply: (settings) => ({ ...settings, verbose: settings.verbose + 1 }),
    },
    quiet: {
      kind: 'flag',
      short: 'q',
      long: 'quiet',
      help: 'decrease the verbosity level',
      completion: 'none',
      apply: (settings) => ({ ...settings, verbose: settings.verbose - 1 }),
    },
    capacity_checks: {
      kind: 'flag',
      long: 'no-capacity-checks',
      help: 'disable capacity checks (like global N+1 redundancy)',
      completion: 'none',
      apply: (settings) => ({ ...settings, capacity_checks: false }),
    },
    kvm_node_memory_mib: {
      kind: 'required',
      long: 'static-kvm-node-memory',
      value: 'N',
      help: 'use static node memory [in MB] on KVM instead of value reported by hypervisor. Use 0 to take value reported from hypervisor.',
      completion: 'integer',
      apply: (settings, value) => ({
        ...settings,
        kvm_node_memory_mib: wholeNumber('static node memory', value),
      }),
    },
  };
}

/** `+a,b`: those besides the usual ones. */
function fieldList(value: string | null): readonly string[] {
  if (value === null) return [];
  return value.startsWith('+') ? ['+', ...value.slice(1).split(',')] : value.split(',');
}

export function wholeNumber(what: string, text: string): number {
  if (/^\s*-?\d+\s*$/.test(text)) return Number(text);
  throw new BadValue(`${what}: cannot parse string '${text}'`);
}

export function decimalNumber(what: string, text: string): number {
  if (/^\s*-?\d+(\.\d+)?([eE][-+]?\d+)?\s*$/.test(text)) return Number(text);
  throw new BadValue(`${what}: cannot parse string '${text}'`);
}

/** An optional `yes` or `no`. */
export function yesOrNo(value: string | null): boolean {
  if (value === null || value === 'yes') return true;
  if (value === 'no') return false;
  throw new BadValue(`Invalid choice '${value}', pass one of 'yes' or 'no'`);
}

/** A size with a unit, as in `disk,ram,cpu`. */
export function sizeValue(what: string, text: string): number {
  try {
    return parseSize(what, text);
  } catch (error) {
    throw error instanceof InputError ? new BadValue(error.message) : error;
  }
}
