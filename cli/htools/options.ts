/**
 * The options that several htools have in common, with Ganeti's names, texts and defaults. A program lists those that it
 * has, in the order of its help ({@link optionsOf}); one that needs more extends {@link CommonOptions} and adds its own.
 */
import { BadValue, type OptionSpec } from './getopt.ts';

/** What the command line said. */
export interface CommonOptions {
  // Where the cluster is read from.
  text_file: string | null;
  rapi: string | null;
  /** The socket of an agent; empty: of this host's. */
  luxi: string | null;
  iallocator_file: string | null;
  /** In the order given. */
  simulate: readonly string[];
  // How it is seen.
  utilisation_file: string | null;
  ignore_utilisation: boolean;
  mond: boolean;
  mond_file: string | null;
  mond_exit_on_missing: boolean;
  mond_xen: boolean;
  exclusion_tags: readonly string[] | null;
  selected_instances: readonly string[];
  excluded_instances: readonly string[];
  offline_nodes: readonly string[];
  max_cpu: number | null;
  min_disk: number;
  static_kvm_node_memory_mib: number;
  group: string | null;
  capacity_checks: boolean;
  // How it is balanced.
  disk_moves: boolean;
  instance_moves: boolean;
  evacuate: boolean;
  restricted_migration: boolean;
  ignore_soft_errors: boolean;
  max_length: number;
  min_score: number;
  min_gain: number;
  min_gain_limit: number;
  /** Seconds that are searched for something better than the greedy solution; null: none. Skein's own. */
  search_s: number | null;
  simulation: boolean;
  // What is shown and written.
  /** null: nothing; without fields: the usual ones. */
  print_nodes: readonly string[] | null;
  print_instances: boolean;
  /** `-`: to the terminal. */
  print_commands: string | null;
  save: string | null;
  machine_readable: boolean;
  verbosity: number;
  // What is done.
  execute: boolean;
  /** With it: instances that run may be stopped and started elsewhere. Skein's own. */
  allow_restart: boolean;
  first_job_group: boolean;
  reason: string | null;
  priority: string | null;
}

export const common_defaults: CommonOptions = {
  text_file: null,
  rapi: null,
  luxi: null,
  iallocator_file: null,
  simulate: [],
  utilisation_file: null,
  ignore_utilisation: false,
  mond: false,
  mond_file: null,
  mond_exit_on_missing: false,
  mond_xen: false,
  exclusion_tags: null,
  selected_instances: [],
  excluded_instances: [],
  offline_nodes: [],
  max_cpu: null,
  min_disk: 0,
  static_kvm_node_memory_mib: 4096,
  group: null,
  capacity_checks: true,
  disk_moves: true,
  instance_moves: true,
  evacuate: false,
  restricted_migration: false,
  ignore_soft_errors: false,
  max_length: -1,
  min_score: 1e-9,
  min_gain: 1e-2,
  min_gain_limit: 1e-1,
  search_s: null,
  simulation: true,
  print_nodes: null,
  print_instances: false,
  print_commands: null,
  save: null,
  machine_readable: false,
  verbosity: 1,
  execute: false,
  allow_restart: false,
  first_job_group: false,
  reason: null,
  priority: null,
};

/** One that many programs have, whatever else they have. */
export interface CommonOption {
  readonly short: string;
  readonly long: string;
  readonly alias?: string;
  /** Of its value; null if it has none. */
  readonly value: { readonly name: string; readonly optional: boolean } | null;
  readonly help: string;
  readonly completion: string;
  /** Into a copy of the program's options. */
  set(options: CommonOptions, value: string | null): void;
}

/** The same for a program that may have further options. */
export function optionsOf<O extends CommonOptions>(
  options: readonly CommonOption[],
): readonly OptionSpec<O>[] {
  return options.map((option): OptionSpec<O> => {
    const { short, long, alias, help, completion, value } = option;
    const names = { long, ...(short === '' ? {} : { short }), ...(alias === undefined ? {} : { alias }) };
    const common = { ...names, help, completion };
    const apply = (settings: O, given: string | null): O => {
      const changed = { ...settings };
      option.set(changed, given);
      return changed;
    };
    if (value === null) return { ...common, kind: 'flag', apply: (settings) => apply(settings, null) };
    return { ...common, kind: value.optional ? 'optional' : 'required', value: value.name, apply };
  });
}

/** An option without a value. */
function flag(
  short: string,
  long: string,
  help: string,
  set: (options: CommonOptions) => void,
): CommonOption {
  return { short, long, value: null, help, completion: 'none', set };
}

/** An option that needs a value. */
function valued(
  short: string,
  long: string,
  name: string,
  help: string,
  completion: string,
  set: (options: CommonOptions, value: string) => void,
): CommonOption {
  return {
    short,
    long,
    value: { name, optional: false },
    help,
    completion,
    set: (options, value) => set(options, value ?? ''),
  };
}

/** An option whose value may be missing. */
function optional(
  short: string,
  long: string,
  name: string,
  help: string,
  completion: string,
  set: (options: CommonOptions, value: string | null) => void,
): CommonOption {
  return { short, long, value: { name, optional: true }, help, completion, set };
}

/** @param what begins the message, as the htools have it, e.g. `min gain` */
export function numberOf(what: string, text: string): number {
  return parsed(what, text, /^\s*-?(\d+(\.\d+)?([eE][-+]?\d+)?|Infinity)/);
}

export function integerOf(what: string, text: string): number {
  return parsed(what, text, /^\s*-?\d+/);
}

function parsed(what: string, text: string, pattern: RegExp): number {
  const match = pattern.exec(text);
  if (match === null) throw new BadValue(`${what}: cannot parse string '${text}'`);
  const left = text.slice(match[0].length);
  if (left.trim() !== '') {
    throw new BadValue(`${what}: leftover characters when parsing '${text}': '${left}'`);
  }
  return Number(match[0]);
}

function yesOrNo(value: string | null): boolean {
  if (value === null || value === 'yes') return true;
  if (value === 'no') return false;
  throw new BadValue(`Invalid choice '${value}', pass one of 'yes' or 'no'`);
}

/** Nothing is no item. */
export function listOf(text: string): string[] {
  return text === '' ? [] : text.split(',');
}

export const text_data: CommonOption = valued(
  't',
  'text-data',
  'FILE',
  'the cluster data FILE',
  'file',
  (options, value) => {
    options.text_file = value;
  },
);

export const rapi_master: CommonOption = valued(
  'm',
  'master',
  'ADDRESS',
  'collect data via RAPI at the given ADDRESS',
  'host',
  (options, value) => {
    options.rapi = value;
  },
);

export const luxi: CommonOption = optional(
  'L',
  'luxi',
  'SOCKET',
  "collect data from this host's agent, optionally using the given SOCKET path [/run/skein/api.sock]",
  'file',
  (options, value) => {
    options.luxi = value ?? '';
  },
);

export const iallocator_source: CommonOption = valued(
  'I',
  'ialloc-src',
  'FILE',
  'Specify an iallocator spec as the cluster data source',
  'file',
  (options, value) => {
    options.iallocator_file = value;
  },
);

export const simulate: CommonOption = valued(
  '',
  'simulate',
  'SPEC',
  "simulate an empty cluster, given as 'alloc_policy,num_nodes,disk,ram,cpu'",
  'string',
  (options, value) => {
    options.simulate = [...options.simulate, value];
  },
);

export const print_nodes: CommonOption = optional(
  'p',
  'print-nodes',
  'FIELDS',
  'print the final node list',
  'none',
  (options, value) => {
    const more = value?.startsWith('+') === true;
    options.print_nodes = [...(more ? ['+'] : []), ...listOf(more ? (value?.slice(1) ?? '') : (value ?? ''))];
  },
);

export const print_instances: CommonOption = flag(
  '',
  'print-instances',
  'print the final instance map',
  (options) => {
    options.print_instances = true;
  },
);

export const print_commands: CommonOption = optional(
  'C',
  'print-commands',
  'FILE',
  'print the ganeti command list for reaching the solution, if an argument is passed then write the commands to a ' +
    'file named as such',
  'none',
  (options, value) => {
    options.print_commands = value ?? '-';
  },
);

export const evac_mode: CommonOption = flag(
  'E',
  'evac-mode',
  'enable evacuation mode, where the algorithm only moves instances away from offline and drained nodes',
  (options) => {
    options.evacuate = true;
  },
);

export const restricted_migration: CommonOption = flag(
  '',
  'restricted-migration',
  'disallow replace-primary moves (aka frf-moves); in evacuation mode, this will ensure that the only migrations are ' +
    'off the drained nodes',
  (options) => {
    options.restricted_migration = true;
  },
);

export const execute: CommonOption = {
  ...flag(
    'X',
    'exec',
    'execute the suggested moves by jobs of this cluster (only available when using -L for data gathering)',
    (options) => {
      options.execute = true;
    },
  ),
  alias: 'exec-jobs',
};

/** None of the htools has it. */
export const allow_restart: CommonOption = flag(
  '',
  'allow-restart',
  'with -X: instances that run may be stopped and started elsewhere (live migration is not there yet)',
  (options) => {
    options.allow_restart = true;
  },
);

export const first_job_group: CommonOption = flag(
  '',
  'first-job-group',
  'only execute the first group of jobs',
  (options) => {
    options.first_job_group = true;
  },
);

export const reason: CommonOption = valued(
  '',
  'reason',
  'REASON',
  'The reason to pass to the submitted jobs',
  'none',
  (options, value) => {
    options.reason = value;
  },
);

export const group: CommonOption = valued(
  'G',
  'group',
  'ID',
  'the target node group (name or UUID)',
  'onegroup',
  (options, value) => {
    options.group = value;
  },
);

export const max_length: CommonOption = valued(
  'l',
  'max-length',
  'N',
  'cap the solution at this many balancing or allocation rounds (useful for very unbalanced clusters or empty clusters)',
  'integer',
  (options, value) => {
    options.max_length = integerOf('max solution length', value);
  },
);

/** None of the htools has it. */
export const search: CommonOption = valued(
  '',
  'search',
  'SECONDS',
  'search for so long for a better solution than the usual one, which takes the best single move again and again; ends with whichever is better',
  'float',
  (options, value) => {
    const seconds = numberOf('search', value);
    if (!(seconds > 0 && seconds <= 86_400)) {
      throw new BadValue(`search: '${value}': expected seconds, more than 0 and at most 86400`);
    }
    options.search_s = seconds;
  },
);

export const verbose: CommonOption = flag('v', 'verbose', 'increase the verbosity level', (options) => {
  options.verbosity += 1;
});

export const quiet: CommonOption = flag('q', 'quiet', 'decrease the verbosity level', (options) => {
  options.verbosity -= 1;
});

export const offline_node: CommonOption = valued(
  'O',
  'offline',
  'NODE',
  'set node as offline',
  'onenode',
  (options, value) => {
    options.offline_nodes = [value, ...options.offline_nodes];
  },
);

export const static_kvm_node_memory: CommonOption = valued(
  '',
  'static-kvm-node-memory',
  'N',
  'use static node memory [in MB] on KVM instead of value reported by hypervisor. Use 0 to take value reported from ' +
    'hypervisor.',
  'integer',
  (options, value) => {
    options.static_kvm_node_memory_mib = integerOf('static node memory', value);
  },
);

export const min_score: CommonOption = valued(
  'e',
  'min-score',
  'EPSILON',
  'mininum excess to the N+1 limit to aim for',
  'float',
  (options, value) => {
    options.min_score = numberOf('min score', value);
  },
);

export const max_cpu: CommonOption = valued(
  '',
  'max-cpu',
  'RATIO',
  'maximum virtual-to-physical cpu ratio for nodes (from 0 upwards) [default read from cluster]',
  'float',
  (options, value) => {
    const ratio = numberOf('parsing max-cpu', value);
    if (ratio <= 0) throw new BadValue('Invalid value of the max-cpu ratio, expected >0');
    options.max_cpu = ratio;
  },
);

export const min_disk: CommonOption = valued(
  '',
  'min-disk',
  'RATIO',
  'minimum free disk space for nodes (between 0 and 1) [0]',
  'float',
  (options, value) => {
    options.min_disk = numberOf('min free disk space', value);
  },
);

export const min_gain: CommonOption = valued(
  'g',
  'min-gain',
  'DELTA',
  'minimum gain to aim for in a balancing step before giving up',
  'float',
  (options, value) => {
    options.min_gain = numberOf('min gain', value);
  },
);

export const min_gain_limit: CommonOption = valued(
  '',
  'min-gain-limit',
  'SCORE',
  'minimum cluster score for which we start checking the min-gain',
  'float',
  (options, value) => {
    options.min_gain_limit = numberOf('min gain limit', value);
  },
);

export const no_disk_moves: CommonOption = flag(
  '',
  'no-disk-moves',
  "disallow disk moves from the list of allowed instance changes, thus allowing only the 'cheap' failover/migrate " +
    'operations',
  (options) => {
    options.disk_moves = false;
  },
);

export const no_instance_moves: CommonOption = flag(
  '',
  'no-instance-moves',
  'disallow instance (primary node) moves from the list of allowed, instance changes, thus allowing only slower, but ' +
    'sometimes safer, drbd secondary changes',
  (options) => {
    options.instance_moves = false;
  },
);

export const select_instances: CommonOption = valued(
  '',
  'select-instances',
  'INSTS',
  'only select given instances for any moves',
  'manyinstances',
  (options, value) => {
    options.selected_instances = listOf(value);
  },
);

export const exclude_instances: CommonOption = valued(
  '',
  'exclude-instances',
  'INSTS',
  'exclude given instances from any moves',
  'manyinstances',
  (options, value) => {
    options.excluded_instances = listOf(value);
  },
);

export const ignore_soft_errors: CommonOption = flag(
  '',
  'ignore-soft-errors',
  'Ignore any soft restrictions in balancing',
  (options) => {
    options.ignore_soft_errors = true;
  },
);

export const utilisation_file: CommonOption = valued(
  'U',
  'dynu-file',
  'FILE',
  'Import dynamic utilisation data from the given FILE',
  'file',
  (options, value) => {
    options.utilisation_file = value;
  },
);

export const ignore_utilisation: CommonOption = flag(
  '',
  'ignore-dynu',
  'Ignore any dynamic utilisation information',
  (options) => {
    options.ignore_utilisation = true;
  },
);

export const mond: CommonOption = optional(
  '',
  'mond',
  'CHOICE',
  "pass either 'yes' or 'no' to query all monDs",
  'choices=yes,no',
  (options, value) => {
    options.mond = yesOrNo(value);
  },
);

export const mond_data: CommonOption = valued(
  '',
  'mond-data',
  'FILE',
  'Import data provided by MonDs from the given FILE',
  'file',
  (options, value) => {
    options.mond_file = value;
  },
);

export const mond_exit_on_missing: CommonOption = flag(
  '',
  'exit-on-missing-mond-data',
  'abort if the data available from the monitoring daemons is incomplete',
  (options) => {
    options.mond_exit_on_missing = true;
  },
);

export const mond_xen: CommonOption = flag(
  '',
  'mond-xen',
  'also consider xen-specific collectors in MonD queries',
  (options) => {
    options.mond_xen = true;
  },
);

export const exclusion_tags: CommonOption = valued(
  '',
  'exclusion-tags',
  'TAG,...',
  'Enable instance exclusion based on given tag prefix',
  'string',
  (options, value) => {
    options.exclusion_tags = listOf(value);
  },
);

export const save: CommonOption = valued(
  'S',
  'save',
  'FILE',
  'Save cluster state at the end of the processing to FILE',
  'none',
  (options, value) => {
    options.save = value;
  },
);

const priorities = ['low', 'normal', 'high'];

export const priority: CommonOption = valued(
  '',
  'priority',
  'PRIO',
  'set the priority of submitted jobs',
  `choices=${priorities.join(',')}`,
  (options, value) => {
    if (!priorities.includes(value)) throw new BadValue(`Unknown priority '${value}'`);
    options.priority = value;
  },
);

export const machine_readable: CommonOption = optional(
  '',
  'machine-readable',
  'CHOICE',
  "enable machine readable output (pass either 'yes' or 'no' to explicitly control the flag, or without an argument " +
    'defaults to yes)',
  'choices=yes,no',
  (options, value) => {
    options.machine_readable = yesOrNo(value);
  },
);

export const no_simulation: CommonOption = flag(
  '',
  'no-simulation',
  'do not perform rebalancing simulation',
  (options) => {
    options.simulation = false;
  },
);

export const no_capacity_checks: CommonOption = flag(
  '',
  'no-capacity-checks',
  'disable capacity checks (like global N+1 redundancy)',
  (options) => {
    options.capacity_checks = false;
  },
);
